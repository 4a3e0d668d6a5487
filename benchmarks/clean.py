"""Sets of distinct surfaces, in which nothing may be found; an average hash beside it shows that they are hard."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.planted import ENDINGS, FORMS, scene
from benchmarks.textures import Pixels
from harness.data.copies.canary import plant
from harness.data.copies.find import find_pairs
from harness.data.copies.recognize import recognize

SEED = 2
NEAR = 10  # bits of 64 by which average hashes of near-duplicates differ at most, as tools have it


@dataclass(frozen=True)
class CleanSet:
    """`pictures` distinct surfaces of one texture."""

    texture: str
    first: int  # number of the first surface
    pictures: int


@dataclass(frozen=True)
class Clean:
    """What was found in a clean set, stored in one form; `hash_pairs` by the average hash."""

    texture: str
    form: str
    pictures: int
    verifiable: int
    sure: int
    suspects: int
    threshold: int
    hash_pairs: int


def run_clean(clean: CleanSet) -> list[Clean]:
    """Search one set in every form."""
    return [_run(clean, form) for form in FORMS]


def hash_pairs(pictures: list[Pixels]) -> int:
    """Return how many pairs an average hash (8 by 8, above the mean or not) takes for near-duplicates."""
    hashes = np.array([_average_hash(pixels) for pixels in pictures], np.uint64)
    apart = np.bitwise_count(hashes[:, None] ^ hashes)
    return int((apart[np.triu_indices(len(hashes), 1)] <= NEAR).sum())


def _run(clean: CleanSet, form: str) -> Clean:
    numbers = range(clean.first, clean.first + clean.pictures)
    pictures = [scene(clean.texture, SEED, number, form).stored for number in numbers]
    marks = [recognize(pixels) for pixels in pictures]
    canary = plant(marks, [f"a{ENDINGS[form]}"] * len(marks), pictures.__getitem__, threads=1)
    found = find_pairs(marks, [str(i) for i in numbers], canary, threads=1)
    return Clean(
        *(clean.texture, form, clean.pictures),
        verifiable=int(found.verifiable.sum()),
        sure=sum(pair.sure for pair in found.pairs),
        suspects=sum(not pair.sure for pair in found.pairs),
        threshold=found.calibration.threshold,
        hash_pairs=hash_pairs(pictures),
    )


def _average_hash(pixels: Pixels) -> np.uint64:
    small = cv2.resize(pixels, (8, 8), interpolation=cv2.INTER_AREA).astype(np.float32)
    bits: NDArray[np.uint8] = np.packbits(small > small.mean())
    return bits.view(np.uint64)[0]
