"""The protocol as it was run: answers from what is recorded, and "not recorded" for the rest."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.drawn_study import draw_study
from harness.report.foldfiles import read_trial
from harness.report.leaderboard import Leaderboard, read_leaderboard
from harness.report.leaks import read_leakage
from harness.report.sheet import UNKNOWN, reproduce, sheet
from tests.report.drawn import drawn_groups, write_ledger
from tests.report.reading import read_page


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    work = tmp_path_factory.mktemp("home") / "small-12345678"
    draw_study(work, trials=8, groups=10)
    return work


def answers(board: Leaderboard, work: Path | None) -> dict[str, str]:
    files = read_trial(work, 4, range(5)) if work else None
    found = sheet(board, files, read_leakage(work) if work else None)
    return {row["question"]: row["answer"] for row in read_page(found).table("question")}


def test_answers_are_those_of_the_facts_and_of_what_ran(work: Path) -> None:
    board = read_leaderboard(work / "ledger")
    told = answers(board, work)
    assert told["Hardware"] == "cpu (the best trial's folds)"
    assert told["Budget"] == "8 trials; ran: 6 complete, 2 pruned"
    assert told["What was pruned or failed?"].startswith("trial 0 (pruned): fold 1: all background; trial 7")
    assert "Among 6 complete trials" in told["What was chosen, and on what?"]
    assert "augment.strength, loss, train.lr" in told["What was chosen, and on what?"]
    assert told["L1.1 No test set"].endswith("G1 pass.")
    assert told["L3.1 Temporal leakage"].endswith("T1 not run.")
    assert told["Is there unseen data?"].startswith("no: every group took part")
    assert told["Time of training"] == f"{8 * 200 / 3600:.2f} hours over all trials"
    assert all(told.values())


def test_what_is_not_recorded_is_said_not_to_be(tmp_path: Path) -> None:
    whole = read_leaderboard(write_ledger(tmp_path / "ledger", drawn_groups((0.6,))))
    facts = {name: value for name, value in whole.facts.items() if name != "held_out_groups"}
    board = replace(whole, facts=facts)
    told = answers(board, None)
    for question in (
        "Is there unseen data?",
        "Hardware",
        "Versions",
        "Time of training",
        "Who may use it, and for what?",
    ):
        assert told[question] == UNKNOWN
    assert f"digest {UNKNOWN}" in told["Code"]
    assert f"outcome of its checks: {UNKNOWN}" in told["L1.4 Duplicates"]


def test_the_command_and_the_hashes_are_those_of_the_study(work: Path) -> None:
    facts = json.loads((work / "ledger" / "study.json").read_bytes())
    page = read_page(reproduce(facts | {"name": "a b"}))
    assert "python -m harness.study run 'a b' --trials 8" in page.text
    for name in ("identity", "split", "data", "code", "leakage_sha256"):
        assert facts[name] in page.text
    assert f"Commit {UNKNOWN}" in " ".join(
        reproduce(facts).replace("<dt>", " ").replace("</dt><dd>", " ").split()
    )


def test_second_looks_and_nested_searches_are_told_with_what_came_of_them(tmp_path: Path) -> None:
    board = read_leaderboard(write_ledger(tmp_path / "ledger", drawn_groups((0.6, 0.5, 0.4))))
    told = answers(board, None)
    assert told["Was the choice repeated?"].startswith("no")
    assert told["Was the search itself tested?"].startswith("no")
    ends = (
        {"second_look": "complete", "second_iou_mean": 0.4321},
        {"second_look": "collapsed"},
        {"second_look": ""},
    )
    trials = [row | end for row, end in zip(board.trials, ends, strict=True)]
    one = {"fold": 0, "study": "tiny.outer0-1", "trial": 2, "loss": "tversky"}
    nested = {"chosen": [one], "iou_folds": [0.25], "iou_mean": 0.25, "iou_std": 0.1, "low": 0.1, "high": 0.4}
    told = answers(replace(board, trials=trials, nested=nested), None)
    assert told["Is there unseen data?"].endswith(
        "was unseen by the search that ran without it, which is scored there"
    )
    assert told["Was the choice repeated?"] == (
        "with fresh seeds and fresh folds of the same groups: trial 0 0.4321, trial 1 collapsed; promoted is trial 0"
    )
    assert told["Was the search itself tested?"].endswith("fold 0: trial 2 of tiny.outer0-1 (tversky) 0.2500")
