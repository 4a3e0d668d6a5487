"""What a fold run tells while it runs: one JSON line an epoch, appended and never changed, read by the driver."""

import contextlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from harness.train.checkpoint import write_synced
from harness.train.room import writing

OUTBOX = "outbox.jsonl"


class Outbox:
    """Append-only file of JSON lines in a fold run's own folder; begins with what an earlier attempt has done."""

    def __init__(self, folder: Path, done: Iterable[Mapping[str, Any]] = ()) -> None:
        self._path = folder / OUTBOX
        if told := b"".join(map(_line, done)):
            write_synced(self._path, told)

    def append(self, message: Mapping[str, Any]) -> None:
        """Write one line so that it survives a crash. Raises DiskFull."""
        with writing(self._path.parent), self._path.open("ab") as file:
            file.write(_line(message))
            file.flush()
            os.fsync(file.fileno())


class OutboxReader:
    """Reads each epoch once, by its number: before and after the commit's rename, and when a run goes on after a stop.

    The file is then another one, in which epochs may be told again. A torn last line waits.
    """

    def __init__(self, working: Path, final: Path) -> None:
        self._paths = (working / OUTBOX, final / OUTBOX)
        self._told = 0
        self._looked_at = (0, 0, 0)

    def new(self) -> list[dict[str, Any]]:
        """Return the epochs, told whole, that follow those of the last call."""
        for path in self._paths:
            with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
                status = os.fstat(file.fileno())
                look = (status.st_ino, status.st_size, status.st_mtime_ns)
                if look == self._looked_at:
                    return []
                self._looked_at = look
                lines = file.read(status.st_size).rpartition(b"\n")[0].splitlines()
                new = [m for m in map(json.loads, lines) if m["number"] > self._told]
                self._told = new[-1]["number"] if new else self._told
                return new
        return []


def _line(message: Mapping[str, Any]) -> bytes:
    return json.dumps(message).encode() + b"\n"
