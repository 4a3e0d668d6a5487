"""A trial's own page: its score, folds, settings and curves, small, without scripts, written again when it is gone."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.drawn_study import draw_study
from harness.report.trialpage import PAGE, write_lost_pages, write_trial_page
from harness.search.trial import TrialResult
from harness.train.foldrun import fold_folder
from tests.report.reading import Page, read_page


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, TrialResult, dict[str, Any]]:
    work = tmp_path_factory.mktemp("home") / "small-12345678"
    best = draw_study(work, trials=3, groups=20)
    return work, best, json.loads((work / "ledger" / "study.json").read_bytes())


def page_of(drawn: tuple[Path, TrialResult, dict[str, Any]]) -> Page:
    work, best, facts = drawn
    ((path, shown_in),) = write_trial_page(work, facts, best)
    assert shown_in == ""
    assert path == work / "1" / PAGE
    assert path.stat().st_size < 60_000
    return read_page(path.read_text())


def test_the_numbers_are_those_of_the_ledger_and_of_mlflow(
    drawn: tuple[Path, TrialResult, dict[str, Any]],
) -> None:
    page, metrics = page_of(drawn), drawn[1].metrics()
    assert f"IoU {metrics['iou_mean']:.4f} ± {metrics['iou_std']:.4f}" in page.text
    assert f"{metrics['iou_low']:.4f} to {metrics['iou_high']:.4f}" in page.text
    told = {row["name"]: row["value"] for row in page.table("name")}
    assert told == {n: f"{v:.4f}" for n, v in metrics.items() if not n.startswith("iou_fold_")}
    folds = {row["fold"]: row["IoU"] for row in page.table("fold")}
    assert folds == {str(fold): f"{metrics[f'iou_fold_{fold}']:.4f}" for fold in range(5)}
    params = {row["parameter"]: row["value"] for row in page.table("parameter")}
    assert params["loss"] == drawn[1].plan.study.loss.name
    assert f"SHA-256 {drawn[2]['leakage_sha256']}" in page.text


def test_it_has_curves_with_words_and_loads_and_runs_nothing(
    drawn: tuple[Path, TrialResult, dict[str, Any]],
) -> None:
    page = page_of(drawn)
    curves = page.of("svg")
    assert [curve["role"] for curve in curves] == ["img", "img"]
    assert curves[0]["aria-label"].startswith("training loss by epoch, a line for each fold: ")
    lines = page.of("polyline")
    assert len(lines) == 10
    assert all(len(line["points"].split()) == 12 for line in lines)
    heights = [float(point.split(",")[1]) for point in lines[0]["points"].split()]
    assert heights[0] < heights[-1]  # the loss falls, and y grows downwards
    assert not page.of("script")
    assert not [tag for _, tag in page.tags if "src" in tag or "href" in tag]


def test_many_long_folds_still_make_a_small_page(tmp_path: Path) -> None:
    best = draw_study(tmp_path / "long-12345678", trials=3, groups=10)
    facts = json.loads((tmp_path / "long-12345678" / "ledger" / "study.json").read_bytes())
    work, one = tmp_path / "long-12345678", best.folds[0]
    epochs = [{"number": n, "loss": 1 / n, "iou": 1 - 1 / n} for n in range(1, 1001)]
    (Path(one.folder) / "outbox.jsonl").write_text("".join(json.dumps(epoch) + "\n" for epoch in epochs))
    folds = [*best.folds]
    for fold in range(5, 60):
        folder = Path(shutil.copytree(one.folder, fold_folder(work, 1, fold)))
        folds.append(replace(one, fold=fold, folder=str(folder)))
    ((page, _),) = write_trial_page(work, facts, replace(best, folds=folds))
    assert page.stat().st_size < 60_000
    assert "The worst 40 of 60 folds." in page.read_text()


def test_pages_that_are_gone_are_written_again_those_of_others_never(
    drawn: tuple[Path, TrialResult, dict[str, Any]],
) -> None:
    work, best, facts = drawn
    pruned = replace(best, state="pruned", plan=replace(best.plan, number=2))
    assert write_trial_page(work, facts, pruned) == []
    results = {1: best, 2: pruned}
    write_trial_page(work, facts, best)
    assert write_lost_pages(work, facts, results) == []
    before = (work / "1" / PAGE).read_bytes()
    (work / "1" / PAGE).unlink()
    assert write_lost_pages(work, facts, results, but=[1]) == []
    assert write_lost_pages(work, facts, results) == [1]
    assert (work / "1" / PAGE).read_bytes() == before
