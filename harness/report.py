"""A study's results as a table: Markdown for MLflow and files, rich for the terminal, plain values for --json."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from rich.table import Table

from harness.search.ledger import read_ledger

LAST_EPOCH_WARNING = 0.02  # IoU by which the best epochs may beat the last ones before it is worth a warning
SCORES = {  # beside the headline: column of the ledger, heading
    "iou_positive_pictures": "IoU per positive picture",
    "object_recall": "object recall",
    "object_f1": "object F1",
    "clean_with_false_object": "clean pictures with a false object",
}


@dataclass(frozen=True)
class Leaderboard:
    """Facts of the study, its trials (best first), and the baselines without learning."""

    facts: Mapping[str, Any]
    trials: pd.DataFrame
    baselines: pd.DataFrame

    @property
    def best(self) -> "pd.Series[Any] | None":
        """The complete trial with the largest mean IoU."""
        if "iou_mean" not in self.trials or self.trials["iou_mean"].isna().all():
            return None
        return self.trials.loc[self.trials["iou_mean"].idxmax()]

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values for JSON; missing numbers are None."""
        trials = [{k: _plain(v) for k, v in row.items()} for row in self.trials.to_dict("records")]
        for row in trials:
            row["params"] = json.loads(row["params"])
        best = self.best
        return {
            **self.facts,
            "best_trial": None if best is None else int(best["trial"]),
            "trials": trials,
            "baselines": {name: baseline_summary(self.baselines[name]) for name in self.baselines},
        }


def read_leaderboard(ledger: Path) -> Leaderboard:
    """Return the leaderboard of a ledger's folder."""
    facts, trials, baselines = read_ledger(ledger)
    if "iou_mean" in trials:
        trials = trials.sort_values(["iou_mean", "trial"], ascending=[False, True], na_position="last")
    return Leaderboard(facts, trials.reset_index(drop=True), baselines)


def baseline_summary(iou: "pd.Series[float]") -> dict[str, Any]:
    """Return mean, std (ddof = 1) and folds of a baseline."""
    return {"iou_mean": float(iou.mean()), "iou_std": float(iou.std()), "iou_folds": iou.tolist()}


def as_markdown(board: Leaderboard) -> str:
    """Return the leaderboard as a Markdown page."""
    facts = board.facts
    head = ["trial", "loss", "IoU mean ± std", *SCORES.values(), "augmentation", "state"]
    lines = [f"# {facts['name']}", "", facts["description"], "", *_facts_lines(facts), ""]
    lines += [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    lines += [f"| {' | '.join(cells)} |" for cells in _rows(board)]
    return "\n".join([*lines, "", *(f"- {warning}" for warning in warnings(board)), ""])


def as_table(board: Leaderboard) -> Table:
    """Return the leaderboard for a terminal."""
    table = Table(title=f"{board.facts['key']} · profile {board.facts['profile']}", title_justify="left")
    for heading in ("trial", "loss", "IoU mean ± std", *SCORES.values(), "augmentation", "state"):
        table.add_column(
            heading, justify="left" if heading in ("loss", "state") else "right", overflow="fold"
        )
    for cells in _rows(board):
        table.add_row(*cells)
    return table


def warnings(board: Leaderboard) -> list[str]:
    """Return what a reader must know before believing the table."""
    found = [
        f"Trial {int(row.trial)}: the epochs that looked best on their own folds would add "
        f"{row.best_epoch_gain:.3f} IoU to its mean; the last epoch counts. Train longer, or lower the learning rate."
        for row in board.trials.itertuples()
        if getattr(row, "best_epoch_gain", math.nan) > LAST_EPOCH_WARNING
    ]
    ended = {"pruned", "failed"} & set(board.trials.get("state", []))
    found += [
        f"Trial {int(row.trial)} {row.state}: {row.reason}"
        for row in board.trials.itertuples()
        if ended and row.reason
    ]
    found.append(
        "The std over folds is no confidence interval, and the best of several trials on the same folds looks better "
        "than it is."
    )
    return found


def study_metrics(board: Leaderboard) -> dict[str, float]:
    """Return what the study's run shows: the best trial, and the baselines without learning."""
    metrics = {f"{name}_iou_mean": float(board.baselines[name].mean()) for name in board.baselines}
    if (best := board.best) is not None:
        metrics |= {
            "best_iou_mean": best["iou_mean"],
            "best_iou_std": best["iou_std"],
            "best_trial": best["trial"],
        }
    return metrics


def _facts_lines(facts: Mapping[str, Any]) -> list[str]:
    return [
        f"- data: {facts['samples']} samples, {facts['groups']} groups, {facts['positive_groups']} of them positive; "
        f"split `{facts['split']}`: {facts['split_note']}",
        f"- leakage check: **{facts['leakage']}**, report SHA-256 `{facts['leakage_sha256']}`",
        f"- profile `{facts['profile']}`, seed {facts['seed']}, IoU at original resolution, last epoch",
    ]


def _rows(board: Leaderboard) -> list[list[str]]:
    rows = [_trial_cells(row) for row in board.trials.to_dict("records")]
    for name in board.baselines:
        summary = baseline_summary(board.baselines[name])
        score = f"{summary['iou_mean']:.4f} ± {summary['iou_std']:.4f}"
        rows.append(["-", _BASELINE_NAMES[name], score, *[""] * len(SCORES), "", "no training"])
    return rows


def _trial_cells(row: Mapping[str, Any]) -> list[str]:
    params = json.loads(row["params"])
    loss = row["loss"]
    settings = [f"{k.rpartition('.')[2]} {v:.3g}" for k, v in params.items() if k.startswith(f"loss.{loss}.")]
    named = f"{loss} ({', '.join(settings)})" if settings else loss
    mean, std = row.get("iou_mean", math.nan), row.get("iou_std", math.nan)
    score = "" if _missing(mean) else f"{mean:.4f} ± {std:.4f}"
    beside = ["" if _missing(row.get(name)) else f"{row[name]:.3f}" for name in SCORES]
    strength = params.get("augment.strength")
    state = row["state"] if row["kind"] == "searched" else f"{row['state']} (baseline)"
    return [str(row["trial"]), named, score, *beside, "" if strength is None else f"{strength:.2f}", state]


def _missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _plain(value: Any) -> Any:
    if _missing(value):
        return None
    return value.item() if hasattr(value, "item") else value


_BASELINE_NAMES = {"constant": "best constant", "classical": "top-hat + Otsu"}
