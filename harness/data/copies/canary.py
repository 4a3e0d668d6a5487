"""Plant copies of the set's own pictures and see whether the search finds them: what it is worth on these data."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.data.copies.fingerprint import Fingerprint
from harness.data.copies.plants import PLANTS, as_jpeg
from harness.data.copies.recognize import is_verifiable, recognize

PLANTED = 24  # pictures, each copied in every way
JPEG_QUALITY = 90
OVERLAPS = ("half", "tilted")  # ways that show a part; the others are whole copies
SHIPPED = {".jpg", ".jpeg"}  # endings of files whose copies are stored as JPEG too


@dataclass(frozen=True)
class Planted:
    """A copy made of picture `origin`."""

    kind: str
    origin: int
    mark: Fingerprint


def plant(
    marks: Sequence[Fingerprint], names: Sequence[str], read: Callable[[int], NDArray[Any]], *, seed: int = 0
) -> tuple[Planted, ...]:
    """Return copies of some verifiable pictures, stored as their files are; `read` gives a picture in 8 bits."""
    rows = np.flatnonzero([is_verifiable(mark) for mark in marks])
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.permutation(rows)[:PLANTED])
    return tuple(copy for origin in chosen for copy in _copies(int(origin), names[origin], read(origin), rng))


def recall(planted: Sequence[Planted], found: Sequence[bool]) -> dict[str, tuple[int, int]]:
    """Return for each way of copying how many were planted and how many found."""
    kinds = {copy.kind: [0, 0] for copy in planted}
    for copy, hit in zip(planted, found, strict=True):
        kinds[copy.kind][0] += 1
        kinds[copy.kind][1] += hit
    return {kind: (total, hits) for kind, (total, hits) in kinds.items()}


def _copies(
    origin: int, name: str, picture: NDArray[np.uint8], rng: np.random.Generator
) -> Iterator[Planted]:
    is_jpeg = any(name.lower().endswith(ending) for ending in SHIPPED)
    for kind, copy in PLANTS.items():
        made = copy(picture, rng)
        yield Planted(kind, origin, recognize(as_jpeg(made, JPEG_QUALITY) if is_jpeg else made))
