"""What the leaderboard says beyond scores: intervals, which trials are told from the best, and how lucky it is."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from harness.errors import DataError
from harness.evaluate.groups import counts_of_trials
from harness.evaluate.optimism import correct_best
from harness.report.leaderboard import Leaderboard, read_leaderboard, study_metrics
from harness.report.words import verdict, warnings
from tests.report.drawn import drawn_groups, write_ledger

SKILLS = (0.6, 0.61, 0.3, 0.6)


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return write_ledger(tmp_path / "ledger", drawn_groups(SKILLS))


def test_a_far_worse_trial_is_told_from_the_best_and_near_ones_are_not(ledger: Path) -> None:
    rows = {row["trial"]: row for row in read_leaderboard(ledger).trials}
    assert rows[1]["against_best"] is None  # the best itself
    words = {trial: row["against_best"]["word"] for trial, row in rows.items() if row["against_best"]}
    assert words[2] == "worse"
    assert set(words) == {0, 2, 3}
    assert "worse" not in (words[0], words[3])
    far = rows[2]["against_best"]
    assert far["difference"] == pytest.approx(rows[2]["iou_mean"] - rows[1]["iou_mean"])
    assert far["low"] < far["difference"] < far["high"] < 0
    assert far["better"] + far["equal"] + far["worse"] == pytest.approx(1)


def test_the_best_is_corrected_for_having_been_chosen_from_all_that_finished(ledger: Path) -> None:
    board = read_leaderboard(ledger)
    _, counts = counts_of_trials(drawn_groups(SKILLS))
    found = correct_best(counts, seed=17)
    assert board.corrected == {
        "iou": found.corrected,
        "low": found.interval.low,
        "high": found.interval.high,
        "optimism": found.optimism,
        "trials": 4,
    }
    assert board.best is not None
    assert found.score == pytest.approx(board.best["iou_mean"])


def test_two_sentences_say_what_was_found_and_how_far_it_may_be_believed(ledger: Path) -> None:
    board = read_leaderboard(ledger)
    first, second = verdict(board)
    assert board.corrected is not None
    assert first.startswith("Best: trial 1, tversky, IoU ")
    assert f"the best has {board.corrected['iou']:.4f}" in second
    assert "2 of the 3 others cannot be told from it" in second
    assert second.endswith(
        "Not provable on these data: every group took part in the choice, none is held out."
    )
    write_ledger(ledger, drawn_groups(SKILLS), held_out_groups=9)
    assert verdict(read_leaderboard(ledger))[1].endswith(
        "Not proven: 9 held-out groups wait, and only they can prove that it is better."
    )


def test_one_trial_alone_has_no_luck_to_be_corrected(tmp_path: Path) -> None:
    board = read_leaderboard(write_ledger(tmp_path, drawn_groups((0.6,))))
    assert board.corrected is not None
    assert board.corrected["optimism"] == 0
    assert "flattered" not in verdict(board)[1]


def test_what_is_shown_in_mlflow_and_in_json_is_the_same_number(ledger: Path) -> None:
    board = read_leaderboard(ledger)
    said, metrics = json.loads(json.dumps(board.as_dict())), study_metrics(board)
    assert {name: metrics[f"best_corrected_{name}"] for name in said["corrected"]} == said["corrected"]
    assert metrics["best_iou_mean"] == said["trials"][0]["iou_mean"]


def test_results_of_older_versions_have_no_intervals_and_say_how_to_get_them(ledger: Path) -> None:
    for path in (ledger / "groups").iterdir():
        path.unlink()
    board = read_leaderboard(ledger)
    assert board.corrected is None
    assert all(row["against_best"] is None for row in board.trials)
    assert "no intervals; `doctor` or `run` adds them" in " ".join(warnings(board))


def test_damaged_counts_are_one_line(ledger: Path) -> None:
    (path,) = (ledger / "groups").iterdir()
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataError, match=r"groups/0000\.parquet: cannot be read \("):
        read_leaderboard(ledger)


def test_trials_counted_on_other_groups_are_refused() -> None:
    table = drawn_groups(SKILLS)
    table.loc[table["trial"] == 2, "group"] += "x"
    with pytest.raises(DataError, match="not counted on the same groups"):
        counts_of_trials(table)
    with pytest.raises(DataError, match="not counted on the same groups"):
        counts_of_trials(drawn_groups(SKILLS).iloc[1:])


def test_trials_in_several_files_of_counts_are_read_together(tmp_path: Path) -> None:
    skills = np.linspace(0.3, 0.6, 250).tolist()
    board = read_leaderboard(write_ledger(tmp_path, drawn_groups(skills, groups=60)))
    means = pd.Series([row["iou_mean"] for row in board.trials])
    assert means.is_monotonic_decreasing
    assert board.trials[-1]["against_best"]["word"] == "worse"


def with_second(ledger: Path, looks: dict[int, tuple[str, float | None]]) -> Leaderboard:
    table = pd.read_parquet(ledger / "trials.parquet").set_index("trial")
    for trial, (state, mean) in looks.items():
        table.loc[trial, ["second_look", "second_reason"]] = [state, "" if mean else "fold 7: all background"]
        table.loc[trial, ["second_iou_mean", "second_iou_std"]] = [mean, 0.05 if mean else None]
    table.reset_index().to_parquet(ledger / "trials.parquet")
    return read_leaderboard(ledger)


def test_the_first_of_the_second_look_is_chosen_and_the_verdict_names_it(
    ledger: Path,
) -> None:
    board = with_second(ledger, {1: ("complete", 0.5), 0: ("complete", 0.6)})
    assert board.best is not None
    assert board.chosen is not None
    assert (board.best["trial"], board.chosen["trial"]) == (1, 0)
    second = verdict(board)[1]
    assert "fresh folds of the same groups trial 0 is the best of 2, IoU 0.6000 ± 0.0500" in second
    assert study_metrics(board)["chosen_trial"] == 0
    assert board.as_dict()["chosen_trial"] == 0
    same = replace(
        board,
        facts=board.facts | {"split_note": "5 folds and no held-out groups as given in the column fold"},
    )
    assert "With fresh seeds and the same folds trial 0" in verdict(same)[1]


def test_a_trial_that_failed_its_second_look_is_told_and_not_chosen(ledger: Path) -> None:
    board = with_second(ledger, {1: ("collapsed", None)})
    assert board.best is not None
    assert board.chosen is not None
    assert board.best["trial"] == 1
    assert board.chosen["trial"] == board.trials[1]["trial"] != 1
    assert "Trial 1, second look collapsed: fold 7: all background" in warnings(board)
