"""A study's results for reading: a few small files that reports are made from, without MLflow or Optuna."""

import contextlib
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from harness.errors import ConfigError, DataError
from harness.execute.task import Outcome
from harness.masking import words_of
from harness.search.trial import TrialPlan, TrialResult
from harness.train.checkpoint import write_synced

STUDY, TRIALS, BASELINES = "study.json", "trials.parquet", "baselines.parquet"
FACTS = (  # what whoever reads the facts relies on
    *("name", "key", "identity", "description", "profile", "seed", "samples", "groups", "positive_groups"),
    *("rare_classes", "data", "split", "split_note", "leakage", "leakage_sha256", "settings"),
)
COLUMNS = ("trial", "state", "kind", "loss", "params", "reason")  # of every trial


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
        write_synced(self.folder / BASELINES, _bytes(baselines))
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
        table = pd.DataFrame(rows, columns=None if rows else ["trial"])
        write_synced(self.folder / TRIALS, _bytes(table))


def _bytes(table: pd.DataFrame) -> bytes:
    """Return a table as a file that notices its damage."""
    return table.to_parquet(write_page_checksum=True)


def kept_baselines(folder: Path) -> pd.DataFrame | None:
    """Return the baselines' IoU by fold where an earlier run of this study wrote them, and they can be read."""
    with contextlib.suppress(DataError, FileNotFoundError):
        return _baselines(folder)
    return None


def find_ledger(work: Path, name: str) -> Path:
    """Return the ledger of the study of this name that ran last; damaged ones of other names do not matter.

    Raises ConfigError when none did, DataError where that one's facts cannot be read.
    """
    studies = [path for path in work.glob(f"*/ledger/{STUDY}") if _is_of(path, name)]
    if not studies:
        raise ConfigError(
            f"{work}: no results of study {name!r}; `python -m harness.study run {name}` makes them"
        )
    found = max(studies, key=lambda path: path.stat().st_mtime_ns).parent
    read_facts(found)
    return found


def _is_of(path: Path, name: str) -> bool:
    """Tell whether facts are of a study of this name; of damaged ones the folder's name tells it."""
    try:
        return bool(read_facts(path.parent)["name"] == name)
    except FileNotFoundError:  # removed meanwhile
        return False
    except DataError:
        return path.parents[1].name.rpartition("-")[0] == name


def read_facts(folder: Path) -> dict[str, Any]:
    """Return the study's facts alone, which are there whatever else was lost. Raises DataError when they are damaged.

    Raises FileNotFoundError when there are none.
    """
    path = folder / STUDY
    try:
        facts = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        raise _damaged(path, words_of(error)) from None
    if not isinstance(facts, dict):
        raise _damaged(path, "it holds no facts")
    if missing := [name for name in FACTS if name not in facts]:
        raise _damaged(path, f"it lacks {', '.join(missing)}")
    return facts


def lost_parts(folder: Path, results: Mapping[int, TrialResult]) -> list[str]:
    """Return the names of a ledger's files that cannot be read, or do not list the trials that are finished."""
    readers: dict[str, Callable[[Path], Any]] = {BASELINES: _baselines, TRIALS: _trials, STUDY: read_facts}
    lost = []
    for name, read in readers.items():
        try:
            content = read(folder)
        except (DataError, FileNotFoundError):
            lost.append(name)
        else:
            if name == TRIALS and set(content["trial"]) != set(results):
                lost.append(name)
    return lost


def read_ledger(folder: Path) -> tuple[dict[str, Any], pd.DataFrame, pd.DataFrame]:
    """Return the study's facts, its trials (one row each) and the baselines' IoU by fold.

    Raises DataError where one of the files is damaged or gone.
    """
    try:
        return read_facts(folder), _trials(folder), _baselines(folder)
    except FileNotFoundError as error:
        raise _damaged(Path(error.filename), "it is not there") from None


def _trials(folder: Path) -> pd.DataFrame:
    table = _table(folder / TRIALS)
    wanted = COLUMNS if len(table) else COLUMNS[:1]  # without trials it has the first one alone
    if missing := [name for name in wanted if name not in table]:
        raise _damaged(folder / TRIALS, f"it lacks {', '.join(missing)}")
    return table


def _baselines(folder: Path) -> pd.DataFrame:
    table = _table(folder / BASELINES)
    if not {"constant", "classical"} <= set(table) or table.empty:
        raise _damaged(folder / BASELINES, "it lacks the baselines")
    return table


def _table(path: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(io.BytesIO(path.read_bytes()), page_checksum_verification=True)
    except FileNotFoundError:
        raise
    except Exception as error:  # whatever a reader says of bytes that make no sense
        raise _damaged(path, words_of(error)) from None


def _damaged(path: Path, why: str) -> DataError:
    name = path.parents[1].name.rpartition("-")[0]
    return DataError(
        f"{path}: cannot be read ({why}); `python -m harness.study run {name}` writes it again, and so does `doctor "
        f"{name}`"
    )


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
