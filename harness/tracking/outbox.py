"""What MLflow is to be told, on disk until it is: messages in order, how far they got, and those that it refused."""

import contextlib
import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from harness.errors import DiskFull
from harness.train.checkpoint import write_synced
from harness.train.room import writing

FOLDER = "tracking"  # below a study's work folder
MESSAGES, DELIVERED, REFUSED = "messages.jsonl", "delivered.json", "refused.jsonl"

Message = Mapping[str, Any]


@dataclass(frozen=True)
class Delivered:
    """How far the messages got: bytes of their file, and their number; some of these were refused."""

    position: int = 0
    messages: int = 0
    refused: int = 0


class Outbox:
    """The messages of one study. One process appends and one thread of it delivers; `guard` is called before both.

    A line that was cut short when its writer was killed is taken off when the outbox is opened.
    """

    def __init__(self, work: Path, guard: Callable[[], None] = lambda: None) -> None:
        self.folder, self.guard = work / FOLDER, guard
        self.changed = threading.Event()
        self._path = self.folder / MESSAGES
        self.folder.mkdir(parents=True, exist_ok=True)
        self._end, self._count = _whole_lines(self._path)
        self.delivered = self._read_delivered()

    @property
    def waiting(self) -> int:
        """Number of messages not delivered yet."""
        return self._count - self.delivered.messages

    @property
    def refused(self) -> Path:
        """The file of the messages that MLflow refused."""
        return self.folder / REFUSED

    def append(self, message: Message) -> None:
        """Keep a message so that it survives a crash."""
        self.guard()
        line = json.dumps(message).encode() + b"\n"
        try:
            _append(self._path, line)
        except (OSError, DiskFull):  # the next line must not be joined to half of this one
            with contextlib.suppress(OSError):
                os.truncate(self._path, self._end)
            raise
        self._end, self._count = self._end + len(line), self._count + 1
        self.changed.set()

    def messages(self, position: int = 0) -> Iterator[tuple[int, Message]]:
        """Yield the messages from a position on, each with the position after it; one damaged is of that kind."""
        with contextlib.suppress(FileNotFoundError), self._path.open("rb") as file:
            file.seek(position)
            while (line := file.readline()).endswith(b"\n"):
                position += len(line)
                yield position, _message(line)

    def note(self, position: int, count: int) -> None:
        """Keep that `count` messages more, up to a position, were delivered."""
        known = self.delivered
        self._write_delivered(Delivered(position, known.messages + count, known.refused))

    def refuse(self, position: int, message: Message, reason: str) -> None:
        """Keep a message that MLflow will never take, and go on behind it."""
        known = self.delivered
        _append(self.refused, json.dumps({"reason": reason, "message": message}).encode() + b"\n")
        self._write_delivered(Delivered(position, known.messages + 1, known.refused + 1))

    def again(self) -> None:
        """Deliver everything once more: told twice, it is there once."""
        self.refused.unlink(missing_ok=True)
        self._write_delivered(Delivered())

    def _read_delivered(self) -> Delivered:
        try:
            known = Delivered(**json.loads((self.folder / DELIVERED).read_bytes()))
            whole = all(isinstance(value, int) and value >= 0 for value in asdict(known).values())
        except (OSError, ValueError, TypeError):
            return Delivered()
        if not whole or known.position > self._end:  # the messages were lost, and others came
            return Delivered()
        # counted anew: a wrong number would have the end of a study wait for messages that there are not
        return replace(known, messages=_lines_before(self._path, known.position))

    def _write_delivered(self, delivered: Delivered) -> None:
        self.delivered = delivered
        write_synced(self.folder / DELIVERED, json.dumps(asdict(delivered)).encode())


def _message(line: bytes) -> Message:
    try:
        message = json.loads(line)
    except ValueError:
        message = None
    if isinstance(message, dict) and isinstance(message.get("kind"), str):
        return message
    return {"kind": "damaged", "line": line.decode(errors="replace")}


def _append(path: Path, line: bytes) -> None:
    with writing(path.parent, len(line)), path.open("ab") as file:
        file.write(line)
        file.flush()
        os.fsync(file.fileno())


def _lines_before(path: Path, position: int) -> int:
    if not position:
        return 0
    with path.open("rb") as file:
        return file.read(position).count(b"\n")


def _whole_lines(path: Path) -> tuple[int, int]:
    """Cut off what follows the last whole line; return bytes and lines that are left."""
    if not path.exists():
        return 0, 0
    with path.open("r+b") as file:
        end = count = 0
        for line in file:
            if line.endswith(b"\n"):
                end, count = end + len(line), count + 1
        file.truncate(end)
    return end, count
