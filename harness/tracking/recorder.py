"""A Recorder that asks nobody: what the search tells becomes messages of runs in the study's outbox."""

import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.evaluate.scores import fold_scores
from harness.execute.task import Outcome
from harness.model.outoffold import FILES, ROWS
from harness.ranges import Value
from harness.search.ledger import BASELINES, STUDY
from harness.search.trial import State, TrialPlan, TrialResult
from harness.tracking.outbox import Outbox
from harness.train.checkpoint import WEIGHTS
from harness.train.foldrun import RESULT, FoldResult

NOTE = "mlflow.note.content"
LEAKAGE = ("harness.leakage", "harness.leakage_sha256")  # tags that refer to the report
SHOWN = "harness.leakage_shown"  # tag: SHA-256 by name, as JSON, of the page and the table that go with it
CURVES = ("loss", "lr", "gradient_norm", "iou", "predicted_share", "images_per_second")

Point = list[Any]  # name, value, step, time in ms


@dataclass(frozen=True)
class StudyFacts:
    """What is the same for all runs of a study."""

    key: str  # <name>-<id8>
    settings: Mapping[str, Any]  # nested
    tags: Mapping[str, str]  # identity, profile, split, leakage report, versions, commit, ...
    data_name: str
    data_digest: str
    data_source: str


