"""Objects of bands are those of the whole mask, wherever the seams lie."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

import harness.predict.objects as limits
from harness.predict.objects import Labeler, Object

EVERY_SIDE = np.ones((3, 3))

Floats = NDArray[np.float32]


def found_in(probability: Floats, seams: Sequence[int]) -> tuple[Labeler, list[Object]]:
    labeler = Labeler((probability.shape[0], probability.shape[1]))
    edges = [0, *seams, len(probability)]
    for top, bottom in pairwise(edges):
        band = probability[top:bottom]
        labeler.add(top, band > 0.5, band)
    return labeler, labeler.finish()


def picture(seed: int, sigma: float) -> Floats:
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(60, 47)), sigma)
    return np.asarray(1 / (1 + np.exp(-3 * noise / noise.std())), np.float32)


@pytest.mark.parametrize("sigma", [0.0, 0.7, 2.0])
@pytest.mark.parametrize("seams", [[], [32], [1, 2, 3, 59], [10, 20, 30, 40, 50]])
def test_bands_have_the_objects_of_the_whole(sigma: float, seams: list[int]) -> None:
    probability = picture(3, sigma)
    labeler, found = found_in(probability, seams)
    labels, count = ndimage.label(probability > 0.5, EVERY_SIDE)
    assert labeler.count == len(found) == count
    assert labeler.positive == (labels > 0).sum()
    for number, one in enumerate(found, 1):  # SciPy numbers in reading order, too
        rows, columns = np.nonzero(labels == number)
        box = (columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1)
        assert (one.box, one.area) == (box, len(rows))
        values = probability[rows, columns]
        assert (one.score, one.mean) == (values.max(), pytest.approx(values.mean()))


def test_outlines_do_not_depend_on_where_the_seams_lie() -> None:
    probability = picture(5, 1.0)
    whole, cut = found_in(probability, [])[1], found_in(probability, range(7, 60, 7))[1]
    assert [(one.rings, one.counts) for one in whole] == [(one.rings, one.counts) for one in cut]
    assert any(one.counts is not None for one in whole)
    assert all((len(one.rings) > 1) == (one.counts is not None) for one in whole)


def test_a_spiral_that_joins_only_at_its_end_is_one_object() -> None:
    mask = np.zeros((9, 9), np.float32)
    mask[:, ::2] = 1  # combs, joined by the last row
    mask[-1] = 1
    labeler, found = found_in(mask, range(1, 9))
    assert labeler.count == 1
    assert found[0].area == mask.sum()


def test_what_touches_only_at_a_corner_across_a_seam_is_one_object() -> None:
    mask = np.eye(6, dtype=np.float32)
    assert found_in(mask, [3])[0].count == found_in(mask[:, ::-1], [3])[0].count == 1


def test_nothing_and_everything() -> None:
    assert found_in(np.zeros((40, 5), np.float32), [32])[1] == []
    (all_of_it,) = found_in(np.ones((40, 5), np.float32), [32])[1]
    assert (all_of_it.area, all_of_it.box, all_of_it.rings) == (
        200,
        (0, 0, 5, 40),
        [[0, 0, 0, 40, 5, 40, 5, 0]],
    )


def test_giants_have_no_outline_and_a_noise_of_objects_is_counted_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    everything = np.ones((40, 5), np.float32)
    for name in ("MOST_BOX", "MOST_RUNS"):
        with monkeypatch.context() as changed:
            changed.setattr(limits, name, 39)
            (giant,) = found_in(everything, [32])[1]
            assert (giant.area, giant.rings, giant.counts) == (200, [], None)
    probability = picture(3, 0.0)
    count = found_in(probability, [30])[0].count
    monkeypatch.setattr(limits, "MOST_OBJECTS", count - 1)
    for seams in ([], [30], [1, 59]):
        labeler, found = found_in(probability, seams)
        assert (labeler.count, found) == (count, [])
    monkeypatch.setattr(limits, "MOST_OBJECTS", count)
    assert len(found_in(probability, [30])[1]) == count
