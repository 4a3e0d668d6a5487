"""One life of the command, from its start to its end, in a process forked from one that has imported everything."""

import os
import signal
import sys
import time
import traceback
from pathlib import Path
from types import FrameType
from typing import Any

from harness import study

FORCED = {"promote": ("--force", "a soak")}  # its network, made to be quick, is no better than a top-hat
STANDSTILL = 300.0  # s after which a life counts as one that never ends


def start(
    place: Path,
    name: str,
    *arguments: str,
    tell: tuple[int, tuple[str, str], int] | None = None,
    output: Path | None = None,
    environment: dict[str, str] | None = None,
) -> int:
    """Start a verb on the study `name` in a process forked from this one, which has imported all; return its number.

    It works in the folder `place` and keeps its home there; what it says is added to `said.log`.
    `tell` is a pipe that gets a byte when a function is called for the n-th time.
    """
    if child := os.fork():
        return child
    try:
        os.chdir(place)
        os.environ.update(environment or {})
        log = os.open("said.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        out = os.open(output, os.O_WRONLY | os.O_CREAT) if output else log
        for standard, file in ((1, out), (2, log)):
            os.dup2(file, standard)
        sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w", buffering=1)
        study.console.file = sys.stderr
        sys.argv = ["harness", arguments[0], *([] if arguments[0] == "doctor" else [f"{name}.yaml"])]
        sys.argv += ["--home", str(place / "home"), *arguments[1:]]
        if tell:
            _tell_when_called(*tell)
        study.cli()
    except SystemExit as end:
        sys.stdout.flush()
        os._exit(int(end.code or 0))
    except BaseException:
        traceback.print_exc()
    os._exit(1)


def _tell_when_called(pipe: int, function: tuple[str, str], number: int) -> None:
    """From now on look at each call of this thread, until the one that is waited for."""
    file, name = f"/{function[0]}.py", function[1]
    left = number

    def look(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal left
        code = frame.f_code
        if event == "call" and code.co_name == name and code.co_filename.endswith(file):
            if "harness" in code.co_filename:
                left -= 1
            if left == 0:
                sys.setprofile(None)
                os.write(pipe, b".")

    sys.setprofile(look)


def is_over(child: int) -> bool:
    """Tell whether a process has ended; its exit code can still be asked for."""
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def finished(child: int) -> int:
    """Wait for a process, and kill it when it never ends; return its exit code, below 0 for a signal."""
    until = time.monotonic() + STANDSTILL
    while not is_over(child):
        if time.monotonic() > until:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.01)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
