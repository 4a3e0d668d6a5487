"""A split: which group is in which fold, frozen in one file that is written once and then only read."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import ValidationError

from harness.config import Folds
from harness.data.audit.finding import AUDIT_VERSION
from harness.data.audit.sides import HELD_OUT, Positions, fold_of
from harness.errors import DataError

SCHEMA = 2  # of the frozen file: 2 may hold several repeats, whose folds follow one another
READ = (1, SCHEMA)


@dataclass(frozen=True)
class Split:
    """Frozen folds of a manifest. Rows are named by position.

    Each of `assignments`, one a repeat, maps every group to its fold, or to HELD_OUT, which all share; fold numbers
    go on from one repeat to the next. `repairs` maps declared groups to the ones they were joined to by their
    pictures. `id` is the hash of manifest, settings, audit version, folds and repairs; notes and parent tell the way
    there and are not in it.
    """

    id: str
    manifest: str
    assignments: tuple[Mapping[str, int], ...]
    settings: Folds
    notes: tuple[str, ...] = ()
    parent: str | None = None
    audit_version: str = AUDIT_VERSION
    repairs: Mapping[str, str] = field(default_factory=dict)

    @property
    def folds(self) -> Mapping[str, int]:
        """Return group -> fold of the first repeat, mostly the only one."""
        return self.assignments[0]

    @property
    def count(self) -> int:
        """Return the number of folds, of all repeats together."""
        if self.settings.scheme == "leave_one_group_out":
            return 1 + max(self.folds.values())
        return self.settings.count * len(self.assignments)

    @property
    def positive_floor(self) -> int:
        """Return the fewest positive groups a fold may have."""
        return self.settings.positive_floor

    def repeat_of(self, fold: int) -> int:
        """Return the repeat that a fold belongs to. Raises DataError for a fold that does not exist."""
        if fold not in range(self.count):
            raise DataError(f"split {self.id}: no fold {fold}; it has folds 0 to {self.count - 1}")
        return fold // (self.count // len(self.assignments))

    def of(self, samples: pd.DataFrame, repeat: int = 0) -> Positions:
        """Return the fold of each row (N,) in a repeat, by position. Raises DataError for an unknown group."""
        return fold_of(samples["group"], self.assignments[repeat])

    def train(self, samples: pd.DataFrame, fold: int) -> Positions:
        """Return the positions of the rows that train when `fold` is validated: the other folds of its repeat."""
        of_row = self.of(samples, self.repeat_of(fold))
        return np.flatnonzero((of_row != fold) & (of_row != HELD_OUT))

    def validation(self, samples: pd.DataFrame, fold: int) -> Positions:
        """Return the positions of the rows of `fold`."""
        return np.flatnonzero(self.of(samples, self.repeat_of(fold)) == fold)

    def held_out(self, samples: pd.DataFrame) -> Positions:
        """Return the positions of the rows that no fold holds."""
        return np.flatnonzero(self.of(samples) == HELD_OUT)


def new_split(
    manifest: str, settings: Folds, *assignments: Mapping[str, int], notes: list[str], parent: str | None
) -> Split:
    """Return the split of these folds, one assignment a repeat, with its id, made under the present audit version."""
    repeats = tuple(dict(sorted(folds.items())) for folds in assignments)
    return _identified(Split("", manifest, repeats, settings, tuple(notes), parent))


def with_repairs(split: Split, repairs: Mapping[str, str]) -> Split:
    """Return the split with the declared groups that were joined, under its own id."""
    if not repairs:
        return split
    note = f"{len(repairs)} groups joined {len(set(repairs.values()))} others whose pictures show the same"
    return _identified(replace(split, repairs=dict(sorted(repairs.items())), notes=(*split.notes, note)))


def _identified(split: Split) -> Split:
    return replace(split, id=_identity(_document(split)))


def freeze(split: Split, folder: Path) -> Path:
    """Write `<folder>/<id>.json` once and return its path; a file that holds this split is left alone.

    Raises DataError where the file there was altered.
    """
    path = folder / f"{split.id}.json"
    if path.exists():
        read_split(path)
        return path
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(_document(split), indent=1, ensure_ascii=False) + "\n"
    _write_whole(path, text)
    return path


def read_split(path: Path) -> Split:
    """Return a frozen split. Raises DataError where it cannot be read, or is not what was written."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        claimed, actual = document["id"], _identity(document)
        if document["schema"] not in READ:
            raise DataError(
                f"{path}: schema {document['schema']}, this version reads {READ[0]} to {READ[-1]}; update harness"
            )
        if not claimed == actual == path.stem:
            raise DataError(
                f"{path}: holds the split {actual} and says {claimed}: it was altered after it was frozen; "
                "restore it, or delete it and freeze again"
            )
        return _from_document(document)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); restore it, or freeze again") from error
    except (ValueError, KeyError, TypeError, AttributeError, ValidationError) as error:
        raise DataError(
            f"{path}: is no frozen split ({type(error).__name__}); restore it, or freeze again"
        ) from error


def _document(split: Split) -> dict[str, Any]:
    members: dict[int, list[str]] = {fold: [] for fold in range(split.count)}
    for group, fold in (pair for folds in split.assignments for pair in folds.items() if pair[1] != HELD_OUT):
        members[fold].append(group)
    held_out = [group for group, fold in split.folds.items() if fold == HELD_OUT]
    return {
        "schema": SCHEMA,
        "id": split.id,
        "manifest": split.manifest,
        "audit_version": split.audit_version,
        "settings": split.settings.model_dump(mode="json"),
        "parent": split.parent,
        "notes": list(split.notes),
        "repairs": dict(split.repairs),
        "held_out": sorted(held_out),
        "folds": [sorted(groups) for groups in members.values()],
    }


def _from_document(document: dict[str, Any]) -> Split:
    settings = Folds.model_validate(document["settings"])
    held_out = dict.fromkeys(document["held_out"], HELD_OUT)
    each = len(document["folds"]) // settings.repeats
    repeats: list[dict[str, int]] = [dict(held_out) for _ in range(settings.repeats)]
    for number, groups in enumerate(document["folds"]):
        repeats[number // each] |= dict.fromkeys(groups, number)
    return Split(
        document["id"],
        document["manifest"],
        tuple(dict(sorted(folds.items())) for folds in repeats),
        settings,
        tuple(document["notes"]),
        document["parent"],
        document["audit_version"],
        document.get("repairs", {}),
    )


def _identity(document: Mapping[str, Any]) -> str:
    """Return the first 16 hexadecimal digits of the SHA-256 of what decides a split."""
    content = [document[key] for key in ("manifest", "settings", "audit_version", "held_out", "folds")]
    content += [document["repairs"]] if document.get("repairs") else []  # older files have none
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _write_whole(path: Path, text: str) -> None:
    """Write all or nothing, to the disk: a reader never sees half a file, also after a power cut."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with draft.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(draft, path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
