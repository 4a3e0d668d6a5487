"""Checks for what may tell the label without looking at the object: light, size of picture and file, names."""

import re

import numpy as np
import pandas as pd

from harness.data.audit.finding import Finding, passed, told
from harness.data.audit.ranks import FEWEST, RARE, STRONG, chance, means_by, ranked, separation, strength
from harness.data.audit.sides import Assignment

FACTS = {"mean gray": "gray_mean", "width": "width", "height": "height", "bytes a px": "bytes_per_px"}
CARRIES = 0.95  # mean of the shares of positive and of clean sources that a word is right about
WORD = re.compile(r"[^\W\d_]{2,}")


def metadata_predicts_label(samples: pd.DataFrame, split: Assignment) -> Finding:
    """F1: neither light nor the sizes of picture and file tell the sources with an object from those without.

    A source counts once with its positive pictures and once with its clean ones.
    """
    head = ("F1", "Light and size do not tell the label")
    table = _facts(samples)
    positive = table.index.get_level_values("label").to_numpy(dtype=bool)
    if min(positive.sum(), (~positive).sum()) < FEWEST:
        return told(*head, "not run", _too_few(int(positive.sum()), int((~positive).sum())))
    ranks = ranked(table)
    auc = separation(ranks, positive[None])[0]
    best, p = int(np.argmax(strength(auc))), chance(ranks, positive[None])
    said = f"{list(FACTS)[best]} orders a positive and a clean source rightly in {strength(auc)[best]:.0%} (p {p:.3f})"
    items = tuple(
        {"fact": name, "positive": _mean(table[name][positive]), "clean": _mean(table[name][~positive]),
         "auc": round(float(value), 3)} for name, value in zip(FACTS, auc, strict=True)
    )  # fmt: skip
    if strength(auc)[best] < STRONG or p > RARE:
        return passed(*head, "warn", f"At most: {said}.")
    text = f"{said}: a network may learn that instead of the object; take both kinds of pictures alike."
    return Finding(*head, "warn", "warn", len(samples), 1.0, text, items)


def names_carry_label(samples: pd.DataFrame, split: Assignment) -> Finding:
    """F2: no word of the file names tells positive from clean pictures; networks see no names, so it only tells."""
    head = ("F2", "File names do not tell the label")
    units = pd.DataFrame({"group": samples["group"].to_numpy(), "label": samples["positive"].to_numpy() > 0})
    size = units.drop_duplicates()["label"].value_counts()
    if min(size.get(True, 0), size.get(False, 0)) < FEWEST:
        return told(*head, "not run", _too_few(int(size.get(True, 0)), int(size.get(False, 0))))
    words = [sorted(set(WORD.findall(str(name).casefold()))) for name in samples["sample"]]
    each = units.assign(word=pd.Series(words)).explode("word").dropna().drop_duplicates()
    share = (
        each.groupby(["word", "label"])
        .size()
        .unstack(fill_value=0)
        .reindex(columns=[False, True], fill_value=0)
    )
    right = (share[True] / size[True] + 1 - share[False] / size[False]) / 2
    certain = right.where(right >= 0.5, 1 - right).sort_values(ascending=False, kind="stable")
    found = certain[certain >= CARRIES]
    if found.empty:
        return passed(
            *head, "info", "No word of the file names is right about the label in 95 % of the sources."
        )
    items = tuple({"word": str(word), "right": round(float(value), 3)} for word, value in found.items())
    text = (
        f"The word {items[0]['word']!r} in file names tells the label in {found.iloc[0]:.0%} of the sources; networks "
        "see no names, but do not sort, group or choose pictures by them."
    )
    return Finding(*head, "info", "warn", len(samples), 0.0, text, items)


def _facts(samples: pd.DataFrame) -> pd.DataFrame:
    """Return the mean facts of each source's positive pictures and of its clean ones."""
    area = samples["height"] * samples["width"]
    table = samples.assign(label=samples["positive"] > 0, bytes_per_px=samples["file_bytes"] / area)
    means = means_by(table, ["group", "label"], list(FACTS.values()))
    return means.set_axis(list(FACTS), axis=1)


def _mean(values: "pd.Series[float]") -> float:
    return round(float(values.mean()), 3)


def _too_few(positive: int, clean: int) -> str:
    return (
        f"{positive} sources with an object and {clean} without: {FEWEST} of each are needed to compare them."
    )
