"""What cannot be interrupted is ended all the same, in a real process that gets a real signal."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

BUSY = """
import sqlite3, sys
one, two = (sqlite3.connect(sys.argv[1], timeout=20, isolation_level=None) for _ in range(2))
one.execute("BEGIN EXCLUSIVE")
def at_work():
    two.execute("BEGIN EXCLUSIVE")  # waits in SQLite, where Python looks at no signal
"""
DEAF = """
import time
def at_work():
    until = time.monotonic() + 20
    while time.monotonic() < until:
        try:
            time.sleep(20)
        except KeyboardInterrupt:  # as where an interrupt is raised in a place that swallows it
            pass
"""
QUICK = """
import time
def at_work():
    try:
        time.sleep(20)
    except KeyboardInterrupt:
        time.sleep(0.2)
        print("ended in order", flush=True)
"""
MAIN = """
import signal
from harness.stopping import ending_in_time
signal.signal(signal.SIGTERM, signal.default_int_handler)
print("ready", flush=True)
with ending_in_time(1.0):
    at_work()
    time.sleep(0)
time.sleep(1.5)
raise SystemExit(7)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(("work", "code"), [(BUSY, 75), (DEAF, 75), (QUICK, 7)])
def test_a_process_that_does_not_end_by_itself_is_ended_in_time(
    work: str, code: int, number: signal.Signals, tmp_path: Path
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", "import time\n" + work + MAIN, str(tmp_path / "x.db")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.3)
    process.send_signal(number)
    began = time.monotonic()
    out, said = process.communicate(timeout=20)
    assert process.returncode == code, said
    assert time.monotonic() - began < 5
    line = "stopped at once: what was under way did not end within 1 s; the same command goes on\n"
    assert (out, said) == (("ended in order\n", "") if code == 7 else ("", line))
