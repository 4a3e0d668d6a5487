import numpy as np
import pytest

from harness.data.copies.fingerprint import SIDE, SMALL, Fingerprint, evenly_lit, fingerprint, gray_at_side
from harness.data.copies.plants import as_jpeg
from tests.data.copies.conftest import picture, surface


@pytest.fixture(scope="module")
def found():
    return fingerprint(gray_at_side(picture("grain", 0)))


def test_a_fingerprint_comes_back_from_its_bytes(found):
    found = Fingerprint(found.width, found.sixteenths, found.descriptors, found.texture, found_again=31)
    back = Fingerprint.from_bytes(found.to_bytes())
    assert (back.width, back.found_again) == (found.width, 31)
    np.testing.assert_array_equal(back.points, found.points)
    assert back.points.dtype == found.points.dtype == np.float32
    np.testing.assert_array_equal(back.descriptors, found.descriptors)
    np.testing.assert_array_equal(back.texture, found.texture)
    assert back.to_bytes() == found.to_bytes()


def test_a_picture_without_key_points_comes_back_too():
    flat = fingerprint(gray_at_side(np.full((80, 160), 90, np.uint8)))
    back = Fingerprint.from_bytes(flat.to_bytes())
    assert (back.points.shape, back.descriptors.shape, back.texture.shape) == ((0, 4), (0, 128), (48, 96))


def test_the_same_picture_has_the_same_bytes_and_another_has_others(found):
    again = fingerprint(gray_at_side(picture("grain", 0)))
    assert again.to_bytes() == found.to_bytes()
    assert fingerprint(gray_at_side(picture("grain", 1))).to_bytes() != found.to_bytes()


def test_key_points_lie_in_the_picture_and_descriptors_have_one_length(found):
    wide = fingerprint(gray_at_side(surface("grain", 0)[:256].clip(0, 255).astype(np.uint8)))
    assert (wide.width, wide.texture.shape) == (SIDE, (SMALL // 2, SMALL))
    assert wide.points[:, 1].max() < SIDE / 2 <= wide.points[:, 0].max() < SIDE
    lengths = np.linalg.norm(found.descriptors.astype(float), axis=1)
    assert np.abs(lengths - 255).max() < 8


def test_the_strongest_key_points_come_first_for_they_survive_a_jpeg():
    kept = []
    for seed in range(6):
        whole = gray_at_side(picture("grain", seed))
        found, again = fingerprint(whole), fingerprint(as_jpeg(whole, 60))
        apart = np.linalg.norm(found.points[:, None, :2] - again.points[None, :, :2], axis=2).min(1)
        kept.append(((apart[:60] < 1).mean(), (apart[-60:] < 1).mean()))
    first, last = np.mean(kept, 0)
    assert first > last + 0.2


@pytest.mark.parametrize("kind", ["grain", "weave", "brushed"])
def test_what_is_not_looked_at_where_key_points_are_plenty_would_not_be_kept(kind, monkeypatch):
    fast = fingerprint(gray_at_side(picture(kind, 0)))
    monkeypatch.setattr("harness.data.copies.fingerprint._standing_out", lambda lit, many: 0.0)
    slow = fingerprint(gray_at_side(picture(kind, 0)))
    missing = {tuple(point) for point in slow.points.tolist()} - {
        tuple(point) for point in fast.points.tolist()
    }
    assert len(missing) <= 3


def test_fewer_key_points_are_the_strongest_of_all(found):
    few = fingerprint(gray_at_side(picture("grain", 0)), most=50)
    assert len(few.points) == 50
    assert {tuple(point) for point in few.points.tolist()} <= {
        tuple(point) for point in found.points.tolist()
    }


@pytest.mark.parametrize("side", [64, 192, 700])
def test_every_size_is_brought_to_one(side):
    assert gray_at_side(np.zeros((side, side // 2), np.uint8)).shape == (SIDE, SIDE // 2)


def test_gray_pixels_in_three_channels_are_the_gray_picture():
    gray = picture("grain", 0)
    np.testing.assert_array_equal(gray_at_side(np.repeat(gray[..., None], 3, 2)), gray_at_side(gray))


def test_sixteen_bits_of_any_range_are_seen_alike():
    gray = picture("grain", 0).astype(np.uint16)
    bright, dark = gray_at_side(gray * 200 + 5000), gray_at_side(gray * 3 + 7)
    assert np.abs(bright.astype(int) - dark).max() <= 2
    assert (dark.min(), dark.max()) > (0, 240)


def test_another_exposure_has_nearly_the_same_texture():
    gray = gray_at_side(picture("grain", 0))
    lit = evenly_lit(gray).astype(float)
    exposures = [gray * 0.5 + 10, gray * 0.9 + np.linspace(0, 25, SIDE)[:, None]]
    for exposure in exposures:
        assert np.abs(evenly_lit(exposure.astype(np.uint8)) - lit).mean() < 5
    assert np.abs(evenly_lit(gray_at_side(picture("grain", 1))) - lit).mean() > 25


def test_the_noise_of_a_flat_picture_is_not_raised_to_a_texture():
    noise = np.random.default_rng(0).normal(0, 1.0, (SIDE, SIDE))
    weak, strong = (evenly_lit((100 + part).astype(np.uint8)).std() for part in (noise, 8 * noise))
    assert weak < 15 < 25 < strong
