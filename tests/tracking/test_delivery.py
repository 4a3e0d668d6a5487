"""What MLflow holds of a study once its messages are delivered, on a real SQLite store."""

import json
import shutil
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from mlflow.entities import Metric, Run

from harness.errors import TrackingError
from harness.execute.task import Outcome
from harness.model.outoffold import FILES
from harness.search.trial import TrialResult
from harness.tracking.delivery import Delivery, is_for_good
from harness.tracking.recorder import OutboxRecorder
from harness.tracking.runs import attached_report, own_runs, referred_report
from harness.tracking.store import Store
from harness.train.checkpoint import commit
from tests.tracking.test_recorder import epoch, fold_result, plan, recorder_of


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, empty_mlflow: Path) -> Store:
    home = tmp_path_factory.mktemp("home")
    shutil.copy(empty_mlflow, home / "mlflow.db")
    return Store(f"sqlite:///{home / 'mlflow.db'}", home / "artifacts")


HERE = "0123" * 8  # the id of the home of these studies


@dataclass
class Told:
    """A study of these tests: what it is told goes to an outbox, and from there to MLflow when asked for."""

    store: Store
    work: Path
    key: str

    def start(self, tags: Mapping[str, str] | None = None) -> OutboxRecorder:
        return recorder_of(self.work, self.key, tags)

    def deliver(self, *, since: int = 0) -> None:
        """Deliver all messages from number `since` on by a sender that knows of nothing before."""
        delivery = Delivery(self.store, self.key, self.work, HERE)
        for _, message in list(self.start().outbox.messages())[since:]:
            delivery.deliver([message])

    def run(self, below: str = "") -> Run:
        client = self.store.client()
        found = client.search_runs(
            [self.store.experiment(client, "tiny")], f"tags.\"harness.fold_run\" = '{self.key}{below}'"
        )
        assert len(found) == 1, f"{len(found)} runs {self.key}{below}"
        return found[0]

    def rows(self) -> int:
        """Return how many points of metrics the store has of this study's runs."""
        with sqlite3.connect(self.store.uri.removeprefix("sqlite:///")) as database:
            query = "SELECT count(*) FROM metrics JOIN tags USING (run_uuid) WHERE tags.key = 'harness.fold_run' AND "
            found = database.execute(query + "tags.value LIKE ?", [f"{self.key}%"]).fetchone()
        database.close()
        return int(found[0])

    def produced(self) -> int:
        points = {
            (m["key"], *point[:3])
            for _, m in self.start().outbox.messages()
            if "metrics" in m
            for point in m["metrics"]
        }
        return len(points)


@pytest.fixture
def told(store: Store, tmp_path: Path, request: pytest.FixtureRequest) -> Told:
    return Told(store, tmp_path, f"tiny-{abs(hash(request.node.name)) % 10**8:08d}")


def whole_study(told: Told) -> TrialResult:
    """Tell of a study of one trial with two folds, from its opening to its end."""
    recorder = told.start()
    (told.work / "leakage").mkdir(exist_ok=True)
    (told.work / "leakage" / "leakage_report.json").write_text(json.dumps({"verdict": "pass"}))
    recorder.open_study([(told.work / "leakage", "leakage")])
    recorder.open_trial(plan(0))
    results = []
    for fold in range(2):
        recorder.open_fold(0, fold)
        recorder.log_epochs(0, fold, [epoch(1), epoch(2)])
        results.append(fold_result(told.work, fold, 0.25 + fold / 3))
        recorder.close_fold(Outcome((0, fold), "committed", results[-1]))
    result = TrialResult(plan(0), "complete", results)
    recorder.close_trial(result)
    recorder.close_study("complete", "", note="| trial |", metrics={"best_iou_mean": 0.5})
    return result


def test_a_study_has_its_scores_folds_curves_and_files(told: Told) -> None:
    result = whole_study(told)
    told.deliver()
    study, trial, fold = told.run(), told.run("/0"), told.run("/0/1")
    assert {run.info.status for run in (study, trial, fold)} == {"FINISHED"}
    assert trial.data.metrics["iou_mean"] == result.iou_mean
    assert trial.data.metrics["iou_std"] == result.iou_std
    assert trial.data.metrics["iou_fold_1"] == result.folds[1].iou
    assert trial.data.metrics["object_recall"] == 0.5
    assert trial.data.params["loss.tversky.fn_weight"] == "0.7"
    assert trial.data.tags["mlflow.parentRunId"] == study.info.run_id
    assert fold.data.tags["mlflow.parentRunId"] == trial.info.run_id
    assert trial.inputs.dataset_inputs[0].dataset.digest == "d" * 36
    assert fold.data.tags["harness.device"] == "cpu"
    assert fold.data.tags["harness.indices_sha256"] == "abc"
    assert fold.data.metrics["loss_weight.dice"] == 1.0
    assert study.data.tags["mlflow.note.content"] == "| trial |"
    client = told.store.client()
    curve = client.get_metric_history(fold.info.run_id, "loss")
    assert [(point.step, point.value) for point in curve] == [(1, 1.0), (2, 0.5)]
    files = {item.path for item in client.list_artifacts(fold.info.run_id)}
    assert files == {"weights.safetensors", *FILES, "result.json"}
    assert [item.path for item in client.list_artifacts(study.info.run_id, "leakage")] == [
        "leakage/leakage_report.json"
    ]
    first, last = (m["time"] for m in (list(told.start().outbox.messages())[i][1] for i in (0, -1)))
    assert (study.info.start_time, study.info.end_time) == (first, last)
    assert "harness.lost_files" not in fold.data.tags


