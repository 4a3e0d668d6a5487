"""What is kept of a second look at a trial: a small file beside its folds, which are committed like all others."""

import json
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from harness.errors import DataError
from harness.search.trial import SecondLook
from harness.train.checkpoint import verify, write_synced
from harness.train.foldrun import FoldResult, fold_folder

FILE = "second.json"  # below a trial's folder


def read_second(work: Path, trial: int) -> SecondLook | None:
    """Return the second look at a trial; None where there was none, or its note or one of its folds is lost."""
    with suppress(DataError, OSError, ValueError, TypeError, KeyError):
        known = json.loads((work / str(trial) / FILE).read_bytes())
        folds = [
            FoldResult(**fold, folder=str(fold_folder(work, trial, fold["fold"]))) for fold in known["folds"]
        ]
        for fold in folds:
            verify(Path(fold.folder))
        return SecondLook(known["state"], folds, known["reason"])
    return None


def write_second(work: Path, trial: int, look: SecondLook) -> None:
    """Keep a second look; the folders of its folds are named by their numbers, since the home may move."""
    folds = [{name: value for name, value in asdict(fold).items() if name != "folder"} for fold in look.folds]
    content = {"state": look.state, "reason": look.reason, "folds": folds}
    write_synced(work / str(trial) / FILE, json.dumps(content, indent=1).encode())
