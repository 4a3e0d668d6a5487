"""The study's report at 5,000 trials of 5 folds and 60 groups: seconds of every step, sizes of what is written.

make bench-report; it ends with 1 where the report is larger or slower than it may be.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.drawn_study import draw_study
from harness.report.files import FOLDER, MARKDOWN, PAGE, VALUES, write_report
from harness.report.leaderboard import read_leaderboard
from harness.report.page import as_page
from harness.report.table import as_markdown
from harness.report.trialpage import write_trial_page

TRIALS, GROUPS = 5000, 60
MOST_SECONDS, MOST_PAGE, MOST_TRIAL_PAGE = 10.0, 8e6, 60e3


def main() -> int:
    """Print seconds and sizes; return 1 where a limit is missed."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder) / "drawn-12345678"
        best, seconds = timed(lambda: draw_study(work, trials=TRIALS, groups=GROUPS))
        print(f"{'(drawn)':16} {seconds:6.2f} s")
        board, reading = timed(lambda: read_leaderboard(work / "ledger"))
        print(
            f"{'read':16} {reading:6.2f} s  {len(board.complete):,} of {len(board.trials):,} trials complete"
        )
        steps: dict[str, Callable[[], Any]] = {
            MARKDOWN: lambda: as_markdown(board),
            VALUES: lambda: json.dumps(board.as_dict(), indent=1),
            PAGE: lambda: as_page(board, work, work / FOLDER),
        }
        for name, step in steps.items():
            print(f"{name:16} {timed(step)[1]:6.2f} s")
        _, writing = timed(lambda: write_report(board, work))
        print(f"{'all files':16} {writing:6.2f} s")
        sizes = {path.name: path.stat().st_size for path in sorted((work / FOLDER).iterdir())}
        ((page, _),), seconds = timed(lambda: write_trial_page(work, board.facts, best))
        print(f"{'a trial page':16} {seconds:6.2f} s")
        sizes["a trial's page"] = page.stat().st_size
    for name, size in sizes.items():
        print(f"{name:16} {size / 1e6:8.3f} MB")
    slow = reading + writing > MOST_SECONDS
    return int(slow or sizes[PAGE] > MOST_PAGE or sizes["a trial's page"] > MOST_TRIAL_PAGE)


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    """Return what a call returns, and its seconds."""
    start = time.perf_counter()
    return call(), time.perf_counter() - start


if __name__ == "__main__":
    sys.exit(main())
