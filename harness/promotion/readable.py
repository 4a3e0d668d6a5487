"""What can be read of some groups without a look at them: results of nested searches, and trials of other studies.

A candidate that was chosen by what can be read was chosen on the very groups that are to prove it, and pays for it.
"""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from harness.errors import DataError
from harness.promotion.pictures import Groups, groups_of, share_a_picture
from harness.search.nested import NESTED, read_nested
from harness.train.checkpoint import write_synced

FOLDER = "heldout/searches"  # below the home; a result a file, for ever
MORE_THAN = (0, 20, 400)  # so many trials of other studies are worth one look each


@dataclass(frozen=True)
class Readable:
    """How many results of nested searches there are on some groups, beside the champion's, and trials of others."""

    results: int = 0
    trials: int = 0

    def next_look(self, taken: int) -> int:
        """Return the number of the look after those that were taken; docs/statistics.md says why."""
        return max(1 + taken, self.results) + sum(self.trials > least for least in MORE_THAN)

    @property
    def sentence(self) -> str:
        return (
            f"of their pictures can be read, beside the champion's result: of nested searches {self.results}, of other "
            f"trials {self.trials}"
        )


@dataclass(frozen=True)
class Result:
    """Of which study a nested result is, the searches that it is made of, and its groups; None where they are lost."""

    study: str
    parts: frozenset[str]
    groups: Groups | None


def result_digest(counts: Mapping[str, Any]) -> str:
    """Return the digest of what a nested search left; the same counts again are no other result."""
    return hashlib.sha256(json.dumps(counts, sort_keys=True).encode()).hexdigest()


def note_result(home: Path, study: str, groups: Groups, nested: Mapping[str, Any]) -> None:
    """Write down that a nested search was scored on these groups; to be done before anybody can read the result."""
    path = home / FOLDER / f"{result_digest(nested['counts'])}.json"
    if not path.exists() or _noted(path).groups is None:
        path.parent.mkdir(parents=True, exist_ok=True)
        noted = {"study": study, "parts": [one["study"] for one in nested["chosen"]], "groups": groups}
        write_synced(path, json.dumps(noted).encode())


def readable(home: Path, groups: Groups, *, studies: Collection[str], champion: str) -> Readable:
    """Return what can be read of these groups, beside the champion's result and the studies of the two sides.

    What is damaged is taken for one on these groups: it cannot be told that it is not.
    """
    results = dict(_results(home))
    found = [one for digest, one in results.items() if digest != champion and _is_on(one.groups, groups)]
    known = {*studies, *(name for one in results.values() for name in (one.study, *one.parts))}
    others = [work for work in (home / "work").glob("*/") if work.name not in known]
    return Readable(len(found), sum(_trials(work) for work in others if _is_on(_groups(work), groups)))


def _results(home: Path) -> Iterator[tuple[str, Result]]:
    """Yield each result by its digest: those that were written down, and those that only their studies have."""
    noted = {path.stem: _noted(path) for path in (home / FOLDER).glob("*.json")}
    yield from noted.items()
    for path in (home / "work").glob(f"*/ledger/{NESTED}"):
        try:
            nested = read_nested(path.parent) or {}
        except DataError:  # made anew by the next run, and written down when it was made
            continue
        if "counts" in nested and (digest := result_digest(nested["counts"])) not in noted:
            work = path.parents[1]
            yield (
                digest,
                Result(work.name, frozenset(one["study"] for one in nested["chosen"]), _groups(work)),
            )


def _noted(path: Path) -> Result:
    try:
        found = json.loads(path.read_bytes())
        groups = {str(name): [str(picture) for picture in own] for name, own in found["groups"].items()}
        return Result(str(found["study"]), frozenset(map(str, found["parts"])), groups)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Result("", frozenset(), None)


def _is_on(one: Groups | None, groups: Groups) -> bool:
    return one is None or share_a_picture(groups, one)


def _groups(work: Path) -> Groups | None:
    """Return the groups of a study with this work folder, None where its samples cannot be read."""
    try:
        return groups_of(
            pd.read_parquet(work / "samples.parquet", columns=["group", "pixels_sha256"]).astype(str)
        )
    except (OSError, ValueError, TypeError):
        return None


def _trials(work: Path) -> int:
    """Return how many trials left anything, whatever became of the ledger."""
    return sum(path.name.isdecimal() for path in work.iterdir())
