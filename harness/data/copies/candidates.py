"""Propose the pairs of pictures worth aligning, without looking at every pair: random projections of descriptors.

Descriptors whose first bits agree in one of several random rotations share a bucket (Charikar, STOC 2002); a pair of
pictures is proposed where several key points meet so, and tell of the same turn and change of scale.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from harness.data.copies.align import MIRRORED
from harness.data.copies.fingerprint import Fingerprint

PER_PICTURE = 128  # strongest key points of a picture that propose
DIMENSIONS = 32  # principal components that bits are taken from
TABLES = 10
MEETINGS = 6  # per entry and table, at most: the number of bits grows with the set so that chance stays rare
NEIGHBORS = 16  # of a bucket's members, in random order, that one is paired with
VOTES = 3  # key points that must tell of the same movement
PER_PAIRING = 24  # proposals a picture may make, the best
TURNS = 12  # bins of 30 degrees
SAMPLE = 20_000  # descriptors that the principal components are taken from
MOST_BITS = 31

Bits = NDArray[np.uint64]
Pairs = NDArray[np.intp]


def propose(marks: Sequence[Fingerprint], seed: int = 0) -> Pairs:
    """Return rows (first, second, mirrored) with first < second of the pictures worth aligning, sorted."""
    entries = _Entries(marks)
    if len(entries.picture) < 4:  # two key points, each as it is and mirrored
        return np.zeros((0, 3), np.intp)
    rng = np.random.default_rng(seed)
    projected = entries.project(rng)
    votes = np.unique(np.concatenate([entries.votes(met) for met in _meetings(projected, rng)]))
    movements, count = np.unique(votes // PER_PICTURE, return_counts=True)
    movements, count = movements[count >= VOTES], count[count >= VOTES]
    pairs, best = _strongest_movement(movements // (TURNS * 2), movements % 2, count)
    return _best_of_each(pairs, best, len(marks))


class _Entries:
    """All key points that propose, as they are and mirrored; an entry knows its picture, key point and turn."""

    def __init__(self, marks: Sequence[Fingerprint]) -> None:
        counts = [min(PER_PICTURE, len(mark.points)) for mark in marks]
        self.pictures = len(marks)
        self._marks = marks
        picture = np.repeat(np.arange(len(marks)), counts)
        point = np.concatenate([np.arange(count) for count in counts]) if counts else np.zeros(0, np.intp)
        angle = np.concatenate([m.points[:PER_PICTURE, 3] for m in marks]) if counts else np.zeros(0)
        self.picture, self.point = np.tile(picture, 2), np.tile(point, 2)
        self.angle = np.concatenate([angle, 180 - angle])
        self.is_mirrored = np.repeat([False, True], len(picture))

    def project(self, rng: np.random.Generator) -> NDArray[np.float32]:
        """Return the whitened principal components (2 E, DIMENSIONS) of the descriptors, mirrored ones below."""
        half = len(self.picture) // 2
        every = max(1, half // SAMPLE)
        plain = np.concatenate([m.descriptors[:PER_PICTURE] for m in self._marks])
        sample = plain[rng.permutation(half)[: max(SAMPLE, 2)] if every > 1 else slice(None)].astype(
            np.float32
        )
        middle = sample.mean(0)
        values, vectors = np.linalg.eigh(np.cov((sample - middle).T) + 1e-3 * np.eye(128))
        base = (vectors[:, ::-1][:, :DIMENSIONS] / np.sqrt(values[::-1][:DIMENSIONS])).astype(np.float32)
        whole = np.empty((2 * half, DIMENSIONS), np.float32)
        for start in range(0, half, SAMPLE):
            part = plain[start : start + SAMPLE].astype(np.float32)
            whole[start : start + len(part)] = (part - middle) @ base
            whole[half + start : half + start + len(part)] = (part[:, MIRRORED] - middle) @ base
        return whole

    def votes(self, met: Pairs) -> Bits:
        """Return numbers that stand for (pair of pictures, turn, mirrored, key point) of the entries that met."""
        a, b = met[:, 0], met[:, 1]
        sensible = (self.picture[a] != self.picture[b]) & ~(self.is_mirrored[a] & self.is_mirrored[b])
        a, b = a[sensible], b[sensible]
        # the entry that comes as it is goes first; of two such the lower picture
        swap = self.is_mirrored[a] | ((self.picture[a] > self.picture[b]) & ~self.is_mirrored[b])
        a, b = np.where(swap, b, a), np.where(swap, a, b)
        mirrored = self.is_mirrored[b]
        low, high = np.minimum(self.picture[a], self.picture[b]), np.maximum(self.picture[a], self.picture[b])
        turn = ((self.angle[b] - self.angle[a]) % 360 // (360 / TURNS)).astype(np.uint64) % TURNS
        pair = low.astype(np.uint64) * np.uint64(self.pictures) + high.astype(np.uint64)
        movement = (pair * np.uint64(TURNS) + turn) * np.uint64(2) + mirrored
        return np.asarray(movement * np.uint64(PER_PICTURE) + self.point[a].astype(np.uint64), np.uint64)


def _meetings(projected: NDArray[np.float32], rng: np.random.Generator) -> Iterator[Pairs]:
    """Yield, for each table, pairs of entries in one bucket."""
    bits = 0
    for _ in range(TABLES):
        rotation = np.linalg.qr(rng.standard_normal((DIMENSIONS, DIMENSIONS)))[0].astype(np.float32)
        keys = np.zeros(len(projected), np.uint64)
        for axis in range(MOST_BITS):
            keys = keys << np.uint64(1) | (projected @ rotation[:, axis] > 0)
        bits = bits or _bits_for(keys)
        yield _in_one_bucket(keys >> np.uint64(MOST_BITS - bits), rng)


def _bits_for(keys: Bits) -> int:
    """Return the fewest leading bits with which an entry meets few others by chance."""
    for bits in range(8, MOST_BITS):
        sizes = np.unique(keys >> np.uint64(MOST_BITS - bits), return_counts=True)[1].astype(float)
        if np.minimum(sizes, NEIGHBORS + 1) @ (sizes - 1) <= 2 * MEETINGS * 0.1 * len(keys):
            return bits
    return MOST_BITS


def _in_one_bucket(keys: Bits, rng: np.random.Generator) -> Pairs:
    """Return pairs of entries with equal keys, each with the next few of its bucket in random order."""
    shuffled = rng.permutation(len(keys))
    order = shuffled[np.argsort(keys[shuffled], kind="stable")]
    ordered = keys[order]
    found = []
    for step in range(1, NEIGHBORS + 1):
        same = np.flatnonzero(ordered[:-step] == ordered[step:])
        found.append(np.stack([order[same], order[same + step]], 1))
    return np.concatenate(found)


def _strongest_movement(
    pairs: Bits, mirrored: Bits, count: NDArray[np.intp]
) -> tuple[Bits, NDArray[np.intp]]:
    """Return pair * 2 + mirrored, each once, with the votes of its best turn."""
    which = pairs * np.uint64(2) + mirrored
    order = np.lexsort((-count, which))
    first = np.r_[True, which[order][1:] != which[order][:-1]] if len(order) else np.zeros(0, bool)
    return which[order][first], count[order][first]


def _best_of_each(which: Bits, votes: NDArray[np.intp], pictures: int) -> Pairs:
    """Return rows (first, second, mirrored) that are among the best of either picture."""
    pair, mirrored = which // np.uint64(2), which % np.uint64(2)
    rows = np.stack([pair // np.uint64(pictures), pair % np.uint64(pictures), mirrored], 1).astype(np.intp)
    keep = np.zeros(len(rows), bool)
    for side in (0, 1):
        order = np.lexsort((-votes, rows[:, side]))
        owner = rows[order, side]
        start = np.searchsorted(owner, owner, side="left")
        keep[order[np.arange(len(order)) - start < PER_PAIRING]] = True
    return rows[keep]
