"""A comparison of trials as files: a page with plots, Markdown, and JSON."""

import json
from collections.abc import Sequence
from pathlib import Path

from harness.evaluate.comparisons import ROPE
from harness.report.comparison import HEADINGS, Comparison, as_markdown, cells_of
from harness.report.files import FOLDER
from harness.report.markup import document, listed, paragraph, section, table
from harness.report.plot import BLUE, FAINT, GRAY, Plot, axis, fold_line, scripts, upright
from harness.report.words import interval, score
from harness.train.checkpoint import write_synced

SYMBOLS = {"better": "triangle-up", "equal": "square", "worse": "x", "unknown": "diamond-open"}
NOT_NUMBERS = ("trials", "word", "groups that move it most")


def write_comparison(comparison: Comparison, work: Path) -> Path:
    """Write a comparison beside the report, as a page, as Markdown and as JSON; return the path of the first."""
    name = "_".join(["compare", *(str(row["trial"]) for row in comparison.trials)])
    (work / FOLDER).mkdir(exist_ok=True)
    page = work / FOLDER / f"{name}.html"
    write_synced(page, as_page(comparison).encode())
    write_synced(page.with_suffix(".md"), as_markdown(comparison).encode())
    write_synced(page.with_suffix(".json"), json.dumps(comparison.as_dict(), indent=1).encode())
    return page


def as_page(comparison: Comparison) -> str:
    """Return a comparison as one HTML page."""
    trials = [[str(row["trial"]), row["loss"], score(row), interval(row)] for row in comparison.trials]
    pairs = table(HEADINGS, [cells_of(pair) for pair in comparison.pairs], words=NOT_NUMBERS, prose=True)
    title = f"{comparison.key}: trials compared"
    return document(
        title,
        f"<header><h1>{title}</h1>{listed(pair['sentence'] for pair in comparison.pairs)}"
        f"{paragraph(comparison.reading, 'soft')}</header>",
        section("Pairs", pairs),
        section("Differences", differences(comparison).to_html(), by_fold(comparison).to_html()),
        section(
            "Trials", table(("trial", "loss", "IoU mean ± std", "95 % interval"), trials, words=("loss",))
        ),
        scripts=scripts(),
    )


def differences(comparison: Comparison) -> Plot:
    """Return each pair's difference with its interval, and the range in which trials are equal in practice."""
    pairs = comparison.pairs
    names = _names(comparison)
    dots = {
        "type": "scatter",
        "mode": "markers",
        "x": [pair["difference"] for pair in pairs],
        "y": names,
        "text": [pair["word"] for pair in pairs],
        "hovertemplate": "%{y}: %{x:+.4f} IoU, %{text}<extra></extra>",
        "marker": {"size": 11, "color": BLUE, "symbol": [SYMBOLS[pair["word"]] for pair in pairs]},
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": [pair["high"] - pair["difference"] for pair in pairs],
            "arrayminus": [pair["difference"] - pair["low"] for pair in pairs],
            "color": GRAY,
        },
    }
    rope = {"type": "rect", "x0": -ROPE, "x1": ROPE, "y0": 0, "y1": 1, "yref": "paper"}
    rope |= {"fillcolor": FAINT, "line": {"width": 0}, "layer": "below"}
    layout = {
        "xaxis": axis("IoU of the first less that of the second"),
        "yaxis": {"type": "category", "autorange": "reversed", "showgrid": False},
        "shapes": [rope, upright(0, dash="solid", width=1)],
        "showlegend": False,
    }
    says = (
        f"Difference of each pair with its 95 % interval over groups; within the shaded ± {ROPE:g} trials are equal in "
        "practice. Triangle: better, square: equal, cross: worse, open diamond: unknown."
    )
    rows = [
        [name, f"{pair['difference']:+.4f}", interval(pair, "low", "high"), pair["word"]]
        for name, pair in zip(names, pairs, strict=True)
    ]
    headings = ("pair", "difference", "95 % interval", "word")
    return Plot("Differences", says, [dots], layout, (headings, rows), height=120 + 30 * len(pairs))


def by_fold(comparison: Comparison) -> Plot:
    """Return the difference of each pair in each fold."""
    names, pairs = _names(comparison), comparison.pairs
    traces = [
        {
            "type": "scatter",
            "mode": "lines+markers",
            "x": [f"fold {fold}" for fold in range(len(pair["fold_differences"]))],
            "y": pair["fold_differences"],
            "name": name,
            "line": fold_line(number),
        }
        for number, (name, pair) in enumerate(zip(names, pairs, strict=True))
    ]
    folds = len(pairs[0]["fold_differences"])
    rows = [[name, *_signed(pair["fold_differences"])] for name, pair in zip(names, pairs, strict=True)]
    layout = {"yaxis": axis("difference in IoU"), "xaxis": {"type": "category"}, "showlegend": True}
    headings = ("pair", *(f"fold {fold}" for fold in range(folds)))
    says = "IoU of the first less that of the second on each fold, a line for each pair."
    return Plot("Differences by fold", says, traces, layout, (headings, rows))


def _names(comparison: Comparison) -> list[str]:
    return [f"trial {pair['a']} - trial {pair['b']}" for pair in comparison.pairs]


def _signed(values: Sequence[float]) -> list[str]:
    return [f"{value:+.4f}" for value in values]
