import json
import random
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from harness.errors import Collapsed, Interrupted
from harness.train.fold import train_fold
from harness.train.foldrun import FoldJob, FoldResult, run_fold
from harness.train.outbox import OUTBOX, OutboxReader
from harness.train.resume import capture, restore
from harness.train.start import FoldTraining, prepare
from tests.conftest import NETWORK, Tiny
from tests.train.test_foldrun import assert_same_work, epochs_of, without_marks

EPOCHS, BATCHES, PHOTOS = 3, 3, 7
QUESTIONS = EPOCHS * (BATCHES + PHOTOS) + PHOTOS  # how often a run asks whether to stop
SETTINGS = {
    "network": {
        "name": "fpn",
        "settings": {"encoder": NETWORK["encoder"]},
    },  # it has dropout: draws in every step
    "train__epochs": EPOCHS,
    "train__batch_size": 3,
    "train__lr": 1e-2,
    "train__average": 0.3,
    "train__collapse_after": 1.0,
}


def stop_at(question: int) -> Callable[[], bool]:
    """Return a wish to stop that is told when it is asked for the so manieth time, from 1, and ever after."""
    asked = iter(range(1, 10_000))
    return lambda: next(asked) >= question


def interrupted(job: FoldJob, question: int) -> None:
    with pytest.raises(Interrupted):
        run_fold(job, stop_at(question))
    assert not job.final.exists()
    torch.rand(7)  # what else the process draws does not matter
    np.random.random(7)


