"""Bring messages to MLflow so that one delivered twice is stored once: runs are looked for before they are made."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, Run, RunTag
from mlflow.exceptions import ERROR_CODE_TO_HTTP_STATUS, MlflowException

from harness.errors import TrackingError
from harness.tracking.attachments import attach
from harness.tracking.home import HOME, PLACE, place
from harness.tracking.outbox import Message
from harness.tracking.recorder import LEAKAGE, NOTE, leakage_reference
from harness.tracking.runs import KEY, OwnRuns, fullest_first
from harness.tracking.store import Store

STATUS: dict[str, str] = {
    "complete": "FINISHED",
    "committed": "FINISHED",
    "pruned": "KILLED",
    "collapsed": "KILLED",
    "interrupted": "KILLED",
    "failed": "FAILED",
    "leak": "FAILED",
}
LEFT = "its driver ended without closing it"
PARENT = "mlflow.parentRunId"
ORPHAN = "harness.orphan"  # tag: why a study's run stands alone
METRICS_AT_ONCE, PARAMS_AT_ONCE = 1000, 100  # MLflow's limits


@dataclass(frozen=True)
class _Stored:
    """What a run had already when it was found: another outbox, which was lost, may have told of it at other times."""

    epochs: Mapping[int, int] = field(default_factory=dict)  # with their times, in ms
    numbers: Mapping[str, float] = field(default_factory=dict)  # by name, the last ones


@dataclass
class Delivery:
    """Delivers the messages of one study, whose work folder holds the files they name."""

    store: Store
    key: str  # <name>-<id8>
    work: Path
    home: str  # the id of the home that the study's runs belong to
    experiment: str = ""  # its id, once the store was asked
    restored: list[str] = field(default_factory=list)  # keys of runs that somebody had deleted, and are back
    _client: MlflowClient | None = None
    _runs: dict[str, str] = field(default_factory=dict)  # key to run id
    _found: dict[str, _Stored] = field(default_factory=dict)  # of runs found there, by key

    @property
    def client(self) -> MlflowClient:
        """The client, made when it is first needed; a database is then brought up to date."""
        self._client = self._client or self.store.client()
        return self._client

    @property
    def runs(self) -> OwnRuns:
        """The study's runs, once the store was asked."""
        return OwnRuns(self.client, self.experiment, self.key, self.home)

    def ask(self) -> None:
        """Ask the store for the study's experiment, made when it is not there. Raises what keeps it from answering."""
        self.experiment = self.store.experiment(self.client, self.key.rpartition("-")[0])

    def deliver(self, messages: Sequence[Message]) -> None:
        """Deliver one message, or several in which epochs are told. Raises what MLflow says."""
        if not self.experiment:
            self.ask()
        known = bool(self._runs)
        try:
            self._deliver_each(messages)
        except Exception as error:
            self._runs.clear()  # what was known of them may be what is wrong: somebody deleted one
            if not (known and is_for_good(error)):
                raise
            self._deliver_each(messages)

    def _deliver_each(self, messages: Sequence[Message]) -> None:
        for kind, group in itertools.groupby(messages, key=lambda message: message["kind"]):
            for message in _joined(group) if kind == "log" else group:
                self._deliver(kind, message)

    def close_left(self, reason: str = LEFT, *, whole: bool = False) -> list[str]:
        """End the trials' and folds' runs that are open, or the `whole` study's; return their keys."""
        if not self.experiment:
            self.ask()
        found = self.runs.below("RUNNING")
        if whole:
            found += [run for run in self.runs.with_key(self.key) if run.info.status == "RUNNING"]
        for run in found:
            self.close(run, "interrupted", reason)
        return [run.data.tags[KEY] for run in found]

    def close(self, run: Run, state: str, reason: str) -> None:
        """End a run in a state."""
        self.client.log_batch(run.info.run_id, tags=_state_tags(state, reason))
        self.client.set_terminated(run.info.run_id, STATUS[state])

    def _deliver(self, kind: str, message: Message) -> None:
        match kind:
            case "study":
                self._open_study(message)
            case "open":
                self._open(message)
            case "log":
                self._log(message)
            case "end":
                self._end(message)
            case _:
                raise TrackingError(f"a message of kind {kind!r} cannot be delivered")

    def _open_study(self, message: Message) -> None:
        run = self._open(message)
        attach(self.client, run, self.work, message["files"])
        self._refer(run, message["tags"])
        self.close_left()

    def _refer(self, study: str, tags: Mapping[str, str]) -> None:
        """Let trials of an earlier start refer to the report that is attached now, of the same data and split."""
        now = {name: tags[name] for name in LEAKAGE if name in tags}
        trials = [run for run in self.runs.below() if run.data.tags.get("harness.level") == "trial"]
        for run in (self.client.get_run(study), *trials):
            before = run.data.tags
            if any(before.get(name) != value for name, value in now.items()):
                note = before.get(NOTE, "").replace(leakage_reference(before), leakage_reference(tags))
                changed = now | ({NOTE: note} if note else {})
                self.client.log_batch(run.info.run_id, tags=_tags(changed))

    def _open(self, message: Message) -> str:
        """Return the run with this key, set running again when it was left, or made new."""
        found = self._look_up(message["key"])
        if found is not None:
            run = str(found.info.run_id)
            self.client.update_run(run, status="RUNNING")
            # what it refers to is kept: of all trials that is changed together with their descriptions
            tags = {name: value for name, value in self._tags_of(message).items() if name not in LEAKAGE}
            self.client.log_batch(run, tags=_tags(tags) + _state_tags("running", ""))
            if ORPHAN in found.data.tags:  # its work was away and is here
                self.client.delete_tag(run, ORPHAN)
        else:
            run = self._create(message)
        if found is None or not (found.inputs and found.inputs.dataset_inputs):
            self._log_data(run, message["data"])
        params = [Param(name, str(value)) for name, value in message["params"].items()]
        for some in _at_most(PARAMS_AT_ONCE, params):
            self.client.log_batch(run, params=some)
        return run

    def _create(self, message: Message) -> str:
        tags = {KEY: message["key"], HOME: self.home, "harness.state": "running", **self._tags_of(message)}
        made = self.client.create_run(
            self.experiment, start_time=message["time"], run_name=message["name"], tags=tags
        )
        self._runs[message["key"]] = str(made.info.run_id)
        return str(made.info.run_id)

    def _tags_of(self, message: Message) -> dict[str, str]:
        """Return the tags that a run has from its opening: what it is, and where it stands."""
        tags: dict[str, str] = dict(message["tags"])
        if "parent" in message:
            return tags | {PARENT: self._run(message["parent"])}
        return tags | {PLACE: place(self.work.parents[1])}

    def _log_data(self, run: str, data: Sequence[str]) -> None:
        name, digest, source = data
        dataset = Dataset(name=name, digest=digest[:36], source_type="local", source=source)  # all it keeps
        context = InputTag("mlflow.data.context", "cross-validation")
        self.client.log_inputs(run, [DatasetInput(dataset, [context])])

    def _log(self, message: Message) -> None:
        key = message["key"]
        run, stored = self._run(key), self._found.get(key, _Stored()).epochs
        new = [point for point in message["metrics"] if stored.get(point[2], point[3]) == point[3]]
        for some in _at_most(METRICS_AT_ONCE, _metrics(new)):
            self.client.log_batch(run, metrics=some)

    def _end(self, message: Message) -> None:
        key, state, reason = (message[name] for name in ("key", "state", "reason"))
        run = self._run(key)
        if key == self.key:
            self.close_left(reason)
        stored = self._found.get(key, _Stored()).numbers
        new = [point for point in message["metrics"] if stored.get(point[0]) != point[1]]
        tags = _tags(message["tags"]) + _state_tags(state, reason)
        self.client.log_batch(run, metrics=_metrics(new), tags=tags)
        attach(self.client, run, self.work, message["files"])
        self.client.set_terminated(run, STATUS[state], end_time=message["time"])

    def _run(self, key: str) -> str:
        """Return the id of the run with this key. Raises TrackingError when there is none."""
        if key not in self._runs and self._look_up(key) is None:
            raise TrackingError(f"there is no run {key}: its opening was refused, or it was deleted")
        return self._runs[key]

    def _look_up(self, key: str) -> Run | None:
        """Return the run with this key, remembered from now on; where it was deleted in MLflow's pages, it is restored.

        A request that was given up may have made one after the next was made: the emptier of two is deleted.
        """
        known = self._runs.get(key)
        found = fullest_first(self.runs.with_key(key))
        found.sort(key=lambda run: run.info.run_id != known)
        for twin in found[1:]:
            self.client.delete_run(twin.info.run_id)
        run = found[0] if found else self._restored(key)
        if run is None:
            return None
        if known is None:
            self._found[key] = _Stored(self._epochs(run), run.data.metrics)
        self._runs[key] = str(run.info.run_id)
        return run

    def _restored(self, key: str) -> Run | None:
        deleted = fullest_first(self.runs.with_key(key, deleted=True))
        if not deleted:
            return None
        self.client.restore_run(deleted[0].info.run_id)
        self.restored.append(key)
        return self.client.get_run(deleted[0].info.run_id)

    def _epochs(self, run: Run) -> dict[int, int]:
        if "loss" not in run.data.metrics:
            return {}
        history = self.client.get_metric_history(run.info.run_id, "loss")
        return {point.step: point.timestamp for point in history}


