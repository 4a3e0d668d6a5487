"""One driver a study, one promotion a model: a row beside Optuna's tables that its holder renews while it lives.

No clock of the wall decides: on one machine the time since it started, between machines the watcher's own waiting.
"""

import contextlib
import os
import socket
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Engine,
    Float,
    Integer,
    MetaData,
    String,
    Table,
    insert,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.schema import CreateTable

from harness.errors import Blocked, ConfigError, HarnessError, Interrupted
from harness.search.database import opened

LEASE = 60.0  # s without a sign of life after which a driver counts as dead
RENEWALS = 12  # in the time of a lease
WAIT = 0.5  # s between looks of who is patient

DRIVERS = Table(
    "harness_driver",
    MetaData(),
    Column("study", String(200), primary_key=True),
    Column("owner", String(32), nullable=False),  # empty: nobody
    Column("host", String(255), nullable=False),
    Column(
        "machine", String(128), nullable=False
    ),  # the start of its system, the name space of its processes
    Column("process", Integer, nullable=False),
    Column("started", String(64), nullable=False),  # the process; a number may be used again
    Column("epoch", BigInteger, nullable=False),  # how often the lock was taken
    Column("beats", BigInteger, nullable=False),  # how often it was renewed since
    Column("beat_at", Float, nullable=False),  # the machine's clock, s since its system started
)
NOBODY = {"owner": "", "host": "", "machine": "", "process": 0, "started": "", "beats": 0, "beat_at": 0.0}

Row = Any  # of DRIVERS


@dataclass
class DriverLock:
    """A study's lock while this process holds it."""

    study: str
    engine: Engine
    owner: str
    epoch: int
    lease: float
    _renewed: float = field(default_factory=lambda: _now())
    _lost: bool = False
    _closed: threading.Event = field(default_factory=threading.Event)
    _one: threading.Lock = field(default_factory=threading.Lock)

    def hold(self) -> None:
        """Return if this process still has the lock: to be called before anything is written.

        Raises Interrupted where another driver took it over while this process stood still.
        """
        if not self._lost and _now() - self._renewed > self.lease / 2:
            try:
                self._renew()
            except HarnessError as error:
                raise Blocked(f"{self.study}: its lock cannot be renewed: {error}") from error
        if self._lost:
            raise Interrupted(f"{self.study}: {_holder(self._row())} took it over while this one stood still")

    def keep(self) -> None:
        """Renew the lock until it is released or lost; runs in a thread of its own."""
        while not self._lost and not self._closed.wait(self.lease / RENEWALS):
            with contextlib.suppress(HarnessError):  # the next one may do, and `hold` looks by itself
                self._renew()

    def release(self) -> None:
        """Let go, unless another driver has it already."""
        self._closed.set()
        with self._one, contextlib.suppress(HarnessError):  # it expires by itself
            _write(self.engine, self._mine(), NOBODY)

    def _renew(self) -> None:
        with self._one:
            now = _now()
            beat = {"beats": DRIVERS.c.beats + 1, "beat_at": now}
            if self._closed.is_set():
                return
            if _write(self.engine, self._mine(), beat):
                self._renewed = now
            else:
                self._lost = True

    def _mine(self) -> dict[str, Any]:
        return {"study": self.study, "owner": self.owner, "epoch": self.epoch}

    def _row(self) -> Row:
        return _read(self.engine, self.study)


@contextlib.contextmanager
def only_driver(
    url: str,
    study: str,
    *,
    tell: Callable[[str], None] = lambda line: None,
    lease: float = LEASE,
    patient: bool = False,
) -> Iterator[DriverLock]:
    """Hold the lock of `study` in the database `url`. Raises ConfigError naming the process that has it.

    One on this machine whose process is gone is free at once. Otherwise a driver that may be dead is watched for
    `lease` seconds, and `tell` gets a line about it. Who is `patient` waits for one that lives.
    """
    engine = _opened(url)
    try:
        lock = _take(engine, study, tell, lease, patient)
        thread = threading.Thread(target=lock.keep, name="driver lock", daemon=True)
        thread.start()
        try:
            yield lock
        finally:
            lock.release()
            thread.join()
    finally:
        engine.dispose()


