"""Check of the ids around the groups: no photo or instance in two of them, ids that look like parts of one thing."""

import re
from collections.abc import Mapping

import numpy as np
import pandas as pd

from harness.data.audit.finding import Finding, more, passed
from harness.data.audit.sides import Assignment, fold_name

HEAD = ("G3", "Ids are nested in groups")
FEWEST, MOST = 1.3, 12.0  # groups a shared beginning has on average; fewer or more are no parts of one thing
ENDS = re.compile(r"^(.*\d.*?)[\W_]+[^\W_]+$")  # a beginning with a number in it, a separator, one more word


def nested_ids(samples: pd.DataFrame, split: Assignment) -> Finding:
    """G3: no photo and no instance stands in two groups; tells of groups whose ids begin alike and stand apart.

    An id like p12_left may name a part of the thing p12. That is a guess from names, so it only tells.
    """
    for column in ("photo", "instance"):
        owners = samples.drop_duplicates([column, "group"]).groupby(column)["group"]
        torn = owners.nunique()
        torn = torn[torn > 1]
        if len(torn):
            return _torn(samples, column, [str(name) for name in torn.index])
    parents = _parents(samples)
    fold = {group: int(split.folds[group]) for group in parents.index}
    folds = pd.Series(fold, dtype=np.intp).groupby(parents).nunique()
    apart = folds.index[folds > 1].tolist()
    if not apart:
        return passed(
            *HEAD, "fail", "No photo and no instance stands in two groups, and no two ids look like parts."
        )
    return _told(samples, parents, fold, apart)


def _parents(samples: pd.DataFrame) -> "pd.Series[str]":
    """Return group -> the beginning of its id that others share; none where that looks like a kind, not a thing."""
    groups = pd.Series(sorted(samples["group"].astype(str).unique()))
    begins = groups.map(lambda id: match[1] if (match := ENDS.match(id)) else "")
    begins.index = pd.Index(groups)
    begins = begins[begins != ""]
    average = len(begins) / max(1, begins.nunique())
    if begins.nunique() < 2 or not FEWEST <= average <= MOST:
        return begins.iloc[:0]
    return begins[begins.duplicated(keep=False)]


def _torn(samples: pd.DataFrame, column: str, names: list[str]) -> Finding:
    rows = (
        samples[samples[column].isin(names)].drop_duplicates([column, "group"]).sort_values([column, "group"])
    )
    items = tuple(
        {"kind": column, "id": str(r[column]), "group": str(r["group"])} for _, r in rows.iterrows()
    )
    affected = int(samples[column].isin(names).sum())
    both = " and ".join(repr(item["group"]) for item in items[:2])
    text = (
        f"The {column} {items[0]['id']!r} stands in groups {both}; give its pictures one group (source_image_id or "
        f"data.group){more(len(names) - 1, column)}."
    )
    return Finding(*HEAD, "fail", "fail", affected, affected / len(samples), text, items)


def _told(
    samples: pd.DataFrame, parents: "pd.Series[str]", fold: Mapping[str, int], apart: list[str]
) -> Finding:
    among = parents[parents.isin(apart)].sort_values(kind="stable")
    items = tuple({"begins": b, "group": g, "fold": fold_name(fold[str(g)])} for g, b in among.items())
    first = [item["group"] for item in items if item["begins"] == items[0]["begins"]][:2]
    rows = np.asarray(samples["group"].isin(among.index))
    text = (
        f"Groups {first[0]!r} and {first[1]!r} begin alike and stand apart: if {items[0]['begins']!r} is one thing, "
        f"make it the group (source_image_id or data.group){more(len(apart) - 1, 'beginning')}."
    )
    return Finding(*HEAD, "info", "warn", int(rows.sum()), float(rows.mean()), text, items)
