"""One driver a study: a lock on its work folder, released by the system when the process ends."""

import contextlib
import fcntl
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from harness.errors import ConfigError


@contextlib.contextmanager
def only_driver(folder: Path) -> Iterator[None]:
    """Hold the study's lock. Raises ConfigError naming the process that has it."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "driver.lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise ConfigError(
                f"{folder}: this study is being run by {file.read().strip() or 'another process'}; "
                "wait for it, or stop it"
            ) from None
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        yield
