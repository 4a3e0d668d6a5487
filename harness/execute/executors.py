"""EXECUTORS: where fold runs are computed, by name."""

from collections.abc import Callable
from pathlib import Path

from harness.choices import choose
from harness.config import Choice
from harness.execute.inline import Inline
from harness.execute.local import local
from harness.execute.task import Executor


def build_executor(choice: Choice, *, log: Path, tell: Callable[[str], None] = lambda line: None) -> Executor:
    """Return the executor a study names; workers write what they print to `log`. Raises ConfigError.

    `tell` gets a line when a fold run waits for a process that stands still.
    """
    return choose(EXECUTORS, "execute", choice.name, choice.settings)(log, tell)


def inline(log: Path, tell: Callable[[str], None]) -> Executor:
    """Return the executor of this very process."""
    return Inline()


EXECUTORS: dict[str, Callable[..., Executor]] = {"local": local, "inline": inline}
