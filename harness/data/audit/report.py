"""The leakage report: every check on one split, what a careless split would have leaked, and the verdict."""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from harness.data.audit.boxes import overlapping_crops
from harness.data.audit.copies import Searched, copy_checks
from harness.data.audit.counterfactual import crop_level_leak, leaked_shares
from harness.data.audit.drawing import Figure
from harness.data.audit.duplicates import same_bytes, same_mask, same_pixels, two_masks
from harness.data.audit.emptiness import empty_share
from harness.data.audit.filling import odd_filling
from harness.data.audit.finding import AUDIT_VERSION, Finding, Status, worst
from harness.data.audit.groups import group_ids, group_overlap, one_fold_each
from harness.data.audit.joins import frozen_folds
from harness.data.audit.labels import similar_labels
from harness.data.audit.light import blurred, unusable_light
from harness.data.audit.nesting import nested_ids
from harness.data.audit.order import neighbors_in_time
from harness.data.audit.page import page
from harness.data.audit.positives import positives_per_fold
from harness.data.audit.protocol import (
    copies_before_split,
    fitted_on_training_rows,
    looks_at_held_out,
)
from harness.data.audit.resizing import vanishing_objects
from harness.data.audit.shift import shift_between_folds
from harness.data.audit.shortcuts import metadata_predicts_label, names_carry_label
from harness.data.audit.sides import Assignment, summary
from harness.data.audit.sizes import group_sizes
from harness.data.audit.unknown import unknown
from harness.errors import DataError, LeakageError

SCHEMA_VERSION = 2  # of the JSON document
MOST_ITEMS = 1000  # of evidence a check; pairs.parquet has all pairs of pictures


@dataclass(frozen=True)
class Report:
    """What the audit found; the same split and data give the same bytes."""

    manifest: str
    split: str
    samples: int
    groups: int
    findings: tuple[Finding, ...]
    counterfactual: dict[str, dict[str, Any]]  # leaked shares of a "crop_level" split, and of "this_split"
    folds: tuple[dict[str, Any], ...]
    group_sizes: dict[str, Any]  # how many groups have how many images, and the "largest" of them
    notes: tuple[str, ...]
    schema_version: int = SCHEMA_VERSION
    audit_version: str = AUDIT_VERSION

    @property
    def verdict(self) -> Status:
        """Return the worst status of the checks that decide; findings of severity info tell only."""
        return worst(self.findings)

    @property
    def digest(self) -> str:
        """Return the SHA-256 of the JSON document."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def to_json(self) -> str:
        """Return the report as one JSON document without times or places."""
        return json.dumps(self._document(), indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    def to_html(self, figures: Iterable[Figure] = (), data_notes: Sequence[str] = ()) -> str:
        """Return the report as one self-contained page; `data_notes` say what of the data was not taken, and why."""
        shown = [(figure.check, figure.to_html()) for figure in figures]
        return page(self._document(), self.digest, shown, data_notes)

    def _document(self) -> dict[str, Any]:
        head = ("schema_version", "audit_version", "manifest", "split")
        fields = dataclasses.asdict(self)
        return {name: fields.pop(name) for name in head} | {"verdict": self.verdict} | fields


def audit(
    samples: pd.DataFrame,
    split: Assignment,
    *,
    manifest: str,
    searched: Searched | None = None,
    others: Sequence[Finding] = (),
) -> Report:
    """Return the report of all checks on a sample table with manifest columns and its split.

    `searched` is the search for copies, `others` are findings of what is not in the data, such as augmentation.
    Raises DataError where the split was made for other data.
    """
    if split.manifest != manifest:
        raise DataError(
            f"split {split.id}: made for data {split.manifest[:16]}, these are {manifest[:16]}; make a child of it"
        )
    findings = (
        frozen_folds(searched.joins if searched else None),  # told first: other remedies do not end it
        *(check(samples, split) for check in CHECKS.values()),
        *copy_checks(samples, split, searched),
        *others,
    )
    return Report(
        manifest=manifest,
        split=split.id,
        samples=len(samples),
        groups=int(samples["group"].nunique()),
        findings=tuple(finding.bounded(MOST_ITEMS) for finding in findings),
        counterfactual={
            "crop_level": crop_level_leak(samples, split.count // len(split.assignments), seed=0),
            "this_split": _largest_shares(samples, split),
        },
        folds=tuple(
            {str(k): v for k, v in row.items()} for row in summary(samples, split).to_dict("records")
        ),
        group_sizes=group_sizes(samples, split),
        notes=split.notes,
    )


def _largest_shares(samples: pd.DataFrame, split: Assignment) -> dict[str, float]:
    """Return what this split leaks, of its repeats the most."""
    shares = [leaked_shares(samples, split.of(samples, repeat)) for repeat in range(len(split.assignments))]
    return {name: max(one[name] for one in shares) for name in shares[0]}


def refuse_leaks(report: Report) -> None:
    """Raise LeakageError with the first failing finding in one line, and the names of the others."""
    failing = [finding for finding in report.findings if finding.status == "fail"]
    if failing:
        others = f" Failing too: {', '.join(f.id for f in failing[1:])}." if failing[1:] else ""
        raise LeakageError(f"audit {failing[0].id}: {failing[0].summary}{others}")


CHECKS: dict[str, Callable[[pd.DataFrame, Assignment], Finding]] = {
    "G1": group_overlap,
    "G2": group_ids,
    "G3": nested_ids,
    "G4": unknown("G4"),
    "G5": one_fold_each,
    "D1": same_bytes,
    "D2": same_pixels,
    "D4": overlapping_crops,
    "D7": same_mask,
    "D8": unknown("D8"),
    "D11": two_masks,
    "T1": neighbors_in_time,
    "F1": metadata_predicts_label,
    "F2": names_carry_label,
    "P1": fitted_on_training_rows,
    "P2": copies_before_split,
    "P3": unknown("P3"),
    "P4": looks_at_held_out,
    "P5": unknown("P5"),
    "S1": positives_per_fold,
    "S2": shift_between_folds,
    "M1": vanishing_objects,
    "M2": empty_share,
    "M3": unusable_light,
    "M4": blurred,
    "M5": odd_filling,
    "M6": similar_labels,
    "E1": unknown("E1"),
}
