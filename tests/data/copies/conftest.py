"""Surfaces drawn from a seed, no two alike: grain, brushed streaks, a weave; and pictures cut from them."""

from functools import lru_cache

import cv2
import numpy as np

from harness.data.copies.align import Alignment
from harness.data.copies.find import Pair
from harness.data.copies.recognize import recognize

SURFACE, PICTURE = 512, 256  # px
PERIOD = 8.0  # px, of the weave


def _noise(rng, x, y=None, shape=(SURFACE, SURFACE)):
    noise = cv2.GaussianBlur(rng.standard_normal(shape, dtype=np.float32), (0, 0), x, sigmaY=y or x)
    return noise / noise.std()


def grain(rng):
    return 118 + 22 * _noise(rng, 1.6) + 10 * _noise(rng, 6)


def brushed(rng):
    return 125 + 16 * _noise(rng, 60, 0.8) + 5 * _noise(rng, 90, 3) + 1.5 * _noise(rng, 0.3)


def weave(rng):
    """Threads that cross every PERIOD px, each a little off and of its own shade."""
    across, down = (at + 0.35 * _noise(rng, 14) + rng.uniform(0, PERIOD) for at in _places())
    a, b = np.sin(2 * np.pi * across / PERIOD), np.sin(2 * np.pi * down / PERIOD)
    shades = _shades(rng) + _shades(rng)[:, None]
    return 115 + 30 * a * b + 12 * (a + b) + shades + 4 * _noise(rng, 1.2)


def regular_weave(rng):
    """The same threads in each and all of them in step, so that only small faults tell two apart."""
    across, down = (2 * np.pi / PERIOD * (at + 0.12 * _noise(rng, 10)) for at in _places())
    a, b = np.sin(across), np.sin(down)
    return 115 + 30 * a * b + 12 * (a + b) + 3 * _noise(rng, 1.5)


def _places():
    return np.mgrid[0:SURFACE, 0:SURFACE].astype(np.float32)[::-1]


def _shades(rng):
    threads = np.arange(0, SURFACE + PERIOD, PERIOD)
    return np.interp(np.arange(SURFACE), threads, rng.normal(0, 3, len(threads)))


SURFACES = {"grain": grain, "brushed": brushed, "weave": weave, "regular weave": regular_weave}


@lru_cache(maxsize=8)
def surface(kind, number):
    return SURFACES[kind](np.random.default_rng([list(SURFACES).index(kind), number]))


def picture(kind, number, *, y=0, x=0, side=PICTURE):
    """Return a cut of a surface of its own for each number; cuts of one number may overlap."""
    return surface(kind, number)[y : y + side, x : x + side].clip(0, 255).round().astype(np.uint8)


@lru_cache(maxsize=512)
def mark(kind, number, y=0, x=0):
    return recognize(picture(kind, number, y=y, x=x))


def marks(kind, count, first=0):
    return [mark(kind, number) for number in range(first, first + count)]


def own_groups(count):
    return [f"g{number:03}" for number in range(count)]


def pair(first, second, *, inliers=100, agreement=0.99, sure=True):
    """Return a pair as it would have been found."""
    return Pair(first, second, Alignment(np.eye(2, 3), False, inliers, agreement, 1.0), sure)
