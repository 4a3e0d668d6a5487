"""What can be read of some groups without a look at them: results of nested searches, and studies without one.

A candidate that was chosen by what can be read was chosen on the very groups that are to prove it, and pays for it.
"""

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

import pandas as pd

from harness.errors import DataError
from harness.promotion.pictures import Groups, groups_of, share_a_picture
from harness.search.ledger import STUDY
from harness.search.nested import read_nested
from harness.train.checkpoint import write_synced

FOLDER = "heldout/searches"  # below the home; a result a file, for ever
INNER = ".outer"  # and a fold's number: the end of the name of a search that is part of a nested one
TOGETHER = 20  # studies without a nested result that are worth one look


@dataclass(frozen=True)
class Readable:
    """How many results of nested searches there are on some groups, beside the champion's, and studies without one."""

    results: int = 0
    studies: int = 0

    def next_look(self, taken: int) -> int:
        """Return the number of the look after those that were taken; docs/statistics.md says why."""
        return max(1 + taken, self.results) + ceil(self.studies / TOGETHER)

    @property
    def sentence(self) -> str:
        return (
            f"on their pictures {self.results} results of nested searches beside the champion's and {self.studies} "
            "studies without one can be read"
        )


def result_digest(counts: Mapping[str, Any]) -> str:
    """Return the digest of what a nested search left; the same counts again are no other result."""
    return hashlib.sha256(json.dumps(counts, sort_keys=True).encode()).hexdigest()


def note_result(home: Path, study: str, groups: Groups, counts: Mapping[str, Any]) -> None:
    """Write down that a nested search was scored on these groups; to be done before anybody can read the result."""
    path = home / FOLDER / f"{result_digest(counts)}.json"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_synced(path, json.dumps({"study": study, "groups": groups}).encode())


def readable(home: Path, groups: Groups, *, studies: Collection[str], champion: str) -> Readable:
    """Return what can be read of these groups, beside the champion's result and the studies of the two sides.

    What is damaged is taken for one on these groups: it cannot be told that it is not.
    """
    results = [_noted(path) for path in (home / FOLDER).glob("*.json") if path.stem != champion]
    found = [study for study, own in results if own is None or share_a_picture(groups, own)]
    works = [path.parents[1] for path in (home / "work").glob(f"*/ledger/{STUDY}")]
    others = [work for work in works if work.name not in studies and INNER not in work.name]
    alone = [work for work in others if not _has_result(work) and _is_on(work, groups)]
    return Readable(len(found), len(alone))


def _noted(path: Path) -> tuple[str, Groups | None]:
    try:
        found = json.loads(path.read_bytes())
        return str(found["study"]), {str(name): list(own) for name, own in found["groups"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return "", None


def _has_result(work: Path) -> bool:
    """Tell whether a study's nested result is there, which counts by itself."""
    try:
        return "counts" in (read_nested(work / "ledger") or {})
    except DataError:
        return False


def _is_on(work: Path, groups: Groups) -> bool:
    try:
        samples = pd.read_parquet(work / "samples.parquet", columns=["group", "pixels_sha256"])
    except (OSError, ValueError):
        return True
    return share_a_picture(groups, groups_of(samples))
