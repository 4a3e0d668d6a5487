"""The two sides of a test on held-out groups: models as they are served, or the baseline without learning."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import logit

from harness.config import Data, Promote
from harness.data.audit import HELD_OUT
from harness.data.audit.masks import masks_of
from harness.data.cache import build_cache
from harness.data.pictures import image_pixels, read_file
from harness.evaluate.calibration import calibration_error
from harness.evaluate.groups import GroupCounts, counts_of_rows
from harness.model.classical import best_variant
from harness.model.histogram import FINE, THRESHOLDS, Histogram, bins_of, counts_above, histogram_of
from harness.model.metrics import count_pixels
from harness.model.predict import Logits, Photo, Pictures, Pixels, Predictor, Size, predict_photos
from harness.prepare import Prepared
from harness.promotion.looks import Side
from harness.tracking.registry import open_model
from harness.tracking.served_model import Segmenter


@dataclass(frozen=True)
class Seen:
    """What a side predicts: counts at its threshold, a photograph a row, and what its probabilities are worth.

    worth: calibration_error, best_threshold (logit) and best_iou (pooled, there); nothing of what has none.
    """

    rows: pd.DataFrame
    worth: Mapping[str, float] = field(default_factory=dict)

    @property
    def counts(self) -> GroupCounts:
        return counts_of_rows(self.rows)


@dataclass(frozen=True)
class Contender:
    """A side of the test; `look` predicts the held-out pictures, which is a look at them."""

    side: Side
    look: Callable[[], Seen]


@dataclass(frozen=True)
class Stored:
    """Pictures at their stored depth and size, as whoever asks a served model sends them, and their masks."""

    samples: pd.DataFrame
    root: Path
    data: Data

    def image(self, position: int) -> NDArray[Any]:
        path = self.root / str(self.samples["sample"].iloc[position])
        return image_pixels(read_file(path), path)

    def truth(self, position: int) -> Pixels:
        return masks_of(self.samples, self.root, self.data)(position)


def made_as(wanted: Promote, folds: int) -> str:
    """Return of what a model is made, in words; what predicts otherwise has other words."""
    kinds = {
        "ensemble": f"ensemble of {folds} folds",
        "refit": "refit on all folds",
        "best_fold": "best fold",
    }
    flips = ", mirrored views" if wanted.flips else ""
    scales = f", scales {' '.join(map(str, wanted.scales))}" if wanted.scales != (1.0,) else ""
    return f"{kinds[wanted.model]}{flips}{scales}"


def model_contender(
    name: str, settings: Mapping[str, Any], weights: Sequence[Path], today: Prepared, **of: Any
) -> Contender:
    """Return the mean of fold models at its threshold; the digest is of weights, threshold and further views."""
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in weights]
    views = [settings["flips"], settings["scales"]]
    content = json.dumps([*digests, settings["threshold"], *([] if views == [False, [1.0]] else views)])
    side = Side(name, hashlib.sha256(content.encode()).hexdigest(), **of)

    def look() -> Seen:
        pictures = Stored(today.samples, today.root, today.study.data)
        return seen_by_model(settings, weights, pictures, _held_out(today))

    return Contender(side, look)


def classical_contender(today: Prepared, caches: Path) -> Contender:
    """Return that top-hat with Otsu's threshold which is best on the groups of the folds."""
    samples, cache = today.samples, build_cache(today.samples, today.root, today.study.data, caches)
    seen = np.flatnonzero(today.split.of(samples) != HELD_OUT)
    name, predictor = best_variant("classical", cache, samples.iloc[seen].set_axis(seen))
    side = Side(f"the baseline without learning ({name})", hashlib.sha256(name.encode()).hexdigest())
    return Contender(side, lambda: Seen(_rows(predictor, cache, _held_out(today))))


def seen_by_model(
    settings: Mapping[str, Any], weights: Sequence[Path], pictures: Pictures, samples: pd.DataFrame
) -> Seen:
    """Return what a model predicts, as it is served, of samples whose index labels are their positions."""
    cut, bins = np.float32(settings["threshold"]), Histogram(np.zeros(FINE, int), np.zeros(FINE, int))

    def collect(photo: Photo) -> None:
        probability = (photo.logits.astype(np.float64) + cut).clip(1e-12, 1 - 1e-12)
        own = histogram_of(bins_of(logit(probability).astype(np.float32)), photo.truth)
        for total, one in zip(bins, own, strict=True):
            total += one

    rows = _rows(partial(_above, open_model(settings, weights)), pictures, samples, collect)
    return Seen(rows, _worth(bins))


def _worth(bins: Histogram) -> dict[str, float]:
    tp, fp = counts_above(bins.positive), counts_above(bins.negative)
    iou = tp / np.maximum(bins.positive.sum() + fp, 1)
    best, error = int(np.argmax(iou)), calibration_error(bins)
    found = {"best_threshold": float(THRESHOLDS[best]), "best_iou": float(iou[best])}
    return found if error is None else found | {"calibration_error": error}


def _held_out(today: Prepared) -> pd.DataFrame:
    positions = today.split.held_out(today.samples)
    return today.samples.iloc[positions].set_axis(positions)


def _rows(
    predictor: Predictor,
    pictures: Pictures,
    samples: pd.DataFrame,
    collect: Callable[[Photo], None] = lambda photo: None,
) -> pd.DataFrame:
    """Return a row of counts a photograph; each source pixel counts once."""
    rows = []
    for photo in predict_photos(predictor, pictures, samples, batch=1):
        counts = count_pixels(photo.logits > 0, photo.truth)
        collect(photo)
        rows.append({"group": photo.group, "fold": 0, "tp": counts.tp, "fp": counts.fp, "fn": counts.fn})
    return pd.DataFrame(rows)


def _above(model: Segmenter, images: Sequence[Pixels], sizes: Sequence[Size]) -> list[Logits]:
    """Return by how much the probability of each pixel is above the threshold; crops are merged by its mean."""
    cut = np.float32(model.settings["threshold"])  # as served, where it is compared with float32
    above = [model.probability(image) - cut for image in images]
    return [
        one
        if one.shape == size
        else np.asarray(cv2.resize(one, size[::-1], interpolation=cv2.INTER_LINEAR), np.float32)
        for one, size in zip(above, sizes, strict=True)
    ]
