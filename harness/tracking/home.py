"""Whose runs are whose where several homes share a store: each home has an id, which moves with its files."""

import json
import socket
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from harness.errors import ConfigError
from harness.tracking.outbox import forget_deliveries
from harness.tracking.store import Store
from harness.train.checkpoint import write_synced
from harness.train.claim import claimed

FILE = "home.json"
HOME = "harness.home"  # tag of every run: the id of the home it belongs to
PLACE = "harness.place"  # tag of a study's run, for people: the host, and the home on it, that wrote it last


@dataclass(frozen=True)
class _Known:
    """What a home's file says: its id, and which folder it was when it was last used."""

    id: str  # 32 hexadecimal digits
    host: str
    folder: str
    inode: int  # the same on every host that the folder is mounted on

    def is_same_folder(self, other: "_Known") -> bool:
        return (self.folder, self.inode) == (other.folder, other.inode)


def _new(home: Path) -> _Known:
    return _Known(uuid.uuid4().hex, socket.gethostname(), str(home.resolve()), home.stat().st_ino)


def home_id(home: Path, store: Store, tell: Callable[[str], None]) -> str:
    """Return the id of a home, made when it has none; `tell` gets a line where it came from somewhere else.

    A home that was moved keeps its id, and so finds its runs again. A copy, whose original is still there, takes an id
    of its own, and MLflow gets runs of its own from it; where the database came along with the home, its runs did too,
    and nothing is told apart. On another host nobody can look for the original: it is taken for moved. Raises
    ConfigError where the file cannot be read, DiskFull.
    """
    path = home / FILE
    known, here = _read(path), _new(home)
    if known is not None and _is_at_home(known, here, home, store):
        return known.id
    with claimed(path.with_name(f"{FILE}.lock"), lambda: False, tell):
        known = _read(path)
        if known is not None and _is_at_home(known, here, home, store):  # by now
            return known.id
        if known is not None and not _is_copy(known, here):
            tell(_moved(known, here, path))
            here = replace(here, id=known.id)
        else:
            if known is not None:
                tell(f"{home}: is a copy of {known.folder}, which is there too: MLflow gets its runs anew")
            forget_deliveries(home / "work")
        write_synced(path, json.dumps(asdict(here)).encode())
        return here.id


def place(home: Path) -> str:
    """Return where a home is, for people."""
    return f"{socket.gethostname()}:{home.resolve()}"


def _is_at_home(known: _Known, here: _Known, home: Path, store: Store) -> bool:
    """Tell whether there is nothing to find out: it is where it was, or has its runs with it."""
    return known.is_same_folder(here) or _is_in(home, store)


def _is_in(home: Path, store: Store) -> bool:
    return store.database is not None and store.database.resolve().is_relative_to(home.resolve())


def _is_copy(known: _Known, here: _Known) -> bool:
    """Tell whether the home is still where it was, and that is not here."""
    original = Path(known.folder, FILE)
    if known.host != here.host:
        return False
    try:
        other = _read(original)
    except (ConfigError, OSError):  # what is there now is another one
        return False
    return other is not None and other.id == known.id and not original.samefile(Path(here.folder, FILE))


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
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise ConfigError(
            f"{path}: does not say whose runs are this home's ({type(error).__name__}); restore it, or remove it: "
            "its runs in MLflow are then made anew"
        ) from None
    return known
