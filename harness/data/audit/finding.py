"""What one check says: a frozen finding, and how bad it is."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

AUDIT_VERSION = "4"  # part of every split's id; raise it when a check can find what it could not find before

Severity = Literal["fail", "warn", "info"]
Status = Literal["pass", "not run", "unverifiable", "warn", "fail"]

STATUSES: tuple[Status, ...] = get_args(Status)  # from good to bad: what was not looked at is never good


@dataclass(frozen=True)
class Finding:
    """The outcome of one check.

    `severity` is how bad a hit is, `status` what came out; a finding of severity `info` tells, and never decides.
    `affected` counts samples; `share_of_validation` is the share of all samples whose validation (or held-out
    test) is affected: for a leak, because a counterpart trains. `summary` is one sentence that says, for a hit,
    what to do. `items` is the evidence, the worst first: flat dictionaries with the same keys, of text and numbers;
    `total` counts what was found where that may be more. `bars` are a distribution: a label and a count each.
    """

    id: str
    title: str
    severity: Severity
    status: Status
    affected: int
    share_of_validation: float
    summary: str
    items: tuple[dict[str, Any], ...] = ()
    total: int = 0
    bars: tuple[dict[str, Any], ...] = ()

    def bounded(self, most: int) -> "Finding":
        """Return the finding with its first `most` items, and `total` as many as there were."""
        return replace(self, items=self.items[:most], total=max(self.total, len(self.items)))


def worst(findings: tuple[Finding, ...]) -> Status:
    """Return the worst status of those findings that decide."""
    return max((f.status for f in findings if f.severity != "info"), key=STATUSES.index, default="not run")


def passed(id: str, title: str, severity: Severity, summary: str) -> Finding:
    """Return the finding of a check that looked and found nothing."""
    return Finding(id, title, severity, "pass", 0, 0.0, summary)


def told(id: str, title: str, status: Status, summary: str) -> Finding:
    """Return the finding of a check that tells something and never decides."""
    return Finding(id, title, "info", status, 0, 0.0, summary)


def warned(
    head: tuple[str, str],
    samples: pd.DataFrame,
    hit: NDArray[np.bool_],
    summary: str,
    shown: Mapping[str, str],
    rank: NDArray[Any] | None = None,
) -> Finding:
    """Return the warning of check `head` (id, title) about the samples that are `hit` (N,).

    Evidence is their file and, under the names `shown` gives them, columns of the table; those of the highest `rank`
    (N,) come first, then by name.
    """
    badness = np.zeros(len(samples)) if rank is None else np.asarray(rank, float)
    order = np.lexsort((samples["sample"].to_numpy(dtype=str), -badness))
    rows = samples.iloc[order[hit[order]]]
    columns = {"image": rows["sample"].astype(str)} | {name: rows[column] for name, column in shown.items()}
    items = tuple(pd.DataFrame(columns).astype(object).to_dict("records"))
    named = tuple({str(key): value for key, value in item.items()} for item in items)
    return Finding(*head, "warn", "warn", len(rows), len(rows) / len(samples), summary, named)


def more(count: int, what: str) -> str:
    """Return ` (and 3 more pairs)`, or nothing for none."""
    return f" (and {count} more {what}{'s' if count > 1 else ''})" if count else ""
