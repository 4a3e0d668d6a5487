"""The leaderboard: best first, honest about what is missing."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from harness.report.leaderboard import read_leaderboard, study_metrics
from harness.report.table import as_markdown, as_note, as_table
from harness.report.words import warnings
from harness.search.ledger import Ledger
from tests.report.drawn import FACTS, drawn_groups, write_ledger

BESIDE = {
    "pr_auc": 0.61236,
    "recall_at_1": 0.55555,
    "iou_cross_fitted": 0.43789,
    "threshold": -1.5,
    "cross_fitted_gain": 0.0255,
}


def row(trial: int, **values: Any) -> dict[str, Any]:
    params = json.dumps(
        {"loss": "tversky", "loss.tversky.fn_weight": 0.7 + trial / 100, "augment.strength": 0.5}
    )
    fixed = {
        "trial": trial,
        "state": "complete",
        "kind": "searched",
        "loss": "tversky",
        "params": params,
        "reason": "",
    }
    return fixed | values


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    baselines = pd.DataFrame({"constant": [0.01, 0.02], "classical": [0.1, 0.3]})
    Ledger(tmp_path, {}).open_study(FACTS, baselines)
    rows = [
        row(0, iou_mean=0.31234, iou_std=0.05, best_epoch_gain=0.03, object_recall=0.5),
        row(1, state="pruned", reason="fold 1: all background", iou_fold_0=0.9),
        row(2, iou_mean=0.41236, iou_std=0.06, best_epoch_gain=0.001, object_recall=0.6, **BESIDE),
    ]
    pd.DataFrame(rows).to_parquet(tmp_path / "trials.parquet")
    return tmp_path


def test_complete_trials_come_first_by_mean_and_a_pruned_one_is_never_best(ledger: Path) -> None:
    board = read_leaderboard(ledger)
    assert [trial["trial"] for trial in board.trials] == [2, 0, 1]
    assert board.best is not None
    assert board.best["trial"] == 2


def test_a_complete_trial_that_found_nothing_still_stands_before_one_that_was_pruned(ledger: Path) -> None:
    pruned = row(0, state="pruned", reason="fold 1: all background")
    pd.DataFrame([pruned, row(1, iou_mean=0.0, iou_std=0.0)]).to_parquet(ledger / "trials.parquet")
    board = read_leaderboard(ledger)
    assert [trial["trial"] for trial in board.trials] == [1, 0]
    assert board.best is not None


def test_json_keeps_every_digit_and_says_none_for_what_is_missing(ledger: Path) -> None:
    said = json.loads(json.dumps(read_leaderboard(ledger).as_dict()))
    assert said["best_trial"] == 2
    assert said["trials"][0]["iou_mean"] == 0.41236
    assert said["trials"][2]["iou_mean"] is None
    assert said["trials"][0]["params"]["loss.tversky.fn_weight"] == 0.72
    assert said["baselines"]["classical"]["iou_mean"] == pytest.approx(0.2)
    assert said["baselines"]["classical"]["iou_std"] == pytest.approx(0.1414213562)


def test_the_page_opens_with_the_best_beside_the_classical_baseline(ledger: Path) -> None:
    page = as_markdown(read_leaderboard(ledger))
    assert page.splitlines()[0] == (
        "**Best: trial 2, tversky, IoU 0.4124 ± 0.0600 (mean ± std over folds); top-hat + Otsu, without learning: "
        "0.2000 ± 0.1414.** Not provable on these data: every group took part in the choice, none is held out."
    )
    assert "| 2 | tversky, fn_weight 0.72 | 0.4124 ± 0.0600 |  |  |" in page
    assert "| - | best constant | 0.0150 ± 0.0071 |  |  |" in page


def test_the_page_has_what_the_terminal_has_no_room_for(ledger: Path) -> None:
    board = read_leaderboard(ledger)
    lines = as_markdown(board).splitlines()
    heads = next(line for line in lines if line.startswith("| trial |")).strip("| ").split(" | ")
    best = next(line for line in lines if line.startswith("| 2 |"))[2:-2].split(" | ")
    assert dict(zip(heads, best, strict=True)) == {
        "trial": "2",
        "loss": "tversky, fn_weight 0.72",
        "IoU mean ± std": "0.4124 ± 0.0600",
        "95 % interval": "",
        "beside the best": "",
        "IoU, second look": "",
        "IoU per positive picture": "",
        "pixel PR-AUC": "0.612",
        "object recall": "0.600",
        "recall at 1 false object a picture": "0.556",
        "object F1": "",
        "clean with a false object": "",
        "IoU, threshold cross-fitted": "0.438",
        "threshold of all folds (logit)": "-1.5",
        "augmentation": "0.50",
        "state": "searched",
    }
    (baseline,) = (line for line in lines if line.startswith("| - | best constant"))
    assert baseline.count(" | ") == len(heads) - 1
    assert "docs/metrics.md" in " ".join(lines)
    table = as_table(board, 140)
    assert [column.header for column in table.columns] == (
        ["trial", "loss", "IoU mean ± std", "IoU/positive", "recall", "F1", "clean false", "augment", "state"]
    )
    assert list(table.columns[4].cells) == ["0.600", "0.500", "", "", ""]


def test_another_threshold_is_hinted_at_where_other_folds_say_that_it_is_better(ledger: Path) -> None:
    hint = "Trial 2: with threshold -1.5 on the logit instead of 0 it has about 0.025 IoU more"
    assert hint in " ".join(warnings(read_leaderboard(ledger)))
    little = BESIDE | {"cross_fitted_gain": 0.01}
    rows = [row(2, iou_mean=0.4, iou_std=0.06, **little), row(3, state="pruned", **BESIDE)]
    pd.DataFrame(rows).to_parquet(ledger / "trials.parquet")
    assert "threshold" not in " ".join(warnings(read_leaderboard(ledger)))


def test_warnings_name_late_epochs_ended_trials_and_rare_classes(ledger: Path) -> None:
    said = " ".join(warnings(read_leaderboard(ledger)))
    assert "Trial 0: the epochs that looked best on their own folds would add 0.030 IoU" in said
    assert "Trial 2: the epochs" not in said
    assert "Trial 1 pruned: fold 1: all background" in said
    assert "crack (3)" in said
    assert "no confidence interval" in said


@pytest.mark.parametrize("width", [80, 140])
def test_the_table_fits_its_terminal_with_every_score_whole(ledger: Path, width: int) -> None:
    console = Console(width=width, record=True)
    with console.capture() as shown:
        console.print(as_table(read_leaderboard(ledger), width))
    lines = shown.get().splitlines()
    assert max(len(line) for line in lines) <= width
    assert any("0.4124 ± 0.0600" in line for line in lines)
    assert any("top-hat + Otsu" in line for line in lines)


def test_a_study_without_a_complete_trial_says_so(tmp_path: Path) -> None:
    Ledger(tmp_path, {}).open_study(FACTS, pd.DataFrame({"constant": [0.0], "classical": [0.1]}))
    board = read_leaderboard(tmp_path)
    assert board.best is None
    assert as_markdown(board).startswith("**No trial ran all its folds;")
    assert set(study_metrics(board)) == {"constant_iou_mean", "classical_iou_mean"}


def test_a_description_in_mlflow_has_room_for_the_best_and_says_what_is_left_out(tmp_path: Path) -> None:
    few = read_leaderboard(write_ledger(tmp_path / "few", drawn_groups((0.5, 0.6))))
    assert as_note(few) == as_markdown(few)
    board = read_leaderboard(
        write_ledger(tmp_path / "many", drawn_groups(np.linspace(0.3, 0.6, 120).tolist()))
    )
    note = as_note(board)
    assert 7000 < len(note) <= 7900
    shown = [line.split(" | ")[0].strip("| ") for line in note.splitlines() if re.match(r"\| \d", line)]
    assert shown == [str(row["trial"]) for row in board.trials[: len(shown)]]
    assert "122 rows and 2 remarks in all are in report/report.md" in note
    assert note.rstrip().endswith("looks better than it is.")
