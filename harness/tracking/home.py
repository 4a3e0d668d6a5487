"""Whose runs are whose where several homes share a store: each home has an id, which moves with its files."""

import json
import re
import socket
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from mlflow.entities import LifecycleStage, Run, ViewType

from harness.errors import ConfigError
from harness.tracking.outbox import forget_deliveries
from harness.tracking.store import Store, answering
from harness.train.checkpoint import write_synced
from harness.train.claim import claimed

FILE = "home.json"
HOME = "harness.home"  # tag of every run: the id of the home it belongs to
PLACE = "harness.place"  # tag of a study's run: the host, and the home on it, that wrote it last
MOST_RUNS = 50_000  # MLflow's limit


@dataclass(frozen=True)
class _Known:
    """What a home's file says: its id, and which folder it was when it was last used."""

    id: str  # 32 hexadecimal digits
    host: str
    folder: str
    inode: int  # the same on every host that the folder is mounted on

    def is_same_folder(self, other: "_Known") -> bool:
        """Tell whether it is one folder, whatever its host is called: a mounted one has many, a container's is new."""
        return (self.folder, self.inode) == (other.folder, other.inode)


def _new(home: Path) -> _Known:
    return _Known(uuid.uuid4().hex, socket.gethostname(), str(home.resolve()), home.stat().st_ino)


def home_id(home: Path, store: Store, tell: Callable[[str], None]) -> str:
    """Return the id of a home, made when it has none; `tell` gets a line where it came from somewhere else.

    A home that was moved keeps its id, and so finds its runs again. A copy, whose original is still there, where it was
    or where a run with its id says, takes an id of its own, and MLflow gets runs of its own from it; where the database
    came along with the home, its runs did too, and nothing is told apart. On another host nobody can look for the
    original: it is taken for moved. While MLflow does not answer it is for now, and looked at again. Raises ConfigError
    where the file cannot be read, DiskFull.
    """
    path = home / FILE
    known, here = _read(path), _new(home)
    if known is not None and _is_at_home(known, here, home, store):
        return known.id
    with claimed(path.with_name(f"{FILE}.lock"), lambda: False, tell):
        known = _read(path)
        if known is not None and _is_at_home(known, here, home, store):  # by now
            return known.id
        if known is not None:
            original, settled = _look_for_original(known, home, store)
            if original:
                tell(f"{home}: is a copy of {original}, which is there too: MLflow gets its runs anew")
            else:
                tell(_moved(known, here, path) + ("" if settled else "; looked at again once MLflow answers"))
                here = replace(here, id=known.id)
                if not settled:
                    return here.id
        if known is None or known.id != here.id:
            forget_deliveries(home / "work")
        write_synced(path, json.dumps(asdict(here)).encode())
        return here.id


def place(home: Path) -> str:
    """Return where a home is."""
    return f"{socket.gethostname()}:{home.resolve()}"


def is_of_another(run: Run, home: Path, own: str, store: Store) -> bool:
    """Tell whether a study's run with the id `own` was written last by another home with this id, which is there too.

    Not in a database in the home itself, which was copied with its runs.
    """
    return not _is_in(home, store) and _is_other_home(run.data.tags.get(PLACE, ""), home, own)


def _is_at_home(known: _Known, here: _Known, home: Path, store: Store) -> bool:
    """Tell whether there is nothing to find out: it is where it was, or has its runs with it."""
    return known.is_same_folder(here) or _is_in(home, store)


def _is_in(home: Path, store: Store) -> bool:
    return store.database is not None and store.database.resolve().is_relative_to(home.resolve())


def _look_for_original(known: _Known, home: Path, store: Store) -> tuple[str, bool]:
    """Return the folder of the home that this one is a copy of, if there is one, and whether that is settled.

    Of a home that was moved the runs are told where it is now, for copies of it to find it there.
    """
    if original := _other_home([f"{known.host}:{known.folder}"], home, known.id):
        return original, True
    try:
        runs = _studies(store, known.id)
        if original := _other_home((run.data.tags.get(PLACE, "") for run in runs), home, known.id):
            return original, True
        for run in runs:
            if run.info.lifecycle_stage == LifecycleStage.ACTIVE:
                store.client().set_tag(run.info.run_id, PLACE, place(home))
    except Exception:  # whatever MLflow, its database or the network says: nobody waits for them here
        return "", False
    return "", True


def _studies(store: Store, own: str) -> Sequence[Run]:
    """Return the runs of studies with a home's id, deleted ones too. Raises what keeps MLflow from answering."""
    if store.database is not None and not store.database.exists():
        return []
    client, numbers = answering(store).client(), list(store.experiments().values())
    wanted = f"tags.\"harness.level\" = 'study' AND tags.\"{HOME}\" = '{own}'"
    return client.search_runs(numbers, wanted, ViewType.ALL, max_results=MOST_RUNS) if numbers else []


def _other_home(places: Iterable[str], home: Path, own: str) -> str:
    """Return the folder of the first of these places that is another home with this id, else nothing."""
    return next((told.partition(":")[2] for told in places if _is_other_home(told, home, own)), "")


def _is_other_home(told: str, home: Path, own: str) -> bool:
    host, _, folder = told.partition(":")
    if host != socket.gethostname() or not folder:
        return False
    try:
        other = _read(Path(folder, FILE))
        return other is not None and other.id == own and not Path(folder).samefile(home)
    except (ConfigError, OSError):  # what is there now is another one
        return False


def _moved(known: _Known, here: _Known, path: Path) -> str:
    was = f"{here.folder}: is taken for {known.host}:{known.folder}, moved"
    if known.host == here.host:
        return f"{was}; it goes on with its runs in MLflow"
    return (
        f"{was}; if it is a copy and both go on, stop, remove {path}, and start again: they would share runs"
    )


def _read(path: Path) -> _Known | None:
    try:
        known = _Known(**json.loads(path.read_bytes()))
        kinds = [(known.id, str), (known.host, str), (known.folder, str), (known.inode, int)]
        if not all(isinstance(value, kind) for value, kind in kinds) or not re.fullmatch(
            "[0-9a-f]{32}", known.id
        ):
            raise ValueError("of another kind")
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise ConfigError(
            f"{path}: does not say whose runs are this home's ({type(error).__name__}); restore it, or remove it: "
            "its runs in MLflow are then made anew"
        ) from None
    return known
