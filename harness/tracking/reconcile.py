"""Make MLflow agree with what is on disk: messages that wait, runs gone or ended otherwise, studies without work."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mlflow.entities import Run

from harness.errors import HarnessError, TrackingError
from harness.masking import words_of
from harness.tracking.delivery import LEFT, ORPHAN, PARENT, STATUS, Delivery
from harness.tracking.home import FILE, PLACE, is_of_another
from harness.tracking.outbox import Message, Outbox, Refusal, Replay
from harness.tracking.runs import KEY, fullest_first, runs_at_top
from harness.tracking.sender import Sender
from harness.tracking.store import Store

NO_WORK = "no work on disk"


@dataclass(frozen=True)
class Reconciled:
    """What was done for one study, and what could not be; numbers of messages, and keys of runs."""

    delivered: int = 0
    taken: int = 0  # that had been refused
    waiting: int = 0
    refused: int = 0
    restored: tuple[str, ...] = ()  # runs that somebody had deleted
    made_again: tuple[str, ...] = ()  # that were gone
    corrected: tuple[str, ...] = ()  # that had ended otherwise there
    ended: tuple[str, ...] = ()  # that a dead driver left open


@dataclass(frozen=True)
class _Told:
    """What MLflow was told of a run last."""

    parent: str | None  # its key
    state: str = "interrupted"  # of one that was never closed
    reason: str = LEFT
    open: bool = True


def reconcile(outbox: Outbox, delivery: Delivery, tell: Callable[[str], None]) -> Reconciled:
    """Deliver what waits for MLflow and what it refused, all of each run that is gone or ended otherwise; end the open.

    Done again it finds nothing more to do. Only while no driver has the study. Raises TrackingError where MLflow does
    not answer, or another home has the study too.
    """
    with asking():
        delivery.ask()
        _refuse_another_home(delivery)
    waited, refused, known = outbox.waiting, outbox.refusals(), len(delivery.restored)
    _send(outbox, delivery, tell)
    new = len(outbox.refusals().keys() - refused.keys())
    sent = waited - outbox.waiting - new
    if outbox.waiting:
        return Reconciled(sent, waiting=outbox.waiting, refused=len(outbox.refusals()))
    with asking():
        told = _told(outbox)
        found = _found(delivery)
        wrong = first = _disagreeing(told, found)
        todo, done, twice = wrong | _keys_of(refused.values()), set[str](), set[str]()
        while todo:
            again = Replay(outbox, todo)
            _send(again, delivery, tell)
            again.keep()
            if again.waiting:
                return Reconciled(sent, waiting=again.waiting, refused=len(outbox.refusals()))
            done |= todo
            wrong = _disagreeing(told, _found(delivery))
            # of a run made again, what was told before the opening that is told now
            early = (_keys_of(again.refusals().values()) & (first - found.keys())) - twice
            twice |= early
            todo = (wrong - done) | early
        ended = delivery.close_left(whole=True)
        _close_as_told(delivery, told)
    left, restored = outbox.refusals(), set(delivery.restored[known:])
    stuck = _keys_of(left.values())
    return Reconciled(
        delivered=sent,
        taken=len(refused.keys() - left.keys()),
        refused=len(left),
        restored=tuple(sorted(restored)),
        made_again=tuple(sorted(first - found.keys() - restored - wrong)),
        corrected=tuple(sorted((first & found.keys()) - restored - wrong - stuck)),
        ended=tuple(sorted(set(ended) - first - stuck)),
    )


def orphans(store: Store, home: Path, own: str, known: set[str]) -> list[str]:
    """Return the studies of the home with the id `own` that MLflow has and the disk does not.

    Not those marked so already, nor those that another home with this id wrote last. Raises TrackingError where MLflow
    does not answer.
    """
    with asking():
        client = store.client()
        tops = [run for number in store.experiments().values() for run in runs_at_top(client, number, own)]
    alone = [run for run in tops if run.data.tags[KEY] not in known and ORPHAN not in run.data.tags]
    return [run.data.tags[KEY] for run in alone if not is_of_another(run, home, own, store)]


def mark_orphan(delivery: Delivery) -> None:
    """End what is open of a study that has no work on disk, and say so on its run. Raises TrackingError."""
    with asking():
        delivery.close_left(NO_WORK, whole=True)
        for run in delivery.runs.with_key(delivery.key):
            delivery.client.set_tag(run.info.run_id, ORPHAN, NO_WORK)


def _refuse_another_home(delivery: Delivery) -> None:
    home = delivery.work.parents[1]
    for run in delivery.runs.with_key(delivery.key):
        if is_of_another(run, home, delivery.home, delivery.store):
            raise TrackingError(
                f"the run of {delivery.key} in MLflow was written last by {run.data.tags[PLACE]}, a home with the id "
                f"of {home}: nothing of it is sent or ended; remove {FILE} in the one that is the copy, and start again"
            )


@contextlib.contextmanager
def asking() -> Iterator[None]:
    """Turn what MLflow, its database or the network raises into a TrackingError."""
    try:
        yield
    except HarnessError:
        raise
    except Exception as error:
        raise TrackingError(f"MLflow does not answer: {words_of(error)}") from error


def _send(messages: Outbox | Replay, delivery: Delivery, tell: Callable[[str], None]) -> None:
    sender = Sender(messages, delivery, tell)
    sender.start()
    sender.wait()


def _keys_of(refused: Iterable[Refusal]) -> set[str]:
    """Return the keys of the runs that refused messages tell of; a damaged line tells of none."""
    return {one.message["key"] for one in refused if "key" in one.message}


def _told(outbox: Outbox) -> dict[str, _Told]:
    """Return what was told last of each run that was opened, by its key."""
    told: dict[str, _Told] = {}
    for _, message in outbox.messages():
        key = str(message.get("key"))
        if message["kind"] in ("study", "open"):
            told[key] = _Told(message.get("parent"))
        elif message["kind"] == "end" and key in told:
            told[key] = _ended(told[key], message)
    return told


def _ended(told: _Told, message: Message) -> _Told:
    return _Told(told.parent, message["state"], message["reason"], open=False)


def _found(delivery: Delivery) -> dict[str, list[Run]]:
    """Return the study's runs in MLflow by key, twins together."""
    found: dict[str, list[Run]] = {}
    for run in fullest_first(delivery.runs.all()):
        found.setdefault(run.data.tags[KEY], []).append(run)
    return found


