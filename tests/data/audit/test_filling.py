import cv2
import numpy as np

from harness.data.audit.filling import odd_filling

IMAGE = np.full((128, 128), 90, np.uint8)


def spots(count=30, thickness=-1):
    """Return pictures with a round object of 6 to 10 px radius each."""
    found = []
    for number in range(count):
        rng = np.random.default_rng(number)
        mask = np.zeros((128, 128), np.uint8)
        x, y = (int(v) for v in rng.integers(20, 108, 2))
        cv2.circle(mask, (x, y), int(rng.integers(6, 11)), 1, thickness)
        found.append((f"g{number}", IMAGE, mask))
    return found


def with_mask(pictures, row, mask):
    return [*pictures[:row], (pictures[row][0], IMAGE, mask), *pictures[row + 1 :]]


def test_masks_of_one_kind_pass(measured):
    found = odd_filling(measured(spots()), None)
    assert (found.status, found.affected) == ("pass", 0)


def test_target_and_background_swapped_is_found(measured):
    pack = spots()
    found = odd_filling(measured(with_mask(pack, 9, 1 - pack[9][2])), None)
    assert (found.status, found.affected) == ("warn", 1)
    assert "The mask of '009.png' covers half the picture and all its edges" in found.summary


def test_a_swap_is_found_in_a_small_set_too(measured):
    pack = spots(5)
    assert odd_filling(measured(with_mask(pack, 2, 1 - pack[2][2])), None).affected == 1


def test_an_object_far_larger_than_the_others_is_found(measured):
    mask = np.zeros((128, 128), np.uint8)
    mask[5:120, 5:120] = 1
    found = odd_filling(measured(with_mask(spots(), 9, mask)), None)
    assert [item["image"] for item in found.items] == ["009.png"]
    assert "covers far more than the others" in found.summary


def test_large_objects_that_are_usual_are_not_blamed(measured):
    pack = spots()
    for row in range(0, 30, 3):
        mask = np.zeros((128, 128), np.uint8)
        mask[5 : 60 + row, 5:110] = 1
        pack = with_mask(pack, row, mask)
    assert odd_filling(measured(pack), None).status == "pass"


def test_one_outline_among_filled_masks_is_found_and_a_set_of_outlines_is_not(measured):
    mask = np.zeros((128, 128), np.uint8)
    cv2.circle(mask, (60, 60), 9, 1, 1)
    found = odd_filling(measured(with_mask(spots(), 9, mask)), None)
    assert [item["image"] for item in found.items] == ["009.png"]
    assert "is an outline around more than it covers" in found.summary
    assert odd_filling(measured(spots(thickness=1)), None).status == "pass"


def test_the_mask_that_covers_most_comes_first(measured):
    pack = spots()
    pack = with_mask(with_mask(pack, 3, 1 - pack[3][2]), 20, np.ones((128, 128), np.uint8))
    assert [item["image"] for item in odd_filling(measured(pack), None).items] == ["020.png", "003.png"]
