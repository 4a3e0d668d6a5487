"""Keep a study in MLflow: study > trial > fold runs, found by their tags before they are made."""

import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException

from harness.errors import PromotionRefused
from harness.evaluate.scores import scores_beside
from harness.execute.task import Outcome
from harness.ranges import Value
from harness.search.trial import State, TrialPlan, TrialResult
from harness.train.checkpoint import WEIGHTS
from harness.train.foldrun import OUT_OF_FOLD, RESULT, FoldResult

NOTE = "mlflow.note.content"
STATUS: dict[str, str] = {
    "complete": "FINISHED",
    "committed": "FINISHED",
    "pruned": "KILLED",
    "collapsed": "KILLED",
    "interrupted": "KILLED",
    "failed": "FAILED",
    "leak": "FAILED",
}
LEAKAGE = ("harness.leakage", "harness.leakage_sha256")  # tags that refer to the report
REPORT = "leakage/leakage_report.json"
MOST_TRIALS = 50_000  # MLflow's limit
PARAMS_AT_ONCE = 100  # MLflow's limit
CURVES = ("loss", "lr", "gradient_norm", "iou", "predicted_share", "images_per_second")


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
class MlflowRecorder:
    """A Recorder that writes to MLflow through a client with explicit run ids."""

    client: MlflowClient
    experiment: str
    facts: StudyFacts
    _runs: dict[str, str] = field(default_factory=dict)  # key to run id
    _ended: set[str] = field(default_factory=set)  # keys
    _logged: dict[tuple[int, int], int] = field(default_factory=dict)  # last epoch in MLflow, by fold run

    def open_study(self, artifacts: Mapping[str, Path]) -> str:
        """Open the study's run and attach files under the given folders' names; return the run id."""
        tags = {"harness.level": "study", **self.facts.tags}
        run = self._open(self.facts.key, self.facts.key, None, tags, flatten(self.facts.settings))
        for folder, path in artifacts.items():
            self.client.log_artifacts(run, str(path), folder) if path.is_dir() else self.client.log_artifact(
                run, str(path), folder
            )
        self._refer(run)
        return run

    def _refer(self, study: str) -> None:
        """Let trials of an earlier start refer to the report that is attached now, of the same data and split."""
        now = {name: self.facts.tags[name] for name in LEAKAGE if name in self.facts.tags}
        trials = self.client.search_runs(
            [self.experiment], f"tags.\"mlflow.parentRunId\" = '{study}'", max_results=MOST_TRIALS
        )
        for run in (self.client.get_run(study), *trials):
            before = run.data.tags
            if any(before.get(name) != value for name, value in now.items()):
                note = before.get(NOTE, "").replace(_reference(before), _reference(self.facts.tags))
                tags = now | ({NOTE: note} if note else {})
                self.client.log_batch(run.info.run_id, tags=[RunTag(*tag) for tag in tags.items()])

    def close_study(self, state: State, reason: str, *, note: str, metrics: Mapping[str, float]) -> None:
        """Close the study's run with its leaderboard as description, and what else is still open as interrupted."""
        for key in self._runs.keys() - self._ended - {self.facts.key}:
            self._end(key, "interrupted", reason)
        run = self._runs[self.facts.key]
        self.client.log_batch(run, metrics=_metrics(metrics, 0), tags=[RunTag(NOTE, note)])
        self._end(self.facts.key, state, reason)

    def open_trial(self, plan: TrialPlan) -> None:
        kind = "baseline" if plan.baseline else "searched"
        tags = {
            "harness.level": "trial",
            "harness.trial": str(plan.number),
            "harness.kind": kind,
            **self.facts.tags,
        }
        name = f"trial {plan.number:03d} {plan.study.loss.name}"
        params = flatten(plan.study.decisive())
        self._open(self._trial(plan.number), name, self.facts.key, tags, params)

    def open_fold(self, trial: int, fold: int) -> None:
        key = self._fold(trial, fold)
        tags = {"harness.level": "fold", "harness.trial": str(trial), "harness.fold": str(fold)}
        run = self._open(key, f"fold {fold}", self._trial(trial), tags, {})
        history = self.client.get_metric_history(run, "loss")
        self._logged[trial, fold] = max((metric.step for metric in history), default=0)

    def log_epochs(self, trial: int, fold: int, epochs: Sequence[Mapping[str, Any]]) -> None:
        # a fold run trained again after a stop repeats its epochs to the bit: those here already are not sent twice
        new = [epoch for epoch in epochs if epoch["number"] > self._logged[trial, fold]]
        curves = [
            metric
            for epoch in new
            for metric in _metrics({k: epoch[k] for k in CURVES if epoch[k] is not None}, epoch["number"])
        ]
        if new:
            self.client.log_batch(self._runs[self._fold(trial, fold)], metrics=curves)
            self._logged[trial, fold] = new[-1]["number"]

    def close_fold(self, outcome: Outcome) -> None:
        key = self._fold(*outcome.key)
        run = self._runs[key]
        if outcome.result is not None:
            self._log_result(run, outcome.result)
        self._end(key, outcome.status, outcome.reason)

    def close_trial(self, result: TrialResult) -> None:
        key = self._trial(result.plan.number)
        self.client.log_batch(
            self._runs[key],
            metrics=_metrics(result.metrics(), 0),
            tags=[RunTag(NOTE, trial_note(result, self.facts.tags))],
        )
        self._end(key, result.state, result.reason)

    def _log_result(self, run: str, result: FoldResult) -> None:
        numbers = {
            "best_iou": result.best_iou,
            "best_epoch": result.best_epoch,
            "seconds": result.seconds,
            "coverage": result.coverage,
            **{f"loss_weight.{term}": weight for term, weight in result.loss_weights.items()},
            **scores_beside(result.out_of_fold),
        }
        tags = {"harness.device": result.device, "harness.indices_sha256": result.indices_sha256}
        self.client.log_batch(
            run,
            metrics=_metrics(numbers, result.epochs),
            tags=[RunTag(name, value) for name, value in tags.items()],
        )
        for name in (WEIGHTS, OUT_OF_FOLD, RESULT):
            self.client.log_artifact(run, str(Path(result.folder) / name))

    def _open(
        self, key: str, name: str, parent: str | None, tags: Mapping[str, str], params: Mapping[str, Value]
    ) -> str:
        """Return the run with this key, set running again when it was left, or made new."""
        found = _find(self.client, self.experiment, key)
        if found:
            run = str(found[0].info.run_id)
            self.client.update_run(run, status="RUNNING")
            self.client.log_batch(run, tags=_state_tags("running", ""))
        else:
            run = self._create(key, name, parent, tags)
        self._runs[key] = run
        self._ended.discard(key)
        self._log_params(run, params)
        return run

    def _create(self, key: str, name: str, parent: str | None, tags: Mapping[str, str]) -> str:
        own = {"harness.fold_run": key, "harness.state": "running"} | dict(tags)
        if parent is not None:
            own["mlflow.parentRunId"] = self._runs[parent]
        run = self.client.create_run(self.experiment, run_name=name, tags=own)
        dataset = Dataset(
            name=self.facts.data_name,
            digest=self.facts.data_digest[:36],  # all that MLflow keeps
            source_type="local",
            source=self.facts.data_source,
        )
        context = InputTag("mlflow.data.context", "cross-validation")
        self.client.log_inputs(run.info.run_id, [DatasetInput(dataset, [context])])
        return str(run.info.run_id)

    def _log_params(self, run: str, params: Mapping[str, Value]) -> None:
        entities = [Param(name, str(value)) for name, value in params.items()]
        for start in range(0, len(entities), PARAMS_AT_ONCE):
            self.client.log_batch(run, params=entities[start : start + PARAMS_AT_ONCE])

    def _end(self, key: str, state: str, reason: str) -> None:
        run = self._runs[key]
        self.client.log_batch(run, tags=_state_tags(state, reason))
        self.client.set_terminated(run, STATUS[state])
        self._ended.add(key)

    def _trial(self, trial: int) -> str:
        return f"{self.facts.key}/{trial}"

    def _fold(self, trial: int, fold: int) -> str:
        return f"{self.facts.key}/{trial}/{fold}"


