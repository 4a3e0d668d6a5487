"""Room on the disk, and the right to use it: looked for before, and missed in one line that says what to do."""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.errors import ConfigError, DiskFull

RESERVE = 32 * 2**20  # bytes left to what else is written there: databases, logs, tables
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}  # the last one: more than this process may write to a file


def refuse_unwritable(folder: Path) -> None:
    """Raise ConfigError where nothing can be written to a folder, or it cannot be made; nothing is left there."""
    try:
        with tempfile.TemporaryFile(dir=_nearest(folder)):
            pass
    except OSError as error:
        raise ConfigError(
            f"{folder}: cannot be written to ({error.strerror}); check the path and its rights, or choose another one"
        ) from None


def refuse_full_disk(folder: Path, needed: int) -> None:
    """Raise DiskFull unless `needed` bytes and the reserve are free."""
    if _free(folder) < needed + RESERVE:
        raise _disk_full(folder, needed, "too little room")


@contextmanager
def writing(folder: Path, needed: int = 0) -> Iterator[None]:
    """Turn what the system answers where there is no room into DiskFull; `needed` is how much was to be written."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise _disk_full(folder, needed, os.strerror(error.errno)) from None


def _disk_full(folder: Path, needed: int, why: str) -> DiskFull:
    wanted, free = -(-(needed + RESERVE) // 2**20), _free(folder) // 2**20
    return DiskFull(f"{folder}: {why}: {wanted} MiB must be free there to go on, {free} are; free the rest")


def _free(folder: Path) -> int:
    return shutil.disk_usage(_nearest(folder)).free


def _nearest(folder: Path) -> Path:
    """Return the folder, or the first of those above it that there is."""
    return next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
