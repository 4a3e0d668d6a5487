import numpy as np
import pytest

from harness.data.copies.plants import HARD, PLANTS, as_jpeg
from tests.data.copies.conftest import picture

GRAY = picture("grain", 0)[:200]
PICTURES = {"gray": GRAY, "RGB": np.stack([GRAY, GRAY // 2, 255 - GRAY], 2)}


def copies(kind, image, count=12):
    rng = np.random.default_rng(5)
    return [(PLANTS | HARD)[kind](image, rng) for _ in range(count)]


@pytest.mark.parametrize("image", PICTURES.values(), ids=PICTURES)
@pytest.mark.parametrize("kind", PLANTS | HARD)
def test_a_copy_is_a_picture_of_its_kind_and_leaves_the_origin_alone(kind, image):
    before = image.copy()
    made, again = copies(kind, image), copies(kind, image)
    for copy, same in zip(made, again, strict=True):
        assert (copy.dtype, copy.ndim) == (image.dtype, image.ndim)
        np.testing.assert_array_equal(copy, same)
        assert copy.shape != image.shape or (copy != image).any()
    assert len({copy.tobytes() for copy in made}) > 1, "copies of one kind differ"
    np.testing.assert_array_equal(image, before)


def test_a_copy_is_mirrored_both_ways_and_turned_three_ways():
    ways = {copy.tobytes() for copy in copies("mirrored", GRAY)}
    assert ways == {GRAY[:, ::-1].tobytes(), GRAY[::-1].tobytes()}
    turns = {copy.tobytes() for copy in copies("turned", GRAY)}
    assert turns == {np.rot90(GRAY, k).tobytes() for k in (1, 2, 3)}


def test_halves_are_all_four_cover_half_and_lie_a_few_px_off_the_edge():
    made = copies("half", GRAY, 60)
    assert {copy.size for copy in made} == {GRAY.size // 2}
    assert {copy.shape for copy in made} == {(100, 256), (200, 128)}
    places = {(y, x) for copy in made for y, x in _places_of(copy)}
    assert {(y > 50, x > 60) for y, x in places} == {(False, False), (True, False), (False, True)}
    assert not places & {(0, 0), (100, 0), (0, 128)}
    assert max(min(y, 100 - y) + min(x, 128 - x) for y, x in places) <= 7


def _places_of(copy):
    """Yield where in GRAY a cut lies."""
    height, width = copy.shape
    for y in range(len(GRAY) - height + 1):
        for x in range(GRAY.shape[1] - width + 1):
            if (GRAY[y, x : x + 9] == copy[0, :9]).all() and (
                GRAY[y : y + height, x : x + width] == copy
            ).all():
                yield y, x


def test_a_resized_copy_keeps_its_shape_and_loses_size():
    for copy in copies("resized", GRAY):
        share = copy.shape[0] / GRAY.shape[0]
        assert 0.49 < share < 0.91
        assert copy.shape[1] / GRAY.shape[1] == pytest.approx(share, abs=0.01)


def test_a_shifted_copy_lacks_up_to_a_tenth_at_two_sides():
    for copy in copies("shifted", GRAY):
        top, left = (was - now for was, now in zip(GRAY.shape, copy.shape, strict=True))
        assert 1 <= top <= 20
        assert 1 <= left <= 25
        np.testing.assert_array_equal(copy, GRAY[top:, left:])


def test_another_exposure_keeps_the_order_of_the_grays():
    for copy in copies("relit", GRAY):
        table = [np.unique(copy[level == GRAY]) for level in np.unique(GRAY)]
        assert all(len(levels) == 1 for levels in table)
        assert (np.diff(np.concatenate(table).astype(int)) >= 0).all()
    assert min(c.mean() for c in copies("relit", GRAY)) < GRAY.mean() - 20
    assert max(c.mean() for c in copies("relit", GRAY)) > GRAY.mean() + 10


def test_a_tilted_copy_shows_no_corner_that_was_not_photographed():
    for copy in copies("tilted", GRAY, 30):
        assert copy.min() > GRAY.min() // 2


def test_a_jpeg_of_less_quality_is_further_from_the_picture():
    off = [np.abs(as_jpeg(GRAY, quality).astype(int) - GRAY).mean() for quality in (95, 75, 40)]
    assert 0 < off[0] < off[1] < off[2] < 20


def test_a_zoomed_copy_shows_a_part_from_half_to_seven_tenths_of_each_side():
    made = copies("zoomed", GRAY, 60)
    shares = np.array([np.divide(copy.shape, GRAY.shape) for copy in made])
    assert 0.49 < shares.min() < 0.53
    assert 0.67 < shares.max() < 0.71
    np.testing.assert_allclose(shares[:, 0], shares[:, 1], atol=0.005)
    assert all(list(_places_of(copy)) for copy in made[:5])
