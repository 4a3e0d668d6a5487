"""A study's results for reading: a few small files that reports are made from, without MLflow or Optuna."""

import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from harness.errors import ConfigError, DataError
from harness.evaluate.version import scores_digest
from harness.execute.task import Outcome
from harness.masking import words_of
from harness.search.groups import FOLDER as GROUPS
from harness.search.groups import lacking_groups, write_groups
from harness.search.tables import damaged, read_json, read_table, table_bytes
from harness.search.trial import TrialPlan, TrialResult
from harness.train.checkpoint import write_synced

STUDY, TRIALS, BASELINES = "study.json", "trials.parquet", "baselines.parquet"
LOOKS = "looks.json"  # there where the held-out groups were looked at
FACTS = (  # what whoever reads the facts relies on
    *("name", "key", "identity", "description", "profile", "seed", "samples", "groups", "positive_groups"),
    *("rare_classes", "data", "split", "split_note", "leakage", "leakage_sha256", "settings"),
)
COLUMNS = ("trial", "state", "kind", "loss", "params", "reason")  # of every trial
SCORED_BY = "scored_by"  # column: digest of the code that made the scores


@dataclass(frozen=True)
class Ledger:
    """The ledger's folder; also a Recorder that keeps it up to date."""

    folder: Path
    results: dict[int, TrialResult]
    _rows: dict[int, dict[str, Any]] = field(
        default_factory=dict
    )  # of the table of trials, as far as they are made

    def open_study(self, facts: Mapping[str, Any], baselines: pd.DataFrame) -> None:
        """Write what is known before the first trial; `baselines` holds IoU by fold (rows).

        The facts come last: where they are, a ledger can be read.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        write_synced(self.folder / BASELINES, table_bytes(baselines))
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
            number = result.plan.number
            self.results[number] = result
            self._rows[number] = _row(result)
            write_groups(self.folder, [number], self.results)
            self._write_rows()

    def write_trials(self) -> None:
        """Write what is known of the finished trials: their counts by group, then their table.

        Scores that an earlier run of the same code wrote of the same folds are taken from there.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self._rows.update(_known_rows(self.folder, self.results))
        fresh = [number for number in self.results if number not in self._rows]
        self._rows.update({number: _row(self.results[number]) for number in fresh})
        write_groups(self.folder, {*fresh, *lacking_groups(self.folder, self.results)}, self.results)
        self._write_rows()

    def _write_rows(self) -> None:
        rows = [self._rows[number] for number in sorted(self.results)]
        table = pd.DataFrame(rows, columns=None if rows else ["trial"])
        write_synced(self.folder / TRIALS, table_bytes(table))


def _known_rows(folder: Path, results: Mapping[int, TrialResult]) -> dict[int, dict[str, Any]]:
    """Return the rows of the table that is there which say the same of a trial, with scores by the code of now."""
    try:
        table = _trials(folder)
    except (DataError, FileNotFoundError):
        return {}
    rows = [{str(k): v for k, v in row.items() if pd.notna(v)} for row in table.to_dict("records")]
    own = [(row, results[row["trial"]]) for row in rows if row["trial"] in results]
    return {row["trial"]: row for row, result in own if _says_the_same(row, result)}


def _says_the_same(row: Mapping[str, Any], result: TrialResult) -> bool:
    folds = {name: value for name, value in row.items() if "iou_fold_" in name}
    outline = _outline(result)
    told = {f"iou_fold_{fold.fold}": fold.iou for fold in result.folds}
    second = [fold.iou for fold in result.second.folds] if result.second else []
    told |= {f"second_iou_fold_{number}": iou for number, iou in enumerate(second)}
    return {name: row.get(name) for name in outline} == outline and folds == told


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
        raise damaged(path, words_of(error)) from None
    if not isinstance(facts, dict):
        raise damaged(path, "it holds no facts")
    if missing := [name for name in FACTS if name not in facts]:
        raise damaged(path, f"it lacks {', '.join(missing)}")
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
    return lost + ([GROUPS] if lacking_groups(folder, results) else [])


def read_ledger(folder: Path) -> tuple[dict[str, Any], pd.DataFrame, pd.DataFrame]:
    """Return the study's facts, its trials (one row each) and the baselines' IoU by fold.

    Raises DataError where one of the files is damaged or gone.
    """
    try:
        return read_facts(folder), _trials(folder), _baselines(folder)
    except FileNotFoundError as error:
        raise damaged(Path(error.filename), "it is not there") from None


def trials_there(folder: Path) -> int:
    """Return how many trials a ledger lists; 0 where it cannot be read."""
    return len(_known_trials(folder))


def second_looks(folder: Path) -> int:
    """Return how many of its trials had a second look; 0 where it cannot be read."""
    table = _known_trials(folder)
    return int((table["second_look"] != "").sum()) if "second_look" in table else 0


def _known_trials(folder: Path) -> pd.DataFrame:
    with contextlib.suppress(DataError, FileNotFoundError):
        return _trials(folder)
    return pd.DataFrame()


def read_looks(folder: Path) -> list[dict[str, Any]]:
    """Return the looks at the study's held-out groups, in order. Raises DataError for a damaged file."""
    found = read_json(folder / LOOKS) or []
    if not isinstance(found, list) or not all(isinstance(look, dict) for look in found):
        raise damaged(folder / LOOKS, "it holds no looks", by_doctor=False)
    return found


def _trials(folder: Path) -> pd.DataFrame:
    table = read_table(folder / TRIALS, COLUMNS[:1])  # without trials it has that one alone
    if len(table) and (missing := [name for name in COLUMNS if name not in table]):
        raise damaged(folder / TRIALS, f"it lacks {', '.join(missing)}")
    return table


def _baselines(folder: Path) -> pd.DataFrame:
    table = read_table(folder / BASELINES, ("constant", "classical"))
    if table.empty:
        raise damaged(folder / BASELINES, "it lacks the baselines")
    return table


def _row(result: TrialResult) -> dict[str, Any]:
    return _outline(result) | result.metrics()


def _outline(result: TrialResult) -> dict[str, Any]:
    """Return the part of a row that is not computed from a fold's files."""
    return {
        "trial": result.plan.number,
        "state": result.state,
        "kind": "baseline" if result.plan.baseline else "searched",
        "loss": result.plan.study.loss.name,
        "params": json.dumps(dict(result.plan.params), sort_keys=True),
        "reason": result.reason,
        "seconds": sum(fold.seconds for fold in result.folds),
        "second_look": result.second.state if result.second else "",
        "second_reason": result.second.reason if result.second else "",
        SCORED_BY: scores_digest(),
    }
