"""RULES: what must hold in every draw, each with its limit and the reason for it."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from harness.data.proof.draws import SAME, unlike
from harness.data.proof.facts import Facts, Flags, near, without_specks
from harness.data.proof.planted import IGNORE, SIDE

FAR = 8  # px between two pixels taken from one: no sensible enlargement takes them so far apart
FAINT = 0.25  # share of its contrast below which an object no longer shows
SURE = 0.6  # share of the strongest object's gray levels: a blurred edge has less
LEAST = 12.0  # gray levels; what changes less is no object, only its halo
FULL = 0.8  # share of what a pixel usually depends on the photographed: blurred holes have less
WINDOW = 3  # px around an object in which its center is looked for

NO_PIXEL = 0.0  # whatever the rule counts is wrong wherever it occurs
MOST_EXCESS = 40.0  # px of 16384; blurred holes of 2 px show what is around them
MOST_APART = (
    0.9  # px; nearest neighbors round by up to half a pixel, filters lean a little; a whole one is wrong
)
MOST_LOST = (
    0.25  # of the objects; a third is lost by crops of 30 to 100 %, which empty a third of the pictures
)
MOST_HIDDEN = 0.20  # of the labeled objects; our strongest light hides 5 %, and 13 % in unlucky draws
MOST_NOISE = 16.0  # gray levels; our recipes have 2 to 9, an unscaled default of the library 50 to 110


@dataclass(frozen=True)
class Measured:
    """What a rule found in one draw: `marks` are the pixels to look at, `note` what numbers do not say."""

    figure: float
    marks: Flags | None = None
    note: str = ""


@dataclass(frozen=True)
class Rule:
    """`measure` gives a figure for each draw; the worst or the mean one must not exceed `limit`.

    `says` follows the figure in messages. Marks are on the picture before augmentation where `before` says so.
    """

    measure: Callable[[Facts], Measured]
    limit: float
    says: str
    over: Literal["worst", "mean"] = "worst"
    before: bool = False


def kind(facts: Facts) -> Measured:
    """Image and mask that are no bytes, or not of one height and width."""
    image, mask = facts.draw.image, facts.draw.mask
    wrong = sum(layer.dtype != np.uint8 for layer in (image, mask)) + (image.shape[:2] != mask.shape)
    note = f"image {image.dtype} {image.shape}, mask {mask.dtype} {mask.shape}"
    return Measured(float(wrong), note=note)


def size(facts: Facts) -> Measured:
    """Pixels by which height, width and number of channels differ from what was given."""
    given, came = facts.planted.image.shape, facts.draw.image.shape
    differs = abs(len(given) - len(came)) + sum(abs(a - b) for a, b in zip(given, came, strict=False))
    return Measured(float(differs), note=f"{came} for {given}")


def values(facts: Facts) -> Measured:
    """Pixels of the mask that are none of 0, 1 and 255."""
    strange = ~np.isin(facts.draw.mask, (0, 1, IGNORE))
    return Measured(float(strange.sum()), strange)


def erased(facts: Facts) -> Measured:
    """Label 1 where nothing of the photographed is left."""
    dim = near(facts.beyond > -1, 1)  # half of such a pixel is fill: darkened, it is as black
    return _counted(facts.labeled & facts.blank & ~dim)


def outside(facts: Facts) -> Measured:
    """No 255 beyond the edge of what was photographed, or where the mask already said 255."""
    return _counted((facts.outside | facts.ignored) & (facts.draw.mask != IGNORE))


def excess(facts: Facts) -> Measured:
    """255 on pixels that the image shows: level and texture there depend on the photographed as usual."""
    level = unlike(facts.draw.bright, facts.draw.ground).astype(np.float32)
    texture = cv2.blur(np.abs(cv2.Laplacian(level, cv2.CV_32F)), (3, 3))  # what is painted in has none
    shown = (level > FULL * _usual(level)) & (texture > FULL / 2 * _usual(texture))
    allowed = near(facts.outside | facts.ignored, 2) | (facts.beyond > -1) | _rim(facts)
    return _counted(without_specks((facts.draw.mask == IGNORE) & shown & ~allowed))


def copied(facts: Facts) -> Measured:
    """Valid pixels that repeat others far away: nothing was photographed there twice."""
    valid = (facts.seen & (facts.draw.mask != IGNORE)).ravel()
    positions, source = np.flatnonzero(valid), facts.source.ravel()[valid]
    first, last = np.zeros(SIDE * SIDE, np.intp), np.zeros(SIDE * SIDE, np.intp)
    first[source[::-1]], last[source] = positions[::-1], positions  # the value written last stays
    width = facts.seen.shape[1]
    distance = np.maximum(np.abs(first // width - last // width), np.abs(first % width - last % width))
    marks = np.zeros(valid.shape, bool)
    marks[positions] = distance[source] > FAR
    return _counted(marks.reshape(facts.seen.shape))


def unlabeled(facts: Facts) -> Measured:
    """Pixels that show an object, are labeled as none, and touch no label: blurred edges may."""
    sure = facts.difference > max(LEAST, SURE * float(facts.difference.max()))
    return _counted(without_specks(sure & ~near(facts.draw.mask != 0, 1)))


def apart(facts: Facts) -> Measured:
    """Distance, in px, between the centers of objects and of their labels, by rows or by columns: the median."""
    windows = cv2.dilate(facts.pieces.astype(np.uint16), np.ones((2 * WINDOW + 1, 2 * WINDOW + 1), np.uint8))
    cut = np.unique(windows[_rim(facts) | (facts.draw.mask == IGNORE) | facts.blank])
    pixels = np.nonzero(windows)
    piece, weight = windows[pixels], facts.difference[pixels].astype(float) ** 2
    whole = np.bincount(piece, weight > LEAST**2, minlength=int(facts.pieces.max()) + 1) > 0
    whole[cut] = False
    if whole.sum() < 3:
        return Measured(0.0)
    shown = _centers(piece, weight, pixels)[whole]
    labeled = _centers(piece, facts.labeled[pixels], pixels)[whole]
    return Measured(float(np.abs(np.median(shown - labeled, axis=0)).max()), facts.labeled)


def lost(facts: Facts) -> Measured:
    """Share of the planted objects without a single labeled pixel."""
    if not facts.traceable:
        found = min(facts.planted.count, int(facts.pieces.max()))
        return Measured(1 - found / facts.planted.count)
    kept = np.bincount(facts.numbers[facts.labeled], minlength=facts.planted.count + 1) > 0
    kept[0] = True
    gone = ~kept[facts.planted.numbers]
    return Measured(1 - float(kept[1:].sum()) / facts.planted.count, gone)


def hidden(facts: Facts) -> Measured:
    """Share of the labeled objects that do not show."""
    piece = facts.pieces[facts.labeled]
    if not len(piece):
        return Measured(0.0)
    planted = facts.planted.contrast[facts.numbers[facts.labeled]]
    planted[planted == 0] = facts.planted.contrast[1:].min()  # a label from nowhere
    left = np.bincount(piece, facts.difference[facts.labeled] / planted)[1:] / np.bincount(piece)[1:]
    gone = np.flatnonzero(left < FAINT) + 1
    return Measured(len(gone) / len(left), np.isin(facts.pieces, gone))


def noise(facts: Facts) -> Measured:
    """Deviation of the noise in gray levels, after Immerkær (1996), on a smooth ground without objects."""
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
    rough = np.abs(cv2.filter2D(facts.draw.ground.astype(np.float32), -1, kernel))
    inner = ~near(facts.blank | facts.outside, 3)
    if inner.mean() < 0.05:
        return Measured(0.0)
    return Measured(float(rough[inner].mean()) * math.sqrt(math.pi / 2) / 6)


def _counted(marks: Flags) -> Measured:
    return Measured(float(marks.sum()), marks)


def _usual(figures: NDArray[Any]) -> float:
    """Return the median of the figures (H, W) that do not vanish."""
    present = figures[figures > SAME]
    return float(np.median(present)) if len(present) else math.inf


def _rim(facts: Facts) -> Flags:
    """Return the pixels at the edge of the result: what ends within one of them is rounded either way."""
    rim = np.ones(facts.draw.mask.shape, bool)
    rim[1:-1, 1:-1] = False
    return rim


def _centers(
    piece: NDArray[Any], weight: NDArray[np.float64] | Flags, pixels: tuple[NDArray[np.intp], ...]
) -> NDArray[np.float64]:
    """Return the center (N, 2) of each piece, weighted."""
    total = np.maximum(np.bincount(piece, weight), 1e-9)
    return np.stack([np.bincount(piece, weight * axis) / total for axis in pixels], axis=-1)


def _unmeasured(facts: Facts) -> Measured:
    """Of rules that are not about one draw's pixels."""
    return Measured(0.0)


