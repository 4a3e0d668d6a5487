"""Kill a study before and after every kind of write, the first and the last of each, and see that it recovers.

make soak. A write is a file opened for writing, an fsync, a rename, a removal, a folder made, a commit to a database.
"""

import argparse
import io
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import optuna
import torch
from rich.console import Console
from sqlalchemy import Engine, event

from benchmarks.study_ending import read_ending
from benchmarks.tiny import tiny_study
from harness.doctor import Examination
from harness.drive import drive
from harness.prepare import Prepared, prepare
from harness.tracking.store import Store, open_store

TRIALS = FOLDS = EPOCHS = 2
WORKERS = 2
DEPTH = 2  # functions of ours that tell one site of a write from another
OF_FILES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.truncate")
FOR_WRITING = os.O_WRONLY | os.O_RDWR
OURS = str(Path(__file__).parents[1] / "harness")


@dataclass(frozen=True)
class Point:
    """Where to die: at a site's occurrence of this number, counted from 1, before it or after it."""

    site: str
    number: int
    after: bool

    def line(self) -> str:
        return f"{'after' if self.after else 'before'} no. {self.number} of {self.site}"


@dataclass(frozen=True)
class Verdict:
    """What became of a study killed at a point; `wrong` tells what is not as in the undisturbed one."""

    point: Point
    killed: bool
    wrong: tuple[str, ...]

    def line(self) -> str:
        state = f"WRONG: {', '.join(self.wrong)}" if self.wrong else "recovered"
        return f"{state if self.killed else f'not reached, {state}'}: {self.point.line()}"


class Writes:
    """Counts this process's writes by site, and kills it at a point."""

    def __init__(self, root: Path, point: Point | None) -> None:
        self.count: Counter[str] = Counter()
        self._root, self._point, self._due = str(root), point, threading.local()

    def watch(self) -> None:
        """From now on see every write; for the rest of this process's life."""
        sys.addaudithook(self._heard)
        event.listen(Engine, "commit", lambda connection: self._write("commit"))
        real = os.fsync

        def fsync(file: Any) -> None:
            self._write("fsync")
            real(file)

        os.fsync = fsync

    def _heard(self, name: str, args: tuple[Any, ...]) -> None:
        if name == "open" and isinstance(args[2], int) and args[2] & FOR_WRITING and self._is_ours(args[0]):
            self._write("open")
        elif name in OF_FILES and self._is_ours(args[0]):
            self._write(name)

    def _is_ours(self, path: object) -> bool:
        return isinstance(path, str | os.PathLike) and os.path.abspath(path).startswith(self._root)

    def _write(self, kind: str) -> None:
        if getattr(self._due, "after", False):
            os.kill(os.getpid(), signal.SIGKILL)
        site = f"{kind} in {_where()}"
        self.count[site] += 1
        if self._point and (site, self.count[site]) == (self._point.site, self._point.number):
            if not self._point.after:
                os.kill(os.getpid(), signal.SIGKILL)
            self._due.after = True


def _where() -> str:
    """Return the nearest of our functions on the stack, the innermost last."""
    frame, found = sys._getframe(1), []
    while frame and len(found) < DEPTH:
        if frame.f_code.co_filename.startswith(OURS):
            found.append(f"{Path(frame.f_code.co_filename).stem}.{frame.f_code.co_name}")
        frame = frame.f_back  # type: ignore[assignment]
    return " > ".join(reversed(found)) or "a library's own thread"


def live(prepared: Prepared, home: Path, point: Point | None = None) -> Counter[str] | None:
    """Run the study in a process of its own, killed at `point`; return its writes by site, None if it was killed."""

    def carried() -> Counter[str]:
        writes = Writes(home, point)
        writes.watch()
        console = Console(file=io.StringIO())
        drive(prepared, open_store(home), home=home, caches=_caches(home), console=console, watch=_never)
        return writes.count

    count = in_child(carried)
    return None if count is None else Counter(count)


def in_child(work: Callable[[], Any]) -> Any:
    """Return what a process of its own returns, as JSON has it; None if it was killed.

    This one stays without threads and without open databases, which a fork would carry over.
    """
    receive, send = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(send, json.dumps(work()).encode())
            os._exit(0)
        except BaseException:
            traceback.print_exc(file=sys.stderr)
            os._exit(70)
    os.close(send)
    with os.fdopen(receive, "rb") as pipe:
        returned = pipe.read()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code not in (0, -signal.SIGKILL):
        raise RuntimeError(f"a process of the soak ended with {code}")
    return json.loads(returned) if code == 0 else None


