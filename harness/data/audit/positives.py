"""Check of what a fold's score rests on: enough sources with an object in every part of the split."""

import pandas as pd

from harness.data.audit.finding import Finding, more, passed
from harness.data.audit.sides import Assignment, fold_name, summary

FEW = 5  # positive groups below which one source decides a fold's score
SHOWN = ("positive_groups", "groups", "samples", "objects")


def positives_per_fold(samples: pd.DataFrame, split: Assignment) -> Finding:
    """S1: every fold, and the held-out part, has the positive groups the split asks for; warns below five."""
    title = "Objects in every fold"
    parts = summary(samples, split).to_dict("records")
    low = [part for part in parts if part["positive_groups"] < split.positive_floor]
    few = [part for part in parts if part["positive_groups"] < FEW]
    fewest = min(parts, key=lambda part: part["positive_groups"])
    least = f"{fold_name(fewest['fold']).capitalize()} has {fewest['positive_groups']} positive groups"
    if not few:
        return passed("S1", title, "fail", f"{least}, the fewest.")
    bad = low or few
    items = tuple({"part": fold_name(part["fold"])} | {name: part[name] for name in SHOWN} for part in bad)
    affected = min(len(samples), sum(part["samples"] for part in bad))
    share, others = affected / len(samples), more(len(bad) - 1, "part")
    if low:
        text = f"{least}, the floor is {split.positive_floor}; lower folds.count or add data{others}."
        return Finding("S1", title, "fail", "fail", affected, share, text, items)
    text = f"{least}: one source can decide its score; read the spread over folds with care{others}."
    return Finding("S1", title, "fail", "warn", affected, share, text, items)
