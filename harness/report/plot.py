"""A plot of plotly.js in a page: what it draws, what it says in words, and its numbers as a table."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

import numpy as np
from plotly.offline import get_plotlyjs

from harness.report.markup import folded, table

BLUE, ORANGE = "#4a8fd0", "#e08a1e"
GRAY, FAINT = "#808890", "rgba(128,136,144,.28)"
FOLD_COLORS = (ORANGE, "#1f9e77", "#cc79a7", "#d5562b", "#8c7bd0", GRAY)
DASHES = ("solid", "dot", "dash", "dashdot", "longdash", "longdashdot")
AXIS: dict[str, Any] = {"gridcolor": FAINT, "zerolinecolor": FAINT, "linecolor": GRAY, "automargin": True}
LAYOUT: dict[str, Any] = {
    "paper_bgcolor": "rgba(0,0,0,0)",
    "plot_bgcolor": "rgba(0,0,0,0)",
    "font": {"family": "system-ui, sans-serif", "size": 13, "color": GRAY},
    "margin": {"l": 56, "r": 16, "t": 24, "b": 48},
    "legend": {"orientation": "h", "x": 0, "y": 1.01, "yanchor": "bottom"},
    "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": GRAY, "activecolor": BLUE},
    "hovermode": "closest",
    "dragmode": False,  # a finger scrolls the page
}
DIGITS = 6  # that a plotted number keeps
MOST_NUMBERS = 60  # rows of numbers under a plot
DRAW = """
const figures = [...document.querySelectorAll("figure.plot")];
const boxes = figures.map(figure => {
  const box = figure.querySelector(".canvas"), plot = JSON.parse(figure.querySelector("script").textContent);
  Plotly.newPlot(box, plot.data, plot.layout, {
    responsive: true, displaylogo: false, modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"]});
  return box;
});
addEventListener("beforeprint", () => boxes.forEach(box => Plotly.relayout(box, {width: 640})));
addEventListener("afterprint", () => boxes.forEach(box => Plotly.relayout(box, {width: null, autosize: true})));
"""

Trace = dict[str, Any]
Numbers = tuple[Sequence[str], Sequence[Sequence[str]]]  # headings, rows


@dataclass(frozen=True)
class Plot:
    """Traces and layout as plotly.js takes them; `says` tells in a sentence what is to be seen."""

    title: str
    says: str
    traces: Sequence[Trace]
    layout: Mapping[str, Any] = field(default_factory=dict)
    numbers: Numbers | None = None
    height: int = 340

    def to_html(self) -> str:
        """Return the plot with its words, and its numbers where they are few."""
        figure = json.dumps(self.figure(), separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
        label = escape(f"{self.title}. {self.says}")
        below = ""
        if self.numbers is not None and len(self.numbers[1]) <= MOST_NUMBERS:
            below = folded("The numbers of this plot", table(*self.numbers))
        return (
            f'<figure class="plot"><div class="canvas" role="img" aria-label="{label}" '
            f'style="height:{self.height}px"></div><script type="application/json">{figure}</script>'
            f"<figcaption><strong>{escape(self.title)}.</strong> {escape(self.says)}</figcaption>{below}</figure>"
        )

    def figure(self) -> dict[str, Any]:
        """Return data and layout as plain values."""
        layout = LAYOUT | {"xaxis": AXIS, "yaxis": AXIS} | dict(self.layout)
        for name in [name for name in layout if name.startswith(("xaxis", "yaxis"))]:
            layout[name] = AXIS | layout[name]
        found: dict[str, Any] = plain({"data": list(self.traces), "layout": layout})
        return found


def scripts() -> list[str]:
    """Return what draws the plots of a page, plotly.js with it."""
    return [get_plotlyjs(), DRAW]


def axis(title: str, **settings: Any) -> dict[str, Any]:
    """Return an axis with its title."""
    return {"title": {"text": title}} | settings


def upright(x: float, **line: Any) -> dict[str, Any]:
    """Return a vertical line through the plot."""
    return {
        "type": "line",
        "x0": x,
        "x1": x,
        "y0": 0,
        "y1": 1,
        "yref": "paper",
        "line": {"color": GRAY, "width": 1.5, "dash": "dash"} | line,
    }


def fold_line(number: int) -> dict[str, Any]:
    """Return the thin line of a fold, told apart by color and dashes."""
    return {"color": FOLD_COLORS[number % 6], "dash": DASHES[number % 6], "width": 1.3}


def plain(value: Any) -> Any:
    """Return a value for JSON: arrays as lists, numbers with DIGITS digits, what is not finite as null."""
    if isinstance(value, Mapping):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, np.ndarray | list | tuple):
        return [plain(inner) for inner in (value.tolist() if isinstance(value, np.ndarray) else value)]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}") if np.isfinite(value) else None
    return value
