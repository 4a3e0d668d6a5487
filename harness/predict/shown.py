"""How far it is: a bar on a terminal, and a line now and then elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

EVERY = 15.0  # s between lines

Tell = Callable[[float, str], None]


@contextmanager
def shown(console: Console, total: int) -> Iterator[Tell]:
    """Yield what takes the number of files done, with fractions, and the name of the one at work."""
    if not console.is_terminal:
        yield _Lines(console, total)
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=total)
        yield lambda done, name: progress.update(task, completed=done, description=name)


class _Lines:
    def __init__(self, console: Console, total: int) -> None:
        self.console, self.total, self.last = console, total, time.monotonic()

    def __call__(self, done: float, name: str) -> None:
        if time.monotonic() - self.last >= EVERY:
            self.last = time.monotonic()
            self.console.print(
                f"{done:.2f} of {self.total} files: {name}", highlight=False, markup=False, soft_wrap=True
            )
