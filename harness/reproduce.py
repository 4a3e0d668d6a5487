"""One fold trained again from what is logged of it, in a scratch folder, and held to what was committed."""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from safetensors.torch import load_file

from harness.config import Choice, Study
from harness.data.cache import build_cache
from harness.data.split import read_split
from harness.errors import ConfigError, DataError, Interrupted, LeakageError, NotReproduced
from harness.evaluate.groups import SUMMED
from harness.execute.executors import build_executor
from harness.execute.task import Outcome
from harness.prepare import installed, read_again
from harness.search.foldruns import POLL
from harness.search.ledger import STUDY, find_ledger, read_ledger
from harness.search.repair import NEAR
from harness.tracking.aliases import STUDY_TAG, TRIAL_TAG, champion
from harness.tracking.home import home_id
from harness.tracking.runs import key_of_fold_run
from harness.tracking.store import Store
from harness.train.checkpoint import WEIGHTS
from harness.train.claim import claimed, release
from harness.train.foldrun import FoldJob, FoldResult, committed_result, fold_folder
from harness.train.version import code_digest

FOLDER = "reproduce"  # below the home; empty unless a fold is being trained again
ON_CPU = 1e-6  # by which numbers and weights may differ, IoU on a GPU by NEAR

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Fold:
    """A fold run that a study of this home committed."""

    work: Path
    trial: int
    number: int

    @property
    def name(self) -> str:
        return f"trial {self.trial} fold {self.number} of {self.work.name}"


@dataclass(frozen=True)
class Reproduction:
    """A fold as it was committed (`then`) and trained again (`now`); plain values, for JSON.

    numbers: then and now of every number of a fold's result that is not a duration. pictures_differ: validation
    photographs with another count at logit 0, counts_differ: by how much at most. weights_differ: largest difference of
    a weight; None where those of then were dropped. equal: all of it, to the bit. reasons: what has changed since.
    """

    study: str
    trial: int
    fold: int
    matches: bool
    equal: bool
    tolerance: float
    iou: Mapping[str, float]
    numbers: Mapping[str, Mapping[str, float]]
    same_pictures: bool  # were trained on and validated
    pictures_differ: int
    counts_differ: int
    weights_differ: float | None
    device: Mapping[str, str]
    reasons: list[str]

    @property
    def sentence(self) -> str:
        """Return the result in one line."""
        word = "is reproduced" if self.matches else "is not reproduced"
        how = "equal to the bit" if self.equal else self._apart
        dropped = ", the weights of then were dropped" if self.weights_differ is None else ""
        why = f"; {'; '.join(self.reasons)}" if self.reasons else ""
        return (
            f"trial {self.trial} fold {self.fold} of {self.study} {word}: IoU {self.iou['then']:.6f} then, "
            f"{self.iou['now']:.6f} now, {how}{dropped}{why}"
        )

    @property
    def _apart(self) -> str:
        apart = {name: abs(both["then"] - both["now"]) for name, both in self.numbers.items()}
        name = max(apart, key=apart.__getitem__)
        said = [f"{name} {apart[name]:.3g} apart" if apart[name] else "no number of its result apart"]
        said += [f"counts of {self.pictures_differ} pictures differ"] if self.pictures_differ else []
        said += [f"weights up to {self.weights_differ:.3g} apart"] if self.weights_differ else []
        return f"{', '.join(said)} ({self.tolerance:g} is allowed)"


def fold_of_trial(home: Path, name: str, trial: int, fold: int) -> Fold:
    """Return a fold of the study of this name that ran last. Raises ConfigError."""
    return Fold(find_ledger(home / "work", name).parent, trial, fold)


def fold_of_champion(store: Store, home: Path, name: str, fold: int) -> Fold:
    """Return a fold of the trial that the alias `champion` of a model means. Raises ConfigError where there is none."""
    found = champion(store.client(), name)
    if found is None:
        raise ConfigError(f"{name}: has no champion; `promote {name}` makes one, or name a fold by --trial")
    if not {STUDY_TAG, TRIAL_TAG} <= set(found.tags):
        raise ConfigError(
            f"{name}: version {found.version}, its champion, is of no trial; name a fold by --trial"
        )
    return Fold(home / "work" / found.tags[STUDY_TAG], int(found.tags[TRIAL_TAG]), fold)


