"""Trials of a study told apart: each pair on the same groups and folds, with what would tell the rest."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import pandas as pd

from harness.errors import ConfigError
from harness.evaluate.comparisons import corrected_test, difference, posterior, sentence
from harness.evaluate.groups import GroupCounts, counts_of_trials, fold_scores
from harness.evaluate.intervals import left_out
from harness.report.evidence import told
from harness.report.leaderboard import Leaderboard
from harness.report.table import markdown_table
from harness.report.words import interval
from harness.search.groups import read_groups

MOST = 8  # trials compared at once: 28 pairs
SHOWN_GROUPS = 5  # that move a difference most
HEADINGS = (
    "trials",
    "difference",
    "95 % interval",
    "word",
    "p (corrected t)",
    "more groups",
    "groups that move it most",
)


@dataclass(frozen=True)
class Comparison:
    """Pairs of trials in the order they were asked for; every value is plain, for JSON.

    A pair has a, b, difference (headline of a less that of b), low, high (95 % interval over groups), word (of a:
    better, equal, worse, unknown), better, equal, worse (posterior probabilities over folds), p_value (corrected
    resampled t test, two-sided), more_groups, fold_differences, groups (name and what it adds to the difference; those
    that move it most), sentence.
    """

    key: str
    trials: Sequence[Mapping[str, Any]]
    pairs: Sequence[Mapping[str, Any]]

    @property
    def reading(self) -> str:
        """Return what must be known before believing a pair."""
        chosen = "Trials picked by their scores on these groups look more different than they are; "
        tested = "1 pair was" if len(self.pairs) == 1 else f"{len(self.pairs)} pairs were"
        return f"{chosen}{tested} tested, and nothing is corrected for that (docs/statistics.md)."

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values for JSON."""
        return {
            "key": self.key,
            "trials": list(self.trials),
            "pairs": list(self.pairs),
            "reading": self.reading,
        }


def compare_trials(board: Leaderboard, ledger: Path, wanted: Sequence[int]) -> Comparison:
    """Return how each two of these trials differ. Raises ConfigError for what cannot be compared."""
    trials = list(dict.fromkeys(wanted))
    _refuse(board, trials)
    table = read_groups(ledger)
    kept = table[table["trial"].isin(trials)]
    if missing := sorted(set(trials) - set(kept["trial"])):
        raise ConfigError(
            f"{ledger}: counts by group of trial {missing[0]} are not kept; `python -m harness.study doctor "
            f"{board.facts['name']}` adds them"
        )
    numbers, counts = counts_of_trials(kept)
    repeats = board.facts["settings"].get("folds", {}).get("repeats", 1)
    pairs = [
        _pair(a, b, counts.trial(numbers.index(a)), counts.trial(numbers.index(b)), repeats)
        for a, b in combinations(trials, 2)
    ]
    rows = {row["trial"]: row for row in board.trials}
    return Comparison(board.facts["key"], [rows[number] for number in trials], pairs)


def as_markdown(comparison: Comparison) -> str:
    """Return a comparison as a Markdown page."""
    table = markdown_table(HEADINGS, [cells_of(pair) for pair in comparison.pairs])
    sentences = [f"- {pair['sentence']}" for pair in comparison.pairs]
    title = f"# {comparison.key}: trials compared"
    return "\n".join([title, "", *sentences, "", *table, "", comparison.reading, ""])


def cells_of(pair: Mapping[str, Any]) -> list[str]:
    """Return the cells of a pair, as HEADINGS."""
    groups = ", ".join(f"{group['group']} ({group['adds']:+.4f})" for group in pair["groups"])
    return [
        f"{pair['a']} - {pair['b']}",
        f"{pair['difference']:+.4f}",
        interval(pair, "low", "high"),
        pair["word"],
        f"{pair['p_value']:.3f}",
        "" if pair["more_groups"] is None else str(pair["more_groups"]),
        groups,
    ]


def _refuse(board: Leaderboard, trials: Sequence[int]) -> None:
    states = {row["trial"]: row["state"] for row in board.trials}
    complete = ", ".join(str(row["trial"]) for row in sorted(board.complete, key=lambda row: row["trial"]))
    key = board.facts["key"]
    for number in trials:
        if number not in states:
            raise ConfigError(
                f"{key}: has no trial {number}; those that ran all their folds: {complete or 'none'}"
            )
        if states[number] != "complete":
            raise ConfigError(
                f"{key}: trial {number} {states[number]}, and has no score to compare; those that ran all their folds: "
                f"{complete or 'none'}"
            )
    if not 2 <= len(trials) <= MOST:
        raise ConfigError(f"{key}: {len(trials)} to compare; name two to {MOST} different ones of {complete}")


def _pair(a: int, b: int, of_a: GroupCounts, of_b: GroupCounts, repeats: int) -> dict[str, Any]:
    found, scores = difference(of_a, of_b), [fold_scores(counts) for counts in (of_a, of_b)]
    belief, test = posterior(*scores, repeats=repeats), corrected_test(*scores, repeats=repeats)
    return {
        "a": a,
        "b": b,
        **told(found, belief),
        "p_value": test.p_value,
        "fold_differences": (scores[0] - scores[1]).tolist(),
        "groups": _moving(of_a, of_b),
        "sentence": sentence(f"Trial {a}", f"trial {b}", found, belief),
    }


def _moving(of_a: GroupCounts, of_b: GroupCounts) -> list[dict[str, Any]]:
    """Return the groups without which the difference would change most, by how much they add to it."""
    added = of_a.by_group(left_out(of_a) - left_out(of_b)) / of_a.folds
    most = pd.Series(added, index=of_a.names)
    most = most[most != 0].sort_values(key=abs, ascending=False, kind="stable")[:SHOWN_GROUPS]
    return [{"group": str(name), "adds": float(value)} for name, value in most.items()]
