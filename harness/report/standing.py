"""The leaderboard in a page: a table of the best, and a plot of scores with their intervals."""

from collections.abc import Mapping
from typing import Any

from harness.report.leaderboard import Leaderboard
from harness.report.markup import paragraph, table
from harness.report.plot import BLUE, GRAY, ORANGE, Plot, axis, upright
from harness.report.table import HEADINGS, READING, rows_of
from harness.report.words import OF_WORD, interval, score

MOST_ROWS, MOST_DOTS = 50, 20
MARKS = {"best": "★", "equal": "=", "unknown": "?", "worse": "▼"}  # said without color
SYMBOLS = {"best": "star", "equal": "square", "unknown": "diamond-open", "worse": "x", "": "circle-open"}
WORDS = ("loss", "beside the best", "state")
BESIDE = HEADINGS.index("beside the best")


def standing(board: Leaderboard) -> str:
    """Return the table, and below it a plot where a trial has a score."""
    rows, shown = rows_of(board), min(MOST_ROWS, len(board.trials))
    for cells, row in zip(rows, board.trials, strict=False):
        cells[BESIDE] = place_of(board, row)
    kept = rows[:shown] + rows[len(board.trials) :]
    parts = [table(HEADINGS, kept, words=WORDS, best=0 if board.best else -1)]
    if left := len(board.trials) - shown:
        parts.append(
            paragraph(f"{left:,} more trials are left out here; report.json has all of them.", "soft")
        )
    parts.append(paragraph(READING.replace("*", ""), "soft"))
    return "".join([*parts, *([dots(board).to_html()] if board.best else [])])


def place_of(board: Leaderboard, row: Mapping[str, Any]) -> str:
    """Return how a trial stands beside the best, in a mark and in words."""
    word = word_of(board, row)
    said = {"best": "the best"} | OF_WORD
    return f"{MARKS[word]} {said[word]}" if word else ""


def word_of(board: Leaderboard, row: Mapping[str, Any]) -> str:
    """Return best, equal, unknown, worse; nothing where it is not known."""
    if board.best is not None and row["trial"] == board.best["trial"]:
        return "best"
    told = row.get("against_best")
    word = told["word"] if told else ""
    return word if word in MARKS else ""


def dots(board: Leaderboard) -> Plot:
    """Return the best trials as dots with intervals, beside what needs no learning."""
    rows = list(board.complete[:MOST_DOTS])
    names = [f"trial {row['trial']}, {row['loss']}" for row in rows]
    words = [word_of(board, row) for row in rows]
    iou = [row["iou_mean"] for row in rows]
    low, high = ([row.get(name) for row in rows] for name in ("iou_low", "iou_high"))
    trace = {
        "type": "scatter",
        "mode": "markers",
        "x": iou,
        "y": names,
        "text": [f"{score(row)}; 95 % {interval(row)}; {place_of(board, row)}" for row in rows],
        "hovertemplate": "%{y}: %{text}<extra></extra>",
        "marker": {
            "size": 11,
            "symbol": [SYMBOLS[word] for word in words],
            "color": [ORANGE if word == "best" else GRAY if word == "worse" else BLUE for word in words],
        },
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": [0 if top is None else top - at for at, top in zip(iou, high, strict=True)],
            "arrayminus": [0 if end is None else at - end for at, end in zip(iou, low, strict=True)],
            "color": GRAY,
            "thickness": 1.5,
        },
    }
    classical = board.baselines["classical"]["iou_mean"]
    headings = ("trial", "IoU mean ± std", "95 % interval", "beside the best")
    numbers = [
        [name, score(row), interval(row), place_of(board, row)] for name, row in zip(names, rows, strict=True)
    ]
    return Plot(
        "The best trials with their intervals" if len(rows) > 1 else "The trial with its interval",
        f"Mean IoU of the best {len(rows)} of {len(board.complete):,} complete trials, with 95 % intervals over groups "
        "where they are known; star: the best, square: equal to it, open diamond: not told from it, cross: worse. "
        f"The dashed line is top-hat + Otsu, without learning ({classical:.4f}).",
        [trace],
        {
            "xaxis": axis("IoU, mean over folds", rangemode="tozero"),
            "yaxis": {"type": "category", "autorange": "reversed", "showgrid": False},
            "shapes": [upright(classical)],
            "showlegend": False,
        },
        (headings, numbers),
        height=110 + 26 * len(rows),
    )