def fold_of_run(store: Store, home: Path, name: str, run: str, tell: Tell) -> Fold:
    """Return the fold of a fold run in MLflow. Raises ConfigError where it is none of this study name and home."""
    study, trial, fold = key_of_fold_run(store.client(), run, home_id(home, store, tell))
    if study.rpartition("-")[0] != name:
        raise ConfigError(f"--run: {run} is of the study {study}, not of {name}")
    return Fold(home / "work" / study, trial, fold)


def reproduce_fold(
    fold: Fold, dataset: Choice, *, base: Path, home: Path, caches: Path, tell: Tell
) -> Reproduction:
    """Train a fold again, with nothing taken over from a committed one, and compare. The study stays as it is.

    `dataset` says where its data are today. Raises NotReproduced where it ends otherwise, DataError where the data or
    a file of the fold are no longer what they were, ConfigError where there is no such fold.
    """
    known, params = _logged(fold)
    then = committed_result(fold_folder(fold.work, fold.trial, fold.number))
    study, root, _ = read_again(known, dataset, base=base, caches=caches)
    path = home / "folds" / f"{known['split']}.json"
    split, samples = read_split(path), fold.work / "samples.parquet"
    if not samples.is_file():
        raise DataError(f"{samples}: is gone; `run` writes it again")
    cache = build_cache(pd.read_parquet(samples), root, study.data, caches)
    tell(f"{fold.name} is trained again: {then.epochs} epochs, {then.seconds:.0f} s then")
    with _scratch(home, f"{fold.work.name}-{fold.trial}-{fold.number}", tell) as scratch:
        job = FoldJob(
            trial=fold.trial,
            fold=fold.number,
            study=study.with_params(params).model_dump(mode="json"),
            samples=str(samples),
            split=str(path),
            cache=str(cache.folder),
            folder=str(fold_folder(scratch, fold.trial, fold.number)),
            repeat=split.repeat_of(fold.number),
            parts=then.parts,
        )
        now = _trained(job, study, scratch / "workers.log", tell)
        if now.result is None:
            raise NotReproduced(
                f"{fold.name} is not reproduced: trained again it ended otherwise: {now.reason}"
            )
        return _compared(fold, then, now.result, _changes(known, then, now.result))


