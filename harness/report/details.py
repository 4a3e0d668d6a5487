"""The best trial in tables: by fold, by class, by size of object, by group."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from harness.evaluate.groups import sum_by_group
from harness.evaluate.objects import by_size
from harness.evaluate.scores import fold_scores, scores_beside
from harness.evaluate.thresholds import CrossFitted, cross_fit, fold_counts
from harness.masking import words_of
from harness.model.metrics import PixelCounts, iou
from harness.report.foldfiles import FoldFiles, TrialFiles
from harness.report.markup import listed, number, paragraph, part, table

MOST_GROUPS, MOST_CLASSES, MOST_FOLDS = 30, 30, 40
SIZE_WORDS = {
    "tiny": "tiny, under 64 px",
    "small": "small, under 1,024 px",
    "medium": "medium, under 9,216 px",
    "large": "large",
}
BESIDE = {
    "pr_auc": "PR-AUC",
    "object_recall": "object recall",
    "object_f1": "object F1",
    "recall_at_1": "recall at 1 false",
    "clean_with_false_object": "clean with a false object",
}


def details(row: Mapping[str, Any], files: TrialFiles, samples: Path) -> str:
    """Return the tables of a complete trial with this row of the leaderboard; `samples` is the study's table."""
    said = listed(files.lost, "warnings")
    if not files.kept:
        return said + paragraph("Without the tables of predictions there is nothing more to tell of it here.")
    return "".join(
        [
            said,
            part("By fold", by_fold(row, files)),
            part("By class", by_class(files.rows, samples)),
            part("By size of object", _by_size(files)),
            part("By group, the worst first", by_group(files.rows)),
        ]
    )


def by_fold(row: Mapping[str, Any], files: TrialFiles) -> str:
    """Return a row for each fold: its score as the ledger has it, and those beside."""
    chosen = thresholds_of(files)
    headings = ("fold", "IoU", "best epoch would have", "photographs", "groups", *BESIDE.values())
    places = {fold: place for place, (fold, _) in enumerate(files.kept)}
    rows = []
    worst = sorted(files.folds, key=lambda one: row.get(f"iou_fold_{one.fold}") or 0.0)[:MOST_FOLDS]
    for one in sorted(worst, key=lambda one: one.fold):
        cells = [str(one.fold), number(row.get(f"iou_fold_{one.fold}"), 4), _best_epoch(one), *_scores(one)]
        rows.append(cells + (_thresholds(chosen, places.get(one.fold)) if chosen else []))
    more = ("threshold of the other folds", "IoU at it") if chosen else ()
    note = (
        f"{_first(len(rows), len(files.folds), 'folds')}The best epoch of a fold is shown for what it is worth; the "
        "last epoch counts."
    )
    return table([*headings, *more], rows) + paragraph(note, "soft")


def thresholds_of(files: TrialFiles) -> CrossFitted | None:
    """Return the cross-fitted thresholds, None where not all folds are there."""
    if len(files.kept) < max(2, len(files.folds)):
        return None
    return cross_fit([fold_counts(kept.pixels) for _, kept in files.kept])


def by_class(rows: pd.DataFrame, samples: Path) -> str:
    """Return a row for each class of photographs, the worst first."""
    try:
        classes = pd.read_parquet(samples, columns=["photo", "class_id"]).drop_duplicates()
    except (OSError, ValueError) as error:
        return paragraph(f"The classes are in {samples.name}, which cannot be read ({words_of(error)}).")
    joined = rows.merge(classes, on="photo")
    told = [(_iou(own), str(name), own) for name, own in joined.groupby("class_id")]
    told.sort(key=lambda one: (one[2]["objects"].sum() == 0, one[0], one[1]))
    cells = [
        [name, *_counts(own), number(value, 4) if own["objects"].sum() else "", *_objects(own)]
        for value, name, own in told[:MOST_CLASSES]
    ]
    headings = (
        "class",
        "photographs",
        "groups",
        "IoU, pooled",
        "objects",
        "found",
        "recall",
        "false objects",
    )
    note = (
        f"{_first(len(cells), len(told), 'classes')}The masks do not tell classes apart: a photograph counts, whole, "
        "in the class of each of its samples. Pooled: all counts of its photographs summed, another number than the "
        "mean over folds."
    )
    return table(headings, cells, words=("class",)) + paragraph(note, "soft")


def by_group(rows: pd.DataFrame) -> str:
    """Return a row for each group in each fold in which something was to be found or predicted, the worst first."""
    summed = sum_by_group(rows)
    union = summed[["tp", "fp", "fn"]].sum(axis=1)
    told = summed[union > 0].assign(iou=summed["tp"] / union, wrong=summed["fp"] + summed["fn"])
    told = told.sort_values(["iou", "wrong", "group"], ascending=[True, False, True], kind="stable")
    cells = [
        [str(one["group"]), str(one["fold"]), f"{one['iou']:.4f}"]
        + [f"{one[name]:,}" for name in ("pictures", "tp", "fp", "fn", "objects", "found", "false")]
        for one in told[:MOST_GROUPS].to_dict("records")
    ]
    headings = ("group", "fold", "IoU", "photographs", "TP", "FP", "FN", "objects", "found", "false objects")
    silent = len(summed) - len(told)
    note = _first(len(cells), len(told), "groups")
    if silent:
        note += (
            f"{silent:,} more have nothing to find and nothing predicted: rightly so, and they tell nothing."
        )
    return table(headings, cells, words=("group",)) + (paragraph(note, "soft") if note else "")


def _by_size(files: TrialFiles) -> str:
    sizes = by_size(pd.concat([kept.objects for _, kept in files.kept], ignore_index=True))
    cells = [
        [SIZE_WORDS.get(str(size), str(size))]
        + [f"{int(row[name]):,}" for name in ("objects", "found", "false")]
        + [number(row[name]) for name in ("recall", "precision", "f1")]
        for size, row in sizes.iterrows()
    ]
    headings = ("size", "objects", "found", "false objects", "recall", "precision", "F1")
    note = "Pooled over the folds. A false object is of the class of its own area."
    return table(headings, cells, words=("size",)) + paragraph(note, "soft")


def _best_epoch(one: FoldFiles) -> str:
    result = one.result
    if not result:
        return ""
    return f"{result['best_iou']:.4f} (epoch {result['best_epoch']} of {result['epochs']})"


def _scores(one: FoldFiles) -> list[str]:
    if one.kept is None:
        return [""] * (2 + len(BESIDE))
    found, rows = fold_scores(one.kept.rows, one.kept), one.kept.rows
    return [*_counts(rows), *(number(found.get(name)) for name in BESIDE)]


def _thresholds(chosen: CrossFitted, place: int | None) -> list[str]:
    if place is None:
        return ["", ""]
    return [f"{chosen.chosen[place]:g}", f"{chosen.at_chosen[place]:.4f}"]


def _iou(rows: pd.DataFrame) -> float:
    return iou(PixelCounts(*(int(rows[name].sum()) for name in ("tp", "fp", "fn", "valid"))))


def _counts(rows: pd.DataFrame) -> list[str]:
    return [f"{len(rows):,}", f"{rows['group'].nunique():,}"]


def _objects(rows: pd.DataFrame) -> list[str]:
    counts = [f"{int(rows[name].sum()):,}" for name in ("objects", "found")]
    return [*counts, number(scores_beside(rows).get("object_recall")), f"{int(rows['false'].sum()):,}"]


def _first(shown: int, total: int, what: str) -> str:
    return f"The worst {shown:,} of {total:,} {what}. " if shown < total else ""
