import cv2
import numpy as np
import pandas as pd
import pytest

from harness.data.audit.labels import similar_labels


def cracks(count=24, seed=0):
    """Return pictures with a branching line each; no two are alike."""
    found = []
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        mask = np.zeros((128, 128), np.uint8)
        points = rng.integers(10, 118, (5, 2)).astype(np.int32)
        cv2.polylines(mask, [points], False, 1, 3)
        found.append((f"g{number:02d}", rng.integers(0, 255, (128, 128), dtype=np.uint8), mask))
    return found


@pytest.fixture
def found(measured, deal):
    def check(pictures):
        table = measured(pictures)
        return similar_labels(table, deal(table))

    return check


def altered(mask, *, dx=0, dy=0):
    """Return the mask moved and its outline changed here and there."""
    moved = np.roll(mask, (dy, dx), axis=(0, 1))
    moved[tuple(np.argwhere(moved)[::40].T)] = 0
    return moved


def test_labels_of_their_own_pass_and_are_counted(found):
    outcome = found(cracks())
    assert (outcome.status, outcome.affected) == ("pass", 0)
    assert "24 of 24 labels have a shape of their own" in outcome.summary


@pytest.mark.parametrize(("dx", "dy"), [(0, 0), (1, 0), (-2, 1)])
def test_a_copied_label_is_found_with_both_groups(found, dx, dy):
    pack = cracks()
    pack[20] = (pack[20][0], pack[20][1], altered(pack[1][2], dx=dx, dy=dy))
    outcome = found(pack)
    assert (outcome.status, outcome.affected) == ("warn", 2)
    assert {outcome.items[0]["first"], outcome.items[0]["second"]} == {"001.png", "020.png"}
    assert outcome.share_of_validation == 2 / 24


def test_the_same_label_twice_in_one_group_is_no_leak(found):
    pack = cracks()
    pack[20] = ("g01", pack[20][1], altered(pack[1][2]))
    assert found(pack).status == "pass"


def test_equal_masks_are_left_to_the_check_of_equal_masks(found):
    pack = cracks()
    pack[20] = (pack[20][0], pack[20][1], pack[1][2])
    assert found(pack).status == "pass"


def test_round_spots_in_one_place_meet_by_chance_and_are_not_compared(found):
    spots = []
    for number in range(40):
        mask = np.zeros((128, 128), np.uint8)
        cv2.circle(mask, (64, 64), 10 + number % 3, 1, -1)
        mask[64, 64 + number % 5] = 0
        spots.append((f"g{number:02d}", mask, mask))
    outcome = found(spots)
    assert (outcome.severity, outcome.status) == ("info", "not run")


def test_a_thousand_distinct_labels_have_no_pair(found):
    assert found(cracks(1000, seed=7)).status == "pass"


def test_the_most_alike_pair_comes_first_and_all_are_counted(found):
    pack = cracks()
    pack[20] = (pack[20][0], pack[20][1], altered(pack[1][2]))
    slightly = pack[2][2].copy()
    slightly[tuple(np.argwhere(slightly)[0])] = 0
    pack[21] = (pack[21][0], pack[21][1], slightly)
    outcome = found(pack)
    assert [item["first"] for item in outcome.items] == ["002.png", "001.png"]
    assert outcome.items[0]["alike"] > outcome.items[1]["alike"]
    assert outcome.total == 2
    assert "(and 1 more pair)" in outcome.summary


def test_labels_that_all_lie_in_one_place_are_too_many_and_not_green(measured, deal):
    frame = np.pad(np.zeros((126, 126), np.uint8), 1, constant_values=1)
    table = measured([(group, image, np.maximum(mask, frame)) for group, image, mask in cracks(12)])
    assert similar_labels(table, deal(table)).status == "pass"
    many = pd.concat([table] * 400, ignore_index=True)
    outcome = similar_labels(many, deal(table))
    assert (outcome.severity, outcome.status) == ("warn", "not run")
    assert f"{4800 * 4799 // 2:,} pairs of them lie in one place" in outcome.summary