FORM: dict[str, Rule] = {
    "kind": Rule(kind, NO_PIXEL, "of image and mask are not bytes of one size"),
    "size": Rule(size, NO_PIXEL, "px of another size than was given"),
    "values": Rule(values, NO_PIXEL, "px of the mask are none of 0, 1 and 255"),
}
TRUTH: dict[str, Rule] = {
    "erased": Rule(erased, NO_PIXEL, "px are labeled 1 where the image is erased"),
    "outside": Rule(outside, NO_PIXEL, "px are not 255 where nothing was photographed"),
    "excess": Rule(excess, MOST_EXCESS, "px are 255 where the image shows what was photographed"),
    "copied": Rule(copied, NO_PIXEL, "px are repeated with their labels"),
    "unlabeled": Rule(unlabeled, NO_PIXEL, "px show an object without its label"),
    "apart": Rule(apart, MOST_APART, "px lie between objects and their labels"),
    "lost": Rule(lost, MOST_LOST, "of the objects are lost", over="mean", before=True),
    "hidden": Rule(hidden, MOST_HIDDEN, "of the labeled objects no longer show", over="mean"),
    "noise": Rule(noise, MOST_NOISE, "gray levels of noise"),
}
RUNNING: dict[str, Rule] = {
    "settings": Rule(_unmeasured, 0, "arguments are unknown or wrong"),
    "runs": Rule(_unmeasured, 0, "of the draws end in an error"),
    "still": Rule(_unmeasured, 0, "draws at strength 0 change the picture"),
}
STREAMS: dict[str, Rule] = {
    "repeats": Rule(_unmeasured, 0, "draws differ from another draw of the same seed"),
    "streams": Rule(_unmeasured, 0, "epochs or pictures repeat the numbers of others"),
    "validation": Rule(_unmeasured, 0, "draws change the picture that validation reads"),
}
RULES = RUNNING | FORM | TRUTH | STREAMS