@dataclass
class OutboxRecorder:
    """Appends a message for each thing told; each carries its own time, so that sent twice it is stored once.

    What an earlier driver told of the same study is not told again: epochs by their number, numbers by their value.
    """

    outbox: Outbox
    facts: StudyFacts
    work: Path
    clock: Callable[[], float] = time.time
    # writes what a trial's run shows besides its folds' files, and returns it
    draw: Callable[[TrialResult], Sequence[tuple[Path, str]]] = lambda _: ()
    _latest: int = 0  # ms
    _opened: set[str] = field(default_factory=set)  # keys
    _epochs: dict[str, dict[int, int]] = field(default_factory=dict)  # told, with their times, by key
    _before: dict[str, dict[int, int]] = field(
        default_factory=dict
    )  # those told of runs whose opening was lost
    _told: dict[tuple[str, str, int], Point] = field(default_factory=dict)  # by key, name and step
    _folders: dict[str, set[str]] = field(default_factory=dict)  # of files that were told, by key
    _states: dict[str, str] = field(default_factory=dict)  # that runs which were opened ended in, by key

    def __post_init__(self) -> None:
        for _, message in self.outbox.messages():
            self._remember(message)

    def knows(self, trial: int | None = None, fold: int | None = None) -> bool:
        """Tell whether the run of the study, of a trial or of a fold was opened."""
        return self._key(trial, fold) in self._opened

    def end_of(self, trial: int | None = None, fold: int | None = None) -> str:
        """Return the state that a run which was opened was told to have ended in, nothing of one that is open."""
        return self._states.get(self._key(trial, fold), "")

    def lacks_epochs(self, trial: int, fold: int, epochs: Sequence[Mapping[str, Any]]) -> bool:
        """Tell whether some of these were not told since the fold run was opened."""
        return bool(self._curves(self._fold(trial, fold), epochs))

    def open_study(self, artifacts: Sequence[tuple[Path, str]]) -> None:
        """Open the study's run with files, each in the folder named with it; what a killed driver left is ended."""
        shown = [path for folder, name in artifacts if name == "leakage" for path in sorted(folder.glob("*"))]
        digests = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in shown}
        tags = {"harness.level": "study", SHOWN: json.dumps(digests), **self.facts.tags}
        self._tell(
            "study",
            self.facts.key,
            name=self.facts.key,
            tags=tags,
            params=flatten(self.facts.settings),
            files=[[self._place(path), folder] for path, folder in artifacts],
        )

    def close_study(
        self,
        state: State,
        reason: str,
        *,
        note: str,
        metrics: Mapping[str, float],
        files: Sequence[tuple[Path, str]] = (),
    ) -> None:
        """Close the study's run, `note` being its description, and what else is still open as interrupted.

        Files are attached, each in the folder named with it.
        """
        if self.knows():
            points = self._points(self.facts.key, metrics)
            self._end(self.facts.key, state, reason, tags={NOTE: note}, points=points, files=files)

    def open_trial(self, plan: TrialPlan) -> None:
        tags = {
            "harness.level": "trial",
            "harness.trial": str(plan.number),
            "harness.kind": "baseline" if plan.baseline else "searched",
            **self.facts.tags,
        }
        self._tell(
            "open",
            self._trial(plan.number),
            name=f"trial {plan.number:03d} {plan.study.loss.name}",
            parent=self.facts.key,
            tags=tags,
            params=flatten(plan.study.decisive()),
        )

    def open_fold(self, trial: int, fold: int) -> None:
        tags = {"harness.level": "fold", "harness.trial": str(trial), "harness.fold": str(fold)}
        parent = self._trial(trial)
        self._tell("open", self._fold(trial, fold), name=f"fold {fold}", parent=parent, tags=tags, params={})

    def log_epochs(self, trial: int, fold: int, epochs: Sequence[Mapping[str, Any]]) -> None:
        # a fold run trained again after a stop repeats its epochs to the bit
        key = self._fold(trial, fold)
        curves = self._curves(key, epochs)
        if curves:
            self._tell("log", key, metrics=curves)

    def _curves(self, key: str, epochs: Sequence[Mapping[str, Any]]) -> list[Point]:
        """Return the points of the epochs that were not told, those told before the opening with the same times."""
        now, told, before = self._now(), self._epochs.get(key, {}), self._before.get(key, {})
        return [
            [name, float(epoch[name]), epoch["number"], before.get(epoch["number"], now)]
            for epoch in epochs
            for name in CURVES
            if epoch["number"] not in told and epoch[name] is not None
        ]

    def close_fold(self, outcome: Outcome) -> None:
        key, result = self._fold(*outcome.key), outcome.result
        if result is None:
            self._end(key, outcome.status, outcome.reason)
            return
        self._end(
            key,
            outcome.status,
            outcome.reason,
            tags={"harness.device": result.device, "harness.indices_sha256": result.indices_sha256},
            points=self._points(key, _numbers(result), result.epochs),
            files=[(Path(result.folder) / name, "") for name in _shown(Path(result.folder))],
        )

    def close_trial(self, result: TrialResult) -> None:
        key, tags = self._trial(result.plan.number), {NOTE: trial_note(result, self.facts.tags)}
        points, files = self._points(key, result.metrics()), self.draw(result)
        self._end(key, result.state, result.reason, tags=tags, points=points, files=files)

    def has_shown(self, trial: int, folder: str) -> bool:
        """Tell whether files in a folder of this name were told to hang on a trial's run."""
        return folder in self._folders.get(self._trial(trial), ())

    def _end(
        self,
        key: str,
        state: str,
        reason: str,
        *,
        tags: Mapping[str, str] | None = None,
        points: Sequence[Point] = (),
        files: Sequence[tuple[Path, str]] = (),
    ) -> None:
        placed = [[self._place(path), folder] for path, folder in files]
        told = {"tags": dict(tags or {}), "metrics": list(points), "files": placed}
        self._tell("end", key, state=state, reason=reason, **told)

    def _points(self, key: str, metrics: Mapping[str, float], step: int = 0) -> list[Point]:
        return [self._point(key, name, float(value), step) for name, value in metrics.items()]

    def _point(self, key: str, name: str, value: float, step: int) -> Point:
        known = self._told.get((key, name, step))
        return known if known is not None and known[1] == value else [name, value, step, self._now()]

    def _tell(self, kind: str, key: str, **values: Any) -> None:
        message = {"kind": kind, "key": key, "time": self._now(), **values}
        if kind in ("study", "open"):
            message["data"] = [self.facts.data_name, self.facts.data_digest, self.facts.data_source]
        self.outbox.append(message)
        self._remember(message)

    def _remember(self, message: Mapping[str, Any]) -> None:
        key = message.get("key", "")
        self._latest = max(self._latest, message.get("time", 0))
        match message["kind"]:
            case "study" | "open":
                self._opened.add(key)
                self._states.pop(key, None)
            case "log":
                told = self._epochs if key in self._opened else self._before
                told.setdefault(key, {}).update({step: when for _, _, step, when in message["metrics"]})
            case "end":
                self._folders.setdefault(key, set()).update(folder for _, folder in message["files"])
                self._told |= {(key, point[0], point[2]): point for point in message["metrics"]}
                if key in self._opened:
                    self._states[key] = message["state"]

    def _now(self) -> int:
        """Return the time in ms, never before what was told last: MLflow takes the latest number for the last one."""
        self._latest = max(self._latest, int(self.clock() * 1000))
        return self._latest

    def _place(self, path: Path) -> str:
        """Return a path as seen from the work folder, since the home may move."""
        return os.path.relpath(path.resolve(), self.work.resolve())

    def _key(self, *below: int | None) -> str:
        return "/".join([self.facts.key, *(str(number) for number in below if number is not None)])

    def _trial(self, trial: int) -> str:
        return f"{self.facts.key}/{trial}"

    def _fold(self, trial: int, fold: int) -> str:
        return f"{self.facts.key}/{trial}/{fold}"


