"""One driver a study, in a real database, with real processes."""

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.errors import ConfigError, Interrupted
from harness.search import lock
from harness.search.lock import only_driver
from harness.search.slots import Slots
from tests.search.formula import study

HOLDER = """
import sys, time
from harness.errors import Interrupted
from harness.search.lock import only_driver
with only_driver(sys.argv[1], "tiny-1", lease=float(sys.argv[2])) as lock:
    print("held", flush=True)
    for _ in sys.stdin:
        try:
            lock.hold()
            print("mine", flush=True)
        except Interrupted as error:
            print(error, flush=True)
"""


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'optuna.db'}"


@contextlib.contextmanager
def holder(url: str, lease: float = 60.0) -> Iterator["subprocess.Popen[str]"]:
    """Another process that holds the lock, and says whether it still does for each line it is sent."""
    arguments = [sys.executable, "-c", HOLDER, url, str(lease)]
    process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.send_signal(signal.SIGCONT)
        process.kill()
        process.communicate()


def still_holds(process: "subprocess.Popen[str]") -> str:
    assert process.stdin
    assert process.stdout
    process.stdin.write("?\n")
    process.stdin.flush()
    return process.stdout.readline().strip()


def changed(url: str, values: str) -> None:
    with contextlib.closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as database, database:
        database.execute(f"UPDATE harness_driver SET {values}")


def test_a_second_driver_is_told_who_has_the_study_until_that_one_is_killed(url: str) -> None:
    with holder(url) as first:
        refusal = pytest.raises(
            ConfigError, match=f"^tiny-1: this study is being run by process {first.pid} on "
        )
        for _ in range(2):  # being refused does not free it
            with refusal, only_driver(url, "tiny-1"):
                pytest.fail("two drivers")
        with only_driver(url, "another-1"):
            os.kill(first.pid, signal.SIGKILL)
            os.waitid(os.P_PID, first.pid, os.WEXITED | os.WNOWAIT)  # dead, and nobody has looked at it yet
            began = time.monotonic()
            with only_driver(url, "tiny-1") as mine:
                mine.hold()
            assert time.monotonic() - began < 5


def test_a_driver_that_stood_still_and_was_replaced_notices_before_it_writes(url: str) -> None:
    with holder(url, lease=1.0) as first:
        time.sleep(1.5)
        assert still_holds(first) == "mine", "it renews"
        first.send_signal(signal.SIGSTOP)
        time.sleep(1.1)
        with only_driver(url, "tiny-1", lease=1.0) as mine:
            first.send_signal(signal.SIGCONT)
            said = still_holds(first)
            me = f"process {os.getpid()} on {os.uname().nodename}"
            assert said == f"tiny-1: {me} took it over while this one stood still"
            mine.hold()
        assert "took it over" in still_holds(first)


def test_a_driver_that_stood_still_and_was_not_replaced_goes_on(url: str) -> None:
    with holder(url, lease=0.6) as first:
        first.send_signal(signal.SIGSTOP)
        time.sleep(1.0)
        first.send_signal(signal.SIGCONT)
        assert still_holds(first) == "mine"


def test_the_number_of_a_dead_process_that_another_got_frees_the_lock(url: str) -> None:
    with holder(url):
        changed(url, f"process = {os.getpid()}, started = '1'")
        with only_driver(url, "tiny-1"):
            pass


def test_a_driver_on_another_machine_is_watched_and_told_of(url: str) -> None:
    lines: list[str] = []
    with holder(url, lease=1.0) as first:
        changed(url, "machine = 'elsewhere', host = 'node7', beat_at = 0")
        began = time.monotonic()
        with (
            pytest.raises(ConfigError, match=r"is being run by process .* on node7"),
            only_driver(url, "tiny-1", lease=60, tell=lines.append),
        ):
            pytest.fail("two drivers")
        assert time.monotonic() - began < 10, "one sign of life is enough"
        assert "on node7 has this study and may be dead: watched for up to 60 s" in lines[0]
        first.send_signal(signal.SIGSTOP)
        with only_driver(url, "tiny-1", lease=0.6):
            pass


@pytest.mark.parametrize("hours", [-1e6, 1e6])
def test_a_wall_clock_that_jumps_neither_frees_nor_blocks_the_lock(
    url: str, hours: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = time.time
    with only_driver(url, "tiny-1") as mine:
        monkeypatch.setattr(time, "time", lambda: real() + hours * 3600)
        with pytest.raises(ConfigError, match="is being run by"), only_driver(url, "tiny-1"):
            pytest.fail("two drivers")
        mine.hold()
    with only_driver(url, "tiny-1"):
        pass


def test_a_machine_that_started_again_has_freed_its_locks(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with only_driver(url, "tiny-1") as mine:
        changed(url, "beat_at = 1e12")  # of a clock that began anew since: watched, not believed
        monkeypatch.setattr(lock, "RENEWALS", 1)
        mine.lease = 0.0  # it looks at the row each time it is asked
        with only_driver(url, "tiny-1", lease=0.2), pytest.raises(Interrupted, match="took it over"):
            mine.hold()


def test_the_lock_is_free_after_an_error_and_optuna_does_not_mind_the_table(url: str, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="oops"), only_driver(url, "tiny-1"):
        raise RuntimeError("oops")
    with only_driver(url, "tiny-1") as mine:
        slots = Slots(study(trials=2), "0123456789abcdef", url, tmp_path)
        slots.ask(0)
        slots.close()
        mine.hold()


def test_a_database_that_cannot_be_opened_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "broken.db").write_text("no database " * 100)
    for url in (f"sqlite:///{tmp_path / 'broken.db'}", "nothing", "sqlite:////no/such/folder/optuna.db"):
        with (
            pytest.raises(ConfigError, match="the trials' database cannot be used") as caught,
            only_driver(url, "tiny-1"),
        ):
            pytest.fail("opened")
        assert "\n" not in str(caught.value)
