import numpy as np
import pytest

from harness.data.copies.align import align
from harness.data.copies.fingerprint import Fingerprint
from harness.data.copies.recognize import ENOUGH, is_verifiable, recognize
from tests.data.copies.conftest import mark, marks, picture

RNG = np.random.default_rng(0)
ODD = {
    "one px": np.full((1, 1), 7, np.uint8),
    "one px of color": np.full((1, 1, 3), 7, np.uint8),
    "a strip": RNG.integers(0, 256, (3, 200), dtype=np.uint8),
    "a strip that stands": RNG.integers(0, 256, (200, 3), dtype=np.uint8),
    "two px": RNG.integers(0, 256, (2, 2), dtype=np.uint8),
    "very wide": RNG.integers(0, 256, (2, 30_000, 3), dtype=np.uint8),
    "very high, 16 bits": RNG.integers(0, 65_536, (20_000, 1), dtype=np.uint16),
    "constant": np.full((300, 200), 128, np.uint8),
    "constant in 16 bits": np.full((300, 200), 40_000, np.uint16),
    "black": np.zeros((256, 256, 3), np.uint8),
    "a ramp": np.tile(np.arange(256, dtype=np.uint8), (256, 1)),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_pictures_have_a_fingerprint_and_are_not_verifiable(name):
    found = recognize(ODD[name])
    assert not is_verifiable(found)
    assert Fingerprint.from_bytes(found.to_bytes()).to_bytes() == found.to_bytes()
    for mirrored in (False, True):
        align(found, mark("grain", 0), mirrored=mirrored)
        align(mark("grain", 0), found, mirrored=mirrored)


@pytest.mark.parametrize(("kind", "expected"), [("grain", True), ("weave", True), ("brushed", False)])
def test_grain_and_weaves_are_verifiable_and_brushed_surfaces_are_not(kind, expected):
    assert {is_verifiable(found) for found in marks(kind, 20)} == {expected}


def test_grain_is_found_again_by_more_key_points_than_a_weave():
    grain, weave = (np.median([m.found_again for m in marks(kind, 10)]) for kind in ("grain", "weave"))
    assert grain > weave > ENOUGH


def test_a_flat_picture_with_a_little_noise_is_not_verifiable():
    noise = np.random.default_rng(1).normal(120, 0.8, (256, 256))
    assert not is_verifiable(recognize(noise.round().astype(np.uint8)))


def test_a_printed_spot_on_a_flat_picture_is_too_little():
    image = np.full((256, 256), 120, np.uint8)
    image[100:120, 100:130] = 200
    assert not is_verifiable(recognize(image))


@pytest.mark.parametrize("shape", [(256, 140), (140, 256)])
def test_pictures_that_are_not_square_are_verifiable_whichever_way_they_lie(shape):
    image = picture("grain", 0)[: shape[0], : shape[1]]
    assert is_verifiable(recognize(image))


def test_one_picture_in_gray_in_rgb_and_in_16_bits_is_recognized():
    gray = picture("grain", 0)
    color = np.repeat(gray[..., None], 3, 2)
    assert recognize(color).to_bytes() == recognize(gray).to_bytes() == recognize(gray.copy()).to_bytes()
    deep = recognize(gray.astype(np.uint16) * 200 + 900)
    assert is_verifiable(deep)
    found = align(recognize(gray), deep, mirrored=False)
    assert found.agreement > 0.97
    assert found.inliers > 100
