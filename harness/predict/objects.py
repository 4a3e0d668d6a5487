"""The 8-connected objects of a mask that comes in bands of rows: joined across the seams, and let go when they end."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from harness.predict.outlines import Box, Ring, Runs, drawn, rings_of, run_lengths

MOST_OBJECTS = 100_000  # of a picture; more are counted only
MOST_BOX = 2**24  # px of an object's box; a larger one has no outline
MOST_RUNS = 2**20  # of pixels side by side, in an object with an outline

Values = NDArray[Any]


@dataclass(frozen=True)
class Object:
    """Box (x, y, width, height), area in px, highest and mean probability, rings, run lengths where it has holes."""

    box: tuple[int, int, int, int]
    area: int
    score: float
    mean: float
    rings: list[Ring]
    counts: list[int] | None


@dataclass
class _Part:
    """What is known of an object; `runs` are none once they are too many to draw."""

    area: int
    box: Box
    peak: float
    total: float
    first: tuple[int, int]  # its first pixel in reading order
    runs: list[Runs] | None

    def take(self, other: "_Part") -> None:
        self.area += other.area
        mine, its = self.box, other.box
        self.box = min(mine[0], its[0]), min(mine[1], its[1]), max(mine[2], its[2]), max(mine[3], its[3])
        self.peak, self.total = max(self.peak, other.peak), self.total + other.total
        self.first = min(self.first, other.first)
        self.runs = None if self.runs is None or other.runs is None else self.runs + other.runs
        self.forget_if_giant()

    def forget_if_giant(self) -> None:
        left, top, right, bottom = self.box
        runs = self.runs or []
        if (right - left) * (bottom - top) > MOST_BOX or sum(map(len, runs)) > MOST_RUNS:
            self.runs = None


class Labeler:
    """Takes bands from top to bottom; then has the objects in reading order, and how many pixels are positive."""

    def __init__(self, shape: tuple[int, int]) -> None:
        self.shape = shape
        self.count = self.positive = 0
        self._found: list[tuple[tuple[int, int], Object]] = []
        self._open: dict[int, _Part] = {}  # by the number that the last row has in `_seam`
        self._seam: NDArray[np.int64] = np.zeros(shape[1], np.int64)

    def add(self, top: int, mask: NDArray[np.bool_], probability: NDArray[np.float32]) -> None:
        """Take the next band, (rows, W)."""
        count, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8, ltype=cv2.CV_32S)
        links = _links(self._seam, labels[0])
        below = set(np.unique(labels[-1]).tolist()) - {0}
        kept = below | {label for _, label in links}
        parts: dict[int, _Part] = {}
        inside = count - 1 - len(kept)  # objects that neither seam cuts
        listed = self._counted(inside)
        for label, part in _parts(top, labels, probability, None if listed else kept):
            if label in kept:
                parts[label] = part
            else:
                self._list(part)
        self.positive += int(np.count_nonzero(mask))
        self._join(parts, links, below, labels[-1])

    def finish(self) -> list[Object]:
        """Return the objects in reading order; none where there are more than `MOST_OBJECTS`."""
        for part in self._open.values():
            self._close(part)
        self._open = {}
        return [found for _, found in sorted(self._found, key=lambda entry: entry[0])]

    def _join(
        self, parts: dict[int, _Part], links: list[tuple[int, int]], below: set[int], last: Values
    ) -> None:
        """Put parts above and below the seam together; those that the next seam does not cut are closed."""
        heads = _united([*self._open, *(-label for label in parts)], [(up, -low) for up, low in links])
        joined: dict[int, _Part] = {}
        for node, part in [*self._open.items(), *((-label, part) for label, part in parts.items())]:
            if (head := heads[node]) in joined:
                joined[head].take(part)
            else:
                joined[head] = part
        open_heads = {heads[-label] for label in below}
        numbers = {head: number for number, head in enumerate(sorted(open_heads), 1)}
        for head, part in joined.items():
            if head not in open_heads:
                self._close(part)
        self._open = {number: joined[head] for head, number in numbers.items()}
        here = np.zeros(int(last.max(initial=0)) + 1, np.int64)
        for label in below:
            here[label] = numbers[heads[-label]]
        self._seam = here[last]

    def _counted(self, more: int) -> bool:
        """Count objects; tell whether they are still listed."""
        self.count += more
        if self.count > MOST_OBJECTS:
            self._found = []
        return self.count <= MOST_OBJECTS

    def _close(self, part: _Part) -> None:
        if self._counted(1):
            self._list(part)

    def _list(self, part: _Part) -> None:
        left, top, right, bottom = part.box
        rings, counts = [], None
        if part.runs is not None:
            alone = drawn(np.concatenate(part.runs), part.box)
            rings = rings_of(alone, left, top)
            counts = run_lengths(alone, left, top, self.shape) if len(rings) > 1 else None
        box = left, top, right - left, bottom - top
        found = Object(box, part.area, part.peak, part.total / part.area, rings, counts)
        self._found.append((part.first, found))


def _links(seam: Values, row: Values) -> list[tuple[int, int]]:
    """Return which number above touches which label below, also diagonally."""
    found: set[tuple[int, int]] = set()
    for up, low in ((seam, row), (seam[:-1], row[1:]), (seam[1:], row[:-1])):
        both = (up > 0) & (low > 0)
        found.update(zip(up[both].tolist(), low[both].tolist(), strict=True))
    return sorted(found)


def _united(nodes: list[int], links: list[tuple[int, int]]) -> dict[int, int]:
    """Return a common node for all nodes that links join (union-find)."""
    parent = {node: node for node in nodes}

    def head(node: int) -> int:
        while parent[node] != node:
            parent[node] = node = parent[parent[node]]
        return node

    for one, other in links:
        parent[head(one)] = head(other)
    return {node: head(node) for node in nodes}


def _parts(
    top: int, labels: Values, probability: NDArray[np.float32], wanted: set[int] | None
) -> Iterator[tuple[int, _Part]]:
    """Yield each labeled object of a band; only some where `wanted` says which."""
    runs, peaks, totals = _runs(labels > 0, probability)
    names = labels[runs[:, 0], runs[:, 1]]
    if wanted is not None:
        chosen = np.isin(names, list(wanted))
        runs, peaks, totals, names = runs[chosen], peaks[chosen], totals[chosen], names[chosen]
    if not len(names):
        return
    order = np.argsort(names, kind="stable")
    runs, peaks, totals, names = runs[order] + [top, 0, 0], peaks[order], totals[order], names[order]
    begins = np.flatnonzero(np.diff(names, prepend=0))
    facts = np.stack(
        [
            np.minimum.reduceat(runs[:, 1], begins),
            runs[begins, 0],  # in reading order
            np.maximum.reduceat(runs[:, 2], begins),
            np.maximum.reduceat(runs[:, 0], begins) + 1,
            np.add.reduceat(runs[:, 2] - runs[:, 1], begins),
        ],
        axis=1,
    ).tolist()
    highest, sums = np.maximum.reduceat(peaks, begins).tolist(), np.add.reduceat(totals, begins).tolist()
    for number, (begin, end) in enumerate(zip(begins, [*begins[1:], len(names)], strict=True)):
        left, upper, right, bottom, area = facts[number]
        own = runs[begin:end].astype(np.int32)
        first = int(own[0, 0]), int(own[0, 1])
        part = _Part(area, (left, upper, right, bottom), highest[number], sums[number], first, [own])
        part.forget_if_giant()
        yield int(names[begin]), part


def _runs(mask: NDArray[np.bool_], probability: NDArray[np.float32]) -> tuple[Values, Values, Values]:
    """Return runs (n, 3) of positive pixels in reading order, and the highest and summed probability of each."""
    steps = np.diff(np.pad(mask.view(np.int8), ((0, 0), (1, 1))), axis=1)
    rows, starts = np.nonzero(steps == 1)
    stops = np.nonzero(steps == -1)[1]
    runs = np.stack([rows, starts, stops], axis=1)
    if not len(runs):
        return runs, np.zeros(0), np.zeros(0)
    flat, width = np.ascontiguousarray(probability).ravel(), mask.shape[1]
    edges = np.stack([rows * width + starts, rows * width + stops], axis=1).ravel()
    edges = edges[:-1] if edges[-1] == flat.size else edges  # the last run ends with the band
    peaks = np.maximum.reduceat(flat, edges)[::2].astype(np.float64)
    totals = np.add.reduceat(flat, edges, dtype=np.float64)[::2]
    return runs, peaks, totals