def _joined(messages: Iterable[Message]) -> list[Message]:
    """Join what is told of the epochs of a run in several messages, so that it is sent at once."""
    points: dict[str, list[Any]] = {}
    for message in messages:
        points.setdefault(message["key"], []).extend(message["metrics"])
    return [{"kind": "log", "key": key, "metrics": metrics} for key, metrics in points.items()]


def _at_most(size: int, items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _metrics(points: Iterable[Sequence[Any]]) -> list[Metric]:
    return [Metric(name, value, when, step) for name, value, step, when in points]


def _tags(tags: Mapping[str, str]) -> list[RunTag]:
    return [RunTag(name, value) for name, value in tags.items()]


def _state_tags(state: str, reason: str) -> list[RunTag]:
    return [RunTag("harness.state", state), RunTag("harness.reason", reason)]


def is_for_good(error: Exception) -> bool:
    """Tell whether MLflow, or we ourselves, will say the same of this message whenever it is sent."""
    if isinstance(error, MlflowException):
        return bool(ERROR_CODE_TO_HTTP_STATUS.get(error.error_code) == 400)
    return isinstance(error, TrackingError | KeyError | TypeError | ValueError)


def asks_to_wait(error: Exception) -> bool:
    """Tell whether the store is busy, or its database locked."""
    status = ERROR_CODE_TO_HTTP_STATUS.get(getattr(error, "error_code", ""))
    return status in (429, 503, 504)
