"""The leaderboard as a table: Markdown for MLflow and files, rich for a terminal."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from harness.report.leaderboard import Leaderboard
from harness.report.words import interval, score, verdict, warnings

SCORES = {  # beside the headline: name in the ledger and in MLflow, heading
    "second_iou_mean": "IoU, second look",
    "iou_positive_pictures": "IoU per positive picture",
    "pr_auc": "pixel PR-AUC",
    "object_recall": "object recall",
    "recall_at_1": "recall at 1 false object a picture",
    "object_f1": "object F1",
    "clean_with_false_object": "clean with a false object",
    "iou_cross_fitted": "IoU, threshold cross-fitted",
    "threshold": "threshold of all folds (logit)",
}
HEADINGS = (
    *("trial", "loss", "IoU mean ± std", "95 % interval", "beside the best"),
    *SCORES.values(),
    *("augmentation", "state"),
)
SHORT = {  # in a terminal, which has no room for all of them
    "trial": "trial",
    "loss": "loss",
    "IoU mean ± std": "IoU mean ± std",
    SCORES["iou_positive_pictures"]: "IoU/positive",
    SCORES["object_recall"]: "recall",
    SCORES["object_f1"]: "F1",
    SCORES["clean_with_false_object"]: "clean false",
    "augmentation": "augment",
    "state": "state",
}
NOTE_SIZE = 7900  # characters of a description that MLflow keeps whole
MOST_WARNINGS = 12  # of them in a description
NARROW = 110  # columns of a terminal below which two scores are left out
LEFT_OUT = ("IoU/positive", "F1", "augment")
READING = (
    "Scores are means over the folds, of what is predicted at logit 0; PR-AUC is over all thresholds, *cross-fitted* "
    "at those that the other folds chose. The threshold of all folds is the one for deployment. Each is defined in "
    "docs/metrics.md. The interval is over groups; *beside the best* says worse, equal (within ± 0.01 IoU) or unknown, "
    "not corrected for the choice (docs/statistics.md)."
)
_BASELINE_NAMES = {"constant": "best constant", "classical": "top-hat + Otsu"}


def as_markdown(board: Leaderboard) -> str:
    """Return the leaderboard as a Markdown page."""
    table, known = markdown_table(HEADINGS, rows_of(board)), [f"- {warning}" for warning in warnings(board)]
    return "\n".join([*_head(board), *table, "", READING, "", *known, ""])


def as_note(board: Leaderboard, size: int = NOTE_SIZE) -> str:
    """Return the same as a description in MLflow has room for: the best trials, and a few of the warnings."""
    rows, known = rows_of(board), [f"- {warning}" for warning in warnings(board)]
    said = known if len(known) <= MOST_WARNINGS else [*known[: MOST_WARNINGS - 1], known[-1]]
    more = f"{len(rows)} rows and {len(known)} remarks in all are in report/report.md and report/report.html."
    around = "\n".join([*_head(board), *markdown_table(HEADINGS, []), "", more, "", READING, "", *said, ""])
    left, shown = size - len(around), 0
    for line in markdown_table(HEADINGS, rows)[2:]:
        left -= len(line) + 1
        shown += left >= 0
    whole = shown == len(rows) and said == known
    table = markdown_table(HEADINGS, rows[:shown])
    lines = [*_head(board), *table, "", *([] if whole else [more, ""]), READING, "", *said, ""]
    return "\n".join(lines)[:size]


def _head(board: Leaderboard) -> list[str]:
    first, second = verdict(board)
    return [f"**{first}** {second}", "", board.facts["description"], "", *_facts_lines(board.facts), ""]


def markdown_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a table in Markdown."""
    lines = [f"| {' | '.join(headings)} |", "|" + "---|" * len(headings)]
    return lines + [f"| {' | '.join(map(_escaped, cells))} |" for cells in rows]


def _escaped(cell: str) -> str:
    return cell.replace("|", r"\|").replace("<", "&lt;")


def as_table(board: Leaderboard, width: int) -> Table:
    """Return the leaderboard for a terminal of this width."""
    table = Table(
        title=f"{board.facts['key']}, profile {board.facts['profile']}", title_justify="left", box=SIMPLE_HEAD
    )
    table.pad_edge, table.padding = False, (0, 1)
    shown = [h for h, short in SHORT.items() if width >= NARROW or short not in LEFT_OUT]
    for heading in (SHORT[h] for h in shown):
        words = heading in ("loss", "state")
        table.add_column(
            heading, justify="left" if words else "right", no_wrap=heading != "loss", overflow="fold"
        )
    for cells in rows_of(board):
        table.add_row(*(cells[HEADINGS.index(h)] for h in shown))
    return table


def _facts_lines(facts: Mapping[str, Any]) -> list[str]:
    """Return what the results are of, a line of Markdown each."""
    return [
        f"- data: {facts['samples']} samples, {facts['groups']} groups, {facts['positive_groups']} of them positive; "
        f"split `{facts['split']}`: {facts['split_note']}",
        f"- leakage check: **{facts['leakage']}**, report SHA-256 `{facts['leakage_sha256']}`",
        f"- profile `{facts['profile']}`, seed {facts['seed']}; IoU at original resolution, last epoch",
    ]


def rows_of(board: Leaderboard) -> list[list[str]]:
    """Return the cells of each trial and each baseline, as HEADINGS."""
    learned = [_trial_cells(row) for row in board.trials]
    rest = [""] * (len(SCORES) + 1)
    unlearned = [
        ["-", _BASELINE_NAMES[name], score(b), "", "", *rest, "no training"]
        for name, b in board.baselines.items()
    ]
    return learned + unlearned


def _trial_cells(row: Mapping[str, Any]) -> list[str]:
    params = row["params"]
    digits = {"threshold": "g"}
    beside = ["" if row.get(name) is None else format(row[name], digits.get(name, ".3f")) for name in SCORES]
    strength = params.get("augment.strength")
    state = row["kind"] if row["state"] == "complete" else row["state"]
    return [
        str(row["trial"]),
        loss_words(row),
        score(row),
        interval(row),
        row["against_best"]["word"] if row["against_best"] else "",
        *beside,
        "" if strength is None else f"{strength:.2f}",
        state,
    ]


def loss_words(row: Mapping[str, Any]) -> str:
    """Return a trial's loss with what was drawn of it, as `tversky, fn_weight 0.7`."""
    loss = row["loss"]
    settings = [
        f"{k.rpartition('.')[2]} {v:.3g}" for k, v in row["params"].items() if k.startswith(f"loss.{loss}.")
    ]
    return f"{loss}, {', '.join(settings)}" if settings else loss
