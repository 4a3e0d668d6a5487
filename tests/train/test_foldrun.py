import contextlib
import hashlib
import itertools
import json
import os
import shutil
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from harness.config import Study
from harness.errors import Collapsed, DataError
from harness.evaluate.scores import mean_iou
from harness.execute.task import carry_out
from harness.model.metrics import NO_PIXELS, count_pixels, iou
from harness.model.networks import build_network
from harness.model.outoffold import FILES
from harness.model.predict import network_logits, predict_photos
from harness.train.checkpoint import MANIFEST, WEIGHTS, is_committed
from harness.train.foldrun import RESULT, FoldJob, FoldResult, committed_result, run_fold
from harness.train.outbox import OUTBOX, OutboxReader
from tests.conftest import SHORT, Tiny

MARKS = {"seconds", "images_per_second", "loader_restarts"}  # of how something was computed
SETTINGS = {**SHORT, "train__average": 0.3}


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def epochs_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / OUTBOX).read_text().splitlines()]


def without_marks(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in MARKS}


def assert_same_work(one: FoldResult, other: FoldResult) -> None:
    """Hold two fold runs to each other to the last bit."""
    assert one.work() == other.work()
    assert sha256(one.weights) == sha256(other.weights)
    for name in FILES:
        assert sha256(Path(one.folder) / name) == sha256(Path(other.folder) / name)
    told = [[without_marks(e) for e in epochs_of(Path(r.folder))] for r in (one, other)]
    assert told[0] == told[1]


