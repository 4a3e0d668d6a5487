"""The report of a study as files: the same numbers as a page, as Markdown, and as JSON for programs."""

import json
from pathlib import Path

from harness.report.leaderboard import Leaderboard
from harness.report.page import as_page
from harness.report.table import as_markdown
from harness.train.checkpoint import write_synced

FOLDER = "report"  # below a study's work folder, and on its run in MLflow
PAGE, MARKDOWN, VALUES = "report.html", "report.md", "report.json"


def write_report(board: Leaderboard, work: Path) -> Path:
    """Write the report into the work folder of its study; return the folder."""
    folder = work / FOLDER
    folder.mkdir(exist_ok=True)
    write_synced(folder / MARKDOWN, as_markdown(board).encode())
    write_synced(folder / VALUES, json.dumps(board.as_dict(), indent=1).encode())
    write_synced(folder / PAGE, as_page(board, work, folder).encode())
    return folder