def _disagreeing(told: Mapping[str, _Told], found: Mapping[str, list[Run]]) -> set[str]:
    """Return the keys of runs that are gone, there twice, below another parent, or ended otherwise than was told."""
    return {key for key, one in told.items() if not _agrees(one, found.get(key, []), found)}


def _agrees(told: _Told, runs: list[Run], found: Mapping[str, list[Run]]) -> bool:
    if len(runs) != 1:
        return False
    parents = [run.info.run_id for run in found.get(told.parent or "", [])]
    below = not parents or runs[0].data.tags.get(PARENT) in parents  # without one, once that is made again
    return below and (_has_ended_so(told, runs[0]) or (told.open and runs[0].info.status == "RUNNING"))


def _has_ended_so(told: _Told, run: Run) -> bool:
    return (run.info.status, run.data.tags.get("harness.state")) == (STATUS[told.state], told.state)


def _close_as_told(delivery: Delivery, told: Mapping[str, _Told]) -> None:
    """End runs whose end MLflow refuses as they ended: their status is right then, if not all else."""
    for key, run in _single(_found(delivery)):
        if key in told and not _has_ended_so(told[key], run):
            delivery.close(run, told[key].state, told[key].reason)


def _single(found: Mapping[str, list[Run]]) -> Iterable[tuple[str, Run]]:
    return ((key, runs[0]) for key, runs in found.items())
