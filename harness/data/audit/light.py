"""Checks of the pictures themselves: nothing constant, dark or burnt out, nothing far more blurred than the rest."""

import numpy as np
import pandas as pd

from harness.data.audit.finding import Finding, more, passed, warned
from harness.data.audit.sides import Assignment

FLAT = 2.0  # gray levels of standard deviation; less is noise at best
DARK, BRIGHT = 12.0, 243.0  # mean gray levels of 0 to 255
FAR = 3.0  # interquartile ranges below the lower quartile (Tukey's outer fence), of the logarithm of focus
SOFT = 0.7  # of the median focus; a set may be so even that the fence alone says nothing
FEWEST = 20  # pictures that make a distribution


def unusable_light(samples: pd.DataFrame, split: Assignment) -> Finding:
    """M3: no picture is constant, nearly black or nearly white."""
    head = ("M3", "Pictures show something")
    mean, spread = samples["gray_mean"].to_numpy(), samples["gray_spread"].to_numpy()
    flat, dark, bright = spread < FLAT, mean < DARK, mean > BRIGHT
    hit = flat | dark | bright
    if not hit.any():
        return passed(
            *head, "warn", f"Mean gray {mean.min():.0f} to {mean.max():.0f} of 255, none is constant."
        )
    counts = {"constant": flat, "nearly black": dark & ~flat, "nearly white": bright & ~flat}
    said = ", ".join(f"{int(rows.sum())} {name}" for name, rows in counts.items() if rows.any())
    first = samples["sample"].astype(str)[hit].min()
    text = (
        f"{said} among {len(samples)} pictures, the first is {first!r}; remove them, or declare data.white."
    )
    return warned(head, samples, hit, text, {"mean gray": "gray_mean", "spread": "gray_spread"})


def blurred(samples: pd.DataFrame, split: Assignment) -> Finding:
    """M4: no picture is far less sharp than the set; constant pictures are left out."""
    head = ("M4", "No picture is far more blurred than the rest")
    focus = samples["focus"].to_numpy()
    shows = samples["gray_spread"].to_numpy() >= FLAT
    if shows.sum() < FEWEST:
        text = f"{int(shows.sum())} pictures are too few to say what is usual among them."
        return Finding(*head, "info", "not run", 0, 0.0, text)
    logs = np.log(focus[shows].clip(min=1e-6))
    lower, median, upper = np.quantile(logs, [0.25, 0.5, 0.75])
    bound = float(np.exp(min(lower - FAR * (upper - lower), median + np.log(SOFT))))
    hit = shows & (focus < bound)
    if not hit.any():
        text = f"Focus {focus[shows].min():.2f} to {focus[shows].max():.2f}, median {np.exp(median):.2f}."
        return passed(*head, "warn", text)
    worst = int(np.flatnonzero(hit)[np.argmin(focus[hit])])
    text = (
        f"{samples['sample'].iloc[worst]!r} has focus {focus[worst]:.2f}, the median is {np.exp(median):.2f}: "
        f"out of focus, moved or enlarged; look at it{more(int(hit.sum()) - 1, 'picture')}."
    )
    return warned(head, samples, hit, text, {"focus": "focus", "group": "group"}, -focus)
