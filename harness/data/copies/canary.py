"""Plant copies of the set's own pictures and see whether the search finds them: what it is worth on these data."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.data.copies.fingerprint import Fingerprint
from harness.data.copies.plants import HARD, PLANTS, as_jpeg
from harness.data.copies.recognize import is_verifiable, recognize

CANARY_VERSION = 3  # part of what is kept; raise it when other copies would be planted, here or in plants.py
PLANTED = 24  # pictures, each copied in every way
JPEG_QUALITY = 90
OVERLAPS = ("half", "tilted")  # ways that show a part at about the same scale
WHOLE = tuple(kind for kind in PLANTS if kind not in OVERLAPS)
SHIPPED = {".jpg", ".jpeg"}  # endings of files whose copies are stored as JPEG too


@dataclass(frozen=True)
class Planted:
    """A copy made of picture `origin`."""

    kind: str
    origin: int
    mark: Fingerprint


def plant(
    marks: Sequence[Fingerprint],
    names: Sequence[str],
    read: Callable[[int], NDArray[Any]],
    *,
    see: Callable[[NDArray[Any], int], Fingerprint] = lambda pixels, origin: recognize(pixels),
    seed: int = 0,
    threads: int = 2,
) -> tuple[Planted, ...]:
    """Return copies of some verifiable pictures, stored as their files are; `read` gives a picture in 8 bits.

    `see` returns the fingerprint of a copy, whose origin it is told.
    """
    rows = np.flatnonzero([is_verifiable(mark) for mark in marks])
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.permutation(rows)[:PLANTED])
    shipped = is_jpeg(names)

    def copies(origin: int, own: np.random.Generator) -> list[Planted]:
        made = _copies(shipped[origin], read(origin), own)
        return [Planted(kind, origin, see(copy, origin)) for kind, copy in made]

    with ThreadPoolExecutor(threads) as pool:
        parts = pool.map(copies, chosen.tolist(), rng.spawn(len(chosen)))
        return tuple(copy for part in parts for copy in part)


def is_jpeg(names: Iterable[str]) -> list[bool]:
    """Tell for each file whether its copies are stored as JPEG."""
    return [PurePath(name).suffix.lower() in SHIPPED for name in names]


def recall(planted: Sequence[Planted], found: Sequence[bool]) -> dict[str, tuple[int, int]]:
    """Return for each way of copying how many were planted and how many found."""
    kinds = {copy.kind: [0, 0] for copy in planted}
    for copy, hit in zip(planted, found, strict=True):
        kinds[copy.kind][0] += 1
        kinds[copy.kind][1] += hit
    return {kind: (total, hits) for kind, (total, hits) in kinds.items()}


def _copies(
    shipped: bool, picture: NDArray[np.uint8], rng: np.random.Generator
) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    for kind, copy in (PLANTS | HARD).items():
        made = copy(picture, rng)
        yield kind, as_jpeg(made, JPEG_QUALITY) if shipped else made