def _logged(fold: Fold) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the facts of the study and the parameters of the trial. Raises ConfigError where the fold was not run."""
    ledger = fold.work / "ledger"
    if not (ledger / STUDY).is_file():
        raise ConfigError(f"{fold.work}: there are no results of this study under --home; is it another one?")
    known, trials, _ = read_ledger(ledger)
    row = trials[trials["trial"] == fold.trial]
    if row.empty:
        numbers = ", ".join(map(str, sorted(trials["trial"])))
        raise ConfigError(f"{fold.work.name} has no finished trial {fold.trial}; it has {numbers or 'none'}")
    told = row.iloc[0].get(f"iou_fold_{fold.number}")
    if told is None or pd.isna(told):
        ended = f"{row['state'].iloc[0]}: {row['reason'].iloc[0]}".rstrip(": ")
        count = sum(str(name).startswith("iou_fold_") for name in trials)
        raise ConfigError(
            f"trial {fold.trial} of {fold.work.name} has no fold {fold.number} ({ended}); folds are 0 to {count - 1}, "
            "and those of a second look are not trained again"
        )
    return known, json.loads(row["params"].iloc[0])


@contextmanager
def _scratch(home: Path, name: str, tell: Tell) -> Iterator[Path]:
    """Give an empty folder below the home, which is removed; also those that killed processes left."""
    place = home / FOLDER
    place.mkdir(exist_ok=True)
    for lock in place.glob("*.lock"):
        if release(lock):
            shutil.rmtree(place / lock.stem, ignore_errors=True)
    with claimed(place / f"{name}.lock", lambda: False, tell):
        try:
            shutil.rmtree(place / name, ignore_errors=True)
            (place / name).mkdir()
            yield place / name
        finally:
            shutil.rmtree(place / name, ignore_errors=True)
    with suppress(OSError):  # another fold is being trained again
        place.rmdir()


def _trained(job: FoldJob, study: Study, log: Path, tell: Tell) -> Outcome:
    """Carry out a fold run as the study does. Raises what says nothing about whether it can be reproduced."""
    with closing(build_executor(study.execute, log=log, tell=tell)) as executor:
        executor.submit(job)
        while not (ended := executor.wait_any(POLL)):
            pass
    (outcome,) = ended
    if outcome.status == "interrupted":
        raise Interrupted(outcome.reason)
    if outcome.status == "leak" or outcome.unusable:
        raise LeakageError(outcome.reason) if outcome.status == "leak" else DataError(outcome.reason)
    return outcome


def _changes(known: Mapping[str, Any], then: FoldResult, now: FoldResult) -> list[str]:
    """Return what may keep numbers from being the same."""
    changed = []
    if known.get("code") != code_digest():
        changed.append(f"other code (digest {code_digest()[:12]}, then {str(known.get('code'))[:12]})")
    before = known.get("versions", {})
    for package, number in installed().items():
        if before.get(package) != number:
            changed.append(f"other {package} ({number}, then {before.get(package)})")
    if then.device != now.device:
        changed.append(f"other device ({now.device}, then {then.device})")
    return changed


def _compared(fold: Fold, then: FoldResult, now: FoldResult, changes: list[str]) -> Reproduction:
    numbers = {name: {"then": a, "now": _numbers(now)[name]} for name, a in _numbers(then).items()}
    pictures, counts = _counts_apart(then.out_of_fold, now.out_of_fold)
    weights = _weights_apart(then, now)
    on_cpu = then.device == now.device == "cpu"
    tolerance = ON_CPU if on_cpu else NEAR
    held = numbers.values() if on_cpu else [numbers["iou"]]
    near = all(abs(both["then"] - both["now"]) <= tolerance for both in held)
    as_counted = not on_cpu or (pictures == 0 and (weights or 0.0) <= tolerance)
    matches = near and as_counted and then.indices_sha256 == now.indices_sha256
    equal = then.work() == now.work() and not weights and _tables(then) == _tables(now)
    if not matches and not changes:
        changes = [
            "code, packages and device are those of the study's last run: it was trained before that by other code, on "
            "another kind of processor, or its files were changed"
        ]
    return Reproduction(
        study=fold.work.name,
        trial=fold.trial,
        fold=fold.number,
        matches=matches,
        equal=equal,
        tolerance=tolerance,
        iou=numbers["iou"],
        numbers=numbers,
        same_pictures=then.indices_sha256 == now.indices_sha256,
        pictures_differ=pictures,
        counts_differ=counts,
        weights_differ=weights,
        device={"then": then.device, "now": now.device},
        reasons=changes,
    )


def _numbers(result: FoldResult) -> dict[str, float]:
    """Return every number of a result's work by name."""
    content = asdict(result.work())
    weights = {f"loss_weight.{term}": value for term, value in content.pop("loss_weights").items()}
    return {name: value for name, value in content.items() if isinstance(value, int | float)} | weights


def _counts_apart(then: pd.DataFrame, now: pd.DataFrame) -> tuple[int, int]:
    """Return how many photographs have another count, and by how much at most."""
    one, other = (table[list(SUMMED)].reset_index(drop=True) for table in (then, now))  # in one order
    apart = one.sub(other, fill_value=0).abs()
    return int((apart > 0).any(axis=1).sum()), int(apart.to_numpy().max())


def _weights_apart(then: FoldResult, now: FoldResult) -> float | None:
    """Return the largest difference of a weight; None where those of then were dropped."""
    path = Path(then.folder) / WEIGHTS
    if not path.is_file():
        return None
    one, other = load_file(path), load_file(now.weights)
    if {name: value.shape for name, value in one.items()} != {
        name: value.shape for name, value in other.items()
    }:
        return float("inf")
    return max(float((one[name].double() - other[name].double()).abs().max()) for name in one)


def _tables(result: FoldResult) -> dict[str, bytes]:
    """Return what is kept of the predictions, of results by older versions the counts alone."""
    kept = result.kept
    return kept.files() if kept else {"": result.out_of_fold.to_parquet()}