@pytest.fixture(scope="module")
def whole(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> FoldResult:
    """A fold run that nothing interrupted, and that asked as often as QUESTIONS says."""
    asked = []
    job = tiny.job(tmp_path_factory.mktemp("whole"), **SETTINGS)
    result = run_fold(job, lambda: bool(asked.append(0)))
    assert len(asked) == QUESTIONS
    return result


def test_the_case_draws_in_training_so_that_a_lost_state_would_show(tiny: Tiny) -> None:
    losses = []
    for seed in (1, 2):
        training = prepare(tiny.with_settings(**SETTINGS), tiny.data(), 0, device=torch.device("cpu"))
        torch.manual_seed(seed)
        with closing(train_fold(training)) as running:
            losses.append(next(running).loss)
    assert losses[0] != losses[1]


def test_training_draws_from_no_generator_but_torchs(tiny: Tiny) -> None:
    training = prepare(tiny.with_settings(**SETTINGS), tiny.data(), 0, device=torch.device("cpu"))
    before = random.getstate(), repr(np.random.get_state()), torch.get_rng_state()
    with closing(train_fold(training)) as running:
        next(running)
    assert (random.getstate(), repr(np.random.get_state())) == before[:2]
    assert not torch.equal(torch.get_rng_state(), before[2])


# in the first step, after the first epoch, within the second, while it is validated, after the last, at the very end
PLACES = (1, 2, BATCHES + PHOTOS + 1, 13, 15, QUESTIONS - PHOTOS + 1, QUESTIONS)


@pytest.mark.parametrize(
    "question",
    [pytest.param(q, marks=[] if q in PLACES else pytest.mark.slow) for q in range(1, QUESTIONS + 1)],
)
def test_stopped_anywhere_and_gone_on_a_run_is_the_same_to_the_bit(
    whole: FoldResult, tiny: Tiny, tmp_path: Path, question: int
) -> None:
    job = tiny.job(tmp_path, **SETTINGS)
    interrupted(job, question)
    asked = []
    assert_same_work(run_fold(job, lambda: bool(asked.append(0))), whole)
    assert [p.name for p in job.final.parent.iterdir()] == ["0"]
    again = PHOTOS if question > BATCHES else 1  # what a stop costs: a validation begun anew, at most
    assert len(asked) + question <= QUESTIONS + again


def test_stopped_again_and_again_it_is_still_the_same(whole: FoldResult, tiny: Tiny, tmp_path: Path) -> None:
    job, lives, result = tiny.job(tmp_path, **SETTINGS), 0, None
    while result is None:
        lives += 1
        try:
            result = run_fold(job, stop_at(PHOTOS + 2))
        except Interrupted:
            told = [e["number"] for e in epochs_of(job.working)] if (job.working / OUTBOX).exists() else []
            assert told == list(range(1, len(told) + 1))
    assert lives >= EPOCHS
    assert_same_work(result, whole)


def test_a_run_goes_on_with_loader_processes_too(whole: FoldResult, tiny: Tiny, tmp_path: Path) -> None:
    job = tiny.job(tmp_path, **SETTINGS)
    interrupted(job, BATCHES + PHOTOS + 3)
    asked = []
    with_workers = replace(
        job, study=tiny.with_settings(**SETTINGS, train__loader_workers=1).model_dump(mode="json")
    )
    assert_same_work(run_fold(with_workers, lambda: bool(asked.append(0))), whole)
    assert len(asked) < QUESTIONS - 3, "it began anew"  # while it waits for a slow loader it asks more often


KILLED = """
import json, os, signal, sys
from pathlib import Path
import cv2, torch
torch.set_num_threads(1)
cv2.setNumThreads(0)
from harness.train.foldrun import FoldJob, run_fold

root = Path(sys.argv[1])
job = json.loads((root / "job.json").read_text())
first, step = int(sys.argv[2]), int(sys.argv[3])

def die_at(number):
    left = iter(range(number))
    def hook(event, arguments):
        if event.startswith(("open", "os.", "shutil.")) and any(str(root) in str(a) for a in arguments):
            if next(left, None) is None:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(hook)

def run(folder, number=None):
    child = os.fork()
    if child == 0:
        if number is not None:
            die_at(number)
        run_fold(FoldJob(**(job | {"folder": str(folder)})))
        os._exit(0)
    return os.waitpid(child, 0)[1]

number = first
while run(root / str(number) / "0", number):
    assert run(root / str(number) / "0") == 0
    print(number, flush=True)
    number += step
"""


@pytest.mark.parametrize(("first", "step"), [(17, 24), pytest.param(0, 1, marks=pytest.mark.slow)])
def test_killed_before_any_file_is_touched_a_run_goes_on_to_the_same_bits(
    whole: FoldResult, tiny: Tiny, tmp_path: Path, first: int, step: int
) -> None:
    """kill -9 before each file of the run that is opened, renamed, listed or removed, and then once more, whole."""
    (tmp_path / "job.json").write_text(json.dumps(asdict(tiny.job(tmp_path, **SETTINGS))))
    arguments = [sys.executable, "-c", KILLED, str(tmp_path), str(first), str(step)]
    done = subprocess.run(arguments, check=True, timeout=1500, capture_output=True, text=True)
    killed = [int(line) for line in done.stdout.split()]
    print(f"killed at {len(killed)} places, from {first} on, every {step}")
    assert len(killed) >= 40 // step
    for number in killed:
        folder = tmp_path / str(number) / "0"
        result = replace(whole, folder=str(folder))
        assert_same_work(result, whole)
        assert [p.name for p in folder.parent.iterdir()] == ["0"]


def test_a_changed_byte_in_the_newest_is_noticed_and_the_one_before_is_used(
    whole: FoldResult, tiny: Tiny, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = tiny.job(tmp_path, **SETTINGS)
    interrupted(job, 2 * (BATCHES + PHOTOS) + 1)
    older, newest = sorted(job.saved.iterdir())
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes(bytes(content))
    asked = []
    assert_same_work(run_fold(job, lambda: bool(asked.append(0))), whole)
    assert len(asked) == QUESTIONS - (BATCHES + PHOTOS), f"it did not go on from {older}"
    assert f"{newest}: holds" in capsys.readouterr().err


@pytest.mark.parametrize("changed", [{"train__lr": 2e-2}, {"seed": 18}, {"augment__strength": 0.2}])
def test_what_another_configuration_saved_is_not_used_and_that_is_said(
    tiny: Tiny, tmp_path: Path, changed: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    job, other = tiny.job(tmp_path, **SETTINGS), tiny.job(tmp_path, **SETTINGS | changed)
    interrupted(job, BATCHES + PHOTOS + 1)
    assert len(list(job.saved.iterdir())) == 1
    interrupted(other, 1)
    assert "was saved with other settings, data or code" in capsys.readouterr().err
    assert not list(job.saved.iterdir())


def test_what_another_fold_or_other_data_saved_is_not_used(tiny: Tiny, tmp_path: Path) -> None:
    job = tiny.job(tmp_path / "one", **SETTINGS)
    interrupted(job, BATCHES + PHOTOS + 1)
    rows = tmp_path / "rows.parquet"
    tiny.data().samples.assign(note="new").to_parquet(rows)
    for number, other in enumerate([replace(job, fold=1), replace(job, samples=str(rows)), job]):
        moved = replace(other, folder=str(tmp_path / str(number) / "0"))
        moved.saved.parent.mkdir()
        moved.saved.mkdir()
        for path in job.saved.iterdir():
            (moved.saved / path.name).write_bytes(path.read_bytes())
        interrupted(moved, 1)
        assert len(list(moved.saved.iterdir())) == (number == 2)


@pytest.mark.slow
def test_what_other_code_saved_is_not_used(tiny: Tiny, tmp_path: Path) -> None:
    job = tiny.job(tmp_path / "work", **SETTINGS)
    interrupted(job, BATCHES + PHOTOS + 1)
    (tmp_path / "job.json").write_text(json.dumps(asdict(job)))
    for changed in (False, True):
        said = run_in_a_copy(tmp_path / str(changed), tmp_path / "job.json", changed)
        assert ("was saved with other settings, data or code" in said) == changed


def run_in_a_copy(folder: Path, job: Path, changed: bool) -> str:
    """Begin a fold run with a copy of the package, in which a comment may be another one; return what it says."""
    package = Path(__file__).parents[2] / "harness"
    for path in package.rglob("*.py"):
        copy = folder / path.relative_to(package.parent)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    (folder / "requirements.lock").write_bytes((package.parent / "requirements.lock").read_bytes())
    if changed:
        with (folder / "harness" / "train" / "fold.py").open("a") as file:
            file.write("# changed\n")
    run = "import json, sys; from harness.train.foldrun import FoldJob, run_fold; "
    run += f"run_fold(FoldJob(**json.load(open({str(job)!r}))), lambda: True)"
    done = subprocess.run([sys.executable, "-c", run], cwd=folder, env={"PYTHONPATH": str(folder)},
                          capture_output=True, text=True, check=False, timeout=240)  # fmt: skip
    assert "Interrupted" in done.stderr
    return done.stderr


def test_the_driver_hears_of_each_epoch_once_whatever_is_told_again(tiny: Tiny, tmp_path: Path) -> None:
    job = tiny.job(tmp_path, **SETTINGS)
    reader, heard = OutboxReader(job.working, job.final), []
    for question in (BATCHES + PHOTOS + 2, 2, BATCHES + PHOTOS + 1):
        interrupted(job, question)
        heard += reader.new()
    run_fold(job)
    heard += reader.new()
    assert heard == epochs_of(job.final)
    assert [e["number"] for e in heard] == list(range(1, EPOCHS + 1))


def test_a_run_that_collapsed_is_not_kept_to_go_on_from_and_collapses_again(
    tiny: Tiny, tmp_path: Path
) -> None:
    job = tiny.job(tmp_path, train__epochs=2, train__lr=1e-12, train__collapse_after=0.0)
    with pytest.raises(Collapsed, match="in epoch 2 of 2"):
        run_fold(job)
    assert not job.saved.exists()


def test_killed_between_the_last_epoch_and_its_verdict_a_run_collapses_all_the_same(tiny: Tiny) -> None:
    settings = {"train__epochs": 1, "train__lr": 1e-12}
    training, again = (
        prepare(tiny.with_settings(**settings), tiny.data(), 0, device=torch.device("cpu")) for _ in "12"
    )
    with closing(train_fold(training)) as running:
        next(running)  # its snapshot is taken here
    restore(again, capture(training))
    with pytest.raises(Collapsed):
        list(train_fold(again))


def state_of(training: FoldTraining) -> dict[str, Any]:
    snapshot = capture(training)
    return {name: value.numpy().tobytes() for name, value in snapshot.tensors.items()} | dict(snapshot.facts)


@pytest.mark.parametrize(
    "settings", [{"train__channels_last": True}, {"train__precision": "bf16"}, {"train__average": None}]
)
def test_all_that_is_taken_comes_back_in_the_same_layout(tiny: Tiny, settings: dict[str, Any]) -> None:
    study = tiny.with_settings(**SETTINGS | settings)
    training, again = (prepare(study, tiny.data(), 0, device=torch.device("cpu")) for _ in "12")
    with pytest.raises(Interrupted):
        list(train_fold(training, stop_at(BATCHES + PHOTOS + 2)))
    wanted = state_of(training)
    snapshot = capture(training)
    assert snapshot.position == (1, 1)
    restore(again, snapshot)
    assert state_of(again) == wanted
    for one, other in zip(training.optimizer.param_groups, again.optimizer.param_groups, strict=True):
        for mine, its in zip(one["params"], other["params"], strict=True):
            assert mine.stride() == its.stride()
            for name, value in training.optimizer.state[mine].items():
                assert again.optimizer.state[its][name].stride() == value.stride()
    epochs = []
    for each in (again, training):
        torch.set_rng_state(snapshot.tensors["random.cpu"])
        with closing(train_fold(each)) as running:
            epochs.append(without_marks(asdict(next(running))))
    assert epochs[0] == epochs[1]