def _never() -> Any:
    return lambda: False


def _caches(home: Path) -> Path:
    return home / "caches"


def points_of(count: Counter[str]) -> list[Point]:
    """Return the points of all sites, those of one that is reached once only once."""
    return [
        Point(site, number, after)
        for site in sorted(count)
        for number in sorted({1, count[site]})
        for after in (False, True)
    ]


def differences(home: Path, whole: Path) -> list[str]:
    """Return what a study ended as otherwise than an undisturbed one, and what `doctor` finds of it."""
    found = Examination(home, open_store(home), lambda line: None).of_all()
    return [*read_ending(home).differences(read_ending(whole)), *(f"doctor: {one.what}" for one in found)]


def _make_tables(folder: Path) -> None:
    """Make the tables of both databases, which takes seconds, once."""
    Store(f"sqlite:///{folder / 'mlflow.db'}", None).client().search_experiments()
    optuna.storages.RDBStorage(f"sqlite:///{folder / 'optuna.db'}")


class Soak:
    """The prepared study in a folder, its undisturbed run, and what that wrote."""

    def __init__(self, folder: Path) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        torch.set_num_threads(1)
        self.folder = folder
        study = tiny_study(folder / "data", trials=TRIALS, folds=FOLDS, epochs=EPOCHS)
        self.prepared = prepare(study, base=folder, home=folder / "prepared", caches=folder / "caches")
        (folder / "empty").mkdir()
        in_child(partial(_make_tables, folder / "empty"))
        self._whole = self.copied(folder / "whole")
        count = live(self.prepared, self._whole)
        if count is None:
            raise RuntimeError("the undisturbed study was killed")
        self.count = count

    def copied(self, home: Path) -> Path:
        """Return a home to begin in, whose databases have their tables."""
        return Path(shutil.copytree(self.folder / "empty", home))

    def wrong(self, home: Path) -> tuple[str, ...]:
        """Return a line about each thing that is not as in the undisturbed study."""
        return tuple(in_child(partial(differences, home, self._whole)))

    def try_at(self, point: Point) -> Verdict:
        """Kill a fresh study at a point, let it go on, and compare."""
        home = self.copied(self.folder / "killed")
        killed = live(self.prepared, home, point) is None
        if live(self.prepared, home) is None:
            raise RuntimeError("a study that goes on was killed")
        verdict = Verdict(point, killed, self.wrong(home))
        shutil.rmtree(home)
        return verdict


def _of_one_process(points: list[Point]) -> list[Verdict]:
    with tempfile.TemporaryDirectory() as folder:
        soak, verdicts = Soak(Path(folder)), []
        for point in points:
            verdicts.append(soak.try_at(point))
            print(verdicts[-1].line(), flush=True)
        return verdicts


def _shared(points: list[Point]) -> Iterator[Verdict]:
    """Yield the verdict of every point, from processes side by side."""
    with ProcessPoolExecutor(WORKERS, get_context("spawn")) as pool:
        for part in pool.map(_of_one_process, [points[start::WORKERS] for start in range(WORKERS)]):
            yield from part


def main() -> int:
    """Print every point and what became of it; return 1 if any was not recovered from."""
    parser = argparse.ArgumentParser(description="Kill a study at each kind of write.")
    parser.add_argument("--points", type=int, help="only so many, drawn from a seed")
    parser.add_argument("--only", default="", help="points whose line holds this text")
    asked, started = parser.parse_args(), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        points = [p for p in points_of(Soak(Path(folder)).count) if asked.only in p.line()]
    points = random.Random(1).sample(points, asked.points or len(points))
    verdicts = list(_shared(points))
    reached, wrong = sum(v.killed for v in verdicts), sum(bool(v.wrong) for v in verdicts)
    sites, minutes = len({point.site for point in points}), (time.monotonic() - started) / 60
    print(
        f"K = {len(points)} points at {sites} sites: killed at {reached}, {wrong} not recovered; {minutes:.0f} min"
    )
    return min(wrong, 1)


if __name__ == "__main__":
    sys.exit(main())
