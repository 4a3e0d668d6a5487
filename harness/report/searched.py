"""What the search did, in plots: its history, what the scores depend on, slices, a contour, losses by augmentation."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from harness.config import Study
from harness.ranges import Dimension, Range, Value
from harness.report.leaderboard import Leaderboard
from harness.report.plot import BLUE, GRAY, ORANGE, Plot, Trace, axis
from harness.search.importance import FEWEST, importances

MOST_SLICES, MOST_DOTS = 8, 1000
CELLS = 10  # of a contour's side
STRENGTHS = np.linspace(0, 1, 6)  # between which augmentation strengths are put together

Rows = Sequence[Mapping[str, Any]]


def history(board: Leaderboard) -> Plot:
    """Return the scores in the order of the trials, the best so far, and where trials ended without one."""
    rows = sorted(board.complete, key=lambda row: row["trial"])
    numbers, iou = [row["trial"] for row in rows], [row["iou_mean"] for row in rows]
    ended = [row for row in board.trials if row["iou_mean"] is None] if rows else list(board.trials)
    traces: list[Trace] = [
        _dots(numbers, iou, BLUE, [row["loss"] for row in rows]) | {"name": "trial"},
        {
            "type": "scatter",
            "mode": "lines",
            "x": numbers,
            "y": np.maximum.accumulate(iou) if iou else [],
            "name": "best so far",
            "line": {"color": ORANGE, "shape": "hv", "width": 2},
        },
    ]
    if ended:
        marks = _dots(
            [row["trial"] for row in ended], [0.0] * len(ended), GRAY, [row["state"] for row in ended]
        )
        traces.append(
            marks | {"name": "pruned or failed", "marker": {"symbol": "x", "size": 7, "color": GRAY}}
        )
    says = f"Mean IoU of {len(rows):,} complete trials by number, and the best so far"
    without = f"; {len(ended):,} that were pruned or failed stand as crosses on the axis, without a score"
    says += f"{without if ended else ''}."
    shown = [[str(row["trial"]), row["loss"], f"{row['iou_mean']:.4f}"] for row in rows]
    layout = {"xaxis": axis("trial"), "yaxis": axis("IoU, mean over folds", rangemode="tozero")}
    return Plot("History of the search", says, traces, layout, (("trial", "loss", "IoU"), shown))


def space_of(board: Leaderboard) -> dict[str, Dimension]:
    """Return the space that was searched; empty where this version of the code cannot read the settings."""
    try:
        return Study.model_validate(board.facts["settings"]).dimensions()
    except ValueError:
        return {}


def shares(board: Leaderboard, space: Mapping[str, Dimension]) -> dict[str, float]:
    """Return the importance of each parameter; empty where there are too few trials to say."""
    if len(board.complete) < FEWEST or not space:
        return {}
    return importances([(row["params"], row["iou_mean"]) for row in board.complete], space)


def importance(found: Mapping[str, float]) -> Plot:
    """Return the shares of parameters as bars."""
    names, values = list(found), list(found.values())
    bars = {"type": "bar", "orientation": "h", "x": values, "y": names, "marker": {"color": BLUE}}
    says = (
        "Share of each searched parameter in what tells the best tenth of the trials from all of them (PED-ANOVA, by "
        "Optuna). A parameter of one loss is judged among the trials that have it; of other ranges it says nothing."
    )
    layout = {
        "xaxis": axis("share", range=[0, 1]),
        "yaxis": {"type": "category", "autorange": "reversed"},
        "showlegend": False,
    }
    numbers = (("parameter", "share"), [[name, f"{value:.3f}"] for name, value in found.items()])
    return Plot("What the scores depend on", says, [bars], layout, numbers, height=110 + 28 * len(found))


def slices(board: Leaderboard, space: Mapping[str, Dimension], order: Sequence[str]) -> list[Plot]:
    """Return IoU by each parameter, those that `order` names first."""
    names = sorted({name for row in board.complete for name in row["params"]})
    ranked = [name for name in order if name in names] + [name for name in names if name not in order]
    return [_slice(board, space, name) for name in ranked[:MOST_SLICES]]


def contour(board: Leaderboard, space: Mapping[str, Dimension], order: Sequence[str]) -> Plot | None:
    """Return IoU by the two first numbers of `order` that all trials have; None where there are not two."""
    rows = board.complete
    both = [name for name in order if all(_is_number(row["params"].get(name)) for row in rows)][:2]
    if len(both) < 2 or len(rows) < FEWEST:
        return None
    logs = [_is_log(space, name) for name in both]
    x, y = (np.array([row["params"][name] for row in rows], float) for name in both)
    iou = np.array([row["iou_mean"] for row in rows])
    (xs, columns), (ys, lines) = (_binned(values, log) for values, log in zip((x, y), logs, strict=True))
    total, count = np.zeros((2, CELLS, CELLS))
    np.add.at(total, (lines, columns), iou)
    np.add.at(count, (lines, columns), 1)
    mean = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    field = {
        "type": "contour",
        "x": xs,
        "y": ys,
        "z": mean,
        "connectgaps": True,
        "colorscale": "Viridis",
        "colorbar": {"title": {"text": "IoU"}, "thickness": 12},
        "hovertemplate": "IoU %{z:.3f}<extra></extra>",
    }
    shown = _some(rows)
    at = [[row["params"][name] for row in shown] for name in both]
    dots = _dots(at[0], at[1], GRAY, [_told(row) for row in shown])
    dots |= {"marker": {"color": "#fff", "size": 5, "line": {"color": "#333", "width": 1}}}
    says = (
        f"Mean IoU in {CELLS} x {CELLS} cells; between cells that hold a trial (dots) it is interpolated, and says "
        "little where there are none."
    )
    layout = {
        "xaxis": axis(both[0], type="log" if logs[0] else "linear", exponentformat="power"),
        "yaxis": axis(both[1], type="log" if logs[1] else "linear", exponentformat="power"),
        "showlegend": False,
    }
    return Plot(f"{both[0]} by {both[1]}", says, [field, dots], layout, height=420)


def losses_by_strength(board: Leaderboard) -> Plot | None:
    """Return the mean IoU of the complete trials by loss and augmentation strength, with their number.

    None where no trial says its strength.
    """
    fixed = board.facts["settings"].get("augment", {}).get("strength")
    told = [
        (row["loss"], row["params"].get("augment.strength", fixed), row["iou_mean"]) for row in board.complete
    ]
    told = [one for one in told if _is_number(one[1])]
    if not told:
        return None
    losses = sorted({loss for loss, *_ in told})
    columns = [f"{low:.1f} to {high:.1f}" for low, high in pairwise(STRENGTHS)]
    cells: dict[tuple[str, int], list[float]] = {}
    for loss, strength, score in told:
        place = min(int(np.searchsorted(STRENGTHS, strength, side="right")) - 1, len(columns) - 1)
        cells.setdefault((loss, place), []).append(score)
    mean = [[_mean(cells.get((loss, place))) for place in range(len(columns))] for loss in losses]
    counted = [[len(cells.get((loss, place), ())) for place in range(len(columns))] for loss in losses]
    said = [
        [f"{value:.3f}<br>n = {n}" if n else "" for value, n in zip(means, counts, strict=True)]
        for means, counts in zip(mean, counted, strict=True)
    ]
    heat = {
        "type": "heatmap",
        "x": columns,
        "y": losses,
        "z": mean,
        "text": said,
        "texttemplate": "%{text}",
        "hovertemplate": "%{y}, strength %{x}: %{text}<extra></extra>",
        "colorscale": "Viridis",
        "xgap": 2,
        "ygap": 2,
        "colorbar": {"title": {"text": "IoU"}, "thickness": 12},
    }
    rows = [
        [loss, *(text.replace("<br>", ", ") for text in line)]
        for loss, line in zip(losses, said, strict=True)
    ]
    says = "Mean IoU over the complete trials in each cell, with their number n; an empty cell had none."
    layout = {
        "xaxis": axis("augmentation strength", type="category", showgrid=False),
        "yaxis": {"type": "category", "showgrid": False},
    }
    height = 150 + 52 * len(losses)
    return Plot("Loss by augmentation", says, [heat], layout, (("loss", *columns), rows), height=height)


def _slice(board: Leaderboard, space: Mapping[str, Dimension], name: str) -> Plot:
    rows = [row for row in board.complete if name in row["params"]]
    shown = _some(rows)
    values = [row["params"][name] for row in shown]
    numeric = all(map(_is_number, values))
    if not numeric:
        values = [str(value) for value in values]
    colors = [ORANGE if row is board.best else BLUE for row in shown]
    dots = _dots(values, [row["iou_mean"] for row in shown], BLUE, [_told(row) for row in shown])
    dots |= {"marker": {"size": 6, "opacity": 0.75, "color": colors}}
    kind = "log" if _is_log(space, name) else "linear" if numeric else "category"
    layout = {
        "xaxis": axis(name, type=kind, exponentformat="power"),
        "yaxis": axis("IoU", rangemode="tozero"),
        "showlegend": False,
    }
    some = f", {len(shown):,} of them, spread evenly" if len(shown) < len(rows) else ""
    says = f"IoU of {len(rows):,} complete trials by this parameter{some}; the best of all is orange, where it has it."
    table = [[str(row["trial"]), f"{row['params'][name]}", f"{row['iou_mean']:.4f}"] for row in rows[:61]]
    return Plot(name, says, [dots], layout, (("trial", name, "IoU"), table), height=260)


def _dots(x: Sequence[Any], y: Sequence[Any], color: str, texts: Sequence[str]) -> Trace:
    return {
        "type": "scatter",
        "mode": "markers",
        "x": x,
        "y": y,
        "text": texts,
        "hovertemplate": "%{text}: %{y} at %{x}<extra></extra>",
        "marker": {"color": color, "size": 6},
    }


def _told(row: Mapping[str, Any]) -> str:
    return f"trial {row['trial']}"


def _some(rows: Rows) -> Rows:
    """Return at most MOST_DOTS rows, best first as they come, the best one among them."""
    return rows[:: -(-len(rows) // MOST_DOTS)] if rows else rows


def _binned(values: Any, log: bool) -> tuple[Any, Any]:
    """Return the middles of CELLS equal bins, equal in the logarithm if asked, and each value's bin."""
    scaled = np.log10(values) if log else values
    low, high = scaled.min(), scaled.max()
    width = (high - low) / CELLS or 1.0
    middles = low + width * (np.arange(CELLS) + 0.5)
    places = np.minimum(((scaled - low) / width).astype(int), CELLS - 1)
    return (10**middles if log else middles), places


def _is_log(space: Mapping[str, Dimension], name: str) -> bool:
    dimension = space.get(name)
    return isinstance(dimension, Range) and dimension.log


def _is_number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _mean(scores: Sequence[float] | None) -> float:
    return float(np.mean(scores)) if scores else np.nan
