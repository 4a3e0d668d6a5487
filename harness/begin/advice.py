"""Losses and sampling by coverage: the guide of docs/losses.md, as far as coverage decides it."""

from typing import Any, NamedTuple

import pandas as pd

RARE, COMMON = 0.001, 0.05  # coverage of pictures that show a target


class Advice(NamedTuple):
    """What a study file takes over: baselines, options of the loss, and the reasons, a line each."""

    baselines: tuple[dict[str, Any], ...]
    losses: dict[str, dict[str, Any]]
    positive_crops: float
    why: tuple[str, ...]


def advise(samples: pd.DataFrame, batch: int) -> Advice:
    """Return what suits samples with manifest columns, trained in batches of so many."""
    positive = samples[samples["positive"] > 0]
    coverage = float(samples["positive"].sum() / max(1, samples["valid"].sum()))
    shown = float((positive["positive"] / positive["valid"]).median())
    weight = f"{(1 - coverage) / coverage:,.0f}"
    why = [
        f"{coverage:.2%} of all pixels are target, {shown:.2%} in the median picture that shows one; a class weight "
        f"would have to be {weight} (weighted_bce computes it, and refuses another)"
    ]
    kind = "rare" if shown < RARE else "common" if shown > COMMON else "small"
    why.append(WHY[kind])
    share = len(positive) / len(samples)
    why.append(
        f"{share:.0%} of the pictures show a target; the sampler `spread` puts about {batch * share:.1f} of them into "
        f"each batch of {batch}"
    )
    return Advice(BASELINES[kind], LOSSES[kind], 0.9 if kind == "rare" else 0.8, tuple(why))


WHY = {
    "rare": "targets are rarer than 0.1 %: missed pixels must cost more than false ones, so Tversky goes up to .95",
    "small": "targets of 0.1 to 5 %: Dice with cross-entropy is the steady choice; Tversky where a miss is worse",
    "common": "targets above 5 % are no small objects: losses that weigh both errors alike, Lovász for IoU itself",
}
_REFERENCE: dict[str, Any] = {"loss": "dice_focal_reference"}
_DICE_BCE: dict[str, Any] = {"loss": "dice_bce"}
BASELINES: dict[str, tuple[dict[str, Any], ...]] = {
    "rare": (_DICE_BCE, _REFERENCE, {"loss": {"focal_tversky": {"fn_weight": 0.8, "gamma": 0.75}}}),
    "small": (_DICE_BCE, _REFERENCE, {"loss": {"tversky": {"fn_weight": 0.7}}}),
    "common": (_DICE_BCE, _REFERENCE, {"loss": "lovasz_bce"}),
}
_BOTH: dict[str, dict[str, Any]] = {"dice_bce": {}, "dice_focal": {"gamma": [0.5, 4]}}


def _tversky(low: float, high: float) -> dict[str, dict[str, Any]]:
    weights = {"fn_weight": [low, high]}
    return {
        "tversky": weights | {"fp_weight": "1 - fn_weight"},
        "focal_tversky": weights | {"gamma": [0.6, 1.5]},
    }


LOSSES: dict[str, dict[str, dict[str, Any]]] = {
    "rare": {"dice_focal_reference": {}, **_BOTH, **_tversky(0.6, 0.95)},
    "small": {"dice_focal_reference": {}, **_BOTH, **_tversky(0.5, 0.9)},
    "common": {"dice_focal_reference": {}, **_BOTH, "lovasz_bce": {}, **_tversky(0.3, 0.7)},
}
