"""Propose the pairs of pictures worth aligning, without looking at every pair: random projections of descriptors.

Descriptors whose first bits agree in one of several random rotations share a bucket (Charikar, STOC 2002). They are
projected first to where copies differ least and strangers most (LDAHash: Strecha et al., PAMI 2012). Two pictures are
proposed where several key points that met tell of one movement.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from functools import partial

import numpy as np
from numpy.typing import NDArray

from harness.data.copies.align import MIRRORED
from harness.data.copies.fingerprint import Fingerprint, Floats
from harness.data.copies.movements import (
    AT_ONCE,
    PER_PICTURE,
    KeyPoints,
    Numbers,
    Rows,
    best_of_each,
    roughly,
    straight,
)

DIMENSIONS = 48  # that bits are taken from
FLOOR = 0.02  # of the variance of descriptors, taken for noise everywhere
TABLES, MOST_TABLES = 14, 24  # small sets get more, as they cost next to nothing
ENTRIES = 36_000_000  # of all tables together, up to which there are more than TABLES
MORE_BITS = 2  # than would give each entry a bucket of its own, were descriptors spread evenly
NEIGHBORS = 8  # of a bucket's members, in random order, that one is paired with, and
MOST_MET = 0.5  # pairs of an entry and table in all, where nearly all descriptors are alike
SAMPLE = 20_000  # descriptors that the covariance is taken from
MOST_BITS = 31
TOGETHER = 20  # pictures whose descriptors are projected at once

Base = tuple[Floats, Floats]
Keys = NDArray[np.uint32]


def propose(
    marks: Sequence[Fingerprint],
    noise: Floats | None,
    pool: Executor,
    *,
    asked: NDArray[np.bool_] | None = None,
    seed: int = 0,
) -> Rows:
    """Return rows (first, second, mirrored) with first < second of the pictures worth aligning, sorted.

    `noise` (128, 128) is the covariance of what descriptors differ by between a picture and its copy. Only pairs
    with a picture that is `asked` (N,) are looked at; by default all are.
    """
    entries = _Entries(marks, np.ones(len(marks), bool) if asked is None else asked)
    if entries.count < 2:
        return np.zeros((0, 3), np.intp)
    rng = np.random.default_rng(seed)
    base = discriminants(entries.sample(rng), noise)
    streams = rng.spawn(int(np.clip(ENTRIES // (2 * entries.count), TABLES, MOST_TABLES)))
    bits = min(MOST_BITS, round(np.log2(2 * entries.count)) + MORE_BITS)
    tables = list(pool.map(partial(entries.meet, base, bits), streams))
    return best_of_each(entries.points, tables, (straight, roughly), pool)


def discriminants(sample: Floats, noise: Floats | None) -> Base:
    """Return the middle (128,) of descriptors (N, 128) and the directions (128, D) in which noise counts least.

    They are scaled so that descriptors have variance one in each. Without `noise` all directions are as noisy.
    """
    middle = sample.mean(0)
    total = np.cov((sample - middle).T)
    mean_variance = np.trace(total) / 128 + 1e-6
    within = FLOOR * mean_variance * np.eye(128) + (0 if noise is None else noise / 2)
    values, vectors = np.linalg.eigh(within)
    whitened = vectors / np.sqrt(values)
    values, vectors = np.linalg.eigh(whitened.T @ total @ whitened)
    best = slice(None, -DIMENSIONS - 1, -1)
    return middle, (whitened @ vectors[:, best] / np.sqrt(values[best].clip(min=1e-6))).astype(np.float32)


class _Entries:
    """All key points that propose, as they are and, as entries E to 2 E, mirrored."""

    def __init__(self, marks: Sequence[Fingerprint], asked: NDArray[np.bool_]) -> None:
        self._marks = marks
        self._asked = asked
        self.points = KeyPoints(marks)
        self.count = len(self.points.picture)

    def sample(self, rng: np.random.Generator) -> Floats:
        """Return descriptors (N, 128) of entries drawn at random."""
        drawn = rng.permutation(self.count)[:SAMPLE]
        picture = self.points.picture
        first = np.searchsorted(picture, picture[drawn])
        rows = zip(picture[drawn].tolist(), (drawn - first).tolist(), strict=True)
        return np.array([self._marks[picture].descriptors[point] for picture, point in rows], np.float32)

    def meet(self, base: Base, bits: int, rng: np.random.Generator) -> Numbers:
        """Return the numbers, sorted, of key points of two pictures that share so many bits in a random rotation."""
        found = [np.zeros(0, np.uint64)]
        for ours, theirs in _in_one_bucket(self.keys(base, bits, rng), rng):
            ours, theirs = np.minimum(ours, theirs), np.maximum(ours, theirs)
            wanted = self._wanted(ours, theirs)
            ours, theirs = ours[wanted], theirs[wanted]
            found.append(self.points.numbers(ours, theirs % self.count, theirs >= self.count))
        numbers = np.concatenate(found)
        numbers.sort()
        return numbers

    def _wanted(self, ours: Rows, theirs: Rows) -> NDArray[np.bool_]:
        first, second = self.points.picture[ours % self.count], self.points.picture[theirs % self.count]
        as_they_are = ours < self.count  # two mirrored ones meet as they are, too
        wanted: NDArray[np.bool_] = (
            as_they_are & (first != second) & (self._asked[first] | self._asked[second])
        )
        return wanted

    def keys(self, base: Base, bits: int, rng: np.random.Generator) -> Keys:
        """Return the leading bits (2 E,) of all entries in a random rotation of a base."""
        middle, directions = base
        rotation = np.linalg.qr(rng.standard_normal((DIMENSIONS, DIMENSIONS)))[0][:, :bits]
        planes = (directions @ rotation).astype(np.float32)
        both = np.concatenate([planes, planes[MIRRORED]], 1)  # mirroring is its own inverse
        limits = np.tile(middle @ planes, 2)
        keys, start = np.empty((2, self.count), np.uint32), 0
        for part in self._descriptors():
            above = (part @ both > limits).reshape(len(part), 2, bits)
            keys[:, start : start + len(part)] = _as_numbers(above).T
            start += len(part)
        return keys.ravel()

    def _descriptors(self) -> Iterator[Floats]:
        """Yield the descriptors (N, 128) of a few pictures at a time."""
        for start in range(0, len(self._marks), TOGETHER):
            marks = self._marks[start : start + TOGETHER]
            yield np.concatenate([mark.descriptors[:PER_PICTURE] for mark in marks]).astype(np.float32)


def _as_numbers(bits: NDArray[np.bool_]) -> Keys:
    """Return the number that bits (..., B) write, the first one leading."""
    return np.asarray(bits @ (1 << np.arange(bits.shape[-1])[::-1]), np.uint32)


def _in_one_bucket(keys: Keys, rng: np.random.Generator) -> Iterator[tuple[Rows, Rows]]:
    """Yield pairs (M,) of entries with equal keys, each with the next few of its bucket in random order."""
    odd = 2 * int(rng.integers(2**31)) + 1  # multiplied by it, numbers of 32 bits are shuffled
    both = np.empty(len(keys), "<u8")
    order, ordered = both.view("<u4").reshape(-1, 2).T  # the lower and the upper half of each number
    ordered[:] = keys
    np.multiply(np.arange(len(keys), dtype=np.uint32), np.uint32(odd), out=order)
    both.sort()
    order *= np.uint32(pow(odd, -1, 2**32))  # and back
    met = 0
    for step in range(1, NEIGHBORS + 1):
        same = np.flatnonzero(ordered[:-step] == ordered[step:])
        for start in range(0, len(same), AT_ONCE):
            part = same[start : start + AT_ONCE]
            yield order[part].astype(np.intp), order[part + step].astype(np.intp)
        met += len(same)
        if met > MOST_MET * len(keys):
            return
