import cv2
import numpy as np
import pytest

from harness.data.measures import SIGNATURE, count_sizes, measure, objects_of
from harness.data.pictures import fit_mask

RNG = np.random.default_rng(5)


def texture(shape=(96, 128), seed=0):
    return np.random.default_rng(seed).normal(120, 25, shape).clip(0, 255).astype(np.uint8)


def blank(shape=(96, 128)):
    return np.zeros(shape, np.uint8)


def measured(mask, size=None, image=None):
    return measure(texture(mask.shape) if image is None else image, mask, objects_of(mask), size)


def specks(shape, count, rng):
    """Draw small objects of 1 to 6 px across."""
    mask = blank(shape)
    for _ in range(count):
        y, x = (int(rng.integers(0, side - 6)) for side in shape)
        mask[y : y + int(rng.integers(1, 7)), x : x + int(rng.integers(1, 7))] = 1
    return mask


def test_objects_are_counted_by_corners_too_and_ignored_pixels_are_none():
    mask = blank()
    mask[10:12, 10:15] = 1
    mask[12, 15] = 1  # touches at a corner
    mask[50:53, 60:62] = 1
    mask[53] = 255
    objects = objects_of(mask)
    assert sorted(objects.areas.tolist()) == [6, 11]
    found = measured(mask)
    assert (found.smallest_px, found.largest_px, found.shortest_side) == (6, 11, 2)
    assert (found.target_x, found.target_y, found.target_w, found.target_h) == (10, 10, 52, 43)


def test_an_empty_mask_measures_nothing():
    found = measured(blank(), 32)
    assert (found.smallest_px, found.largest_px, found.shortest_side, found.lost, found.tiny) == (
        0,
        0,
        0,
        0,
        0,
    )
    assert (found.edges, found.holes_px, found.signature, found.keeps_at) == (0, 0, "", 32)


@pytest.mark.parametrize("shape", [(96, 128), (131, 77), (61, 200), (64, 64)])
@pytest.mark.parametrize("size", [32, 48, 63, 100, 127])
def test_losses_are_those_of_the_masks_that_are_trained_on(shape, size):
    """Relabel each object on its own, resize it as the cache does, and count."""
    mask = specks(shape, 12, np.random.default_rng(size))
    objects = objects_of(mask)
    alone = []
    for number in range(len(objects.areas)):
        one = blank(shape)
        here = objects.number == number
        one[objects.rows[here], objects.columns[here]] = 1
        alone.append(int(fit_mask(one, size).sum()) if size < max(shape) else int(one.sum()))
    assert objects.areas_at(size).tolist() == alone
    found = measured(mask, size)
    assert found.lost == alone.count(0)
    assert found.tiny == sum(px < 4 for px in alone)


@pytest.mark.parametrize("seed", range(6))
def test_the_size_that_is_named_keeps_every_object_and_size_none_loses_none(seed):
    mask = specks((400, 300), 20, np.random.default_rng(seed))
    found = measured(mask, 64)
    assert found.lost > 0
    assert found.shown == 64
    assert 64 < found.keeps_at <= 400
    assert (objects_of(mask).areas_at(found.keeps_at) > 0).all()
    assert measured(mask).lost == 0
    assert measured(mask).shown == 400


def test_a_mask_that_is_enlarged_loses_nothing():
    assert measured(specks((40, 40), 5, RNG), 320).lost == 0


def test_light_and_spread_are_those_of_the_gray_picture():
    color = np.zeros((32, 32, 3), np.uint8)
    color[..., 1] = 200
    found = measured(blank((32, 32)), image=color)
    assert found.gray_mean == pytest.approx(0.587 * 200, abs=1)
    assert (found.gray_spread, found.focus) == (0, 0)


def test_focus_follows_sharpness_and_not_light_or_contrast():
    sharp = cv2.GaussianBlur(texture((200, 200)), (0, 0), 1.0)
    stretched = cv2.convertScaleAbs(sharp, alpha=3.0, beta=-240)
    blurs = {sigma: cv2.GaussianBlur(stretched, (0, 0), sigma) for sigma in (0.8, 1.6, 3.2)}
    values = {sigma: measured(blank((200, 200)), image=image).focus for sigma, image in blurs.items()}
    assert values[0.8] > 1.3 * values[1.6] > 1.3**2 * values[3.2]
    whole = measured(blank((200, 200)), image=stretched).focus
    dim = measured(blank((200, 200)), image=(stretched // 2 + 90).astype(np.uint8)).focus
    assert dim == pytest.approx(whole, rel=0.1)


def test_holes_are_what_the_target_encloses():
    mask = blank()
    cv2.circle(mask, (60, 40), 20, 1, 2)
    found = measured(mask)
    assert found.holes_px == pytest.approx(np.pi * 18.5**2, rel=0.1)
    mask[40, :] = 0  # the ring is open
    assert measured(mask).holes_px == 0
    mask[:] = 0
    mask[20:40, 30:60] = 1
    assert measured(mask).holes_px == 0
    mask[25:30, 40:50] = 255
    assert measured(mask).holes_px == 50


def test_edges_are_counted():
    mask = blank()
    mask[0:5, 0:5] = 1
    assert measured(mask).edges == 2
    assert measured(blank() + 1).edges == 4
    mask = blank()
    mask[0, 60] = mask[95, 60] = mask[40, 127] = 1
    assert measured(mask).edges == 3


def test_only_shapes_of_their_own_have_a_signature():
    plain, drawn, small = blank(), blank(), blank()
    cv2.circle(plain, (60, 40), 15, 1, -1)
    for start in ((10, 10), (40, 60), (100, 20)):
        cv2.line(drawn, start, (70, 40), 1, 3)
    small[10, 10:20] = small[40, 30:44] = 1
    assert measured(plain).signature == measured(small).signature == ""
    signature = measured(drawn).signature
    assert len(signature) == SIGNATURE**2
    assert set(signature) <= set("0123456789abcdef")
    moved = np.roll(drawn, (3, 5), axis=(0, 1))
    assert measured(moved).signature == signature
    assert measured(moved).target_x == measured(drawn).target_x + 5


def test_sizes_are_thirds_of_all_objects_whatever_the_order_of_samples():
    areas = [np.array([1, 2, 3]), np.array([], dtype=int), np.array([40, 50, 60, 700, 800, 900])]
    table = count_sizes(areas)
    assert table.to_numpy().tolist() == [[3, 0, 0], [0, 0, 0], [0, 3, 3]]
    assert count_sizes(areas[::-1]).to_numpy().tolist() == table.to_numpy().tolist()[::-1]


def test_objects_of_one_size_are_of_one_kind_and_no_object_is_no_error():
    assert count_sizes([np.array([5, 5]), np.array([5])]).to_numpy().tolist() == [[2, 0, 0], [1, 0, 0]]
    assert count_sizes([np.array([], dtype=int)]).to_numpy().tolist() == [[0, 0, 0]]
    assert len(count_sizes([])) == 0


def test_stripes_of_one_px_have_no_focus_and_harm_nothing():
    for image in (np.tile(np.array([0, 255], np.uint8), (96, 64)), np.array([[0, 255]], np.uint8)):
        assert np.isfinite(measured(blank(image.shape), image=image).focus)
