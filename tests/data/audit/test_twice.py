import cv2
import numpy as np
import pytest

from harness.data.audit.twice import REACH, agreement, lay
from harness.data.copies.align import Alignment, align
from harness.data.copies.plants import PLANTS
from harness.data.copies.recognize import recognize

STILL = Alignment(np.eye(2, 3), False, 0, 1.0, 1.0)
MOVES = ("mirrored", "turned", "shifted", "half")  # done to a mask as they are to its picture


def surface(seed=0, size=(260, 320)):
    noise = np.random.default_rng(seed).standard_normal(size).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 1.6)
    return np.clip(120 + 25 * smooth / smooth.std(), 0, 255).astype(np.uint8)


def spots(*places, size=(260, 320), radius=4):
    mask = np.zeros(size, np.uint8)
    for x, y in places:
        cv2.circle(mask, (x, y), radius, 1, -1)
    return mask


EIGHT = [(40, 40), (160, 60), (280, 50), (60, 130), (250, 140), (40, 220), (150, 210), (270, 215)]


def aligned(first, second):
    found = [align(recognize(first), recognize(second), mirrored=mirrored) for mirrored in (False, True)]
    return max((one for one in found if one is not None), key=lambda one: one.inliers)


def planted(kind, picture, mask):
    copy = PLANTS[kind](picture, np.random.default_rng(3))
    if kind == "resized":
        size = (copy.shape[1], copy.shape[0])
        return copy, cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST_EXACT)
    return copy, PLANTS[kind](mask, np.random.default_rng(3)) if kind in MOVES else mask


def compared(first, second, found, *, exact=False):
    laid = lay(first, second, found, exact=exact)
    return laid and agreement(laid)


@pytest.mark.parametrize("kind", sorted(set(PLANTS) - {"tilted"}))
def test_the_same_label_under_a_planted_copy_agrees(kind):
    picture, mask = surface(), spots(*EIGHT)
    copy, moved = planted(kind, picture, mask)
    found = compared(mask, moved, aligned(picture, copy))
    assert found.forgiving > 0.99
    assert (found.only_first, found.only_second) == (0, 0)


@pytest.mark.parametrize("kind", sorted(set(PLANTS) - {"tilted"}))
def test_another_label_under_a_planted_copy_contradicts_it(kind):
    picture, mask = surface(), spots(*EIGHT)
    copy, moved = planted(kind, picture, spots(*((x + 14, y + 14) for x, y in EIGHT)))
    found = compared(mask, moved, aligned(picture, copy))
    assert (found.iou, found.forgiving) == (0, pytest.approx(0, abs=0.05))
    assert min(found.only_first, found.only_second) >= 3


def test_a_missing_object_is_counted_on_the_side_that_has_it():
    mask, fewer = spots(*EIGHT), spots(*EIGHT[1:])
    one, other = compared(mask, fewer, STILL, exact=True), compared(fewer, mask, STILL, exact=True)
    assert (one.only_first, one.only_second) == (other.only_second, other.only_first) == (1, 0)
    assert one.iou == one.forgiving == other.iou == pytest.approx(7 / 8)


def test_equal_pictures_forgive_nothing_and_others_what_their_movement_may_be_off():
    mask = spots((100, 100), radius=3)
    moved = np.roll(mask, 1, axis=1)
    strict, lenient = (compared(mask, moved, STILL, exact=exact) for exact in (True, False))
    assert strict.iou == strict.forgiving == lenient.iou < 0.8
    assert lenient.forgiving == 1
    far = compared(mask, np.roll(mask, round(8 * REACH), axis=1), STILL)
    assert far.forgiving < 0.9


def test_ignored_pixels_and_what_only_one_picture_shows_are_not_compared():
    mask, other = spots((40, 40), (200, 200)), spots((40, 40))
    other[150:250, 150:250] = 255
    assert compared(mask, other, STILL, exact=True).iou == 1
    right = Alignment(
        np.array([[1.0, 0, -100], [0, 1, 0]]), False, 50, 0.9, 0.5
    )  # it begins 167 px further right
    assert compared(spots((40, 40)), spots(), right) is None


def test_pictures_without_a_label_are_not_compared():
    assert lay(spots(), spots(), STILL, exact=True) is None


def test_an_object_too_small_for_the_coarser_picture_is_not_missed():
    fine, coarse = spots((100, 100), radius=1), np.zeros((65, 80), np.uint8)
    found = compared(fine, coarse, STILL)
    assert (found.forgiving, found.only_first) == (0, 0)
    assert compared(spots((100, 100), radius=6), coarse, STILL).only_first == 1


def test_the_cut_says_where_it_lies_in_both_files():
    mask = spots((200, 100))
    laid = lay(mask, mask[:, ::-1], Alignment(np.eye(2, 3), True, 20, 0.9, 1.0), exact=False)
    y, x = np.argwhere(laid.first == 1).mean(0)
    assert (laid.onto @ (x, y, 1))[:2] == pytest.approx((200, 100))
    assert (laid.beyond @ (x, y, 1))[:2] == pytest.approx((200, 100)), "of the mirrored second picture"
    assert np.array_equal(laid.first, laid.second)


def test_pixels_of_files_of_two_sizes_meet_at_their_centers():
    fine, coarse = spots((384, 400), size=(768, 768)), spots((192, 200), size=(384, 384))
    laid = lay(fine, coarse, STILL, exact=False)
    assert laid.first.shape == laid.second.shape
    first, second = ((matrix @ (10, 10, 1))[:2] for matrix in (laid.onto, laid.beyond))
    assert second == pytest.approx((first + 0.5) / 2 - 0.5)


def test_what_lies_at_the_edge_of_the_shared_part_is_not_compared():
    mask = spots((100, 100))
    mask[40:60, 318:] = 1  # cut off by the edge, where a picture laid a px wrongly would not show it
    assert compared(mask, spots((100, 100)), STILL).forgiving == 1
    assert compared(mask, spots((100, 100)), STILL, exact=True).only_first == 1


def test_one_thin_outline_drawn_on_two_rasters_of_small_pictures_agrees():
    fine = np.zeros((400, 400), np.uint8)
    cv2.polylines(fine, [np.array([(30, 300), (160, 210), (240, 215), (360, 90)])], False, 1, 6)
    masks = []
    for phase in (0, 2):  # half a px of the small pictures
        cover = cv2.resize(
            fine[phase : phase + 384, phase : phase + 384] * 255, (96, 96), interpolation=cv2.INTER_AREA
        )
        masks.append((cover >= 128).astype(np.uint8))
    half = Alignment(np.array([[1.0, 0, -1], [0, 1, -1]]), False, 60, 0.9, 1.0)  # half of 96 is one at 192
    found = compared(*masks, half)
    assert found.iou < 0.9
    assert found.forgiving > 0.99
