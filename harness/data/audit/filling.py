"""Check of how masks are filled: target and background swapped, turned inside out, or an outline left unfilled."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.data.audit.finding import Finding, more, passed, warned
from harness.data.audit.sides import Assignment

HEAD = ("M5", "Masks are filled as the others are")
FAR = 3.0  # interquartile ranges above the upper quartile (Tukey's outer fence), of the logarithm of coverage
TIMES = 10.0  # the median coverage; a set may be so even that the fence alone says nothing
SMALL = 0.2  # median coverage up to which a mask that covers half a picture and all its edges is odd
RARE = 0.1  # share of the positive masks up to which an outline is odd; above it the set is drawn so
FEWEST = 20  # positive masks that make a distribution
EDGES = 4


def odd_filling(samples: pd.DataFrame, split: Assignment) -> Finding:
    """M5: no mask covers far more than the others do or all edges, and no outline is left unfilled."""
    positive = samples["positive"].to_numpy() > 0
    coverage = samples["positive"].to_numpy() / samples["valid"].clip(lower=1).to_numpy()
    median = float(np.median(coverage[positive])) if positive.any() else 0.0
    kinds = {
        "covers half the picture and all its edges": _inside_out(samples, coverage, median),
        "covers far more than the others": _far_out(coverage, positive, median),
        "is an outline around more than it covers": _outlines(samples, positive),
    }
    hit = np.logical_or.reduce(list(kinds.values()))
    if not hit.any():
        text = f"Masks with an object cover {median:.2%} in the median, {coverage.max():.1%} at most."
        return passed(*HEAD, "warn", text)
    worst = int(np.argmax(hit * (1 + coverage)))
    what = next(name for name, rows in kinds.items() if rows[worst])
    text = (
        f"The mask of {samples['sample'].iloc[worst]!r} {what} ({coverage[worst]:.1%}, median {median:.2%}): swapped, "
        f"inside out or not filled; look at it{more(int(hit.sum()) - 1, 'mask')}."
    )
    odd = samples.assign(coverage=coverage.round(5), why=_reason(kinds, len(samples)))
    shown = {"coverage": "coverage", "enclosed px": "holes_px", "what": "why"}
    return warned(HEAD, odd, hit, text, shown, coverage)


def _inside_out(samples: pd.DataFrame, coverage: NDArray[np.float64], median: float) -> NDArray[np.bool_]:
    return np.asarray((coverage > 0.5) & (samples["edges"].to_numpy() == EDGES) & (median <= SMALL))


def _far_out(coverage: NDArray[np.float64], positive: NDArray[np.bool_], median: float) -> NDArray[np.bool_]:
    if positive.sum() < FEWEST:
        return np.zeros(len(coverage), dtype=bool)
    lower, upper = np.quantile(np.log(coverage[positive]), [0.25, 0.75])
    bound = max(float(np.exp(upper + FAR * (upper - lower))), TIMES * median)
    return np.asarray(coverage > bound)


def _outlines(samples: pd.DataFrame, positive: NDArray[np.bool_]) -> NDArray[np.bool_]:
    rings = positive & (samples["holes_px"] > samples["positive"]).to_numpy()
    return rings if rings.sum() <= RARE * positive.sum() else np.zeros_like(rings)


def _reason(kinds: dict[str, NDArray[np.bool_]], rows: int) -> list[str]:
    return [next((name for name, hit in kinds.items() if hit[row]), "") for row in range(rows)]
