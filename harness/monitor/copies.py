"""New pictures that show what the study's own pictures show, by the audit's search for copies."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from threadpoolctl import threadpool_limits

from harness.data.copies.align import SAME, Alignment
from harness.data.copies.calibrate import aligned, calibrate
from harness.data.copies.candidates import propose
from harness.data.copies.find import COPIES_VERSION
from harness.data.copies.fingerprint import FINGERPRINT_VERSION, SIDE, Fingerprint
from harness.data.copies.recognize import is_verifiable
from harness.data.kept import Kept
from harness.monitor.arrivals import Arrival
from harness.monitor.reference import Reference

EVERY_PAIR = 4000  # pairs up to which all are aligned, and none left to the proposals
NEVER = 10**9  # key points, where no number of them could be told from chance


@dataclass(frozen=True)
class Copy:
    """What new picture `arrival` shows that sample `original` of the study shows; `how` in words."""

    arrival: int
    original: int
    how: str
    inliers: int


@dataclass(frozen=True)
class Searched:
    """Copies by new picture, the unit of new pictures that show one thing (N,), and which could be verified (N,)."""

    copies: dict[int, Copy]
    unit: NDArray[np.intp]
    verifiable: NDArray[np.bool_]


def find_copies(reference: Reference, arrivals: Sequence[Arrival], kept: Kept) -> Searched:
    """Return the new pictures that surely show what one of the study shows, and which of them show one thing."""
    known = len(reference.marks)
    marks = [*reference.marks, *(one.mark for one in arrivals)]
    with threadpool_limits(1), ThreadPoolExecutor(2) as pool:
        wanted = _thresholds(reference, kept, pool)
        proposed = _proposed(marks, known, pool)
        sure = list(_sure(marks, proposed, wanted, pool))
    copies: dict[int, Copy] = {}
    for first, second, found in sorted(sure, key=lambda pair: -pair[2].inliers):
        if first < known:
            copies.setdefault(second - known, _copy(arrivals, first, second - known, found))
    copies |= _equal(reference, arrivals)
    links = [(a - known, b - known) for a, b, _ in sure if a >= known]
    verifiable = np.array([is_verifiable(one.mark) for one in arrivals], bool)
    return Searched(copies, _units(arrivals, links), verifiable)


def _thresholds(reference: Reference, kept: Kept, pool: ThreadPoolExecutor) -> tuple[int, int]:
    """Return how many key points must agree, of pictures with enough of them and of others, as this set asks for."""
    rows = [reference.samples["pixels_sha256"].tolist(), reference.samples["group"].tolist()]
    content = json.dumps([COPIES_VERSION, FINGERPRINT_VERSION, *rows])
    key = f"copies of new pictures {hashlib.sha256(content.encode()).hexdigest()}"
    if (known := kept.get(key)) is None:
        marks, groups = reference.marks, rows[1]
        verifiable = np.array([is_verifiable(mark) for mark in marks], bool)
        good, plain = np.flatnonzero(verifiable), np.flatnonzero(~verifiable)
        usual = calibrate(marks, (good, np.arange(len(marks))), groups, 0, pool).threshold
        of_plain = calibrate(marks, (plain, plain), groups, 0, pool)
        known = json.dumps([usual, of_plain.threshold if of_plain.is_known else NEVER]).encode()
        kept.put({key: known})
    usual, plain_ones = json.loads(known)
    return int(usual), int(plain_ones)


def _proposed(marks: Sequence[Fingerprint], known: int, pool: ThreadPoolExecutor) -> NDArray[np.intp]:
    """Return rows (first, second, mirrored) worth aligning, second a new picture; all where they are few."""
    count = len(marks)
    asked = np.arange(count) >= known
    if count * (count - known) > EVERY_PAIR:
        return propose(marks, None, pool, asked=asked)
    pairs = [(a, b, m) for b in range(known, count) for a in range(b) for m in (0, 1)]
    return np.array(pairs, np.intp).reshape(-1, 3)


def _sure(
    marks: Sequence[Fingerprint],
    proposed: NDArray[np.intp],
    wanted: tuple[int, int],
    pool: ThreadPoolExecutor,
) -> Iterator[tuple[int, int, Alignment]]:
    for (a, b, _), found in zip(proposed.tolist(), aligned(marks, proposed, pool), strict=True):
        plain = not (is_verifiable(marks[a]) and is_verifiable(marks[b]))
        if found is not None and found.inliers >= wanted[plain] and found.agreement >= SAME:
            yield a, b, found


def _equal(reference: Reference, arrivals: Sequence[Arrival]) -> dict[int, Copy]:
    """Return the new pictures with the very pixels of one of the study; blank ones may have them by chance."""
    first: dict[str, int] = {}
    for row, digest in enumerate(reference.samples["pixels_sha256"]):
        first.setdefault(digest, row)
    return {
        number: Copy(number, first[one.digest], "the same pixels", 0)
        for number, one in enumerate(arrivals)
        if one.digest in first and not one.constant
    }


def _copy(arrivals: Sequence[Arrival], original: int, number: int, found: Alignment) -> Copy:
    one, said = arrivals[number], found.described()
    longest = max(one.height, one.width)
    middle = np.array([SIDE * one.width, SIDE * one.height]) / longest / 2
    moved = (found.movement[:, :2] @ middle + found.movement[:, 2] - middle) * longest / SIDE
    parts = [
        f"shift {moved[0]:+.0f} {moved[1]:+.0f} px",
        f"turn {said['turn']:g}",
        f"scale {said['scale']:g}",
    ]
    parts += ["mirrored"] if found.mirrored else []
    return Copy(number, original, f"{said['how']}: {', '.join(parts)}", found.inliers)


def _units(arrivals: Sequence[Arrival], links: Sequence[tuple[int, int]]) -> NDArray[np.intp]:
    """Return the number of the thing that each new picture shows, as far as that is known."""
    first: dict[str, int] = {}
    equal = [(first.setdefault(one.digest, number), number) for number, one in enumerate(arrivals)]
    rows, columns = np.array([*links, *equal], np.intp).reshape(-1, 2).T
    table = coo_array((np.ones(len(rows)), (rows, columns)), shape=(len(arrivals),) * 2)
    return np.asarray(connected_components(table, directed=False)[1], np.intp)