def _opened(url: str) -> Engine:
    """Return the database with the table of drivers. Raises ConfigError where it cannot be used, DiskFull, Blocked."""
    engine = opened(url)
    failed: HarnessError | None = None
    try:
        with engine.begin() as connection:
            connection.execute(CreateTable(DRIVERS, if_not_exists=True))
    except HarnessError as error:  # two may make it at once
        failed = error
    try:
        with engine.connect() as connection:
            connection.execute(select(DRIVERS.c.study).limit(1))
    except HarnessError as error:
        engine.dispose()
        raise (failed or error) from None
    return engine


def only_promotion(
    url: str, name: str, tell: Callable[[str], None]
) -> contextlib.AbstractContextManager[DriverLock]:
    """Hold the lock of a registered model, for whoever moves its aliases; wait for another one that does."""
    return only_driver(url, f"model {name}", tell=tell, patient=True)


def _take(engine: Engine, study: str, tell: Callable[[str], None], lease: float, patient: bool) -> DriverLock:
    me = {
        "owner": uuid.uuid4().hex,
        "host": socket.gethostname(),
        "machine": _machine(),
        "process": os.getpid(),
        "started": _started(os.getpid()),
    }
    waited_for: set[int] = set()  # turns of others
    while True:
        seen = _read(engine, study)
        if seen is None:
            _create(engine, study)
            continue
        if not _is_free(seen) and _lives(engine, seen, tell, lease):
            if not patient:
                raise ConfigError(
                    f"{study}: this study is being run by {_holder(seen)}; wait for it, or stop it"
                )
            if seen.epoch not in waited_for:
                tell(f"{study}: waits for {_holder(seen)}, which is at work on it")
            waited_for.add(seen.epoch)
            time.sleep(WAIT)
            continue
        taken = me | {"epoch": seen.epoch + 1, "beats": 0, "beat_at": _now()}
        known = {name: getattr(seen, name) for name in ("study", "owner", "epoch", "beats")}
        if _write(engine, known, taken):
            return DriverLock(study, engine, str(me["owner"]), seen.epoch + 1, lease)


def _create(engine: Engine, study: str) -> None:
    with contextlib.suppress(IntegrityError), engine.begin() as connection:  # another driver made it
        connection.execute(insert(DRIVERS).values(study=study, epoch=0, **NOBODY))


def _is_free(row: Row) -> bool:
    """Tell whether nobody has the lock, or a process of this machine that is gone."""
    if not row.owner:
        return True
    return bool(row.machine == _machine() and _started(row.process) != row.started)


def _lives(engine: Engine, seen: Row, tell: Callable[[str], None], lease: float) -> bool:
    """Tell whether the holder gives a sign of life: gave one lately on this machine, or does while it is watched."""
    if seen.machine == _machine() and 0 <= _now() - seen.beat_at <= lease:
        return True
    tell(f"{seen.study}: {_holder(seen)} has this study and may be dead: watched for up to {lease:.0f} s")
    until = time.monotonic() + lease
    while time.monotonic() < until:
        time.sleep(lease / RENEWALS)
        row = _read(engine, seen.study)
        if (row.owner, row.epoch, row.beats) != (seen.owner, seen.epoch, seen.beats):
            return bool(row.owner)
    return False


def _read(engine: Engine, study: str) -> Row:
    with engine.connect() as connection:
        return connection.execute(select(DRIVERS).where(DRIVERS.c.study == study)).one_or_none()


def _write(engine: Engine, known: dict[str, Any], values: dict[str, Any]) -> bool:
    """Change the row if it still is as known; tell whether it was."""
    conditions = [DRIVERS.c[name] == value for name, value in known.items()]
    with engine.begin() as connection:
        return connection.execute(update(DRIVERS).where(*conditions).values(**values)).rowcount == 1


def _holder(row: Row) -> str:
    return f"process {row.process} on {row.host}" if row is not None and row.owner else "another driver"


def _now() -> float:
    """Return seconds since the system started, which go on while a process or the machine sleeps."""
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime(clock)


def _machine() -> str:
    """Name where process numbers and the clock above can be compared: the same system since the same start."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return socket.gethostname()


def _started(process: int) -> str:
    """Return when a process of this machine was started, in the system's own form; nothing if it is gone."""
    if Path("/proc/self/stat").exists():
        try:
            fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return ""
        return "" if fields[0] in "ZX" else fields[19]  # a dead one that its parent has not looked at yet
    command = ["ps", "-o", "lstart=", "-p", str(process)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
