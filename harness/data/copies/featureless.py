"""Copies among pictures without key points, such as brushed metal: whole textures held against each other.

Copies that were turned, mirrored, resized, lit or re-encoded are looked for up to MOST pictures; overlaps, for which
every pair must be tried at every shift, up to MOST_OVERLAPS.
"""

from collections.abc import Iterator, Sequence
from itertools import combinations

import cv2
import numpy as np
from numpy.typing import NDArray

from harness.data.copies.align import Alignment, Matrix, compare
from harness.data.copies.fingerprint import SIDE, SMALL, Fingerprint, Floats

MOST = 10_000  # pictures; memory and time grow with the square
MOST_OVERLAPS = 500
COARSE = 16  # px, side of the textures that propose
NEAREST = 3  # pictures proposed for each version of a picture
ALIKE = 0.4  # correlation of coarse textures that is worth a closer look
PEAK = 6.0  # standard deviations by which one shift must stand out of all others
HILL = 0.3  # of a texture's correlation with itself, down to which shifts belong to the hill around none
CHUNK = 256  # pairs transformed at once

VERSIONS = [(mirrored, turns) for mirrored in (False, True) for turns in range(4)]


def propose_copies(marks: Sequence[Fingerprint]) -> set[tuple[int, int, int]]:
    """Return (first, second, version) with first < second of the pictures whose coarse textures are alike."""
    plain = np.stack([_coarse(mark.texture) for mark in marks])
    found: set[tuple[int, int, int]] = set()
    for number, (mirrored, turns) in enumerate(VERSIONS):
        versions = np.stack([_coarse(version(mark.texture, mirrored, turns)) for mark in marks])
        for start in range(0, len(marks), CHUNK):
            near = plain[start : start + CHUNK] @ versions.T
            rows = np.arange(start, start + len(near))
            near[rows - start, rows] = -1
            best = np.argpartition(-near, min(NEAREST, len(marks) - 1), axis=1)[:, :NEAREST]
            alike = np.take_along_axis(near, best, 1) > ALIKE
            found |= {(int(rows[i]), int(best[i, j]), number) for i, j in np.argwhere(alike)}
    return {(a, b, v) if a < b else (b, a, _reversed(v)) for a, b, v in found}


def propose_overlaps(marks: Sequence[Fingerprint]) -> set[tuple[int, int, int]]:
    """Return (first, second, 0) of the pairs in which one shift stands out."""
    spectra = np.stack([np.fft.rfft2(_on_grid(mark.texture)) for mark in marks]).astype(np.complex64)
    pairs = np.array(list(combinations(range(len(marks)), 2)), np.intp).reshape(-1, 2)
    found = []
    for start in range(0, len(pairs), CHUNK):
        part = pairs[start : start + CHUNK]
        crossed = np.fft.irfft2(spectra[part[:, 0]].conj() * spectra[part[:, 1]])
        peaks = crossed.max((1, 2)) / crossed.std((1, 2)).clip(min=1e-9)
        found += [(int(a), int(b), 0) for a, b in part[peaks > PEAK]]
    return set(found)


def align_textures(first: Fingerprint, second: Fingerprint, number: int) -> Alignment:
    """Return the best shift between two textures, the second one turned as version `number` says."""
    mirrored, turns = VERSIONS[number]
    theirs = version(second.texture, mirrored, turns)
    size = 2 * SMALL
    crossed = np.fft.irfft2(
        np.fft.rfft2(_on_grid(first.texture, size)).conj() * np.fft.rfft2(_on_grid(theirs, size))
    )
    best: tuple[float, float, Matrix] = (-1.0, 0.0, np.eye(2, 3))
    for dx, dy in _highest(crossed):
        movement = _movement(dx, dy, second, turns)
        best = max(best, (*compare(first, second, movement, mirrored=mirrored), movement), key=lambda t: t[0])
    return Alignment(best[2], mirrored, 0, best[0], best[1])


def repetition(mark: Fingerprint) -> float:
    """Return how much a texture agrees with itself one period on, as a cloth of equal threads does.

    Of the shifts outside the hill around none, the best of those with the highest correlation. Two pieces of one cloth
    agree as much, so that only more than that tells a copy.
    """
    grid = np.fft.rfft2(_on_grid(mark.texture, 2 * SMALL))
    itself = np.fft.irfft2(grid.conj() * grid)
    hills = cv2.connectedComponents((np.fft.fftshift(itself) > HILL * itself[0, 0]).astype(np.uint8))[1]
    itself[np.fft.ifftshift(hills == hills[SMALL, SMALL])] = -np.inf
    moved = (compare(mark, mark, _movement(dx, dy, mark, 0), mirrored=False) for dx, dy in _highest(itself))
    return max((agreement for agreement, _ in moved), default=0.0)


def version(texture: NDArray[np.uint8], mirrored: bool, turns: int) -> NDArray[np.uint8]:
    """Return the texture, mirrored left to right if asked, then turned by quarters against the clock."""
    return np.rot90(texture[:, ::-1] if mirrored else texture, turns)


def _highest(crossed: NDArray[np.float64]) -> Iterator[tuple[int, int]]:
    """Yield the four shifts (dx, dy), in px at SMALL, at which textures on a grid of 2 x SMALL correlate most."""
    for at in np.argsort(crossed, axis=None)[-4:]:
        dy, dx = (int(v) if v < SMALL else int(v) - 2 * SMALL for v in np.unravel_index(at, crossed.shape))
        yield dx, dy


def _movement(dx: int, dy: int, second: Fingerprint, turns: int) -> Matrix:
    """Return first px -> (mirrored) second px at SIDE, for a shift found at SMALL against its turned version."""
    scale = SIDE / SMALL
    height, width = (length * scale for length in second.texture.shape)
    x, y = dx * scale, dy * scale
    rows = {
        0: [[1, 0, x], [0, 1, y]],
        1: [[0, -1, width - 1 - y], [1, 0, x]],
        2: [[-1, 0, width - 1 - x], [0, -1, height - 1 - y]],
        3: [[0, 1, y], [-1, 0, height - 1 - x]],
    }
    return np.array(rows[turns], np.float64)


def _reversed(number: int) -> int:
    """Return the version that turns the first picture as `number` turns the second."""
    mirrored, turns = VERSIONS[number]
    return number if mirrored else VERSIONS.index((False, -turns % 4))


def _coarse(texture: NDArray[np.uint8]) -> Floats:
    small = cv2.resize(np.ascontiguousarray(texture), (COARSE, COARSE), interpolation=cv2.INTER_AREA)
    flat = small.astype(np.float32).ravel()
    flat -= flat.mean()
    return np.asarray(flat / max(float(np.linalg.norm(flat)), 1.0), np.float32)


def _on_grid(texture: NDArray[np.uint8], size: int = SMALL) -> Floats:
    grid = np.zeros((size, size), np.float32)
    grid[: texture.shape[0], : texture.shape[1]] = texture.astype(np.float32) - 128
    return grid


def pairs_of(marks: Sequence[Fingerprint], *, overlaps: bool) -> Iterator[tuple[int, int, Alignment]]:
    """Yield (first, second, alignment) of the pairs worth a look, the best version of each."""
    proposed = propose_copies(marks) | (propose_overlaps(marks) if overlaps else set())
    best: dict[tuple[int, int], Alignment] = {}
    for a, b, number in sorted(proposed):
        found = align_textures(marks[a], marks[b], number)
        if (a, b) not in best or found.agreement > best[a, b].agreement:
            best[a, b] = found
    for (a, b), found in best.items():
        yield a, b, found
