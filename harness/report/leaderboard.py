"""A study's results as plain values: facts, trials with what can be said of them, baselines; from its ledger alone."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from harness.report.evidence import Evidence, evidence_of
from harness.search.groups import read_groups
from harness.search.ledger import SCORED_BY, read_ledger, read_looks
from harness.search.nested import is_of_budget, read_nested

FAILED = ("collapsed", "failed")  # ends of a second look
NOT_SHOWN = ("counts", "code")  # of nested cross-validation: what tests need, and no reader


@dataclass(frozen=True)
class Leaderboard:
    """Facts of the study, its trials (best first; a missing number is None), and the baselines without learning.

    A complete trial has `against_best`, what can be told between it and the best (see `Evidence`); None for the best
    itself, and where its counts by group are not kept. `corrected` is the best trial's score as groups that did not
    choose it have it; None where it cannot be computed. `nested` is what the same search finds, scored on folds that it
    did not see; None where that was not asked for. `looks` are those at the held-out groups, also of other studies.
    """

    facts: Mapping[str, Any]
    trials: Sequence[Mapping[str, Any]]
    baselines: Mapping[str, Mapping[str, Any]]
    corrected: Mapping[str, Any] | None = None
    nested: Mapping[str, Any] | None = None
    looks: Sequence[Mapping[str, Any]] = ()

    @property
    def best(self) -> Mapping[str, Any] | None:
        """The complete trial with the largest mean IoU."""
        return self.trials[0] if self.trials and self.trials[0].get("iou_mean") is not None else None

    @property
    def chosen(self) -> Mapping[str, Any] | None:
        """The first of the trials that had a second look, by that one; else the best that did not fail in one."""
        looked = [row for row in self.complete if row.get("second_iou_mean") is not None]
        sound = [row for row in self.complete if row.get("second_look") not in FAILED]
        rest = next(iter(sound), None)
        return max(looked, key=lambda row: (row["second_iou_mean"], -row["trial"]), default=rest)

    @property
    def looked(self) -> Sequence[Mapping[str, Any]]:
        """The trials that had a second look, however it ended."""
        return [row for row in self.trials if row.get("second_look")]

    @property
    def complete(self) -> Sequence[Mapping[str, Any]]:
        """The trials that ran all their folds, best first."""
        return [row for row in self.trials if row.get("iou_mean") is not None]

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values for JSON."""
        best = self.best["trial"] if self.best else None
        return {
            **self.facts,
            "best_trial": best,
            "chosen_trial": self.chosen["trial"] if self.chosen else None,
            "corrected": self.corrected,
            "nested": self.nested,
            "looks": list(self.looks),
            "trials": list(self.trials),
            "baselines": dict(self.baselines),
        }


def read_leaderboard(ledger: Path) -> Leaderboard:
    """Return the leaderboard of a ledger's folder. Raises DataError where one of its files is damaged."""
    facts, table, baselines = read_ledger(ledger)
    rows = [{str(k): _plain(v) for k, v in row.items()} for row in table.to_dict("records")]
    trials = [row | {"params": json.loads(row["params"])} for row in rows]
    trials.sort(key=_place)
    for row in trials:
        row.pop(SCORED_BY, None)
    told = {str(name): _summary(baselines[name]) for name in baselines}
    board = Leaderboard(facts, trials, told)
    found = _evidence(board, read_groups(ledger))
    of_best = found.against_best if found else {}
    for row in trials:
        row["against_best"] = of_best.get(row["trial"])
    corrected = found.corrected if found else None
    return Leaderboard(facts, trials, told, corrected, _nested(board, ledger), read_looks(ledger))


def _nested(board: Leaderboard, ledger: Path) -> dict[str, Any] | None:
    """Return what nested cross-validation found, if it is asked for and was done with this budget."""
    settings, found = board.facts["settings"], read_nested(ledger)
    if found is None or not settings.get("protocol", {}).get("nested"):
        return None
    search = settings["search"]  # a study keeps trials and second looks where fewer are asked for later
    trials, looked = len(board.trials), len(board.looked)
    if not is_of_budget(found, max(search["trials"], trials), max(search.get("second_look", 0), looked)):
        return None
    return {name: value for name, value in found.items() if name not in NOT_SHOWN}


def study_metrics(board: Leaderboard) -> dict[str, float]:
    """Return what the study's run shows: the best trial and the chosen one, and the baselines without learning."""
    metrics = {f"{name}_iou_mean": float(b["iou_mean"]) for name, b in board.baselines.items()}
    parts: dict[str, tuple[Mapping[str, Any] | None, Sequence[str]]] = {
        "best": (board.best, ("iou_mean", "iou_std", "iou_low", "iou_high", "trial")),
        "chosen": (board.chosen, ("trial",)),
        "best_corrected": (board.corrected, ("iou", "low", "high", "optimism", "trials")),
        "nested": (board.nested, ("iou_mean", "iou_std", "low", "high", "served_iou_mean", "served_iou_std")),
    }
    for part, (values, names) in parts.items():
        known = {name: (values or {}).get(name) for name in names}
        metrics |= {f"{part}_{name}": float(value) for name, value in known.items() if value is not None}
    return metrics


def _evidence(board: Leaderboard, groups: pd.DataFrame) -> Evidence | None:
    """Return what the counts by group say; None where those of the best trial are not kept."""
    numbers = {row["trial"] for row in board.complete}
    kept = groups[groups["trial"].isin(numbers)]
    if board.best is None or board.best["trial"] not in set(kept["trial"]):
        return None
    folds = board.facts["settings"].get("folds", {})
    return evidence_of(kept, board.best["trial"], repeats=folds.get("repeats", 1), seed=board.facts["seed"])


def _summary(iou: "pd.Series[float]") -> dict[str, Any]:
    """Return mean, std (ddof = 1) and folds of a baseline."""
    return {"iou_mean": float(iou.mean()), "iou_std": float(iou.std()), "iou_folds": iou.tolist()}


def _place(row: Mapping[str, Any]) -> tuple[bool, float, int]:
    mean = row.get("iou_mean")
    return mean is None, -(mean or 0.0), row["trial"]


def _plain(value: Any) -> Any:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    return value.item() if hasattr(value, "item") else value
