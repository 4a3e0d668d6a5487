import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from harness.data.crops import Cropping, cut_crop, reflect

Pixels = NDArray[np.uint8]


def picture(shape: tuple[int, ...]) -> Pixels:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def rngs(count: int) -> list[np.random.Generator]:
    return [np.random.default_rng([5, number]) for number in range(count)]


def objects(mask: Pixels) -> int:
    return int(cv2.connectedComponents((mask == 1).astype(np.uint8), connectivity=8)[0]) - 1


@pytest.mark.parametrize("zoom", [1.0, 1.25, 4.0])
@pytest.mark.parametrize(
    "shape",
    [(64, 64), (200, 90), (31, 300), (20, 20), (1, 50), (50, 1), (1, 1), (2, 3), (90, 70, 3), (1, 9, 3)],
)
def test_a_crop_has_the_wanted_size_whatever_the_picture(shape: tuple[int, ...], zoom: float) -> None:
    image, mask = picture(shape), np.zeros(shape[:2], np.uint8)
    mask[0, 0] = 1
    for rng in rngs(10):
        crop, labels = cut_crop(image, mask, Cropping(64, zoom), rng)
        assert crop.shape == (64, 64, *shape[2:])
        assert labels.shape == (64, 64)
        assert crop.dtype == labels.dtype == np.uint8
        assert set(np.unique(labels)) <= {0, 1, 255}


def test_a_window_that_fits_lies_inside_the_picture_and_everywhere_in_it() -> None:
    rows, columns = np.mgrid[:100, :80].astype(np.uint8)
    image, mask = np.stack([rows, columns, rows], axis=2), np.zeros((100, 80), np.uint8)
    corners = []
    for rng in rngs(400):
        crop, labels = cut_crop(image, mask, Cropping(32), rng)
        top, left = (int(value) for value in crop[0, 0, :2])
        np.testing.assert_array_equal(crop, image[top : top + 32, left : left + 32])
        assert not labels.any()
        corners.append((top, left))
    assert np.min(corners, axis=0).tolist() == [0, 0]
    assert np.max(corners, axis=0).tolist() == [68, 48]


@pytest.mark.parametrize("shape", [(20, 50), (1, 40), (40, 1), (1, 1), (2, 2), (10, 13, 3)])
def test_beyond_the_edge_the_image_is_reflected_as_opencv_does(shape: tuple[int, ...]) -> None:
    image = picture(shape)
    expected = cv2.copyMakeBorder(image, 37, 11, 64, 3, cv2.BORDER_REFLECT_101)
    np.testing.assert_array_equal(reflect(image, (37, 64), (11, 3)), expected)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_beyond_the_edge_the_mask_is_ignored_and_no_object_is_doubled(share: float) -> None:
    image = np.full((40, 30), 50, np.uint8)
    mask = np.zeros((40, 30), np.uint8)
    image[0:3, 0:3], mask[0:3, 0:3] = 200, 1
    image[30:34, 20:28], mask[30:34, 20:28] = 200, 1
    for rng in rngs(50):
        crop, labels = cut_crop(image, mask, Cropping(96, positive_share=share), rng)
        assert (labels == 1).sum() == (mask == 1).sum()
        assert (labels == 255).sum() == 96 * 96 - 40 * 30
        assert (crop[labels == 1] == 200).all()
        assert (crop[labels == 0] == 50).all()
        assert (crop == 200).sum() > (mask == 1).sum()  # the image is reflected, its objects with it


@pytest.mark.parametrize("zoom", [1.0, 1.25, 4.0])
def test_a_share_of_one_always_shows_an_object(zoom: float) -> None:
    image, mask = picture((300, 280)), np.zeros((300, 280), np.uint8)
    mask[150, 140] = mask[3, 270] = 1  # a single pixel is easily lost in shrinking
    mask[200:, :40] = 255
    for rng in rngs(150):
        _, labels = cut_crop(image, mask, Cropping(32, zoom, positive_share=1.0), rng)
        assert (labels == 1).any()


def test_the_share_says_how_many_crops_are_sure_to_show_an_object() -> None:
    image, mask = picture((400, 400)), np.zeros((400, 400), np.uint8)
    mask[200:204, 200:204] = 1
    for share in (0.0, 0.8):
        crops = [cut_crop(image, mask, Cropping(32, 1.25, share), rng)[1] for rng in rngs(400)]
        assert np.mean([(labels == 1).any() for labels in crops]) == pytest.approx(share, abs=0.07)


@pytest.mark.parametrize("zoom", [1.0, 4.0])
def test_a_small_object_is_shown_as_often_as_a_large_one(zoom: float) -> None:
    image, mask = picture((400, 400)), np.zeros((400, 400), np.uint8)
    mask[20:120, 20:120] = 1
    mask[300, 300] = 1
    image[:] = 0
    image[300, 300] = 255
    crops = [cut_crop(image, mask, Cropping(32, zoom, 1.0), rng) for rng in rngs(300)]
    small = [objects(labels) == 1 and (labels == 1).sum() < 50 for _, labels in crops]
    assert np.mean(small) == pytest.approx(0.5, abs=0.09)
    large_too = [(labels == 1).sum() >= 50 for _, labels in crops]
    assert np.mean(large_too) == pytest.approx(0.5, abs=0.09)


def test_a_small_object_beside_a_large_one_is_not_lost_in_shrinking() -> None:
    image, mask = picture((128, 128)), np.zeros((128, 128), np.uint8)
    mask[:60] = 1
    mask[100, 64] = 1
    shown = 0
    for rng in rngs(300):
        labels = cut_crop(image, mask, Cropping(32, 4.0, 1.0), rng)[1]
        stats = cv2.connectedComponentsWithStats((labels == 1).astype(np.uint8))[2]
        shown += bool((stats[1:, cv2.CC_STAT_AREA] <= 16).any())  # one pixel, at most four times as wide
    assert shown > 0.45 * 300  # .34 where any object in the crop would do


def test_ignored_pixels_are_no_object() -> None:
    image, mask = picture((300, 300)), np.zeros((300, 300), np.uint8)
    mask[10:30, 10:30] = 255
    crops = [cut_crop(image, mask, Cropping(32, positive_share=1.0), rng)[1] for rng in rngs(100)]
    assert np.mean([(labels == 255).any() for labels in crops]) < 0.2


def test_zoom_shows_more_or_less_of_the_picture() -> None:
    rows = np.repeat(np.arange(200, dtype=np.uint8)[:, None], 200, axis=1)
    mask = np.zeros((200, 200), np.uint8)
    shown = [np.ptp(cut_crop(rows, mask, Cropping(64, 2.0), rng)[0]) for rng in rngs(200)]
    assert 30 <= min(shown) <= 36
    assert 120 <= max(shown) <= 128


def test_the_same_numbers_give_the_same_crop() -> None:
    image, mask = picture((200, 200, 3)), (picture((200, 200)) > 250).astype(np.uint8)
    one, same, other = (
        cut_crop(image, mask, Cropping(64, 1.25), np.random.default_rng(seed)) for seed in (4, 4, 5)
    )
    np.testing.assert_array_equal(one[0], same[0])
    np.testing.assert_array_equal(one[1], same[1])
    assert (one[0] != other[0]).any()