def study_files(work: Path, split: Path) -> list[tuple[Path, str]]:
    """Return the files and folders on the study's run, with the folder each is shown in."""
    ledger = work / "ledger"
    return [
        (work / "leakage", "leakage"),
        (split, "split"),
        (ledger / STUDY, "study"),
        (ledger / BASELINES, "study"),
    ]


def _shown(folder: Path) -> list[str]:
    """Return the names of a fold run's files to attach; one committed before tables were added lacks those."""
    return [WEIGHTS, *(name for name in FILES if name == ROWS or (folder / name).is_file()), RESULT]


def _numbers(result: FoldResult) -> dict[str, float]:
    return {
        "best_iou": result.best_iou,
        "best_epoch": result.best_epoch,
        "seconds": result.seconds,
        "coverage": result.coverage,
        **{f"loss_weight.{term}": weight for term, weight in result.loss_weights.items()},
        **fold_scores(result.out_of_fold, result.kept),
    }


def trial_note(result: TrialResult, tags: Mapping[str, str]) -> str:
    """Return a trial's description in Markdown: score, folds, parameters, leakage report."""
    lines = [f"**{result.state}**{': ' + result.reason if result.reason else ''}", ""]
    if result.iou_mean is not None:
        lines += [
            f"IoU **{result.iou_mean:.4f} ± {result.iou_std:.4f}** (mean ± std over {len(result.folds)} folds)",
            "",
        ]
    lines += ["| fold | IoU (last epoch) | best epoch | its IoU |", "|---|---|---|---|"]
    lines += [
        f"| {f.fold} | {f.iou:.4f} | {f.best_epoch} of {f.epochs} | {f.best_iou:.4f} |" for f in result.folds
    ]
    lines += ["", "| parameter | value |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in result.plan.params.items()]
    return "\n".join([*lines, "", leakage_reference(tags)])


def leakage_reference(tags: Mapping[str, str]) -> str:
    """Return the line that refers to the leakage report."""
    verdict, digest = (tags.get(name, "?") for name in LEAKAGE)
    return f"Leakage report (on the study's run): {verdict}, SHA-256 `{digest}`"


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Value]:
    """Return nested settings as dotted ones; a choice becomes `loss = tversky`, `loss.tversky.fn_weight = 0.7`."""
    flat: dict[str, Value] = {}
    for name, value in tree.items():
        path = f"{prefix}{name}"
        if isinstance(value, Mapping) and set(value) == {"name", "settings"}:
            flat[path] = value["name"]
            flat |= flatten(value["settings"], f"{path}.{value['name']}.")
        elif isinstance(value, Mapping):
            flat |= flatten(value, f"{path}.")
        else:
            flat[path] = value
    return flat
