"""One process at a time on a fold run: a lock that ends with its holder, and a mark by which a late one notices."""

import fcntl
import os
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from harness.errors import Interrupted, TakenOver
from harness.train.room import writing

POLL = 0.2  # s between looks at whether the other process is done


@dataclass(frozen=True)
class Claim:
    """The lock file as this process wrote it."""

    path: Path
    mark: str

    def holds(self) -> bool:
        """Tell whether no other process took over, as where a network file system took this one for dead."""
        try:
            return self.path.read_text() == self.mark
        except FileNotFoundError:
            return False

    def refuse_lost(self) -> None:
        """Raise TakenOver when another process took over: nothing may be written any more."""
        if not self.holds():
            raise TakenOver(f"{self.path}: another process took this fold run over; it is left to that one")


@contextmanager
def claimed(path: Path, should_stop: Callable[[], bool], tell: Callable[[str], None]) -> Iterator[Claim]:
    """Hold the lock file `path`, waiting for whoever holds it. Raises Interrupted when `should_stop` says so meanwhile.

    `tell` gets a line when there is somebody to wait for.
    """
    file = _taken(path, should_stop, tell)
    claim = Claim(path, f"process {os.getpid()} on {os.uname().nodename}, {uuid.uuid4().hex}")
    try:
        with writing(path.parent):
            file.truncate(0)
            file.write(claim.mark)
            file.flush()
        yield claim
    finally:
        if claim.holds():
            path.unlink(missing_ok=True)
        file.close()


def release(path: Path) -> bool:
    """Remove a lock file that its holder left when it was killed; tell whether it was. One that is held stays.

    Where the file system has no locks nobody can tell, and it stays too.
    """
    try:
        with path.open("r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not _is_still(path, file):
                return False
            path.unlink()
    except OSError:
        return False
    return True


def _taken(path: Path, should_stop: Callable[[], bool], tell: Callable[[str], None]) -> IO[str]:
    told = False
    while True:
        with writing(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
            file = path.open("a")
        if _locked(file) and _is_still(path, file):
            return file
        file.close()
        if should_stop():
            raise Interrupted(f"{path}: stopped while another process was at work on this fold run")
        if not told:
            with suppress(FileNotFoundError):
                tell(
                    f"{path}: waits for {path.read_text().split(',')[0] or 'another process'}, which is at work on it"
                )
            told = True
        time.sleep(POLL)


def _locked(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks: only the marks are left
        return True
    return True


def _is_still(path: Path, file: IO[str]) -> bool:
    """Tell whether the locked file is the one at `path`, and not one that its last holder removed."""
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False
