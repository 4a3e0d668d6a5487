"""A study's results as a table: Markdown for MLflow and files, rich for the terminal, plain values for --json."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.table import Table

from harness.search.ledger import read_ledger

LAST_EPOCH_WARNING = 0.02  # IoU by which the best epochs may beat the last ones before it is worth a warning
THRESHOLD_HINT = 0.02  # IoU that another threshold adds, cross-fitted, from which it is worth a line
SCORES = {  # beside the headline: name in the ledger and in MLflow, heading
    "iou_positive_pictures": "IoU per positive picture",
    "pr_auc": "pixel PR-AUC",
    "object_recall": "object recall",
    "recall_at_1": "recall at 1 false object a picture",
    "object_f1": "object F1",
    "clean_with_false_object": "clean with a false object",
    "iou_cross_fitted": "IoU, threshold cross-fitted",
    "threshold": "threshold of all folds (logit)",
}
HEADINGS = ("trial", "loss", "IoU mean ± std", *SCORES.values(), "augmentation", "state")
SHORT = {  # in a terminal, which has no room for all of them
    "trial": "trial",
    "loss": "loss",
    "IoU mean ± std": "IoU mean ± std",
    SCORES["iou_positive_pictures"]: "IoU/positive",
    SCORES["object_recall"]: "recall",
    SCORES["object_f1"]: "F1",
    SCORES["clean_with_false_object"]: "clean false",
    "augmentation": "augment",
    "state": "state",
}
NARROW = 110  # columns of a terminal below which two scores are left out
LEFT_OUT = ("IoU/positive", "F1", "augment")
READING = (
    "Scores are means over the folds, of what is predicted at logit 0; PR-AUC is over all thresholds, *cross-fitted* "
    "at those that the other folds chose. The threshold of all folds is the one for deployment. Each is defined in "
    "docs/metrics.md."
)
_BASELINE_NAMES = {"constant": "best constant", "classical": "top-hat + Otsu"}


@dataclass(frozen=True)
class Leaderboard:
    """Facts of the study, its trials (best first; a missing number is None), and the baselines without learning."""

    facts: Mapping[str, Any]
    trials: Sequence[Mapping[str, Any]]
    baselines: Mapping[str, Mapping[str, Any]]

    @property
    def best(self) -> Mapping[str, Any] | None:
        """The complete trial with the largest mean IoU."""
        return self.trials[0] if self.trials and self.trials[0].get("iou_mean") is not None else None

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values for JSON."""
        best = self.best["trial"] if self.best else None
        return {
            **self.facts,
            "best_trial": best,
            "trials": list(self.trials),
            "baselines": dict(self.baselines),
        }


def read_leaderboard(ledger: Path) -> Leaderboard:
    """Return the leaderboard of a ledger's folder."""
    facts, table, baselines = read_ledger(ledger)
    rows = [{str(k): _plain(v) for k, v in row.items()} for row in table.to_dict("records")]
    trials = [row | {"params": json.loads(row["params"])} for row in rows]
    trials.sort(key=_place)
    return Leaderboard(facts, trials, {str(name): _summary(baselines[name]) for name in baselines})


def study_metrics(board: Leaderboard) -> dict[str, float]:
    """Return what the study's run shows: the best trial, and the baselines without learning."""
    metrics = {f"{name}_iou_mean": float(b["iou_mean"]) for name, b in board.baselines.items()}
    if (best := board.best) is not None:
        metrics |= {f"best_{name}": float(best[name]) for name in ("iou_mean", "iou_std", "trial")}
    return metrics


def as_markdown(board: Leaderboard) -> str:
    """Return the leaderboard as a Markdown page."""
    facts = board.facts
    lines = [_headline(board), "", facts["description"], "", *_facts_lines(facts), ""]
    lines += [f"| {' | '.join(HEADINGS)} |", "|" + "---|" * len(HEADINGS)]
    lines += [f"| {' | '.join(cells)} |" for cells in _rows(board)]
    return "\n".join([*lines, "", READING, "", *(f"- {warning}" for warning in warnings(board)), ""])


