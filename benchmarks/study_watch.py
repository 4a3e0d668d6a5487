"""Which processes carry a running study, and which of them tell new epochs; seen from outside, by what is on disk."""

import contextlib
from dataclasses import dataclass, field
from pathlib import Path

from harness.train.outbox import OUTBOX


@dataclass
class Watch:
    """Sees from the locks and outboxes of fold runs which process told a new epoch."""

    home: Path
    _seen: dict[Path, tuple[int, int]] = field(
        default_factory=dict
    )  # holder of a lock, most epochs told there

    def look(self) -> set[int]:
        """Return the processes that told an epoch since the last look."""
        new = set()
        for lock in self.home.glob("work/*/[0-9]*/[0-9]*.lock"):
            holder, told = _holder(lock), _lines(lock.with_suffix(".working") / OUTBOX)
            before, most = self._seen.get(lock, (0, 0))
            # of a new holder's lines, those that an earlier attempt told may be repeated
            if holder == before and told > most:
                new.add(holder)
            self._seen[lock] = holder, max(told, most)
        return new


def workers_of(driver: int) -> set[int]:
    """Return the worker processes that are children of this driver."""
    found = set()
    for listed in Path(f"/proc/{driver}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in map(int, listed.read_text().split()):
                if b"harness.execute.worker" in Path(f"/proc/{child}/cmdline").read_bytes():
                    found.add(child)
    return found


def _holder(lock: Path) -> int:
    """Return the process that a fold run's lock names, 0 for none."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        return int(lock.read_text().split()[1])
    return 0


def _lines(path: Path) -> int:
    try:
        return path.read_bytes().count(b"\n")
    except OSError:
        return 0
