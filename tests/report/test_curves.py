"""Curves of the best trial: the values that the ledger's functions give, pooled over the folds and of each."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from benchmarks.drawn_study import draw_study
from harness.evaluate.objects import froc
from harness.evaluate.pixels import fold_histogram, pr_auc
from harness.evaluate.thresholds import cross_fit, fold_counts
from harness.model.histogram import THRESHOLDS
from harness.report.curves import (
    MOST_NAMED,
    by_threshold,
    found_by_false,
    learning,
    precision_recall,
    reliable,
)
from harness.report.foldfiles import TrialFiles, read_trial
from harness.search.trial import TrialResult

Drawn = tuple[TrialResult, TrialFiles]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    work = tmp_path_factory.mktemp("home") / "small-12345678"
    return draw_study(work, trials=3, groups=30), read_trial(work, 1, range(5))


def lines(plot: Any) -> dict[str, Any]:
    return {trace["name"]: trace for trace in plot.traces}


def test_the_curve_by_threshold_has_the_headline_at_zero_and_the_choices(drawn: Drawn) -> None:
    result, files = drawn
    plot = by_threshold(files)
    zero = int(np.flatnonzero(THRESHOLDS == 0)[0])
    metrics = result.metrics()
    assert lines(plot)["mean over folds"]["y"][zero] == pytest.approx(metrics["iou_mean"])
    assert lines(plot)["fold 3"]["y"][zero] == pytest.approx(metrics["iou_fold_3"])
    found = cross_fit([fold_counts(kept.pixels) for _, kept in files.kept])
    assert tuple(lines(plot)["chosen by the other folds"]["x"]) == found.chosen
    assert np.mean(lines(plot)["chosen by the other folds"]["y"]) == pytest.approx(
        metrics["iou_cross_fitted"]
    )
    assert f"{metrics['threshold']:g}, is best on all folds" in plot.says


def test_precision_and_recall_have_the_areas_of_the_ledger(drawn: Drawn) -> None:
    result, files = drawn
    plot = precision_recall(files)
    assert plot.numbers is not None
    told = dict(plot.numbers[1])
    for fold, kept in files.kept:
        assert told[f"fold {fold}"] == f"{pr_auc(fold_histogram(kept.histograms)):.4f}"
    areas = [float(told[f"fold {fold}"]) for fold in range(5)]
    assert np.mean(areas) == pytest.approx(result.metrics()["pr_auc"], abs=1e-4)
    pooled = lines(plot)["all folds"]
    assert len(pooled["x"]) <= 202
    assert max(pooled["x"]) == 1
    area = np.sum(np.diff([0, *pooled["x"]]) * pooled["y"])
    assert area == pytest.approx(float(told["all folds"]), abs=0.02)


def test_objects_found_end_where_the_ledger_says(drawn: Drawn) -> None:
    _, files = drawn
    traces = lines(found_by_false(files))
    for fold, kept in files.kept:
        curve = froc(kept.objects, len(kept.rows))
        assert traces[f"fold {fold}"]["y"][-1] == pytest.approx(curve["recall"].iloc[-1])
        assert traces[f"fold {fold}"]["x"][-1] == pytest.approx(curve["false"].iloc[-1])
    rows = files.rows
    assert traces["all folds"]["y"][-1] == pytest.approx(rows["found"].sum() / rows["objects"].sum())
    assert traces["all folds"]["x"][-1] == pytest.approx(rows["false"].sum() / len(rows))


def test_reliability_counts_every_pixel_once(drawn: Drawn) -> None:
    _, files = drawn
    plot = reliable(files)
    assert plot.numbers is not None
    assert sum(int(row[2].replace(",", "")) for row in plot.numbers[1]) == files.rows["valid"].sum()


def test_learning_has_every_epoch_of_every_fold(drawn: Drawn) -> None:
    _, files = drawn
    loss, iou = learning(files)
    for one, trace in zip(files.folds, loss.traces, strict=True):
        assert trace["y"] == [epoch["loss"] for epoch in one.epochs]
        assert trace["x"] == list(range(1, 13))
    assert len(iou.traces) == 5
    assert learning(TrialFiles([])) == []


def test_many_folds_have_no_place_in_the_legend_and_all_of_them_together_do(drawn: Drawn) -> None:
    one = drawn[1].folds[0]
    many = TrialFiles([replace(one, fold=fold) for fold in range(MOST_NAMED + 1)])
    traces = lines(precision_recall(many))
    assert [name for name, trace in traces.items() if trace.get("showlegend", True)] == ["all folds"]
    assert all("showlegend" not in trace for trace in precision_recall(drawn[1]).traces)