def find_trial_run(client: MlflowClient, experiment: str, study_key: str, trial: int) -> str:
    """Return the run id of a trial. Raises PromotionRefused when MLflow does not have it."""
    found = client.get_experiment_by_name(experiment)
    runs = _find(client, str(found.experiment_id), f"{study_key}/{trial}") if found else []
    if not runs:
        raise PromotionRefused(
            f"experiment {experiment!r}: no run of trial {trial} of {study_key} in this tracking store; "
            f"was MLFLOW_TRACKING_URI another one when it ran?"
        )
    return str(runs[0].info.run_id)


def attached_report(client: MlflowClient, experiment: str, study_key: str) -> bytes:
    """Return the leakage report on a study's run. Raises PromotionRefused when MLflow does not have it."""
    found = client.get_experiment_by_name(experiment)
    runs = _find(client, str(found.experiment_id), study_key) if found else []
    with tempfile.TemporaryDirectory() as folder:
        try:
            return Path(client.download_artifacts(runs[0].info.run_id, REPORT, folder)).read_bytes()
        except (IndexError, OSError, MlflowException) as error:
            raise PromotionRefused(
                f"{study_key}: no leakage report is attached to its run in this tracking store; "
                "run the study again, which audits and attaches it anew"
            ) from error


def referred_report(client: MlflowClient, run: str) -> str:
    """Return the SHA-256 of the leakage report that a run refers to, or nothing."""
    return str(client.get_run(run).data.tags.get(LEAKAGE[1], ""))


def _find(client: MlflowClient, experiment: str, key: str) -> list[Run]:
    return list(client.search_runs([experiment], f"tags.\"harness.fold_run\" = '{key}'", max_results=1))


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
    return "\n".join([*lines, "", _reference(tags)])


def _reference(tags: Mapping[str, str]) -> str:
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


def _state_tags(state: str, reason: str) -> list[RunTag]:
    return [RunTag("harness.state", state), RunTag("harness.reason", reason)]


def _metrics(values: Mapping[str, float], step: int) -> list[Metric]:
    now = int(time.time() * 1000)
    return [Metric(name, float(value), now, step) for name, value in values.items()]
