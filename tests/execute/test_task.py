import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from harness.execute.task import Outcome, carry_out, key_of
from harness.train.checkpoint import WEIGHTS
from harness.train.foldrun import run_fold
from tests.conftest import SHORT, Tiny


def test_a_key_is_trial_and_fold(tiny: Tiny, tmp_path: Path) -> None:
    assert key_of(tiny.job(tmp_path, fold=1, trial=7)) == (7, 1)


def test_each_way_to_end_has_its_status(tiny: Tiny, tmp_path: Path) -> None:
    job = tiny.job(tmp_path, train__collapse_after=1.0)
    stopped = carry_out(job, lambda: True)
    assert (stopped.status, stopped.result) == ("interrupted", None)
    assert stopped.reason == "fold 0: stopped in epoch 1"
    collapsed = carry_out(tiny.job(tmp_path, train__lr=1e-12), lambda: False)
    assert collapsed.status == "collapsed"
    assert "all background in epoch 1 of 1" in collapsed.reason
    ruined = carry_out(tiny.job(tmp_path, train__lr=1e30), lambda: False)
    assert (ruined.status, ruined.unusable) == ("failed", False)
    assert "lower train.lr (now 1e+30)" in ruined.reason
    alone = carry_out(tiny.job(tmp_path, train__batch_size=1), lambda: False)
    assert (alone.status, alone.unusable) == ("failed", False)
    assert alone.reason.startswith("1 crop of 32 px a batch is too little for the network's batch norms")


def test_a_committed_fold_comes_with_its_result(tiny: Tiny, tmp_path: Path) -> None:
    job = tiny.job(tmp_path, **SHORT)
    outcome = carry_out(job, lambda: False)
    assert outcome == Outcome((0, 0), "committed", run_fold(job))
    assert json.loads(json.dumps(asdict(outcome)))["result"]["iou"] == run_fold(job).iou
    weights = (job.final / WEIGHTS).read_bytes()
    (job.final / WEIGHTS).write_bytes(b"")
    assert carry_out(job, lambda: False).status == "committed"
    assert (job.final / WEIGHTS).read_bytes() == weights


def test_a_missing_cache_ends_more_than_the_trial(tiny: Tiny, tmp_path: Path) -> None:
    outcome = carry_out(replace(tiny.job(tmp_path), cache=str(tmp_path / "gone")), lambda: False)
    assert (outcome.status, outcome.unusable) == ("failed", True)


def test_a_place_that_cannot_be_written_to_is_not_the_trials_fault(tiny: Tiny, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    outcome = carry_out(tiny.job(tmp_path / "file"), lambda: False)
    assert (outcome.status, outcome.blocked) == ("interrupted", True)
    assert "Not a directory" in outcome.reason


def test_a_bug_is_a_failure_in_one_line_that_says_where(
    tiny: Tiny, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome = carry_out(replace(tiny.job(tmp_path), samples=str(tmp_path / "gone")), lambda: False)
    assert outcome.status == "failed"
    assert outcome.reason.startswith("fold 0: FileNotFoundError: ")
    assert ".py:" in outcome.reason
    assert "\n" not in outcome.reason
    assert "Traceback" in capsys.readouterr().err  # what the worker's log keeps
