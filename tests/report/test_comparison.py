"""Trials told apart: in words, in figures, and only where they can be compared."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from harness.errors import ConfigError
from harness.evaluate.comparisons import corrected_test, difference
from harness.evaluate.groups import counts_of_trials
from harness.report.comparison import as_markdown, compare_trials
from harness.report.comparisonpage import write_comparison
from harness.report.leaderboard import read_leaderboard
from tests.report.drawn import drawn_groups, iou_by_fold, write_ledger

SKILLS = (0.6, 0.61, 0.3, 0.6)


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return write_ledger(tmp_path / "ledger", drawn_groups(SKILLS))


def test_every_pair_is_compared_in_the_order_asked_for(ledger: Path) -> None:
    found = compare_trials(read_leaderboard(ledger), ledger, [2, 0, 1, 0])
    assert [(pair["a"], pair["b"]) for pair in found.pairs] == [(2, 0), (2, 1), (0, 1)]
    assert [row["trial"] for row in found.trials] == [2, 0, 1]


def test_the_figures_are_those_of_the_tests_over_groups_and_folds(ledger: Path) -> None:
    (pair,) = compare_trials(read_leaderboard(ledger), ledger, [0, 2]).pairs
    numbers, counts = counts_of_trials(drawn_groups(SKILLS))
    expected = difference(*(counts.trial(numbers.index(trial)) for trial in (0, 2)))
    assert (pair["difference"], pair["low"], pair["high"]) == pytest.approx(
        (expected.value, expected.interval.low, expected.interval.high)
    )
    iou = iou_by_fold(drawn_groups(SKILLS))
    assert pair["fold_differences"] == pytest.approx((iou.loc[0] - iou.loc[2]).tolist())
    assert pair["p_value"] == pytest.approx(corrected_test(iou.loc[0], iou.loc[2]).p_value)
    assert pair["word"] == "better"
    assert "Trial 0 is better than trial 2" in pair["sentence"]


def test_the_groups_that_move_a_difference_most_are_named_with_what_they_add(tmp_path: Path) -> None:
    table = drawn_groups((0.6, 0.6))
    table.loc[(table["trial"] == 1) & (table["group"] == "g007"), "fp"] = 20_000
    ledger = write_ledger(tmp_path, table)
    (pair,) = compare_trials(read_leaderboard(ledger), ledger, [0, 1]).pairs
    assert pair["groups"][0]["group"] == "g007"
    assert pair["groups"][0]["adds"] > 0
    adds = np.abs([group["adds"] for group in pair["groups"]])
    assert (np.diff(adds) <= 0).all()


def test_trials_with_the_same_counts_are_equal(tmp_path: Path) -> None:
    table = drawn_groups((0.6,))
    ledger = write_ledger(tmp_path, pd.concat([table, table.assign(trial=1)], ignore_index=True))
    (pair,) = compare_trials(read_leaderboard(ledger), ledger, [0, 1]).pairs
    assert pair["word"] == "equal"
    assert pair["groups"] == []
    assert "counted alike" in pair["sentence"]


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ([0, 9], "has no trial 9; those that ran all their folds: 0, 1, 2"),
        ([0, 3], "trial 3 pruned, and has no score to compare; those that ran all their folds: 0, 1, 2"),
        ([1, 1], "1 to compare; name two to 8 different ones of 0, 1, 2"),
    ],
)
def test_what_cannot_be_compared_is_one_line(ledger: Path, wanted: list[int], words: str) -> None:
    table = pd.read_parquet(ledger / "trials.parquet")
    table.loc[table["trial"] == 3, ["state", "iou_mean"]] = ["pruned", None]
    table.to_parquet(ledger / "trials.parquet")
    with pytest.raises(ConfigError) as caught:
        compare_trials(read_leaderboard(ledger), ledger, wanted)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_counts_it_says_what_adds_them(ledger: Path) -> None:
    for path in (ledger / "groups").iterdir():
        path.unlink()
    with pytest.raises(
        ConfigError, match=r"counts by group of trial 0 are not kept; .* doctor tiny` adds them"
    ):
        compare_trials(read_leaderboard(ledger), ledger, [0, 1])


def test_page_and_values_say_the_same(ledger: Path) -> None:
    found = compare_trials(read_leaderboard(ledger), ledger, [0, 2])
    page = write_comparison(found, ledger.parent)
    said = json.loads(page.with_suffix(".json").read_text())
    assert said == json.loads(json.dumps(found.as_dict()))
    (pair,) = said["pairs"]
    text = page.with_suffix(".md").read_text()
    assert text == as_markdown(found)
    assert f"| 0 - 2 | {pair['difference']:+.4f} | {pair['low']:.4f} to {pair['high']:.4f} | better |" in text
