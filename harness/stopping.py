"""A wish to stop, by SIGTERM or SIGINT, is carried out within a time, whatever the process is at."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator

from harness.errors import Interrupted

WITHIN = 28.0  # s from the first signal to the end of the process; what ends in order takes less
STOPS = (signal.SIGINT, signal.SIGTERM)
SHOW_CURSOR = "\x1b[?25h"


def note_stops(tell: Callable[[str], None]) -> Callable[[], bool]:
    """From now on a first Ctrl-C or SIGTERM is noted, a second one ends at once; return what tells of the first."""
    stopped = False

    def note(number: int, frame: object) -> None:
        nonlocal stopped
        if stopped:
            raise KeyboardInterrupt
        stopped = True
        tell("stopping: training ends at its next step (once more: at once)")

    for number in STOPS:
        signal.signal(number, note)
    return lambda: stopped


@contextlib.contextmanager
def noting_stops(tell: Callable[[str], None]) -> Iterator[Callable[[], bool]]:
    """Note stops as `note_stops`, in this block alone; threads other than the main one get no signals."""
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = {number: signal.getsignal(number) for number in STOPS}
    try:
        yield note_stops(tell)
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)  # None: not set from Python


@contextlib.contextmanager
def ending_in_time(within: float = WITHIN) -> Iterator[None]:
    """End this process with 75 when it still is in this block `within` seconds after the first signal to stop.

    What it leaves is what a kill leaves, which the same command goes on from. The system itself notes the signal, so
    that no library that computes or waits for long keeps it from being seen. For the main thread only.
    """
    receive, send = os.pipe()
    os.set_blocking(send, False)
    left = threading.Event()
    before = signal.set_wakeup_fd(send, warn_on_full_buffer=False)
    thread = threading.Thread(target=_watch, args=(receive, left, within), name="stop", daemon=True)
    thread.start()
    try:
        yield
    finally:
        left.set()
        signal.set_wakeup_fd(before)
        os.close(send)
        thread.join()
        os.close(receive)


def _watch(receive: int, left: threading.Event, within: float) -> None:
    while number := os.read(receive, 1):
        if number[0] in STOPS:
            if not left.wait(within):
                _end(within)
            return


def _end(within: float) -> None:
    shown = SHOW_CURSOR if sys.stderr.isatty() else ""
    said = f"stopped at once: what was under way did not end within {within:.0f} s; the same command goes on"
    os.write(2, f"{shown}{said}\n".encode())
    os._exit(Interrupted.exit_code)
