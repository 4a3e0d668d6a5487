import numpy as np
import pytest

from harness.data.copies import canary
from harness.data.copies.canary import Planted, plant, recall
from harness.data.copies.find import find_pairs
from harness.data.copies.plants import HARD, PLANTS
from harness.data.copies.recognize import recognize
from tests.data.copies.conftest import mark, marks, own_groups, picture

COUNT, CHOSEN = 20, 4

WAYS = PLANTS | HARD


@pytest.fixture(autouse=True)
def _few(monkeypatch):
    monkeypatch.setattr(canary, "PLANTED", CHOSEN)


def grain(row):
    return picture("grain", row)


@pytest.fixture
def whole():
    return marks("grain", COUNT)


def test_what_is_planted_in_grain_is_found_and_counted_by_kind(whole):
    planted = plant(whole, ["a.png"] * COUNT, grain)
    assert [(copy.kind, copy.origin) for copy in planted] == [
        (kind, origin) for origin in sorted({copy.origin for copy in planted}) for kind in WAYS
    ]
    found = find_pairs(whole, own_groups(COUNT), planted, threads=1)
    assert recall(planted, found.planted_found) == {kind: (CHOSEN, CHOSEN) for kind in WAYS}
    assert found.pairs == (), "pairs with planted copies are not the set's own"
    assert len(found.verifiable) == COUNT


def test_a_copy_that_shows_something_else_is_not_counted_as_found(whole):
    planted = [Planted("turned", 3, mark("grain", 90)), Planted("turned", 3, mark("grain", 3))]
    assert find_pairs(whole, own_groups(COUNT), planted, threads=1).planted_found == (False, True)
    assert recall(planted, (False, True)) == {"turned": (2, 1)}


def test_counts_are_by_kind():
    planted = [Planted(kind, 0, mark("grain", 0)) for kind in ("half", "turned", "half", "half")]
    assert recall(planted, (True, False, False, True)) == {"half": (3, 2), "turned": (1, 0)}
    assert recall([], []) == {}


def test_copies_are_stored_as_their_files_are(whole):
    few = whole[:2]
    as_png, as_jpeg, mixed = (
        [copy.mark.to_bytes() for copy in plant(few, names, grain)]
        for names in (["a.png", "b.tif"], ["a.jpg", "b.JPEG"], ["a.png", "b.jpg"])
    )
    assert all(a != b for a, b in zip(as_png, as_jpeg, strict=True))
    assert mixed == as_png[: len(WAYS)] + as_jpeg[len(WAYS) :]


def test_only_verifiable_pictures_are_copied_and_none_where_there_is_none():
    mixed = [*marks("brushed", 4), *marks("grain", 2), mark("brushed", 5)]
    planted = plant(mixed, ["a.png"] * 7, lambda row: picture("grain", row - 4))
    assert {copy.origin for copy in planted} == {4, 5}
    assert plant(marks("brushed", 4), ["a.png"] * 4, lambda row: np.zeros((0, 0), np.uint8)) == ()


def test_the_seed_chooses_the_pictures(whole, monkeypatch):
    monkeypatch.setattr(canary, "PLANTED", 2)
    names = ["a.png"] * COUNT
    origins = [{copy.origin for copy in plant(whole, names, grain, seed=seed)} for seed in (0, 0, 1)]
    assert origins[0] == origins[1] != origins[2]
    assert len(origins[0]) == 2


def test_the_same_is_planted_whatever_the_number_of_threads(whole):
    names = ["a.png"] * COUNT
    alone, together = (plant(whole, names, grain, threads=threads) for threads in (1, 3))
    assert [(copy.kind, copy.origin, copy.mark.to_bytes()) for copy in alone] == [
        (copy.kind, copy.origin, copy.mark.to_bytes()) for copy in together
    ]


def test_a_png_is_copied_without_another_loss():
    (rng,) = np.random.default_rng(0).spawn(1)
    expected = recognize(next(iter(PLANTS.values()))(grain(0), rng))
    assert plant(marks("grain", 1), ["a.png"], grain)[0].mark.to_bytes() == expected.to_bytes()
