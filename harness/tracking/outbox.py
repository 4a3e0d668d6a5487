"""What MLflow is to be told, on disk until it is: messages in order, how far they got, and those that it refused."""

import contextlib
import json
import os
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness.train.checkpoint import write_synced
from harness.train.room import writing

FOLDER = "tracking"  # below a study's work folder
MESSAGES, DELIVERED, REFUSED = "messages.jsonl", "delivered.json", "refused.jsonl"

Message = Mapping[str, Any]


@dataclass(frozen=True)
class Delivered:
    """How far the messages got: bytes of their file, and their number, those included that were refused."""

    position: int = 0
    messages: int = 0


@dataclass(frozen=True)
class Refusal:
    """A message that MLflow refused, by the position after it."""

    position: int
    reason: str
    message: Message


class Outbox:
    """The messages of one study. One process appends and one thread of it delivers; `guard` is called before both.

    A line that was cut short when its writer was killed is taken off when the outbox is opened.
    """

    def __init__(self, work: Path, guard: Callable[[], None] = lambda: None) -> None:
        self.folder, self.guard = work / FOLDER, guard
        self.changed = threading.Event()
        self._path = self.folder / MESSAGES
        self.folder.mkdir(parents=True, exist_ok=True)
        self._whole = (0, 0)  # bytes and number of the messages that were seen last
        self._cut_torn_line()
        self.delivered = self._read_delivered()

    @property
    def waiting(self) -> int:
        """Number of messages not delivered yet."""
        return self._measured()[1] - self.delivered.messages

    @property
    def refused(self) -> Path:
        """The file of the messages that MLflow refused."""
        return self.folder / REFUSED

    def append(self, message: Message) -> None:
        """Keep a message so that it survives a crash; stopped at any moment, all of it or none. Raises DiskFull."""
        self.guard()
        self._cut_torn_line()  # of an append before that came to no end
        _append(self._path, json.dumps(message).encode() + b"\n")
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
        self._write_delivered(Delivered(position, self.delivered.messages + count))

    def refuse(self, position: int, message: Message, reason: str) -> None:
        """Keep a message that MLflow will never take, and go on behind it."""
        line = json.dumps(asdict(Refusal(position, reason, message))).encode() + b"\n"
        torn = self.refused.is_file() and not self.refused.read_bytes().endswith(b"\n")
        _append(self.refused, b"\n" + line if torn else line)
        self.note(position, 1)

    def refusals(self) -> dict[int, Refusal]:
        """Return what MLflow refused by position: each message once, also where its sender was killed at that."""
        found: dict[int, Refusal] = {}
        with contextlib.suppress(FileNotFoundError):
            for line in self.refused.read_bytes().splitlines():
                with contextlib.suppress(ValueError, TypeError):
                    one = Refusal(**json.loads(line))
                    found[one.position] = one
        return found

    def keep_refusals(self, refusals: Iterable[Refusal]) -> None:
        """Let these be all that is refused."""
        lines = [json.dumps(asdict(one)).encode() + b"\n" for one in refusals]
        if lines:
            write_synced(self.refused, b"".join(lines))
        else:
            self.refused.unlink(missing_ok=True)

    def _measured(self) -> tuple[int, int]:
        """Return bytes and number of the messages that are whole; what was counted before is not read again."""
        end, count = self._whole
        with contextlib.suppress(FileNotFoundError), self._path.open("rb") as file:
            file.seek(end)
            while (line := file.readline()).endswith(b"\n"):
                end, count = end + len(line), count + 1
        self._whole = (end, count)
        return self._whole

    def _cut_torn_line(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            if self._path.stat().st_size > (end := self._measured()[0]):
                os.truncate(self._path, end)

    def _read_delivered(self) -> Delivered:
        """Return how far the messages got; where that note is not of these messages, none of them, and keep that."""
        path = self.folder / DELIVERED
        try:
            known = json.loads(path.read_bytes())
            position = known["position"]
            count = self._lines_before(position)
        except FileNotFoundError:
            return Delivered()
        except (ValueError, TypeError, KeyError):
            count = None
        if count is None:
            self.guard()
            forget_delivery(self.folder)
            return Delivered()
        # counted anew: a wrong number would have the end of a study wait for messages that there are not
        return Delivered(position, count)

    def _lines_before(self, position: Any) -> int | None:
        """Return the number of messages that end at a position, None where none ends there."""
        if position == 0:
            return 0
        if not isinstance(position, int) or not 0 < position <= self._whole[0]:
            return None
        with self._path.open("rb") as file:
            content = file.read(position)
        return content.count(b"\n") if content.endswith(b"\n") else None

    def _write_delivered(self, delivered: Delivered) -> None:
        self.delivered = delivered
        write_synced(self.folder / DELIVERED, json.dumps(asdict(delivered)).encode())


class Replay:
    """The messages of some runs, to be delivered once more; their outbox is changed by `keep` alone."""

    def __init__(self, outbox: Outbox, keys: Collection[str]) -> None:
        self.folder, self.guard, self.refused = outbox.folder, outbox.guard, outbox.refused
        self.changed = threading.Event()
        self.delivered = Delivered()
        self._outbox = outbox
        self._messages = [one for one in outbox.messages() if one[1].get("key") in keys]
        self._refused: list[Refusal] = []

    @property
    def waiting(self) -> int:
        """Number of messages not delivered yet."""
        return len(self._messages) - self.delivered.messages

    def messages(self, position: int = 0) -> Iterator[tuple[int, Message]]:
        """Yield the messages from a position on, each with the position after it."""
        return (one for one in self._messages if one[0] > position)

    def note(self, position: int, count: int) -> None:
        """Remember that `count` messages more, up to a position, were delivered."""
        self.delivered = Delivered(position, self.delivered.messages + count)

    def refuse(self, position: int, message: Message, reason: str) -> None:
        """Remember a message that MLflow does not take, and go on behind it."""
        self._refused.append(Refusal(position, reason, message))
        self.note(position, 1)

    def refusals(self) -> dict[int, Refusal]:
        """Return what of these is refused now, by position."""
        return {one.position: one for one in self._refused}

    def keep(self) -> None:
        """Let what was delivered no longer count as refused, and what was refused now do so."""
        again = {position for position, _ in self._messages if position <= self.delivered.position}
        others = [one for one in self._outbox.refusals().values() if one.position not in again]
        self._outbox.keep_refusals(sorted([*others, *self._refused], key=lambda one: one.position))


def forget_delivery(folder: Path) -> None:
    """Let the messages in a `tracking` folder be as if none was delivered: told twice, each is there once."""
    for name in (REFUSED, DELIVERED):
        (folder / name).unlink(missing_ok=True)


def forget_deliveries(works: Path) -> None:
    """Do so for every study below the folder `works`."""
    for folder in works.glob(f"*/{FOLDER}"):
        forget_delivery(folder)


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
