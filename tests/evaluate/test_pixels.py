"""Curves from bins, held to scikit-learn on the same bins and to slow accounts of every pixel."""

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy import ndimage
from sklearn.metrics import average_precision_score, precision_recall_curve

from harness.evaluate.pixels import MOST_FALSE_SHARE, aupro, boundary_dice, fold_histogram, pr_auc, pr_curve
from harness.model.histogram import COARSE, FINE, Histogram, bins_of, centers, coarse, edges
from harness.model.outoffold import Collector, OutOfFold
from tests.model.test_objects import drawn

Picture = tuple[NDArray[np.float32], NDArray[np.uint8]]


def kept_of(shown: list[Picture], groups: int = 2) -> OutOfFold:
    collector = Collector(0)
    for number, (logits, truth) in enumerate(shown):
        collector.add(f"p{number}", f"g{number % groups}", logits, truth)
    return collector.tables()


def pixels_of(shown: list[Picture]) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Return logits and truth of all valid pixels."""
    logits, truth = (np.concatenate([part[i].ravel() for part in shown]) for i in (0, 1))
    return logits[truth != 255], truth[truth != 255]


@pytest.fixture(scope="module")
def shown() -> list[Picture]:
    return [drawn(seed) for seed in range(4)]


def constant(logit: float) -> list[Picture]:
    return [(np.full_like(logits, logit), truth) for logits, truth in (drawn(seed) for seed in range(3))]


def test_the_histogram_of_a_fold_is_that_of_all_its_pixels(shown: list[Picture]) -> None:
    logits, truth = pixels_of(shown)
    histogram = fold_histogram(kept_of(shown).histograms)
    for value, counts in ((1, histogram.positive), (0, histogram.negative)):
        np.testing.assert_array_equal(counts, np.bincount(bins_of(logits)[truth == value], minlength=FINE))


def test_average_precision_is_scikit_learns(shown: list[Picture]) -> None:
    logits, truth = pixels_of(shown)
    found = pr_auc(fold_histogram(kept_of(shown).histograms))
    assert found == pytest.approx(average_precision_score(truth, centers()[bins_of(logits)]), abs=1e-12)
    assert found == pytest.approx(average_precision_score(truth, logits), abs=1e-3)
    assert found is not None
    assert 0.3 < found < 0.99


def test_the_curve_of_precision_and_recall_is_scikit_learns_and_has_the_area_that_is_told(
    shown: list[Picture],
) -> None:
    logits, truth = pixels_of(shown)
    histogram = fold_histogram(kept_of(shown).histograms)
    curve = pr_curve(histogram)
    precision, recall, cuts = precision_recall_curve(truth, centers()[bins_of(logits)])
    np.testing.assert_allclose(curve["precision"], precision[:-1][::-1], atol=1e-12)
    np.testing.assert_allclose(curve["recall"], recall[:-1][::-1], atol=1e-12)
    assert curve["logit"].to_numpy() == pytest.approx(cuts[::-1] - (edges()[1] - edges()[0]) / 2)
    area = (curve["recall"].diff().fillna(curve["recall"].iloc[0]) * curve["precision"]).sum()
    assert area == pytest.approx(pr_auc(histogram))
    assert pr_curve(Histogram(np.zeros(FINE, np.int64), histogram.negative)).empty


@pytest.mark.parametrize("logit", [-50.0, 0.0, 50.0])
def test_one_value_everywhere_has_the_coverage_as_average_precision(logit: float) -> None:
    shown = constant(logit)
    found = pr_auc(fold_histogram(kept_of(shown).histograms))
    assert found == pytest.approx(pixels_of(shown)[1].mean(), abs=1e-12)


def test_nothing_to_find_has_no_average_precision_and_perfect_ranking_has_one() -> None:
    none = np.zeros(FINE, np.int64)
    low, high = none.copy(), none.copy()
    low[10], high[4000] = 900, 3
    assert pr_auc(Histogram(none, low)) is None
    assert pr_auc(Histogram(high, none)) == 1
    assert pr_auc(Histogram(high, low)) == 1
    assert pr_auc(Histogram(low, high)) == pytest.approx(900 / 903)


def slow_aupro(shown: list[Picture], cuts: NDArray[np.float64]) -> float:
    """Compute AUPRO as it is defined, object by object at every cut."""
    rates, overlaps = [0.0], [0.0]
    false_pixels = [logits[truth == 0] for logits, truth in shown]
    total = sum(len(pixels) for pixels in false_pixels)
    objects = []
    for logits, truth in shown:
        labels, count = ndimage.label(truth == 1, structure=np.ones((3, 3)))
        objects += [logits[labels == number] for number in range(1, count + 1)]
    for cut in cuts[::-1]:
        rates.append(sum(int((pixels > cut).sum()) for pixels in false_pixels) / total)
        overlaps.append(float(np.mean([(pixels > cut).mean() for pixels in objects])))
    fine = np.linspace(0, MOST_FALSE_SHARE, 200_001)
    return float(np.trapezoid(np.interp(fine, rates, overlaps), fine)) / MOST_FALSE_SHARE


def test_per_region_overlap_is_that_of_each_object_at_each_cut(shown: list[Picture]) -> None:
    kept = kept_of(shown)
    found = aupro(fold_histogram(kept.histograms), kept.objects)
    assert found == pytest.approx(slow_aupro(shown, edges(COARSE)[:-1]), abs=1e-4)
    assert found == pytest.approx(slow_aupro(shown, np.linspace(-15, 15, 3000)), abs=0.01)
    assert found is not None
    assert 0.2 < found < 0.99


def test_every_object_counts_the_same_whatever_its_size() -> None:
    truth, logits = np.zeros((60, 60), np.uint8), np.full((60, 60), -5, np.float32)
    truth[:20, :20] = truth[40:42, 40:42] = 1
    logits[:20, :20] = 5
    large, small = logits, np.where(truth == 1, 5 - 10 * (np.arange(60) < 30)[:, None], logits)
    scores = []
    for one in (large, small.astype(np.float32)):
        kept = kept_of([(one, truth)])
        scores.append(aupro(fold_histogram(kept.histograms), kept.objects))
    assert scores[0] == scores[1] is not None


@pytest.mark.parametrize("logit", [-50.0, 50.0])
def test_one_value_everywhere_has_the_overlap_of_chance(logit: float) -> None:
    kept = kept_of(constant(logit))
    assert aupro(fold_histogram(kept.histograms), kept.objects) == pytest.approx(MOST_FALSE_SHARE / 2)


def test_overlap_needs_an_object_and_background() -> None:
    empty, full = (np.full((9, 9), value, np.uint8) for value in (0, 1))
    for truth in (empty, full):
        kept = kept_of([(np.ones((9, 9), np.float32), truth)])
        assert aupro(fold_histogram(kept.histograms), kept.objects) is None
    perfect = np.zeros((9, 9), np.uint8)
    perfect[3:5, 3:5] = 1
    kept = kept_of([(perfect * np.float32(8) - 4, perfect)])
    assert aupro(fold_histogram(kept.histograms), kept.objects) == pytest.approx(1)


def test_boundary_dice_is_the_share_of_near_boundary_and_needs_a_boundary() -> None:
    truth, clean = np.zeros((2, 40, 40), np.uint8)
    truth[10:20, 10:20] = 1
    perfect = truth * np.float32(2) - 1
    alarm = np.roll(perfect, 15, axis=0)
    assert boundary_dice(kept_of([(perfect, truth)]).pixels) == 1
    assert boundary_dice(kept_of([(perfect, truth), (alarm, clean)]).pixels) == pytest.approx(2 / 3)
    assert boundary_dice(kept_of([(alarm, truth)]).pixels) == 0
    assert boundary_dice(kept_of([(-np.ones((40, 40), np.float32), clean)]).pixels) is None


def test_coarse_bins_of_objects_lie_inside_fine_ones() -> None:
    logits = np.linspace(-40, 40, 1001).astype(np.float32)
    assert pd.Series(coarse(bins_of(logits))).is_monotonic_increasing
