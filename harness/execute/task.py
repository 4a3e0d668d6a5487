"""A fold run as a task: what goes to where it is computed, and what comes back."""

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from harness.errors import Collapsed, HarnessError, Interrupted, LeakageError
from harness.train.foldrun import FoldJob, FoldResult, run_fold

Key = tuple[int, int]  # trial, fold
Status = Literal["committed", "collapsed", "failed", "leak", "interrupted"]


@dataclass(frozen=True)
class Outcome:
    """How a fold run ended; `result` is there when it was committed, `reason` when not."""

    key: Key
    status: Status
    result: FoldResult | None = None
    reason: str = ""


class Executor(Protocol):
    """Where fold runs are computed. The result must not depend on it."""

    capacity: int  # fold runs worth submitting at a time

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


def carry_out(job: FoldJob, should_stop: Callable[[], bool]) -> Outcome:
    """Run a fold and say how it ended; a fold run's own errors never pass."""
    key = key_of(job)
    try:
        return Outcome(key, "committed", run_fold(job, should_stop))
    except Collapsed as error:
        return Outcome(key, "collapsed", reason=str(error))
    except Interrupted as error:
        return Outcome(key, "interrupted", reason=str(error))
    except LeakageError as error:
        return Outcome(key, "leak", reason=str(error))
    except HarnessError as error:
        return Outcome(key, "failed", reason=str(error))
    except Exception as error:  # a bug, or no memory: it must not take the other folds with it
        where = traceback.extract_tb(error.__traceback__)[-1]
        message = (str(error).splitlines() or [""])[0]
        reason = f"fold {job.fold}: {type(error).__name__}: {message} ({where.filename}:{where.lineno})"
        return Outcome(key, "failed", reason=reason)
