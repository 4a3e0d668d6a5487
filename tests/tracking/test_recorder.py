"""What the search tells as messages: each once, with a time of its own, whatever is told again after a stop."""

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from harness.config import Study
from harness.execute.task import Outcome
from harness.model.outoffold import FILES, Collector
from harness.search.trial import TrialPlan, TrialResult
from harness.tracking.outbox import Outbox
from harness.tracking.recorder import OutboxRecorder, StudyFacts, flatten
from harness.train.foldrun import FoldResult

SETTINGS: dict[str, Any] = {
    "name": "tiny",
    "data": {"dataset": "demo"},
    "network": "unet",
    "loss": {"tversky": {"fn_weight": 0.7}},
    "search": {"trials": 1},
}


def recorder_of(work: Path, key: str = "tiny-1", tags: Mapping[str, str] | None = None) -> OutboxRecorder:
    """Return the recorder of a new start, whose clock ticks a second each time it is looked at."""
    seconds = iter(range(1000 * (1 + sum(1 for _ in Outbox(work).messages())), 10**9))
    facts = StudyFacts(key, SETTINGS, tags or {"harness.seed": "17"}, "demo", "d" * 64, "somewhere")
    return OutboxRecorder(Outbox(work), facts, work, clock=lambda: float(next(seconds)))


def plan(number: int) -> TrialPlan:
    return TrialPlan(number, {"loss": "tversky"}, Study.model_validate(SETTINGS), baseline=number == 0)


def fold_result(work: Path, fold: int, iou: float, trial: int = 0) -> FoldResult:
    folder = work / str(trial) / str(fold)
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("weights.safetensors", "result.json"):
        (folder / name).write_text(name)
    collector = Collector(fold)
    truth, logits = np.array([[1, 1, 0], [0] * 3, [1, 0, 0]], np.uint8), np.full((3, 3), -1, np.float32)
    logits[0] = 1
    collector.add("p", "g", logits, truth)
    for name, content in collector.tables().files().items():
        (folder / name).write_bytes(content)
    return FoldResult(fold, iou, iou + 0.1, 1, 2, 3.0, 0.01, "cpu", "abc", {"dice": 1.0}, str(folder))


def epoch(number: int) -> dict[str, Any]:
    values = {"loss": 1.0 / number, "lr": 0.1, "gradient_norm": 1.0, "seconds": 1.0, "images_per_second": 9.0}
    return {"number": number, **values, "iou": 0.5 if number % 2 == 0 else None, "predicted_share": 0.1}


def messages(recorder: OutboxRecorder, kind: str) -> list[Mapping[str, Any]]:
    return [message for _, message in recorder.outbox.messages() if message["kind"] == kind]


def test_epochs_told_before_a_stop_are_not_told_again(tmp_path: Path) -> None:
    first = recorder_of(tmp_path)
    first.open_fold(0, 0)
    first.log_epochs(0, 0, [epoch(1), epoch(2)])
    second = recorder_of(tmp_path)
    second.open_fold(0, 0)
    second.log_epochs(0, 0, [epoch(1)])
    second.log_epochs(0, 0, [epoch(2), epoch(3)])
    steps = [[point[2] for point in m["metrics"] if point[0] == "loss"] for m in messages(second, "log")]
    assert steps == [[1, 2], [3]]


def test_a_number_told_again_keeps_its_time_and_another_one_does_not(tmp_path: Path) -> None:
    result = fold_result(tmp_path, 0, 0.5)
    for _ in range(2):
        recorder_of(tmp_path).close_fold(Outcome((0, 0), "committed", result))
    recorder = recorder_of(tmp_path)
    recorder.close_fold(Outcome((0, 0), "committed", replace(result, seconds=4.0)))
    one, two, three = ({p[0]: p[1:] for p in m["metrics"]} for m in messages(recorder, "end"))
    assert one == two
    assert {name for name in one if one[name] != three[name]} == {"seconds"}
    assert three["seconds"][:2] == [4.0, 2]


def test_a_clock_that_goes_backwards_does_not_make_a_later_number_an_earlier_one(tmp_path: Path) -> None:
    for now in (5000.0, 100.0, 6000.0):
        recorder = recorder_of(tmp_path)
        recorder.clock = lambda now=now: now  # type: ignore[misc]
        recorder.close_trial(TrialResult(plan(0), "failed", [], str(now)))
    assert [m["time"] for m in messages(recorder, "end")] == [5_000_000, 5_000_000, 6_000_000]


def test_files_are_named_from_the_work_folder_so_that_the_home_may_move(
    tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    work = Path("home/work/tiny-1")
    recorder = recorder_of(work)
    recorder.open_study([(tmp_path / "home/folds/a.json", "split"), (work / "leakage", "leakage")])
    recorder.close_fold(Outcome((0, 1), "committed", fold_result(work, 1, 0.5)))
    assert messages(recorder, "study")[0]["files"] == [
        ["../../folds/a.json", "split"],
        ["leakage", "leakage"],
    ]
    places = [place for place, _ in messages(recorder, "end")[0]["files"]]
    assert places == [f"0/1/{name}" for name in ("weights.safetensors", *FILES, "result.json")]
    assert all(os.path.exists(work / place) for place in places)


def test_a_fold_committed_before_more_was_kept_has_the_files_of_then(tmp_path: Path) -> None:
    result = fold_result(tmp_path, 0, 0.5)
    for name in FILES[1:]:
        (tmp_path / "0" / "0" / name).unlink()
    recorder = recorder_of(tmp_path)
    recorder.close_fold(Outcome((0, 0), "committed", result))
    places = [Path(place).name for place, _ in messages(recorder, "end")[0]["files"]]
    assert places == ["weights.safetensors", "out_of_fold.parquet", "result.json"]


def test_a_study_that_was_never_opened_is_not_closed(tmp_path: Path) -> None:
    recorder = recorder_of(tmp_path)
    recorder.close_study("failed", "no space left", note="", metrics={})
    assert not list(recorder.outbox.messages())
    recorder.open_study([])
    recorder_of(tmp_path).close_study("failed", "no space left", note="", metrics={})
    assert messages(recorder, "end")[0]["reason"] == "no space left"


def test_messages_are_plain_json_that_names_no_secret_place(tmp_path: Path) -> None:
    recorder = recorder_of(tmp_path)
    recorder.open_study([])
    recorder.open_trial(plan(0))
    recorder.close_trial(TrialResult(plan(0), "complete", [fold_result(tmp_path, f, 0.5) for f in range(2)]))
    lines = (tmp_path / "tracking" / "messages.jsonl").read_text().splitlines()
    assert [json.loads(line)["kind"] for line in lines] == ["study", "open", "end"]
    assert str(tmp_path) not in lines[2]


def test_settings_are_flattened_with_a_choice_by_its_name() -> None:
    tree = {"loss": {"name": "tversky", "settings": {"fn_weight": 0.7}}, "train": {"lr": 0.1}, "seed": 1}
    assert flatten(tree) == {"loss": "tversky", "loss.tversky.fn_weight": 0.7, "train.lr": 0.1, "seed": 1}