def test_killed_after_any_message_and_told_again_nothing_is_there_twice_and_nothing_is_missing(
    told: Told,
) -> None:
    """The sender dies after each message in turn, before it has noted it, and the next one sends it again."""
    whole_study(told)
    count = len(list(told.start().outbox.messages()))
    for number in range(count):
        delivery = Delivery(told.store, told.key, told.work, HERE)
        for _, message in list(told.start().outbox.messages())[max(0, number - 1) : number + 1]:
            delivery.deliver([message])
    assert told.rows() == told.produced() > 40
    assert {told.run(below).info.status for below in ("", "/0", "/0/0", "/0/1")} == {"FINISHED"}
    told.deliver()  # and all once more
    assert told.rows() == told.produced()
    assert {told.run(below).info.status for below in ("", "/0", "/0/0", "/0/1")} == {"FINISHED"}


def test_a_sender_killed_inside_a_message_leaves_what_the_next_one_completes(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after each request in turn."""
    whole_study(told)

    class Killed(BaseException):
        pass

    for request in range(200):
        delivery, left = Delivery(told.store, told.key, told.work, HERE), request

        def killing(real: Any) -> Any:
            def called(*args: Any, **kwargs: Any) -> Any:
                nonlocal left
                answer, left = real(*args, **kwargs), left - 1
                if left < 0:
                    raise Killed
                return answer

            return called

        for name in ("create_run", "update_run", "log_batch", "log_inputs", "log_artifact", "set_terminated"):
            monkeypatch.setattr(delivery.client, name, killing(getattr(delivery.client, name)))
        try:
            delivery.deliver([m for _, m in told.start().outbox.messages()][:6])
        except Killed:
            continue
        break
    assert 15 < request < 200
    told.deliver()
    assert told.rows() == told.produced()
    assert told.run("/0").inputs.dataset_inputs
    assert {told.run(below).info.status for below in ("", "/0", "/0/0", "/0/1")} == {"FINISHED"}


@pytest.mark.parametrize(
    ("state", "status"), [("pruned", "KILLED"), ("failed", "FAILED"), ("interrupted", "KILLED")]
)
def test_a_trial_without_all_its_folds_has_no_mean_and_says_why(told: Told, state: Any, status: str) -> None:
    recorder = told.start()
    recorder.open_study([])
    recorder.open_trial(plan(1))
    folds = [fold_result(told.work, 0, 0.5)]
    recorder.close_trial(TrialResult(plan(1), state, folds, "since then all background"))
    told.deliver()
    run = told.run("/1")
    assert run.info.status == status
    assert "iou_mean" not in run.data.metrics
    assert run.data.metrics["iou_fold_0"] == 0.5
    assert run.data.tags["harness.state"] == state
    assert run.data.tags["harness.reason"] == "since then all background"


def test_what_a_killed_driver_left_open_is_ended_and_what_goes_on_is_opened_again(told: Told) -> None:
    first = told.start()
    first.open_study([])
    for trial in range(2):
        first.open_trial(plan(trial))
        first.open_fold(trial, 0)
    told.deliver()
    assert {told.run(b).info.status for b in ("", "/0", "/0/0", "/1", "/1/0")} == {"RUNNING"}
    since = len(list(first.outbox.messages()))
    second = told.start()
    second.open_study([])
    second.open_trial(plan(1))
    told.deliver(since=since)
    states = {b: told.run(b).info.status for b in ("", "/0", "/0/0", "/1", "/1/0")}
    assert states == {"": "RUNNING", "/0": "KILLED", "/0/0": "KILLED", "/1": "RUNNING", "/1/0": "KILLED"}
    assert told.run("/0/0").data.tags["harness.reason"] == "its driver ended without closing it"
    assert told.run("/1").data.tags["harness.reason"] == ""


def test_a_study_that_ends_badly_says_why_and_leaves_no_run_open(told: Told) -> None:
    recorder = told.start()
    recorder.open_study([])
    recorder.open_trial(plan(0))
    recorder.open_fold(0, 0)
    recorder.close_study("failed", "no space left", note="", metrics={})
    told.deliver()
    found = [told.run(below) for below in ("", "/0", "/0/0")]
    assert [run.info.status for run in found] == ["FAILED", "KILLED", "KILLED"]
    assert {run.data.tags["harness.reason"] for run in found} == {"no space left"}


def test_epochs_are_not_there_twice_when_the_outbox_was_lost(told: Told) -> None:
    for since, numbers in enumerate(([1, 2], [1, 2, 3])):
        recorder = told.start()
        recorder.open_study([])
        recorder.open_trial(plan(0))
        recorder.open_fold(0, 0)
        recorder.log_epochs(0, 0, [epoch(number) for number in numbers])
        told.deliver(since=since)
        (told.work / "tracking" / "messages.jsonl").write_text('{"kind": "other"}\n')  # moves the clock on
    curve = told.store.client().get_metric_history(told.run("/0/0").info.run_id, "loss")
    assert [point.step for point in curve] == [1, 2, 3]


def test_files_dropped_or_changed_before_they_were_attached_are_named_on_the_run(told: Told) -> None:
    recorder = told.start()
    recorder.open_study([])
    recorder.open_trial(plan(0))
    result = fold_result(told.work, 0, 0.5)
    folder = Path(result.folder)
    folder.rename(folder.with_name("0.working"))
    commit(folder.with_name("0.working"), folder)
    recorder.open_fold(0, 0)
    recorder.close_fold(Outcome((0, 0), "committed", result))
    (folder / "weights.safetensors").unlink()
    (folder / "result.json").write_text("changed")
    told.deliver()
    run = told.run("/0/0")
    assert run.info.status == "FINISHED"
    assert run.data.tags["harness.lost_files"] == "weights.safetensors, result.json"
    assert {f.path for f in told.store.client().list_artifacts(run.info.run_id)} == set(FILES)


def test_of_two_runs_made_for_one_key_the_emptier_is_deleted(told: Told) -> None:
    """As when a request that was given up is carried out after the next one."""
    whole_study(told)
    told.deliver()
    client, wanted = told.store.client(), told.run("/0/0").info.run_id
    twin = client.create_run(
        told.run().info.experiment_id, tags={"harness.fold_run": f"{told.key}/0/0", "harness.home": HERE}
    )
    client.log_metric(twin.info.run_id, "loss", 1.0)
    told.deliver(since=3)
    assert told.run("/0/0").info.run_id == wanted


def test_trials_of_an_earlier_start_refer_to_the_report_that_is_attached_last(told: Told) -> None:
    client, report = told.store.client(), told.work / "leakage"
    report.mkdir()
    since = 0
    for start in ("old", "new"):
        (report / "leakage_report.json").write_text(start)
        tags = {"harness.leakage": "warn", "harness.leakage_sha256": start * 20, "harness.code": start}
        recorder = told.start(tags)
        recorder.open_study([(report, "leakage")])
        if start == "old":
            recorder.open_trial(plan(0))
            recorder.close_trial(TrialResult(plan(0), "failed", [], "no reason"))
        told.deliver(since=since)
        since = len(list(recorder.outbox.messages()))
    trial = told.run("/0")
    assert attached_report(own_runs(told.store, client, told.key, HERE), told.key) == b"new"
    for run in (trial, told.run()):
        assert referred_report(client, run.info.run_id) == "new" * 20
    assert trial.data.tags["harness.code"] == "old", "it was trained with"
    assert told.run().data.tags["harness.code"] == "new"
    assert "new" * 20 in trial.data.tags["mlflow.note.content"]
    assert "old" * 20 not in trial.data.tags["mlflow.note.content"]
    assert trial.data.tags["harness.state"] == "failed"


def test_many_epochs_told_together_are_few_requests(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = told.start()
    recorder.open_study([])
    recorder.open_trial(plan(0))
    recorder.open_fold(0, 0)
    told.deliver()
    since = len(list(recorder.outbox.messages()))
    for number in range(1, 251):
        recorder.log_epochs(0, 0, [epoch(number)])
    delivery, sizes = Delivery(told.store, told.key, told.work, HERE), list[int]()
    real = delivery.client.log_batch

    def counted(run: str, metrics: list[Metric]) -> None:
        sizes.append(len(metrics))
        real(run, metrics=metrics)

    monkeypatch.setattr(delivery.client, "log_batch", counted)
    delivery.deliver([m for _, m in recorder.outbox.messages()][since:])
    assert sizes == [1000, 375]
    assert told.rows() == told.produced() == 1375


def test_what_cannot_ever_be_delivered_is_told_apart_from_what_can_later(told: Told) -> None:
    recorder = told.start()
    recorder.open_fold(0, 0)
    with pytest.raises(TrackingError, match=f"there is no run {told.key}/0: ") as no_parent:
        told.deliver()
    assert is_for_good(no_parent.value)
    assert not is_for_good(ConnectionError("refused"))
    with pytest.raises(TrackingError, match="kind 'damaged'"):
        Delivery(told.store, told.key, told.work, HERE).deliver([{"kind": "damaged"}])