@pytest.fixture(scope="module")
def done(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> tuple[FoldJob, FoldResult]:
    job = tiny.job(tmp_path_factory.mktemp("work"), **SETTINGS)
    return job, run_fold(job)


def test_a_fold_run_commits_its_weights_rows_epochs_and_result(done: tuple[FoldJob, FoldResult]) -> None:
    job, result = done
    assert {p.name for p in job.final.iterdir()} == {WEIGHTS, *FILES, OUTBOX, RESULT, MANIFEST}
    assert [p.name for p in job.final.parent.iterdir()] == ["0"]
    assert committed_result(job.final) == result
    assert [e["number"] for e in epochs_of(job.final)] == [1, 2, 3, 4, 5]
    assert result.epochs == 5
    assert result.device == "cpu"
    assert result.fold == 0


def worse_in_the_end(tiny: Tiny, folder: Path) -> FoldResult:
    """Return a fold run whose rate rises to the end, so that an earlier epoch is much the best."""
    for seed in range(6):
        job = tiny.job(folder / str(seed), seed=seed, train__warmup=1.0, train__lr=0.03, train__epochs=6)
        with contextlib.suppress(Collapsed):
            result = run_fold(job)
            if result.best_iou > result.iou + 0.1:
                return result
    pytest.fail("no seed tells the last epoch from the best one")


def test_the_score_is_the_last_epochs_and_the_best_one_is_only_shown(tiny: Tiny, tmp_path: Path) -> None:
    result = worse_in_the_end(tiny, tmp_path)
    scores = [e["iou"] for e in epochs_of(Path(result.folder))]
    assert result.iou == scores[-1]
    assert result.best_iou == max(scores)
    assert result.best_epoch == 1 + int(np.argmax(scores)) < len(scores)


def test_the_saved_weights_and_rows_give_the_score_again(
    done: tuple[FoldJob, FoldResult], tiny: Tiny
) -> None:
    job, result = done
    data = tiny.data()
    study = Study.model_validate(job.study)
    network = build_network(study.network)
    network.load_state_dict(load_file(result.weights))
    network.eval()
    rows = data.samples.iloc[data.split.validation(data.samples, 0)]
    counts = NO_PIXELS
    with torch.no_grad():
        for photo in predict_photos(
            lambda images, sizes: network_logits(network, torch.device("cpu"), images, sizes),
            data.cache,
            rows,
            4,
        ):
            counts += count_pixels(photo.logits > 0, photo.truth)
    assert iou(counts) == result.iou
    summed = result.out_of_fold[["tp", "fp", "fn"]].sum()
    assert summed["tp"] / summed.sum() == result.iou
    assert 0 < mean_iou(result.out_of_fold) < 1


def test_the_weights_of_the_terms_are_those_after_balancing(done: tuple[FoldJob, FoldResult]) -> None:
    weights = done[1].loss_weights
    assert set(weights) == {"dice", "bce"}
    assert weights["dice"] != weights["bce"]
    assert weights != {"dice": 0.5, "bce": 0.5}


def test_a_committed_fold_is_returned_and_never_trained_again(
    done: tuple[FoldJob, FoldResult], tmp_path: Path
) -> None:
    job, result = done
    before = {p: (p.stat().st_mtime_ns, sha256(p)) for p in job.final.iterdir()}
    untrainable = replace(job, samples=str(tmp_path / "none"), cache=str(tmp_path / "none"), study={})
    assert run_fold(untrainable, lambda: True) == result
    assert {p: (p.stat().st_mtime_ns, sha256(p)) for p in job.final.iterdir()} == before


def test_another_repeat_is_other_work(done: tuple[FoldJob, FoldResult], tiny: Tiny, tmp_path: Path) -> None:
    job = replace(tiny.job(tmp_path, train__epochs=1), repeat=1)
    with contextlib.suppress(Collapsed):
        run_fold(job)
    folder = job.final if is_committed(job.final) else job.working
    assert epochs_of(folder)[0]["loss"] != epochs_of(done[0].final)[0]["loss"]


@pytest.mark.parametrize("workers", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_the_number_of_loader_workers_changes_no_bit(
    done: tuple[FoldJob, FoldResult], tiny: Tiny, tmp_path: Path, workers: int
) -> None:
    result = run_fold(tiny.job(tmp_path, **SETTINGS, train__loader_workers=workers))
    assert result.loader_restarts == 0
    assert_same_work(result, done[1])


DYING = """
import os, sys

def die(event, arguments):
    if event == "open" and str(arguments[0]).endswith("images.bin"):
        opened.append(arguments)
        if len(opened) > 8:  # in the second epoch
            os._exit(1)

if "--multiprocessing-fork" in sys.argv:
    opened = []
    sys.addaudithook(die)
"""


def test_loader_workers_that_die_are_told_of_once_and_change_no_bit(
    done: tuple[FoldJob, FoldResult],
    tiny: Tiny,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "sitecustomize.py").write_text(DYING)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    job = tiny.job(tmp_path / "work", **SETTINGS, train__loader_workers=1)
    result = run_fold(job)
    assert_same_work(result, done[1])
    assert result.loader_restarts == 1
    told = [e["loader_restarts"] for e in epochs_of(job.final)]
    assert sum(told) == 1
    assert told[0] == 0
    assert capsys.readouterr().err.count("loader workers given up") == 1


def test_a_collapsed_fold_is_not_committed(tiny: Tiny, tmp_path: Path) -> None:
    job = tiny.job(tmp_path, train__epochs=1, train__lr=1e-12)
    with pytest.raises(Collapsed):
        run_fold(job)
    assert not is_committed(job.final)
    assert len(epochs_of(job.working)) == 1


def test_a_damaged_result_is_trained_anew_to_the_same_bits(
    done: tuple[FoldJob, FoldResult], tmp_path: Path
) -> None:
    job = replace(done[0], folder=str(tmp_path / "0"))
    shutil.copytree(done[0].final, job.final)
    content = bytearray((job.final / WEIGHTS).read_bytes())
    content[-3] ^= 4
    (job.final / WEIGHTS).write_bytes(bytes(content))
    with pytest.raises(DataError, match=f"{job.final / WEIGHTS}: holds"):
        committed_result(job.final)
    assert_same_work(run_fold(job), done[1])


def test_a_missing_cache_is_an_error_and_nothing_is_committed(tiny: Tiny, tmp_path: Path) -> None:
    job = replace(tiny.job(tmp_path / "work"), cache=str(tmp_path / "gone"))
    with pytest.raises(DataError, match="gone: no decoded pictures here"):
        run_fold(job)
    assert not is_committed(job.final)


def test_pictures_that_change_while_folds_are_trained_change_nothing(
    done: tuple[FoldJob, FoldResult], tiny: Tiny, tmp_path: Path
) -> None:
    root = Path(tiny.study.data.dataset.settings["root"])
    shutil.move(root, tmp_path / "gone")  # what is trained on was decoded and checked before
    try:
        assert_same_work(run_fold(tiny.job(tmp_path / "work", **SETTINGS)), done[1])
    finally:
        shutil.move(tmp_path / "gone", root)


def test_decoded_pictures_that_are_damaged_end_the_fold_run_and_name_the_file(
    tiny: Tiny, tmp_path: Path
) -> None:
    cache, name = tmp_path / "cache", "images.bin"
    shutil.copytree(tiny.cache, cache)
    content = bytearray((cache / name).read_bytes())
    content[len(content) // 2] ^= 4
    (cache / name).write_bytes(bytes(content))
    outcome = carry_out(replace(tiny.job(tmp_path / "work", **SETTINGS), cache=str(cache)), lambda: False)
    assert (outcome.status, outcome.unusable) == ("failed", True)
    assert outcome.reason.startswith(f"{cache / name}: damaged at byte ")
    assert "\n" not in outcome.reason


def test_a_clock_that_is_set_back_changes_nothing_and_no_duration_is_negative(
    done: tuple[FoldJob, FoldResult], tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, now = tiny.job(tmp_path, **SETTINGS), itertools.count(2_000_000_000, -100)
    monkeypatch.setattr(time, "time", lambda: float(next(now)))
    monkeypatch.setattr(time, "time_ns", lambda: next(now) * 10**9)
    heard: list[dict[str, Any]] = []
    reader = OutboxReader(job.working, job.final)

    def set_back() -> bool:
        if (job.working / OUTBOX).exists():
            heard.extend(reader.new())
            os.utime(job.working / OUTBOX, (next(now), next(now)))
        return False

    result = run_fold(job, set_back)
    assert [e["number"] for e in heard + reader.new()] == [1, 2, 3, 4, 5]
    assert_same_work(result, done[1])
    assert result.seconds > 0
    assert all(e["seconds"] > 0 and e["images_per_second"] > 0 for e in epochs_of(job.final))


def test_a_job_travels_as_json(done: tuple[FoldJob, FoldResult]) -> None:
    assert FoldJob(**json.loads(json.dumps(asdict(done[0])))) == done[0]
    assert FoldResult(**json.loads(json.dumps(asdict(done[1])))) == done[1]
