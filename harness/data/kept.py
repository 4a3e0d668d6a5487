"""What was once read from files, kept under their contents in one SQLite file: safe to share, to kill and to delete."""

import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from harness.errors import DataError

KEPT_VERSION = 1  # part of the file's name; raise it when the table changes
AT_ONCE = 500  # keys that are asked for; SQLite takes 32,766 parameters at most
TIMEOUT = 60.0  # seconds a process waits for another one's write


class Kept:
    """Bytes by key; several threads and processes may read and write."""

    def __init__(self, caches: Path) -> None:
        self.caches = caches
        caches.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._path = caches / f"kept-{KEPT_VERSION}.sqlite"
        with self._used():
            self._store = _opened(self._path)

    def get(self, key: str) -> bytes | None:
        """Return what is kept under the key."""
        with self._used():
            row = self._store.execute("SELECT value FROM kept WHERE key = ?", (key,)).fetchone()
        return None if row is None else row[0]

    def get_all(self, keys: Sequence[str]) -> dict[str, bytes]:
        """Return what is kept under each of these keys, those left out under which nothing is."""
        found: dict[str, bytes] = {}
        for start in range(0, len(keys), AT_ONCE):
            some = keys[start : start + AT_ONCE]
            asked = f"SELECT key, value FROM kept WHERE key IN ({', '.join('?' * len(some))})"
            with self._used():
                found.update(self._store.execute(asked, some).fetchall())
        return found

    def put(self, values: Mapping[str, bytes]) -> None:
        """Keep all of these, in one transaction; what is there already stays."""
        with self._used(), self._store:  # which is committed, or rolled back after an error
            self._store.execute("BEGIN IMMEDIATE")
            self._store.executemany("INSERT OR IGNORE INTO kept VALUES (?, ?)", values.items())

    @contextmanager
    def _used(self) -> Iterator[None]:
        """Let one thread at a time use the file. Raises DataError where that is damaged."""
        try:
            with self._lock:
                yield
        except (sqlite3.InterfaceError, sqlite3.ProgrammingError):  # of values that nothing can keep
            raise
        except sqlite3.Error as error:
            raise DataError(f"{self._path}: cannot be used ({error}); delete it, it is made anew") from error

    def close(self) -> None:
        self._store.close()


def _opened(path: Path) -> sqlite3.Connection:
    store = sqlite3.connect(path, timeout=TIMEOUT, check_same_thread=False, isolation_level=None)
    store.execute("PRAGMA journal_mode = WAL")
    store.execute("PRAGMA synchronous = NORMAL")  # a power cut may lose the last writes, never the file
    store.execute("CREATE TABLE IF NOT EXISTS kept (key TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID")
    return store
