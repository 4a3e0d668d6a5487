"""A study's results for reading: a few small files that reports are made from, without MLflow or Optuna."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from harness.errors import ConfigError
from harness.execute.task import Outcome
from harness.search.trial import TrialPlan, TrialResult
from harness.train.checkpoint import write_synced

STUDY, TRIALS, BASELINES = "study.json", "trials.parquet", "baselines.parquet"


@dataclass(frozen=True)
class Ledger:
    """The ledger's folder; also a Recorder that keeps it up to date."""

    folder: Path
    results: dict[int, TrialResult]

    def open_study(self, facts: Mapping[str, Any], baselines: pd.DataFrame) -> None:
        """Write what is known before the first trial; `baselines` holds IoU by fold (rows).

        The facts come last: where they are, a ledger can be read.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        write_synced(self.folder / BASELINES, baselines.to_parquet())
        self.write_trials()
        write_synced(self.folder / STUDY, json.dumps(facts, indent=1).encode())

    def open_trial(self, plan: TrialPlan) -> None:
        pass

    def open_fold(self, trial: int, fold: int) -> None:
        pass

    def log_epochs(self, trial: int, fold: int, epochs: Sequence[Mapping[str, Any]]) -> None:
        pass

    def close_fold(self, outcome: Outcome) -> None:
        pass

    def close_trial(self, result: TrialResult) -> None:
        if result.state != "interrupted":
            self.results[result.plan.number] = result
            self.write_trials()

    def write_trials(self) -> None:
        """Write the table of the trials that are finished."""
        rows = [_row(self.results[number]) for number in sorted(self.results)]
        write_synced(
            self.folder / TRIALS, pd.DataFrame(rows, columns=None if rows else ["trial"]).to_parquet()
        )


def kept_baselines(folder: Path) -> pd.DataFrame | None:
    """Return the baselines' IoU by fold where an earlier run of this study wrote them."""
    return pd.read_parquet(folder / BASELINES) if (folder / BASELINES).is_file() else None


def find_ledger(work: Path, name: str) -> Path:
    """Return the ledger of the study of this name that ran last. Raises ConfigError when none did."""
    studies = [p for p in work.glob(f"*/ledger/{STUDY}") if json.loads(p.read_bytes())["name"] == name]
    if not studies:
        raise ConfigError(
            f"{work}: no results of study {name!r}; `python -m harness.study run {name}` makes them"
        )
    return max(studies, key=lambda path: path.stat().st_mtime_ns).parent


def read_facts(folder: Path) -> dict[str, Any]:
    """Return the study's facts alone, which are there whatever else was lost."""
    facts: dict[str, Any] = json.loads((folder / STUDY).read_bytes())
    return facts


def lost_parts(folder: Path, results: Mapping[int, TrialResult]) -> list[str]:
    """Return the names of a ledger's files that cannot be read, or do not list the trials that are finished."""
    lost = []
    for name in (BASELINES, TRIALS, STUDY):
        try:
            if name == STUDY:
                read_facts(folder)
            elif name == TRIALS and set(pd.read_parquet(folder / name)["trial"]) != set(results):
                lost.append(name)
            else:
                pd.read_parquet(folder / name)
        except (OSError, ValueError, KeyError):
            lost.append(name)
    return lost


def read_ledger(folder: Path) -> tuple[dict[str, Any], pd.DataFrame, pd.DataFrame]:
    """Return the study's facts, its trials (one row each) and the baselines' IoU by fold."""
    return read_facts(folder), pd.read_parquet(folder / TRIALS), pd.read_parquet(folder / BASELINES)


def _row(result: TrialResult) -> dict[str, Any]:
    return {
        "trial": result.plan.number,
        "state": result.state,
        "kind": "baseline" if result.plan.baseline else "searched",
        "loss": result.plan.study.loss.name,
        "params": json.dumps(dict(result.plan.params), sort_keys=True),
        "reason": result.reason,
        "seconds": sum(fold.seconds for fold in result.folds),
        **result.metrics(),
    }
