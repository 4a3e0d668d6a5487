"""Curves of the best trial: how its folds learned, and what their out-of-fold predictions give at other thresholds."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import pandas as pd

from harness.evaluate.calibration import reliability
from harness.evaluate.objects import RATES, froc, recall_at
from harness.evaluate.pixels import fold_histogram, pr_auc, pr_curve
from harness.evaluate.thresholds import cross_fit, fold_counts
from harness.model.histogram import THRESHOLDS, Histogram
from harness.report.foldfiles import TrialFiles
from harness.report.markup import number
from harness.report.plot import BLUE, FAINT, GRAY, ORANGE, Plot, Trace, axis, fold_line, upright

MOST_POINTS = 200  # of a curve
MOST_NAMED = 12  # folds with a place in the legend
FOLD, POOLED = "fold ", "all folds"


def learning(files: TrialFiles) -> list[Plot]:
    """Return loss and IoU by epoch, a line for each fold; none where no epochs are kept."""
    plots = []
    for name, title, says in (
        ("loss", "Training loss", "Mean loss of each epoch, a line for each fold."),
        (
            "iou",
            "IoU while it learned",
            "IoU on each fold's own validation after an epoch; the last one counts, whichever looks best.",
        ),
    ):
        told = [(one.fold, [e for e in one.epochs if e.get(name) is not None]) for one in files.folds]
        told = [(fold, epochs) for fold, epochs in told if epochs]
        traces = [
            _line([e["number"] for e in epochs], [e[name] for e in epochs], _name(fold), fold)
            | {"mode": "lines+markers" if len(epochs) < MOST_POINTS else "lines", "marker": {"size": 4}}
            for fold, epochs in told
        ]
        if traces:
            last = [
                [str(fold), str(epochs[-1]["number"]), number(epochs[-1][name], 4)] for fold, epochs in told
            ]
            layout = {"xaxis": axis("epoch", rangemode="tozero"), "yaxis": axis(title)}
            plots.append(Plot(title, says, _named(traces), layout, (("fold", "last epoch", name), last)))
    return plots


def precision_recall(files: TrialFiles) -> Plot:
    """Return precision by recall of pixels."""
    folds = [(fold, fold_histogram(kept.histograms)) for fold, kept in files.kept]
    whole = Histogram(*(np.sum([part[side] for _, part in folds], axis=0) for side in (0, 1)))
    traces, areas = [], []
    for fold, histogram in [*folds, (None, whole)]:
        curve, area = _thinned(pr_curve(histogram), "recall"), pr_auc(histogram)
        if area is not None:
            traces.append(_of(fold, curve["recall"], curve["precision"]))
            areas.append([_name(fold), f"{area:.4f}"])
    says = (
        "Out-of-fold pixels at all thresholds; the thick line is all folds pooled, thin ones are each fold."
    )
    layout = {"xaxis": axis("recall", range=[0, 1]), "yaxis": axis("precision", range=[0, 1.02])}
    return Plot("Precision and recall of pixels", says, _named(traces), layout, (("fold", "PR-AUC"), areas))


def found_by_false(files: TrialFiles) -> Plot:
    """Return object recall by false objects a photograph (FROC)."""
    parts = [(fold, kept.objects, len(kept.rows)) for fold, kept in files.kept]
    pooled = pd.concat([objects for _, objects, _ in parts], ignore_index=True)
    traces, rows = [], []
    for fold, objects, photographs in [*parts, (None, pooled, sum(count for *_, count in parts))]:
        curve = froc(objects, photographs)
        if not curve.empty:
            rows.append([_name(fold), *(f"{recall:.3f}" for recall in recall_at(curve))])
            curve = _thinned(curve, "recall")
            line = _of(fold, curve["false"], curve["recall"])
            traces.append(line | {"line": line["line"] | {"shape": "hv"}})
    says = (
        "Share of true objects found by false objects a photograph, as the least peak logit falls; it ends at what is "
        "predicted at logit 0."
    )
    layout = {
        "xaxis": axis("false objects a photograph", rangemode="tozero"),
        "yaxis": axis("object recall", range=[0, 1.02]),
    }
    headings = ("fold", *(f"recall at {rate:g}" for rate in RATES))
    return Plot("Objects found (FROC)", says, _named(traces), layout, (headings, rows))


def reliable(files: TrialFiles) -> Plot:
    """Return the share of target by predicted probability."""
    folds = [(fold, fold_histogram(kept.histograms)) for fold, kept in files.kept]
    whole = Histogram(*(np.sum([part[side] for _, part in folds], axis=0) for side in (0, 1)))
    diagonal = _line([0, 1], [0, 1], "as it should be", 0) | {
        "line": {"color": GRAY, "dash": "dash", "width": 1}
    }
    traces = [diagonal]
    for fold, histogram in [*folds, (None, whole)]:
        told = reliability(histogram)
        traces.append(_of(fold, told["probability"], told["share"]))
    pooled = reliability(whole)
    columns = (pooled[name].tolist() for name in ("probability", "share", "pixels"))
    rows = [[f"{p:.3f}", f"{share:.3f}", f"{pixels:,}"] for p, share, pixels in zip(*columns, strict=True)]
    says = (
        "Share of target among pixels by the probability they were given; on the dashed line they agree. Most pixels "
        "are background, in the lowest bin."
    )
    layout = {
        "xaxis": axis("predicted probability", range=[0, 1]),
        "yaxis": axis("share of target", range=[0, 1.02]),
    }
    return Plot(
        "Reliability", says, _named(traces), layout, (("probability", "share of target", "pixels"), rows)
    )


def by_threshold(files: TrialFiles) -> Plot:
    """Return IoU by the logit from which pixels are predicted, with the choices of each fold and of the others."""
    counts = [fold_counts(kept.pixels) for _, kept in files.kept]
    own, numbers = np.array([fold.iou() for fold in counts]), [fold for fold, _ in files.kept]
    traces = [_of(fold, THRESHOLDS, scores) for fold, scores in zip(numbers, own, strict=True)]
    traces.append(_of(None, THRESHOLDS, own.mean(axis=0)) | {"name": "mean over folds"})
    shapes, rows, says = [upright(0, dash="dot")], [], "The dotted line is logit 0, of the headline."
    if len(counts) > 1:
        found = cross_fit(counts)
        best = THRESHOLDS[own.argmax(axis=1)]
        traces += [
            _points(found.chosen, found.at_chosen, "chosen by the other folds", "circle", ORANGE),
            _points(best, found.at_own, "chosen for itself (optimistic)", "x", GRAY),
        ]
        shapes.append(upright(found.deployed, color=ORANGE))
        says += (
            f" The dashed one, {found.deployed:g}, is best on all folds: the one for deployment. Circles are at the "
            "threshold that the other folds chose for a fold, crosses at the one it would choose for itself."
        )
        columns = zip(numbers, found.at_zero, found.chosen, found.at_chosen, found.at_own, strict=True)
        rows = [[str(n), f"{a:.4f}", f"{t:g}", f"{b:.4f}", f"{c:.4f}"] for n, a, t, b, c in columns]
    headings = ("fold", "IoU at 0", "threshold of the others", "IoU at it", "IoU at its own")
    layout = {"xaxis": axis("threshold (logit)"), "yaxis": axis("IoU", rangemode="tozero"), "shapes": shapes}
    return Plot("IoU by threshold", says, _named(traces), layout, (headings, rows), height=380)


OF_PREDICTIONS: Sequence[Callable[[TrialFiles], Plot]] = (
    precision_recall,
    found_by_false,
    reliable,
    by_threshold,
)


def _of(fold: int | None, x: Iterable[float], y: Iterable[float]) -> Trace:
    """Return the line of a fold, or the thick one of all of them."""
    line = _line(x, y, _name(fold), fold or 0)
    return line if fold is not None else line | {"line": {"color": BLUE, "width": 3.5}}


def _line(x: Iterable[float], y: Iterable[float], name: str, number: int) -> Trace:
    ends = [list(values) for values in (x, y)]
    return {
        "type": "scatter",
        "mode": "lines",
        "x": ends[0],
        "y": ends[1],
        "name": name,
        "line": fold_line(number),
    }


def _points(x: Iterable[float], y: Iterable[float], name: str, symbol: str, color: str) -> Trace:
    marker = {"size": 9, "symbol": symbol, "color": color, "line": {"width": 1, "color": FAINT}}
    return {"type": "scatter", "mode": "markers", "x": list(x), "y": list(y), "name": name, "marker": marker}


def _named(traces: Sequence[Trace]) -> list[Trace]:
    """Return traces, those of folds without their places in the legend where it would be longer than the plot."""
    folds = [trace for trace in traces if trace["name"].startswith(FOLD)]
    hidden = {"showlegend": False} if len(folds) > MOST_NAMED else {}
    return [trace | hidden if trace["name"].startswith(FOLD) else trace for trace in traces]


def _name(fold: int | None) -> str:
    return POOLED if fold is None else f"{FOLD}{fold}"


def _thinned(curve: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return at most about MOST_POINTS rows, spread evenly over the values of a column, the last one with them."""
    if len(curve) <= MOST_POINTS:
        return curve
    kept = (curve[column] * (MOST_POINTS - 2)).round().drop_duplicates(keep="last").index
    return curve.loc[kept.union([curve.index[-1]])]
