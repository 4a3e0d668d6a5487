import numpy as np
import pytest

from harness.data.copies import noise
from harness.data.copies.canary import OVERLAPS, Planted
from harness.data.copies.noise import noise_of
from harness.data.copies.plants import PLANTS, as_jpeg
from harness.data.copies.recognize import recognize
from tests.data.copies.conftest import marks, picture

COUNT = 6


def planted(kinds, quality=95):
    rng = np.random.default_rng(3)
    return [
        Planted(kind, n, recognize(as_jpeg(PLANTS[kind](picture("weave", n), rng), quality)))
        for n in range(COUNT)
        for kind in kinds
    ]


def test_a_covariance_is_measured_on_planted_overlaps():
    found = noise_of(marks("weave", COUNT), planted(OVERLAPS))
    assert found.shape == (128, 128)
    np.testing.assert_allclose(found, found.T)
    assert np.linalg.eigvalsh(found).min() > -1e-2
    assert 0 < found.trace() / 128 < 400, "two descriptors of one place are much nearer than 255 gray levels"


def test_stronger_compression_is_more_noise():
    fine, coarse = (noise_of(marks("weave", COUNT), planted(OVERLAPS, quality)) for quality in (95, 40))
    assert coarse.trace() > 1.2 * fine.trace()


@pytest.mark.parametrize("kinds", [(), ("turned", "mirrored", "re-encoded")])
def test_whole_copies_tell_no_noise(kinds):
    assert noise_of(marks("weave", COUNT), planted(kinds)) is None


def test_too_few_key_points_tell_no_noise(monkeypatch):
    monkeypatch.setattr(noise, "FEWEST", 100_000)
    assert noise_of(marks("weave", COUNT), planted(OVERLAPS)) is None


def test_a_copy_that_does_not_lie_on_its_origin_tells_nothing():
    strangers = [Planted("half", (copy.origin + 1) % COUNT, copy.mark) for copy in planted(("half",))]
    assert noise_of(marks("weave", COUNT), strangers) is None
