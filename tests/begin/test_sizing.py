import numpy as np
import pandas as pd
import pytest

from harness.begin.sizing import Sizes, choose_sizes

GIB = 2**30


def sizes(longest: int, *areas: int, gib: int = 64, processes: int = 1) -> Sizes:
    """Return the sizes for pictures of this side, each with objects of these areas."""
    samples = pd.DataFrame([{"height": longest * 3 // 4, "width": longest}] * 40)
    return choose_sizes(samples, [np.array(areas)] * 40, memory=gib * GIB, processes=processes)


def test_pictures_are_made_as_small_as_their_small_objects_allow() -> None:
    assert sizes(4000, 400).size == 1600  # there 400 px become 64
    assert sizes(4000, 6400).size == 416
    assert sizes(4000, 10**6).size == 256
    assert sizes(4000, 400).kept == 64


def test_a_small_network_gets_pictures_as_small_as_objects_survive_and_what_is_lost_is_told() -> None:
    assert sizes(4000, 400).cpu_size == 416  # there 400 px become 4
    assert sizes(4000, 400).cpu_lost == 0.0
    assert sizes(4000, 6400, *[6400] * 30, 5).cpu_lost == pytest.approx(1 / 32)


def test_specks_do_not_decide() -> None:
    assert sizes(4000, 400, 1, 2, 3).size == 1600
    assert sizes(4000, 1, 2).size is None


def test_tiny_objects_keep_the_pictures_size_and_large_pictures_go_by_tiles() -> None:
    kept = sizes(4000, 30, gib=8, processes=2)
    assert kept.size is None
    assert kept.lost == 1.0
    assert kept.tile in range(512, 2049, 32)
    small = sizes(600, 30, gib=8, processes=2)
    assert (small.size, small.tile) == (None, None)


@pytest.mark.parametrize(("gib", "tile"), [(1, 512), (64, 2048)])
def test_the_tile_grows_with_the_memory(gib: int, tile: int) -> None:
    assert sizes(8000, 30, gib=gib).tile == tile


def test_a_crop_shows_a_large_object_and_is_no_larger_than_a_picture() -> None:
    assert {area: sizes(640, 30, area, area).crop for area in (64, 2500, 90000)} == {
        64: 64,
        2500: 64,
        90000: 128,
    }
    assert sizes(48, 30).crop == 64
