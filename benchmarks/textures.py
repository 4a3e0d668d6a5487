"""Surfaces drawn from a seed, no two alike, and pictures cut from them under one lamp."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

SURFACE = 512  # px, side of a surface
PICTURE = 256  # px, side of a picture of it
LAMP = 60.0  # gray levels from the brightest place to darkness; with less an average hash is not fooled
PERIOD = 8.0  # px from thread to thread, which is the side of a JPEG block too

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Place:
    """Where on its surface a picture's first px lies, in px."""

    top: int
    left: int


def surface(texture: str, seed: int, number: int) -> Floats:
    """Return surface `number` (SURFACE, SURFACE) of a texture, in gray levels."""
    rng = np.random.default_rng([seed, list(TEXTURES).index(texture), number])
    return TEXTURES[texture](rng)


def picture(drawn: Floats, place: Place) -> Pixels:
    """Return the picture (PICTURE, PICTURE) of a surface at a place."""
    return under_lamp(drawn[place.top : place.top + PICTURE, place.left : place.left + PICTURE])


def under_lamp(cut: Floats) -> Pixels:
    """Return a cut of a surface in 8 bits, brightest left above the middle: the lamp stays where the camera is."""
    y, x = np.mgrid[: cut.shape[0], : cut.shape[1]].astype(np.float32) / PICTURE
    lamp = LAMP * np.exp(-((x - 0.4) ** 2 + (y - 0.35) ** 2) / (2 * 0.5**2))
    return np.clip(np.round(cut + lamp - LAMP / 2), 0, 255).astype(np.uint8)


def grain(rng: Generator) -> Floats:
    """Blasted metal, cast iron, stone: grains of a few px without a direction, on larger clouds."""
    return 118 + 22 * _noise(rng, 1.6) + 10 * _noise(rng, 6)


def brushed(rng: Generator) -> Floats:
    """Brushed or rolled metal: long streaks in one direction, the same all along, without a corner anywhere."""
    streaks = 16 * _noise(rng, 60, 0.8) + 5 * _noise(rng, 90, 3)
    return 125 + streaks + 1.5 * _white(rng)


def woven(rng: Generator) -> Floats:
    """Cloth with uneven threads: they wander by a third of a px and are not equally bright."""
    threads = _threads(rng)[None, :] + _threads(rng)[:, None]
    return 115 + _weave(rng, wander=0.35, over=14) + threads + 4 * _noise(rng, 1.2)


def fine_weave(rng: Generator) -> Floats:
    """Technical cloth: every thread the same, so that distinct pieces are nearly equal; the hardest here."""
    return 115 + _weave(rng, wander=0.12, over=10) + 3 * _noise(rng, 1.5)


def skin(rng: Generator) -> Floats:
    """Skin, leather: furrows between small fields, dark pores, blotches."""
    pores = np.zeros((SURFACE, SURFACE), np.float32)
    rows, columns = rng.integers(0, SURFACE, (2, SURFACE**2 // 900))
    pores[rows, columns] = 1
    pores = cv2.GaussianBlur(pores, (0, 0), 1.5)
    furrows = -np.abs(_noise(rng, 5))
    relief = 6 * _noise(rng, 3.5) + 10 * furrows - 25 * pores / pores.max()
    return 150 + relief + 8 * _noise(rng, 25) + 1.5 * _white(rng)


def _weave(rng: Generator, *, wander: float, over: float) -> Floats:
    """Return threads over and under each other, moved by `wander` px in waves of `over` px."""
    y, x = np.mgrid[:SURFACE, :SURFACE].astype(np.float32)
    x, y = (at + wander * _noise(rng, over) + np.float32(rng.uniform(0, PERIOD)) for at in (x, y))
    across, along = (np.sin(2 * np.pi / PERIOD * at) for at in (x, y))
    return 30 * across * along + 12 * (across + along)


def _threads(rng: Generator) -> Floats:
    """Return how much brighter the threads are than the mean, at each px across them."""
    middles = np.arange(0, SURFACE + PERIOD, PERIOD)
    return np.interp(np.arange(SURFACE), middles, rng.normal(0, 3, len(middles))).astype(np.float32)


def _white(rng: Generator) -> Floats:
    return rng.standard_normal((SURFACE, SURFACE), dtype=np.float32)


def _noise(rng: Generator, sigma_x: float, sigma_y: float | None = None) -> Floats:
    """Return noise of spread 1, smooth over so many px."""
    smooth = cv2.GaussianBlur(_white(rng), (0, 0), sigma_x, sigmaY=sigma_y or sigma_x)
    return np.asarray(smooth / smooth.std(), np.float32)


TEXTURES: dict[str, Callable[[Generator], Floats]] = {
    "grain": grain,
    "brushed": brushed,
    "woven": woven,
    "fine_weave": fine_weave,
    "skin": skin,
}
