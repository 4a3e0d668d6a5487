"""A holder that all pictures show: strangers in it are strangers, and copies are found all the same."""

import cv2
import numpy as np
import pandas as pd
import pytest

from harness.data.copies import canary, plants, search
from harness.data.copies.search import find_copies
from harness.data.copies.shared import find_shared
from harness.data.kept import Kept
from tests.data.copies.conftest import mark, marks, own_groups, picture

COUNT = 30
WAYS = ["re-encoded", "resized", "relit", "mirrored", "turned"]


def held(number, share, jitter=0):
    """Return picture `number` of a thing of its own in the middle of a holder that fills a share of each picture."""
    side = int(256 * np.sqrt(1 - share))
    at = (256 - side) // 2
    rng = np.random.default_rng(number)
    y, x = rng.integers(0, jitter + 1, 2)
    shown = picture("weave", 500, y=int(y), x=int(x)).astype(float)
    shown[at : at + side, at : at + side] = picture("grain", number)[:side, :side]
    lamp = 1 + rng.uniform(-0.1, 0.1)
    return (shown * lamp + rng.normal(0, 3, shown.shape)).clip(0, 255).astype(np.uint8)


def copies_of(folder, pictures):
    """Return what is found among pictures that are written as files, each a group of its own."""
    rows = []
    for number, pixels in enumerate(pictures):
        cv2.imwrite(str(folder / f"{number:03}.png"), pixels)
        rows.append((f"{number:03}.png", f"g{number}", f"sha {number}", False))
    samples = pd.DataFrame(rows, columns=["sample", "group", "pixels_sha256", "constant"])
    kept = Kept(folder / "kept")
    try:
        found = find_copies(samples, folder, kept)
        assert find_copies(samples, folder, kept).shared == found.shared
        return found
    finally:
        kept.close()


@pytest.fixture(autouse=True)
def few_planted(monkeypatch):
    monkeypatch.setattr(canary, "PLANTED", 6)  # four times as fast


@pytest.mark.parametrize(("share", "jitter"), [(0.5, 0), (0.6, 8)])
def test_strangers_in_one_holder_stay_apart_and_their_copies_are_found(tmp_path, share, jitter):
    rng = np.random.default_rng(1)
    shown = [held(number, share, jitter) for number in range(COUNT)]
    shown += [plants.PLANTS[way](shown[number], rng) for number, way in enumerate(WAYS)]
    found = copies_of(tmp_path, shown)
    assert {(p.first, p.second) for p in found.sure()} == {(n, COUNT + n) for n in range(len(WAYS))}
    assert share - 0.2 < found.shared < share + 0.1
    assert found.reaches


def test_without_that_the_search_is_blind_here(tmp_path, monkeypatch):
    monkeypatch.setattr(search, "find_shared", lambda marks, groups: None)
    shown = [held(number, 0.6) for number in range(COUNT)]
    found = copies_of(tmp_path, [*shown, (shown[0] * 0.9).astype(np.uint8)])
    assert not found.reaches


@pytest.mark.parametrize("kind", ["grain", "weave", "regular weave", "brushed"])
def test_surfaces_of_one_kind_share_nothing(kind):
    assert find_shared(marks(kind, 40), own_groups(40)) is None


def test_copies_of_one_thing_in_a_small_set_are_no_holder():
    family = [one for number in range(6) for one in marks("grain", 1, number) * 5]
    assert find_shared(family, own_groups(30)) is None


def test_many_pictures_of_two_scenes_under_own_ids_are_not_hidden_as_a_holder():
    scenes = [mark("grain", number) for number in range(2) for _ in range(20)]
    common = find_shared(scenes, own_groups(40))
    assert common is not None
    assert not any(common.blocks(scenes[row], f"g{row:03}").any() for row in (0, 19, 20, 39))
