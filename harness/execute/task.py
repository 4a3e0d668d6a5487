"""A fold run as a task: what goes to where it is computed, and what comes back."""

import errno
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

import cv2
import torch

from harness.errors import Blocked, Collapsed, DataError, HarnessError, Interrupted, LeakageError
from harness.train.foldrun import FoldJob, FoldResult, run_fold

# what a disk answers that no fold run can write to
BROKEN = {errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.ENOTDIR, errno.ESTALE}

MOST_PARTS = 4  # that a batch is computed in before a fold run fails for want of memory

Key = tuple[int, int]  # trial, fold
Status = Literal["committed", "collapsed", "failed", "leak", "interrupted"]


@dataclass(frozen=True)
class Outcome:
    """How a fold run ended; `result` is there when it was committed, `reason` when not.

    `unusable`: files are wrong, so the next fold run would fail too; the search must end. `out_of_memory`: in a
    fresh process, with its batches in more parts, the fold run may succeed. `blocked`: interrupted, not on request but
    as by a full disk, which somebody must mend before the search can go on.
    """

    key: Key
    status: Status
    result: FoldResult | None = None
    reason: str = ""
    unusable: bool = False
    out_of_memory: bool = False
    blocked: bool = False


class Executor(Protocol):
    """Where fold runs are computed. The result must not depend on it."""

    @property
    def capacity(self) -> int:
        """Number of fold runs worth submitting at a time; it may grow."""
        ...

    def submit(self, job: FoldJob) -> None: ...

    def wait_any(self, timeout: float) -> list[Outcome]:
        """Return what ended since the last call, waiting at most `timeout` seconds for the first."""
        ...

    def cancel(self, key: Key) -> None:
        """Ask a submitted fold run to stop at its next step; its outcome still comes."""
        ...

    def close(self) -> None: ...


def key_of(job: FoldJob) -> Key:
    return job.trial, job.fold


def cancelled(job: FoldJob) -> Outcome:
    return Outcome(key_of(job), "interrupted", reason=f"fold {job.fold}: cancelled")


def carry_out(job: FoldJob, should_stop: Callable[[], bool]) -> Outcome:
    """Run a fold and say how it ended; a fold run's own errors never pass."""
    key = key_of(job)
    try:
        return Outcome(key, "committed", run_fold(job, should_stop))
    except Collapsed as error:
        return Outcome(key, "collapsed", reason=str(error))
    except Interrupted as error:
        return Outcome(key, "interrupted", reason=str(error), blocked=isinstance(error, Blocked))
    except LeakageError as error:
        return Outcome(key, "leak", reason=str(error))
    except DataError as error:
        return Outcome(key, "failed", reason=str(error), unusable=True)
    except HarnessError as error:
        return Outcome(key, "failed", reason=str(error))
    except Exception as error:  # a bug, or no memory: it must not take the other folds with it
        traceback.print_exception(error, file=sys.stderr)
        return _unforeseen(job, error)


def _unforeseen(job: FoldJob, error: Exception) -> Outcome:
    where = traceback.extract_tb(error.__traceback__)[-1]
    message = (str(error).splitlines() or [""])[0]
    reason = f"fold {job.fold}: {type(error).__name__}: {message} ({where.filename}:{where.lineno})"
    if isinstance(error, OSError) and error.errno in BROKEN:
        return Outcome(key_of(job), "interrupted", reason=reason, blocked=True)
    return Outcome(key_of(job), "failed", reason=reason, out_of_memory=_is_out_of_memory(error))


def _is_out_of_memory(error: Exception) -> bool:
    on_cpu = "DefaultCPUAllocator" in str(error)  # a plain RuntimeError
    return on_cpu or isinstance(error, torch.OutOfMemoryError | MemoryError)


def use_threads(threads: int) -> None:
    """Compute in this process with so many threads; sums of floats depend on their number."""
    torch.set_num_threads(threads)
    cv2.setNumThreads(0)
