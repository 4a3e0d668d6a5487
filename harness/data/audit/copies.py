"""Checks by the search for copies: pictures of one thing in two groups, what could not be verified, and the search."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from harness.data.audit.finding import Finding, Status, more, passed
from harness.data.audit.joins import RUNAWAYS, Joins, remedy, runaway_joins
from harness.data.audit.sides import HELD_OUT, Assignment, fold_name
from harness.data.copies.search import Copies

SHOWN_PAIRS = 1000  # in the JSON report; pairs.parquet has all
KINDS = {
    "D3": ("copy", "No near copy in two groups"),
    "D5": ("overlap", "No overlapping pictures in two groups"),
    "D6": ("turned or mirrored", "No turned or mirrored copy in two groups"),
}


@dataclass(frozen=True)
class Searched:
    """The search for copies, and what was done about what it found."""

    copies: Copies
    joins: Joins


def copy_checks(samples: pd.DataFrame, split: Assignment, searched: Searched | None) -> list[Finding]:
    """Return the findings that rest on the search for copies; all `not run` without one.

    D3, D5 and D6 pairs of declared groups that show one thing, by how they differ: joined before the folds were made
    (warn), in two groups of one fold (warn) or across folds (fail). D9 pictures whose copies cannot be recognized,
    D10 joins that would run away, C1 what the search finds of planted copies.
    """
    if searched is None:
        titles = [*((id, title) for id, (_, title) in KINDS.items()), NINTH, RUNAWAYS, CANARY]
        return [Finding(*head, "fail", "not run", 0, 0.0, "Copies were not searched for.") for head in titles]
    pairs = _pairs(samples, split, searched.copies)
    return [
        *(_pairs_of_kind(id, pairs, samples, searched) for id in KINDS),
        _unverifiable(samples, searched.copies),
        runaway_joins(searched.joins),
        _canary(searched.copies),
    ]


NINTH = ("D9", "Copies of every picture could be recognized")
MANY_ABOVE = 0.005  # of unrelated pairs that look alike; below it copies under own ids explain them
CANARY = ("C1", "Planted copies are found, strangers are not")


def _pairs(samples: pd.DataFrame, split: Assignment, copies: Copies) -> pd.DataFrame:
    """Return the pairs of two declared groups, whether they leak in any repeat, and their folds in the first such."""
    table = copies.table(samples)
    at = np.array([(p.first, p.second) for p in copies.found.pairs], np.intp).reshape(-1, 2)
    group = samples["group"].to_numpy()
    table["joined"] = group[at[:, 0]] == group[at[:, 1]]
    folds = np.stack([split.of(samples, repeat) for repeat in range(len(split.assignments))])
    apart = folds[:, at[:, 0]] != folds[:, at[:, 1]]
    table["leaks"], repeat = apart.any(0), apart.argmax(0)  # 0 where in none
    table["first_fold"], table["second_fold"] = folds[repeat, at[:, 0]], folds[repeat, at[:, 1]]
    return table[table["first_group"] != table["second_group"]]


def _pairs_of_kind(id: str, pairs: pd.DataFrame, samples: pd.DataFrame, searched: Searched) -> Finding:
    kind, title = KINDS[id]
    own = pairs[(pairs["how"] == kind) & (pairs["sure"] | ~pairs["joined"])]
    sure, suspects = own[own["sure"]], own[~own["sure"]]
    leaks, together = sure[sure["leaks"] & ~sure["joined"]], sure[~sure["leaks"] & ~sure["joined"]]
    joined = sure[sure["joined"]]
    rest = _left_out(id, searched.copies)
    if not len(own):
        if rest:
            return Finding(id, title, "fail", "unverifiable", 0, 0.0, f"None was found; {rest}.")
        return passed(id, title, "fail", "No two declared groups show one thing in this way.")
    shown = next(part for part in (leaks, together, joined, suspects) if len(part))
    said = [
        (len(leaks), f"across folds, a leak: {remedy(searched.joins)}"),
        (len(together), "in two groups of one fold"),
        (len(joined), "stood in two declared groups, which were joined"),
        (len(suspects), "may show one thing, not joined: look at both"),
    ]
    parts = "; ".join(f"{count:,} pair{'s' if count > 1 else ''} {what}" for count, what in said if count)
    summary = f"{_both(shown.iloc[0])}: {parts}{f'; {rest}' if rest else ''}."
    affected = _affected(leaks, samples)
    files = len(set(own["first"]) | set(own["second"]))
    return Finding(
        id, title, "fail", "fail" if len(leaks) else "warn", files, affected, summary, _items(own), len(own)
    )


def _left_out(id: str, copies: Copies) -> str:
    """Return what this check could not look at, in words."""
    plain, found = int((~copies.found.verifiable).sum()), copies.found
    if not copies.reaches:
        return "of planted copies too few are found here (C1) to say that there are no more"
    if id == "D5" and copies.missed:
        return f"of planted parts too few are found here ({_missed(copies)}, C1)"
    if id == "D5" and plain > 1 and not found.plain_overlaps_run:
        return f"overlaps among {plain:,} pictures without key points were not looked for (D9)"
    if id != "D5" and plain > 1 and not found.plain_run:
        return f"copies among {plain:,} pictures without key points were not looked for (D9)"
    return (
        f"{plain:,} pictures have too few key points for all their copies to be found (D9)" if plain else ""
    )


def _missed(copies: Copies) -> str:
    return ", ".join(f"{kind}: {hits} of {total}" for kind, (total, hits) in copies.missed.items())


def _affected(leaks: pd.DataFrame, samples: pd.DataFrame) -> float:
    """Return the share of samples whose validation or test is helped by a counterpart that trains."""
    ends = [("first", "second_fold"), ("second", "first_fold")]
    helped = {
        name
        for side, other in ends
        for name, fold in zip(leaks[side], leaks[other], strict=True)
        if fold != HELD_OUT
    }
    return len(helped) / len(samples)


def _both(row: "pd.Series[Any]") -> str:
    first, second = (
        f"{row[side]!r} (group {row[f'{side}_group']!r}, {fold_name(int(row[f'{side}_fold']))})"
        for side in ("first", "second")
    )
    return f"{first} and {second}"


def _items(pairs: pd.DataFrame) -> tuple[dict[str, Any], ...]:
    order = pairs.assign(rank=pairs["joined"] * 2 + ~pairs["sure"]).sort_values(
        ["rank", "first", "second"], kind="stable"
    )
    rows = order.head(SHOWN_PAIRS).to_dict("records")
    return tuple(
        {
            "first": row["first"],
            "first group": row["first_group"],
            "first fold": fold_name(int(row["first_fold"])),
            "second": row["second"],
            "second group": row["second_group"],
            "second fold": fold_name(int(row["second_fold"])),
            "decision": "suspected" if not row["sure"] else "joined" if row["joined"] else "not joined",
            "turn": float(row["turn"]),
            "scale": float(row["scale"]),
            "mirrored": "yes" if row["mirrored"] else "no",
            "key points": int(row["inliers"]),
            "agreement": float(row["agreement"]),
            "overlap": float(row["overlap"]),
        }
        for row in rows
    )


def _unverifiable(samples: pd.DataFrame, copies: Copies) -> Finding:
    blank = samples[~copies.found.verifiable]
    if not len(blank) and not copies.reaches:
        text = "All pictures have key points, but planted copies are not told from strangers (C1)."
        return Finding(*NINTH, "warn", "unverifiable", 0, 0.0, text)
    if not len(blank):
        return passed(
            *NINTH, "warn", f"Each of {len(samples):,} pictures would be recognized by its key points."
        )
    whole = "whole copies were looked for by texture" if copies.found.plain_run else "no copy was looked for"
    overlaps = "overlaps too" if copies.found.plain_overlaps_run else "overlaps were not"
    summary = (
        f"{blank['sample'].iloc[0]!r} has too few key points for its overlaps and turned parts to be recognized"
        f"{more(len(blank) - 1, 'picture')}; {whole}, {overlaps}: see to it that such pictures are grouped rightly."
    )
    items = tuple({"image": name, "group": group} for name, group in _named(blank))
    return Finding(
        *NINTH, "warn", "unverifiable", len(blank), len(blank) / len(samples), summary, items, len(blank)
    )


def _named(rows: pd.DataFrame) -> Sequence[tuple[str, str]]:
    head = rows.sort_values("sample").head(SHOWN_PAIRS)
    return list(zip(head["sample"].astype(str), head["group"].astype(str), strict=True))


def _canary(copies: Copies) -> Finding:
    limit, found = copies.found.calibration, copies.canary
    items = tuple(
        {"planted": kind, "pictures": total, "found": hits} for kind, (total, hits) in found.items()
    )
    left_out = (
        f"; {copies.shared:.0%} of a picture, shown by unrelated ones too, was left out"
        if copies.shared
        else ""
    )
    if not found:
        summary = f"No picture has enough key points to plant copies of{left_out}."
        return Finding(*CANARY, "fail", "unverifiable", 0, 0.0, summary)
    total, hits = (sum(pair[i] for pair in found.values()) for i in (0, 1))
    words = (
        f"{hits} of {total} planted copies were found; {limit.threshold} key points must agree, {limit.unrelated:,} "
        f"unrelated pairs of these pictures reach {limit.reached}{left_out}"
    )
    if limit.above > MANY_ABOVE * limit.unrelated:
        words += (
            f", {limit.above:,} of them the threshold: copies under own ids, or parts that all pictures share"
        )
    if not copies.reaches:
        summary = (
            f"{words}: too few to say that no others are there; see to it that pictures are grouped rightly."
        )
        return Finding(*CANARY, "fail", "unverifiable", 0, 0.0, summary, items)
    if copies.missed:
        words += f"; pictures that show a part of another like these are missed: {_missed(copies)}"
    many = limit.above > MANY_ABOVE * limit.unrelated
    status: Status = "warn" if many or copies.missed else "pass"
    return Finding(*CANARY, "fail", status, 0, 0.0, f"{words}.", items)
