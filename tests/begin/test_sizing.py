import pandas as pd
import pytest

from harness.begin.sizing import choose_sizes

GIB = 2**30


def samples(longest: int, smallest: int, *, largest: int | None = None, count: int = 40) -> pd.DataFrame:
    row = {"height": longest * 3 // 4, "width": longest, "positive": smallest, "smallest_px": smallest}
    return pd.DataFrame([row | {"largest_px": largest or smallest}] * count)


def test_pictures_are_made_as_small_as_their_small_objects_allow() -> None:
    fine, coarse = (
        choose_sizes(samples(4000, area), memory=64 * GIB, processes=1).size for area in (400, 6400)
    )
    assert fine is not None
    assert coarse is not None
    assert fine == 1600
    assert coarse == 416
    assert fine % 32 == coarse % 32 == 0


def test_tiny_objects_keep_the_pictures_size_and_large_pictures_go_by_tiles() -> None:
    kept = choose_sizes(samples(4000, 30), memory=8 * GIB, processes=2)
    assert kept.size is None
    assert kept.lost_at_512 == 1.0
    assert kept.tile is not None
    assert 512 <= kept.tile <= 2048
    assert kept.tile % 32 == 0
    small = choose_sizes(samples(600, 30), memory=8 * GIB, processes=2)
    assert (small.size, small.tile) == (None, None)


@pytest.mark.parametrize(("gib", "tile"), [(1, 512), (64, 2048)])
def test_the_tile_grows_with_the_memory(gib: int, tile: int) -> None:
    assert choose_sizes(samples(8000, 30), memory=gib * GIB, processes=1).tile == tile


def test_a_crop_shows_a_large_object_and_is_no_larger_than_a_picture() -> None:
    of = {
        area: choose_sizes(samples(640, 30, largest=area), memory=GIB, processes=1).crop
        for area in (64, 2500, 90000)
    }
    assert of == {64: 64, 2500: 128, 90000: 128}
    assert choose_sizes(samples(48, 30), memory=GIB, processes=1).crop == 64
