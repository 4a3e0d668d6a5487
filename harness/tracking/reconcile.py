"""Make MLflow agree with what is on disk: messages that wait, runs that nobody carries on, studies without work."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.errors import TrackingError
from harness.tracking.delivery import Delivery
from harness.tracking.outbox import Outbox
from harness.tracking.recorder import PLACE, place
from harness.tracking.runs import KEY, runs_at_top, runs_below, runs_with
from harness.tracking.sender import Sender
from harness.tracking.store import Store, words_of

ORPHAN = "harness.orphan"  # tag: why a study's run stands alone
NO_WORK = "no work on disk"


@dataclass(frozen=True)
class Reconciled:
    """What was done for one study, and what could not be; numbers of messages where nothing else is said."""

    delivered: int = 0
    made_again: int = 0  # runs that were gone from MLflow
    taken: int = 0  # that had been refused
    waiting: int = 0
    refused: int = 0
    ended: tuple[str, ...] = ()  # keys of runs that a dead driver left open


def reconcile(outbox: Outbox, delivery: Delivery, tell: Callable[[str], None]) -> Reconciled:
    """Deliver what waits for MLflow, all of it again where some is gone or was refused, and end what was left open.

    Only while no driver has the study. Raises TrackingError where MLflow does not answer.
    """
    with _answering():
        delivery.ask()
    waited, refused = outbox.waiting, outbox.delivered.refused
    lost = 0 if waited else _gone(outbox, delivery)
    if lost or refused:
        outbox.again()
    sender = Sender(outbox, delivery, tell)
    sender.start()
    sender.finish()
    if outbox.waiting:
        return Reconciled(max(0, waited - outbox.waiting), waiting=outbox.waiting)
    made = lost - _gone(outbox, delivery) if lost else 0
    taken = refused - outbox.delivered.refused
    ended = tuple(delivery.close_left(whole=True))
    return Reconciled(waited, made, taken, refused=outbox.delivered.refused, ended=ended)


def orphans(store: Store, home: Path, known: set[str]) -> list[str]:
    """Return the studies of this home that MLflow has and the disk does not, unless they are marked so already.

    Raises TrackingError where MLflow does not answer.
    """
    with _answering():
        client = store.client()
        tops = [run for number in store.experiments().values() for run in runs_at_top(client, number)]
    ours = [run for run in tops if run.data.tags.get(PLACE) == place(home / "work" / run.data.tags[KEY])]
    return [
        run.data.tags[KEY] for run in ours if run.data.tags[KEY] not in known and ORPHAN not in run.data.tags
    ]


def mark_orphan(delivery: Delivery) -> None:
    """End what is open of a study that has no work on disk, and say so on its run."""
    delivery.close_left(NO_WORK, whole=True)
    for run in runs_with(delivery.client, delivery.experiment, delivery.key):
        delivery.client.set_tag(run.info.run_id, ORPHAN, NO_WORK)


@contextlib.contextmanager
def _answering() -> Iterator[None]:
    try:
        yield
    except Exception as error:  # of MLflow, its database or the network
        raise TrackingError(f"MLflow does not answer: {words_of(error)}") from error


def _gone(outbox: Outbox, delivery: Delivery) -> int:
    """Return how many of the runs that MLflow was told of it does not have."""
    told = {message["key"] for _, message in outbox.messages() if message["kind"] in ("study", "open")}
    runs = runs_with(delivery.client, delivery.experiment, delivery.key)
    runs += runs_below(delivery.client, delivery.experiment, delivery.key)
    return len(told - {run.data.tags[KEY] for run in runs})
