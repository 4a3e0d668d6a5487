"""Drawn studies are what they say, and a method that misses a limit is named."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from benchmarks.interval_rivals import (
    RIVALS,
    accelerated,
    bootstrap_corrected,
    crops_of,
    paired_t,
    percentile,
)
from benchmarks.simulated_groups import Model, World, draw, icc_of, skill_for, studies_of, true_iou
from benchmarks.simulated_studies import BY_CROPS, SHIPPED, Columns, Coverage, HeldOut, Optimism
from benchmarks.simulation_limits import better, missed, share_error, upper_bound
from benchmarks.simulations import CELLS, TABLES, Task
from harness.evaluate.groups import GroupCounts, group_counts, headline, ratio

WORLD = World(0.6)
COVERAGE, OPTIMISM, HELD_OUT = Coverage(0.6, 20), Optimism(0.02, 30), HeldOut("alike", 0.0, 15)


def one(groups: int = 30, folds: int = 5) -> GroupCounts:
    return studies_of(draw(WORLD, [Model()], (1, groups), np.random.default_rng(0)), folds)[0][0]


@pytest.mark.parametrize("icc", [0.2, 0.6])
def test_pictures_of_a_group_are_as_alike_as_asked(icc: float) -> None:
    assert icc_of(World(icc)) == pytest.approx(icc, abs=0.03)


def test_drawn_counts_are_pixels_of_small_objects_of_skewed_size() -> None:
    tp, fp, fn = draw(WORLD, [Model()], (1, 3000), np.random.default_rng(0))[0, :, 0]
    counts, area = np.stack([tp, fp, fn]), tp + fn
    assert (counts >= 0).all()
    assert (counts == counts.round()).all()
    positive = area > 0
    assert positive.sum(1).mean() == pytest.approx(0.7 * 6, rel=0.05)  # 3 to 9 pictures, 30 % of them clean
    assert np.median(area[positive]) == pytest.approx(200, rel=0.1)
    assert stats.skew(area.sum(1)) > 1


def test_models_of_one_study_share_their_groups_and_a_skilled_one_is_better() -> None:
    models = [Model(), Model(), Model(1.0), Model(missed=1.0)]
    counts = draw(WORLD, models, (1, 3000), np.random.default_rng(0))
    area = (counts[:, 0] + counts[:, 2]).reshape(4, -1)
    assert (area == area[0]).all()
    iou = counts[:, 0].sum((1, 2, 3)) / counts.sum((1, 2, 3, 4))
    assert iou[2] > iou[0] + 0.1
    assert counts[3, 1].sum() < counts[0, 1].sum() / 2  # false objects are left


def test_a_skill_is_found_for_a_true_iou_whatever_is_missed() -> None:
    for missed_share in (0.1, 0.9):
        skill = skill_for(0.55, WORLD, missed_share, 40_000)
        assert true_iou(WORLD, (Model(skill, missed_share),), 40_000)[0] == pytest.approx(0.55, abs=0.01)


def test_the_rivals_are_what_their_names_say() -> None:
    counts = one(100, folds=1)
    rows = np.arange(100)
    for method, ours in (("percentile", percentile), ("BCa", accelerated)):
        theirs = stats.bootstrap(
            (rows,),
            lambda rows, axis: ratio(counts.tp[rows].sum(axis), counts.union[rows].sum(axis)),
            n_resamples=4000,
            vectorized=True,
            rng=np.random.default_rng(0),
            method=method,
        ).confidence_interval
        width = theirs.high - theirs.low
        assert ours(counts) == pytest.approx((theirs.low, theirs.high), abs=0.12 * width)
    for rival in RIVALS.values():
        low, high = rival(one())
        assert 0 < low < float(headline(one())) < high < 1
    a, b = np.array([90, 50, 70, 20, 60]), np.array([80, 30, 70, 30, 40])
    pair = [group_counts(x, 0 * x, 100 - x, 0 * x) for x in (a, b)]
    assert paired_t(*pair) == pytest.approx(stats.ttest_rel(a, b, alternative="greater").pvalue)


def test_the_bootstrap_correction_lowers_the_best_of_equal_trials() -> None:
    counts = draw(WORLD, [Model()] * 30, (1, 30), np.random.default_rng(1))
    trials = studies_of(counts)[0]
    together = replace(trials[0], **{x: np.stack([getattr(t, x) for t in trials]) for x in ("tp", "union")})
    scores = headline(together)
    assert abs(bootstrap_corrected(together) - scores.mean()) < scores.max() - scores.mean()


def test_pictures_as_groups_have_the_same_headline_and_are_more() -> None:
    counts = draw(WORLD, [Model()], (1, 20), np.random.default_rng(0))
    crops, groups = crops_of(counts[0, :, 0]), studies_of(counts)[0][0]
    assert float(headline(crops)) == pytest.approx(float(headline(groups)))
    assert crops.groups > 3 * groups.groups


def good(cell: Coverage | Optimism | HeldOut) -> Columns:
    if isinstance(cell, Coverage):
        return {SHIPPED: [1.0] * 95 + [0.0] * 5, BY_CROPS: [1.0] * 7 + [0.0] * 3}
    if isinstance(cell, Optimism):
        return {"before": [0.02, 0.04], "after": [-0.02, 0.02]}
    return {"p": [0.01] * 50 + [0.5] * 1950}


@pytest.mark.parametrize(
    ("cell", "worse", "word"),
    [
        (COVERAGE, {SHIPPED: [1.0] * 92 + [0.0] * 8}, "covers 0.92"),
        (COVERAGE, {SHIPPED: [1.0] * 98 + [0.0] * 2}, "covers 0.98"),
        (COVERAGE, {BY_CROPS: [1.0] * 10}, "too easy"),
        (OPTIMISM, {"after": [0.0, 0.02]}, "0.01"),
        (OPTIMISM, {"after": [0.0, -0.02]}, "-0.01"),
        (OPTIMISM, {"before": [0.0, 0.002]}, "too easy"),
        (HELD_OUT, {"p": [0.01] * 101 + [0.5] * 1899}, "0.0505"),
        (HELD_OUT, {"p": [0.01] * 5 + [0.5] * 95}, "upper bound"),
    ],
)
def test_each_missed_limit_is_named_with_its_cell(
    cell: Coverage | Optimism | HeldOut, worse: Columns, word: str
) -> None:
    assert missed({cell: good(cell)}) == []
    (line,) = missed({cell: good(cell) | worse})
    assert repr(cell) in line
    assert word in line


def test_a_model_that_is_better_may_be_called_better() -> None:
    assert missed({HeldOut("alike", 0.1, 60): {"p": [0.001] * 100}}) == []


def test_shares_have_binomial_errors() -> None:
    assert share_error(0.05, 1900) == pytest.approx(0.005)
    assert upper_bound(0.0, 100) == pytest.approx(1 - 0.025 ** (1 / 100))
    assert upper_bound(1.0, 100) == 1
    assert better({"p": [0.02, 0.03]}) == 0.5


@pytest.mark.parametrize("name", list(CELLS))
def test_every_table_is_printed_of_a_few_studies_which_depend_on_nothing_but_their_number(name: str) -> None:
    cells = CELLS[name]
    results = {cell: Task(cell, 0, 4, 20_000).run() for cell in (cells[0], cells[-1])}
    assert Task(cells[0], 0, 4, 20_000).run() == results[cells[0]]
    assert Task(cells[0], 1, 4, 20_000).run() != results[cells[0]]
    lines = list(TABLES[name](results, 20_000))
    assert sum(line.startswith("| ---") for line in lines) >= 1
    assert "nan" not in "\n".join(lines)
