import cv2
import numpy as np
import pytest

from harness.data.copies.align import SAME, align, compare
from harness.data.copies.calibrate import FEWEST_INLIERS
from harness.data.copies.fingerprint import SIDE
from harness.data.copies.recognize import recognize
from tests.data.copies.conftest import PERIOD, PICTURE, mark, picture

SHRINK = SIDE / PICTURE
CORNERS = np.array([(20, 20), (170, 20), (20, 170), (170, 170)], float)


def moved(alignment, points=CORNERS):
    return points @ alignment.movement[:, :2].T + alignment.movement[:, 2]


@pytest.mark.parametrize("kind", ["grain", "weave"])
@pytest.mark.parametrize(("y", "x"), [(20, 36), (0, 100), (70, 70)])
def test_a_shift_is_told_to_a_px_and_the_overlap_is_the_share_both_show(kind, y, x):
    found = align(mark(kind, 0), mark(kind, 0, y, x), mirrored=False)
    assert np.abs(moved(found) - (CORNERS - (SHRINK * x, SHRINK * y))).max() < 1
    assert found.agreement > 0.8
    assert found.overlap == pytest.approx((1 - x / PICTURE) * (1 - y / PICTURE), abs=0.02)


@pytest.mark.parametrize("turns", [1, 2, 3])
@pytest.mark.parametrize("mirrored", [False, True])
def test_quarter_turns_and_mirrors_are_told_to_a_px(turns, mirrored):
    image = picture("grain", 1)
    turned = np.rot90(image, turns)
    found = align(recognize(image), recognize(turned[:, ::-1] if mirrored else turned), mirrored=mirrored)
    x, y = CORNERS.T
    last = SIDE - 1
    expected = {1: (y, last - x), 2: (last - x, last - y), 3: (last - y, x)}[turns]
    assert np.abs(moved(found) - np.column_stack(expected)).max() < 1
    assert found.agreement > 0.97
    assert found.mirrored == mirrored
    assert found.overlap > 0.97


def test_a_mirrored_copy_is_told_only_where_mirrors_are_asked_for():
    image = picture("grain", 1)
    there, mirrored = recognize(image), recognize(image[:, ::-1])
    assert moved(align(there, mirrored, mirrored=True)) == pytest.approx(CORNERS, abs=1)
    for second, asked in ((mirrored, False), (there, True)):
        found = align(there, second, mirrored=asked)
        assert found is None or found.agreement < SAME


def test_another_scale_is_told_and_the_smaller_cut_counts_for_the_overlap():
    near, far = recognize(picture("grain", 2, side=256)), recognize(picture("grain", 2, side=384))
    there, back = align(near, far, mirrored=False), align(far, near, mirrored=False)
    assert np.abs(moved(there) - ((CORNERS + 0.5) * 256 / 384 - 0.5)).max() < 1
    assert there.agreement > 0.8
    assert there.overlap > 0.97
    assert back.overlap > 0.97
    assert np.linalg.det(back.movement[:, :2]) == pytest.approx((384 / 256) ** 2, rel=0.03)


def test_a_half_of_the_picture_is_a_whole_overlap():
    image = picture("grain", 3)
    found = align(recognize(image), recognize(image[:, 128:]), mirrored=False)
    assert np.abs(moved(found) - (CORNERS - (96, 0))).max() < 1
    assert found.overlap > 0.97


def test_a_small_turn_is_told_to_a_px():
    image = picture("grain", 4)
    matrix = cv2.getRotationMatrix2D((95.5, 95.5), 6, 1.0)
    center = (PICTURE - 1) / 2
    turned = cv2.warpAffine(image, cv2.getRotationMatrix2D((center, center), 6, 1.0), image.shape)
    found = align(recognize(image), recognize(turned), mirrored=False)
    assert np.abs(moved(found) - (CORNERS @ matrix[:, :2].T + matrix[:, 2])).max() < 1


@pytest.mark.parametrize("kind", ["grain", "weave"])
def test_strangers_agree_on_nothing(kind):
    for number in range(1, 6):
        for mirrored in (False, True):
            agreement, overlap = compare(mark(kind, 0), mark(kind, number), np.eye(2, 3), mirrored=mirrored)
            found = align(mark(kind, 0), mark(kind, number), mirrored=mirrored)
            assert abs(agreement) < (0.2 if kind == "grain" else 0.97)
            assert overlap > 0.97
            assert found is None or found.agreement < SAME


@pytest.mark.parametrize("kind", ["weave", "regular weave"])
def test_a_weave_is_not_taken_for_itself_one_period_off(kind):
    """Pixels of a weave agree there too; only the key points tell."""
    step = np.array([[1, 0, SHRINK * PERIOD], [0, 1, 0]], float)
    for number in range(3):
        first, second = mark(kind, number), mark(kind, number, 0, 8)
        off, exact = (compare(first, first, shift, mirrored=False)[0] for shift in (step, np.eye(2, 3)))
        assert SAME < off < 0.99 < exact
        assert moved(align(first, second, mirrored=False)) == pytest.approx(CORNERS - (6, 0), abs=1)


def test_weaves_that_lie_in_step_share_no_movement_of_many_key_points():
    for number in range(1, 12):
        found = align(mark("regular weave", 0), mark("regular weave", number), mirrored=False)
        assert found is None or found.inliers < FEWEST_INLIERS


def test_agreement_is_none_where_too_little_is_textured_or_shown():
    flat = recognize(np.full((256, 256), 120, np.uint8))
    assert compare(flat, flat, np.eye(2, 3), mirrored=False)[0] == 0
    whole = mark("grain", 0)
    far = np.array([[1, 0, 185], [0, 1, 0]], float)
    assert compare(whole, whole, far, mirrored=False)[0] == 0
    assert align(flat, whole, mirrored=False) is None


def test_strips_are_compared_without_a_crash():
    strip = recognize(np.random.default_rng(3).integers(0, 255, (100, 2048), dtype=np.uint8))
    agreement, _ = compare(strip, strip, np.eye(2, 3), mirrored=False)
    assert agreement == 0
