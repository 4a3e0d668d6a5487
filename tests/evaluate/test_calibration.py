"""Probabilities that are shares, and ones that are not; held to scikit-learn's bins."""

import numpy as np
import pytest
from scipy.special import expit
from sklearn.calibration import calibration_curve

from harness.evaluate.calibration import BINS, calibration_error, reliability
from harness.model.histogram import FINE, Histogram, bins_of, centers, histogram_of


def drawn(shift: float) -> tuple[np.ndarray, np.ndarray]:
    """Return logits, and truth that is drawn with the probability of each logit less a shift."""
    rng = np.random.default_rng(0)
    logits = rng.normal(-2, 2.5, (400, 500)).astype(np.float32)
    return logits, (rng.random(logits.shape) < expit(logits - shift)).astype(np.uint8)


def test_the_table_is_scikit_learns() -> None:
    logits, truth = drawn(1.0)
    bins = bins_of(logits)
    table = reliability(histogram_of(bins, truth))
    share, probability = calibration_curve(truth.ravel(), expit(centers()[bins]).ravel(), n_bins=BINS)
    np.testing.assert_allclose(table["share"], share, atol=1e-12)
    np.testing.assert_allclose(table["probability"], probability, atol=1e-12)
    assert table["pixels"].sum() == truth.size


def test_the_error_is_that_of_every_pixels_own_probability() -> None:
    logits, truth = drawn(1.0)
    probability = expit(logits.astype(float)).ravel()
    owner = np.minimum((probability * BINS).astype(int), BINS - 1)
    wanted = sum(
        abs(truth.ravel()[owner == n].mean() - probability[owner == n].mean()) * (owner == n).mean()
        for n in range(BINS)
    )
    assert calibration_error(histogram_of(bins_of(logits), truth)) == pytest.approx(wanted, abs=2e-3)
    assert wanted > 0.05


def test_honest_probabilities_have_a_smaller_error_than_boastful_ones() -> None:
    errors = [calibration_error(histogram_of(bins_of(z), t)) for z, t in map(drawn, (0.0, 0.5, 2.0))]
    assert errors == sorted(errors, key=lambda error: error or 0.0)
    assert errors[0] is not None
    assert errors[0] < 0.005


def test_without_a_pixel_there_is_no_error_and_sure_pixels_are_in_the_last_bin() -> None:
    none = np.zeros(FINE, np.int64)
    assert calibration_error(Histogram(none, none)) is None
    sure = none.copy()
    sure[-1] = 7
    table = reliability(Histogram(sure, none))
    assert table.index.tolist() == [BINS - 1]
    assert (table["share"].iloc[0], calibration_error(Histogram(none, sure))) == (1, pytest.approx(1))
