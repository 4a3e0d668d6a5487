"""What a fold run tells while it runs: one JSON line an epoch, appended and never changed, read by the driver."""

import contextlib
import json
import os
from pathlib import Path
from typing import Any

OUTBOX = "outbox.jsonl"


class Outbox:
    """Append-only file of JSON lines in a fold run's own folder."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / OUTBOX

    def append(self, message: dict[str, Any]) -> None:
        """Write one line so that it survives a crash."""
        with self._path.open("ab") as file:
            file.write(json.dumps(message).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())


class OutboxReader:
    """Reads what is new since the last look, before and after the commit's rename; a torn last line waits."""

    def __init__(self, working: Path, final: Path) -> None:
        self._paths = (working / OUTBOX, final / OUTBOX)
        self._offset = 0

    def new(self) -> list[dict[str, Any]]:
        """Return the whole lines appended since the last call."""
        for path in self._paths:
            with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
                file.seek(self._offset)
                whole, newline, _ = file.read().rpartition(b"\n")
                self._offset += len(whole) + len(newline)
                return [json.loads(line) for line in whole.splitlines()]
        return []
