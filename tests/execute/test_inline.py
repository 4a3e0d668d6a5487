from pathlib import Path

import torch

from harness.execute.inline import Inline
from tests.conftest import SHORT, Tiny


def test_it_carries_out_one_job_a_wait_in_order(tiny: Tiny, tmp_path: Path) -> None:
    executor = Inline()
    assert executor.wait_any(0.0) == []
    for fold in (1, 0):
        executor.submit(tiny.job(tmp_path, fold=fold, **SHORT))
    outcomes = [executor.wait_any(0.0) for _ in range(3)]
    assert [[(o.key, o.status) for o in each] for each in outcomes] == [
        [((0, 1), "committed")],
        [((0, 0), "committed")],
        [],
    ]


def test_a_cancelled_job_ends_interrupted_and_may_be_submitted_again(tiny: Tiny, tmp_path: Path) -> None:
    executor, job = Inline(), tiny.job(tmp_path, **SHORT)
    executor.submit(job)
    executor.cancel((0, 0))
    assert [o.status for o in executor.wait_any(0.0)] == ["interrupted"]
    executor.submit(job)
    assert [o.status for o in executor.wait_any(0.0)] == ["committed"]


def test_closing_forgets_what_waits(tiny: Tiny, tmp_path: Path) -> None:
    executor = Inline()
    executor.submit(tiny.job(tmp_path))
    executor.close()
    assert executor.wait_any(0.0) == []


def test_it_computes_with_one_thread_as_a_worker_does() -> None:
    torch.set_num_threads(2)
    Inline()
    assert torch.get_num_threads() == 1