def as_table(board: Leaderboard, width: int) -> Table:
    """Return the leaderboard for a terminal of this width."""
    table = Table(
        title=f"{board.facts['key']}, profile {board.facts['profile']}", title_justify="left", box=SIMPLE_HEAD
    )
    table.pad_edge, table.padding = False, (0, 1)
    shown = [h for h, short in SHORT.items() if width >= NARROW or short not in LEFT_OUT]
    for heading in (SHORT[h] for h in shown):
        words = heading in ("loss", "state")
        table.add_column(
            heading, justify="left" if words else "right", no_wrap=heading != "loss", overflow="fold"
        )
    for cells in _rows(board):
        table.add_row(*(cells[HEADINGS.index(h)] for h in shown))
    return table


def warnings(board: Leaderboard) -> list[str]:
    """Return what a reader must know before believing the table."""
    found = [
        f"Trial {row['trial']}: the epochs that looked best on their own folds would add "
        f"{row['best_epoch_gain']:.3f} IoU to its mean; the last epoch counts. Train longer, or lower train.lr."
        for row in board.trials
        if (row.get("best_epoch_gain") or 0.0) > LAST_EPOCH_WARNING
    ]
    found += [
        f"Trial {row['trial']} {row['state']}: {row['reason']}" for row in board.trials if row["reason"]
    ]
    found += _threshold_hint(board)
    rare = board.facts["rare_classes"]
    if rare:
        named = ", ".join(f"{name} ({count})" for name, count in rare.items())
        found.append(f"Classes with few source images: {named}. Their share of a score is mostly chance.")
    return [
        *found,
        "The std over folds is no confidence interval, and the best of several trials on the same folds looks "
        "better than it is.",
    ]


def _threshold_hint(board: Leaderboard) -> list[str]:
    gain = (board.best or {}).get("cross_fitted_gain") or 0.0
    if board.best is None or gain < THRESHOLD_HINT:
        return []
    return [
        f"Trial {board.best['trial']}: with threshold {board.best['threshold']:g} on the logit instead of 0 it has "
        f"about {gain:.3f} IoU more, on folds that had no part in the choice."
    ]


def _headline(board: Leaderboard) -> str:
    classical = f"top-hat + Otsu, without learning: {_score(board.baselines['classical'])}"
    if board.best is None:
        return f"**No trial ran all its folds.** IoU of {classical}"
    best = f"**Best: trial {board.best['trial']}, {board.best['loss']}, IoU {_score(board.best)}**"
    return f"{best} (mean ± std over folds); {classical}"


def _facts_lines(facts: Mapping[str, Any]) -> list[str]:
    return [
        f"- data: {facts['samples']} samples, {facts['groups']} groups, {facts['positive_groups']} of them positive; "
        f"split `{facts['split']}`: {facts['split_note']}",
        f"- leakage check: **{facts['leakage']}**, report SHA-256 `{facts['leakage_sha256']}`",
        f"- profile `{facts['profile']}`, seed {facts['seed']}; IoU at original resolution, last epoch",
    ]


def _rows(board: Leaderboard) -> list[list[str]]:
    learned = [_trial_cells(row) for row in board.trials]
    rest = [""] * (len(SCORES) + 1)
    unlearned = [
        ["-", _BASELINE_NAMES[name], _score(b), *rest, "no training"] for name, b in board.baselines.items()
    ]
    return learned + unlearned


def _trial_cells(row: Mapping[str, Any]) -> list[str]:
    params, loss = row["params"], row["loss"]
    settings = [f"{k.rpartition('.')[2]} {v:.3g}" for k, v in params.items() if k.startswith(f"loss.{loss}.")]
    named = f"{loss}, {', '.join(settings)}" if settings else loss
    digits = {"threshold": "g"}
    beside = ["" if row.get(name) is None else format(row[name], digits.get(name, ".3f")) for name in SCORES]
    strength = params.get("augment.strength")
    state = row["kind"] if row["state"] == "complete" else row["state"]
    return [
        str(row["trial"]),
        named,
        _score(row),
        *beside,
        "" if strength is None else f"{strength:.2f}",
        state,
    ]


def _score(row: Mapping[str, Any]) -> str:
    return "" if row.get("iou_mean") is None else f"{row['iou_mean']:.4f} ± {row['iou_std']:.4f}"


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
