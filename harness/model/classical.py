"""Baselines without learning: the best constant, and top-hat with Otsu's threshold."""

from collections.abc import Sequence
from functools import partial

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.data.cache import Cache
from harness.model.metrics import NO_PIXELS, PixelCounts, count_pixels, iou
from harness.model.predict import Logits, Pixels, Predictor, Size, predict_photos

KERNELS = (9, 17, 33)  # px; objects up to about half of it stand out
POLARITIES = ("dark", "bright", "both")


def top_hat_otsu(image: Pixels, *, kernel: int, polarity: str) -> NDArray[np.bool_]:
    """Return the mask of what stands out from its surroundings, thresholded by Otsu for each picture.

    White top-hat shows bright objects, black top-hat dark ones (Serra 1982); Otsu 1979.
    """
    gray = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    square = cv2.getStructuringElement(cv2.MORPH_RECT, (kernel, kernel))
    operations = {"bright": cv2.MORPH_TOPHAT, "dark": cv2.MORPH_BLACKHAT}
    hats = [
        cv2.morphologyEx(gray, op, square) for name, op in operations.items() if polarity in (name, "both")
    ]
    hat = np.maximum.reduce(hats)
    threshold, _ = cv2.threshold(hat, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    found: NDArray[np.bool_] = hat > threshold
    return found


def constant(image: Pixels, *, target: bool) -> NDArray[np.bool_]:
    """Return the same answer for every pixel."""
    return np.full(image.shape[:2], target)


def baseline_scores(cache: Cache, samples: pd.DataFrame, folds: NDArray[np.intp]) -> pd.DataFrame:
    """Return IoU by fold (rows) of each baseline in BASELINES (columns), counted as networks are.

    `folds` holds each sample's fold, negative for held-out. Of a baseline's variants the one that is best on the
    training folds scores the validation fold.
    """
    numbers = range(int(folds.max()) + 1)
    by_fold = {
        name: [_counts(variant, cache, samples[folds == fold]) for fold in numbers]
        for variants in BASELINES.values()
        for name, variant in variants.items()
    }
    return pd.DataFrame(
        {
            baseline: [_score(fold, {name: by_fold[name] for name in variants}) for fold in numbers]
            for baseline, variants in BASELINES.items()
        }
    )


def best_variant(baseline: str, cache: Cache, samples: pd.DataFrame) -> tuple[str, Predictor]:
    """Return that variant of a baseline in BASELINES, with its name, which is best on all these samples together."""
    variants = BASELINES[baseline]
    found = max(variants, key=lambda name: iou(_counts(variants[name], cache, samples)))
    return found, variants[found]


def _counts(variant: Predictor, cache: Cache, samples: pd.DataFrame) -> PixelCounts:
    photos = predict_photos(variant, cache, samples, batch=1)
    return sum((count_pixels(photo.logits > 0, photo.truth) for photo in photos), NO_PIXELS)


def _score(fold: int, by_fold: dict[str, list[PixelCounts]]) -> float:
    def on_training_folds(name: str) -> float:
        return iou(sum((c for f, c in enumerate(by_fold[name]) if f != fold), NO_PIXELS))

    return iou(by_fold[max(by_fold, key=on_training_folds)][fold])


def _as_logits(
    variant: "partial[NDArray[np.bool_]]", images: Sequence[Pixels], sizes: Sequence[Size]
) -> list[Logits]:
    return [
        cv2.resize(variant(image).astype(np.float32), size[::-1], interpolation=cv2.INTER_NEAREST_EXACT) - 0.5
        for image, size in zip(images, sizes, strict=True)
    ]


_CONSTANTS = {
    f"all {'fore' if target else 'back'}ground": partial(constant, target=target) for target in (False, True)
}
_TOP_HATS = {
    f"top-hat {kernel} px, {polarity}": partial(top_hat_otsu, kernel=kernel, polarity=polarity)
    for kernel in KERNELS
    for polarity in POLARITIES
}
BASELINES: dict[str, dict[str, Predictor]] = {
    "constant": {name: partial(_as_logits, variant) for name, variant in _CONSTANTS.items()},
    "classical": {name: partial(_as_logits, variant) for name, variant in _TOP_HATS.items()},
}
