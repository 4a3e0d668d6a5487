"""One thread that delivers a study's messages to MLflow; whatever MLflow does, nobody waits for it."""

import math
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from harness.errors import DiskFull, Interrupted
from harness.masking import words_of
from harness.tracking.delivery import Delivery, asks_to_wait, is_for_good
from harness.tracking.outbox import Message, Outbox, Replay

REST = 2.0  # s in which messages come together before they are sent
TRIES = 5  # of a message that MLflow does not take although it answers; after so many the end waits no longer
LONGEST_PAUSE = 30.0  # s between two tries while it does not answer
SETTLE = 2.0  # s it is left alone once it answers again: requests given up before may only now be carried out
MOST = 600.0  # s that the end of a study waits in all


@dataclass
class Sender:
    """Delivers what is in an outbox, in order, from where an earlier one stopped; `tell` gets a line at times."""

    outbox: Outbox | Replay
    delivery: Delivery
    tell: Callable[[str], None]
    away: str = ""  # why MLflow does not answer, while it does not
    _finishing: threading.Event = field(default_factory=threading.Event)
    _ended: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _refused: bool = False
    _restored: int = 0  # runs that were told of

    def start(self) -> None:
        """Begin to deliver, in a thread that does not keep the process alive."""
        self._thread = threading.Thread(target=self._run, name="MLflow sender", daemon=True)
        self._thread.start()

    def finish(self, should_stop: Callable[[], bool] = lambda: False, *, most: float = MOST) -> None:
        """Wait until all is delivered, while MLflow takes it, for `most` s, and say in a line what still waits."""
        self.wait(should_stop, most=most)
        self._say_what_waits()

    def wait(self, should_stop: Callable[[], bool] = lambda: False, *, most: float = math.inf) -> None:
        """Wait until all is delivered, however long a file takes, or MLflow does not take it; the thread ends then.

        Each request ends by itself: after MLFLOW_HTTP_REQUEST_TIMEOUT s without a word of a server.
        """
        assert self._thread
        self._finishing.set()
        self.outbox.changed.set()
        end = time.monotonic() + most
        while self._thread.is_alive() and time.monotonic() < end and not should_stop():
            self._thread.join(0.05)
        self._ended.set()

    def _say_what_waits(self) -> None:
        name, count = self.delivery.key.rpartition("-")[0], self.outbox.waiting
        if count:
            reason = f" ({self.away})" if self.away else ""
            self.tell(
                f"MLflow{reason}: {_messages(count)} wait for it in {self.outbox.folder}; "
                f"the next `run {name}` or `doctor {name}` delivers them"
            )
        if refused := len(self.outbox.refusals()):
            self.tell(
                f"MLflow refused {_messages(refused)}, kept in {self.outbox.refused}; `doctor {name}` sends them again"
            )

    def _run(self) -> None:
        try:
            self._deliver_until_the_end()
        except DiskFull as error:
            self.tell(f"{error}; what MLflow is to be told waits")
        except Interrupted:  # another driver has the study, and a sender of its own
            return
        except OSError as error:  # of our own files
            self.tell(f"{self.outbox.folder}: {error.strerror}; what MLflow is to be told waits")

    def _deliver_until_the_end(self) -> None:
        while not self._ended.is_set():
            self.outbox.changed.clear()
            for messages in self._groups():
                if not self._take_away(messages):
                    return
            if self._finishing.is_set() and not self.outbox.waiting:
                return
            self.outbox.changed.wait()
            self._finishing.wait(REST)

    def _groups(self) -> Iterator[list[tuple[int, Message]]]:
        """Yield what waits: epochs told one after another together, every other message alone."""
        together: list[tuple[int, Message]] = []
        for position, message in self.outbox.messages(self.outbox.delivered.position):
            if together and message["kind"] != "log":
                yield together
                together = []
            together.append((position, message))
            if message["kind"] != "log":
                yield together
                together = []
        if together:
            yield together

    def _take_away(self, messages: list[tuple[int, Message]]) -> bool:
        """Deliver messages, or keep apart what is refused; tell whether there is more to do for this thread."""
        pause, tries, failures = 1.0, 0, 0
        while not self._ended.is_set():
            self.outbox.guard()
            try:
                self.delivery.deliver([message for _, message in messages])
            except Exception as error:  # of MLflow, its database, the network, a file
                answers = self._answers()
                tries += answers and not asks_to_wait(error)
                if answers and (is_for_good(error) or tries == TRIES):
                    return self._refuse(messages, error)
                failures += self._finishing.is_set()
                if failures and (not answers or failures == TRIES):
                    return False
                (self._ended if answers else self._finishing).wait(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
            else:
                self.outbox.note(messages[-1][0], len(messages))
                self._say_what_was_restored()
                return True
        return False

    def _refuse(self, messages: list[tuple[int, Message]], error: Exception) -> bool:
        """Keep a message that is refused; of several, each is tried by itself."""
        if len(messages) > 1:
            return all(self._take_away([one]) for one in messages)
        (position, message), reason = messages[0], words_of(error)
        if not self._refused:  # the others are counted at the end
            self.tell(f"MLflow refused what was told of {message.get('key', 'nothing known')}: {reason}")
        self._refused = True
        self.outbox.refuse(position, message, reason)
        return True

    def _say_what_was_restored(self) -> None:
        for key in self.delivery.restored[self._restored :]:
            self.tell(f"MLflow: run {key} was deleted there, and is restored: its study goes on")
        self._restored = len(self.delivery.restored)

    def _answers(self) -> bool:
        """Tell whether the store answers at all; say once when it no longer does, and when it does again."""
        try:
            self.delivery.ask()
        except Exception as error:
            if not self.away:
                self.away = "it takes none now"
                self.tell(f"MLflow takes no messages now: they wait, the study goes on ({words_of(error)})")
            return False
        if self.away:
            self.away = ""
            self.tell("MLflow takes messages again")
            self._ended.wait(SETTLE)
        return True


def _messages(count: int) -> str:
    return f"{count} message{'' if count == 1 else 's'}"
