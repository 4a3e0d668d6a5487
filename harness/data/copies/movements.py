"""Of two pictures whose key points met, tell how many of these speak for one movement (Hough voting: Lowe, IJCV 2004).

Two key points that show one place tell of a whole movement: turn, change of scale, and where the middle of the first
picture lands in the second. That of a picture which was only cut, mirrored or turned by quarters is told to the px.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor

import numpy as np
from numpy.typing import NDArray

from harness.data.copies.fingerprint import SIDE, Fingerprint, Floats

PER_PICTURE = 250  # strongest key points of a picture that propose
VOTES = 2  # key points that must tell of the same movement
PER_PAIRING = 12  # proposals a picture may make on either kind of movement, the best,
MOST = 10_000  # proposals of either kind that all pictures may make; in larger sets one a picture
FARTHEST = 4.0 * SIDE  # px; middles that land beyond it are told apart no more
CELL = 32.0  # px at SIDE, in which the middle lands for one movement, and
TURN, GROWTH = 45.0, 1.0  # degrees and octaves, in which its turn and its change of scale lie
SEAM = 225.0  # degrees, where cells of turns begin and end: as far from quarter turns as can be
STRAIGHT_CELL = 6.0  # px at SIDE, for a movement by quarters
STRAIGHT_TURN, STRAIGHT_GROWTH = (
    15.0,
    0.4,
)  # degrees off the quarter and octaves off the scale that it may be told by

AT_ONCE = 100_000  # meetings

Numbers = NDArray[np.uint64]
Rows = NDArray[np.intp]


class KeyPoints:
    """The key points of all pictures that propose: up to PER_PICTURE each, the strongest."""

    def __init__(self, marks: Sequence[Fingerprint]) -> None:
        counts = np.array([min(PER_PICTURE, len(mark.sixteenths)) for mark in marks], np.intp)
        self.pictures = len(marks)
        self.picture = np.repeat(np.arange(len(marks), dtype=np.int32), counts)
        self._first = np.cumsum(counts) - counts
        self._all = np.concatenate([np.zeros((0, 4), "<i2"), *(m.sixteenths[:PER_PICTURE] for m in marks)])

    def of(self, pictures: Rows, points: Rows) -> Floats:
        """Return one key point (M, 4) of each of these pictures."""
        chosen: Floats = np.multiply(self._all[self._first[pictures] + points], 1 / 16, dtype=np.float32)
        return chosen

    def numbers(self, ours: Rows, theirs: Rows, mirrored: NDArray[np.bool_]) -> Numbers:
        """Return one number for each meeting (M,) of two key points of two pictures, by their places in `picture`.

        It tells the pair of pictures, the first one first, whether the second is mirrored, and the key points; see
        `Meetings`.
        """
        swap = self.picture[ours] > self.picture[theirs]
        first, second = np.where(swap, theirs, ours), np.where(swap, ours, theirs)
        pictures = self.picture[first], self.picture[second]
        points = (first - self._first[pictures[0]], second - self._first[pictures[1]])
        number = pictures[0].astype(np.uint64)
        for count, part in (
            (self.pictures, pictures[1]),
            (2, mirrored),
            (PER_PICTURE, points[0]),
            (PER_PICTURE, points[1]),
        ):
            number = number * np.uint64(count) + part.astype(np.uint64)
        return number


class Meetings:
    """Key points that met, one of each of two pictures, from their numbers.

    `which` (M,) stands for a pair and whether its second picture is mirrored, `point` for the key point of the first;
    `ours` and `theirs` (M, 4) are the key points as in `Fingerprint`, theirs after mirroring at x = 0.
    """

    def __init__(self, points: KeyPoints, numbers: Numbers) -> None:
        self.which, self.point, theirs = _parts(numbers)
        first, second, mirrored = pairs_of(self.which, points.pictures)
        self.ours = points.of(first, self.point)
        self.theirs = points.of(second, theirs)
        self.theirs[:, 0] *= np.where(mirrored, -1, 1)  # wherever the mirror stands, all move alike
        self.theirs[:, 3] = np.where(mirrored, 180 - self.theirs[:, 3], self.theirs[:, 3])

    def turn(self) -> Floats:
        """Return degrees from 0 to 360."""
        return np.asarray((self.theirs[:, 3] - self.ours[:, 3]) % 360, np.float32)

    def growth(self) -> Floats:
        """Return octaves."""
        return np.asarray(np.log2(self.theirs[:, 2] / self.ours[:, 2]), np.float32)

    def landing(self, turn: Floats, scale: Floats | float) -> Floats:
        """Return x and y (2, M) where the middle of the first picture lands, in px counted from -FARTHEST."""
        to_middle = (SIDE / 2 - self.ours[:, 0]) + 1j * (SIDE / 2 - self.ours[:, 1])
        there = scale * np.exp(1j * np.radians(turn)) * to_middle
        places = np.stack([there.real + self.theirs[:, 0], there.imag + self.theirs[:, 1]])
        return np.asarray(places.clip(-FARTHEST, FARTHEST) + FARTHEST, np.float32)


Votes = Callable[[Meetings], tuple[Rows, Floats]]


def roughly(met: Meetings) -> tuple[Rows, Floats]:
    """Return all meetings, and in cells (4, M) the movement of any turn and scale that each tells of."""
    turn, growth = met.turn(), met.growth()
    landing = met.landing(turn, 2**growth) / CELL
    return np.arange(len(turn)), np.stack(
        [*landing, (turn - SEAM) % 360 / TURN, (growth.clip(-2, 2) + 2) / GROWTH]
    )


def straight(met: Meetings) -> tuple[Rows, Floats]:
    """Return the meetings that tell of a quarter turn at one scale, and in cells (3, M) the movement of each."""
    turn = met.turn()
    quarters = np.round(turn / 90)
    near = (np.abs(turn - 90 * quarters) < STRAIGHT_TURN) & (np.abs(met.growth()) < STRAIGHT_GROWTH)
    landing = met.landing(np.asarray(90 * quarters, np.float32), 1.0) / STRAIGHT_CELL
    return np.flatnonzero(near), np.stack([*landing, quarters % 4])[:, near]


def pairs_of(which: Rows, pictures: int) -> tuple[Rows, Rows, NDArray[np.bool_]]:
    """Return first and second of so many pictures, and whether the second is mirrored."""
    return (*np.divmod(which // 2, pictures), which % 2 > 0)


def frequent(numbers: Numbers) -> Numbers:
    """Sort the numbers in place; return those, each once, of pictures that met VOTES times or more."""
    numbers.sort()
    numbers = numbers[_starts(numbers)]
    starts = _starts(numbers // np.uint64(PER_PICTURE**2))
    counts = np.diff(starts, append=len(numbers))
    often: Numbers = numbers[np.repeat(counts >= VOTES, counts)]
    return often


def best_of_each(points: KeyPoints, tables: Sequence[Numbers], told: Sequence[Votes], pool: Executor) -> Rows:
    """Return rows (first, second, mirrored), sorted, that by some way of telling movements are among the best.

    Those are the best one of each picture, and the best of all that are among the best PER_PAIRING of either picture.
    Each table is sorted.
    """

    def strongest(ends: tuple[np.uint64, np.uint64]) -> list[Rows]:
        some = [table[slice(*np.searchsorted(table, ends))] for table in tables]
        met = Meetings(points, frequent(np.concatenate(some)))
        return [_strongest(met, *by(met)) for by in told]

    parts = [[np.zeros((2, 0), np.intp)] * len(told), *pool.map(strongest, _some_at_a_time(tables))]
    found = [_best(points.pictures, np.concatenate(part, 1)) for part in zip(*parts, strict=True)]
    return np.unique(np.concatenate(found), axis=0)


def _some_at_a_time(tables: Sequence[Numbers]) -> Iterator[tuple[np.uint64, np.uint64]]:
    """Yield from which number to which to read meetings, those of one pair together: few, as each takes much room."""
    apart = 8 * len(tables)  # of so many that are drawn, one is an end
    some = np.sort(np.concatenate([table[:: max(1, AT_ONCE // apart)] for table in tables]))[::apart]
    pair = np.uint64(PER_PICTURE**2)
    ends = np.unique(np.r_[np.uint64(0), some // pair * pair, np.uint64(2**64 - 1)])
    yield from itertools.pairwise(ends)


def _best(pictures: int, pairs: Rows) -> Rows:
    """Return rows of the best of pairs and their votes (2, P)."""
    which, votes = pairs
    rows = np.stack(pairs_of(which, pictures), 1).astype(np.intp)
    keep = np.any([_place(side, votes) < PER_PAIRING for side in rows[:, :2].T], axis=0)
    places = _place(rows[:, :2].T.ravel(), np.tile(votes, 2)).reshape(2, -1)
    order = np.lexsort(
        (-votes, places.min(0) > 0)
    )  # the best of each picture come first: no family takes all
    chosen: Rows = rows[order[keep[order]][: max(MOST, pictures)]]
    return chosen


def _place(owner: Rows, votes: Rows) -> Rows:
    """Return the place, from 0, that each pair has among those of its owner by votes."""
    order = np.lexsort((-votes, owner))
    place: Rows = np.empty(len(owner), np.intp)
    place[order] = np.arange(len(owner)) - np.searchsorted(owner[order], owner[order], side="left")
    return place


def _starts(ordered: Numbers | Rows) -> Rows:
    """Return where in a sorted row another number begins."""
    return np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]][: len(ordered)])


def _strongest(met: Meetings, meetings: Rows, cells: Floats) -> Rows:
    """Return the pairs, each once, of whose best movement VOTES key points or more tell, and how many do (2, P).

    They are counted in two grids half a cell apart, so that few are lost at edges.
    """
    which, point = met.which[meetings], met.point[meetings]
    starts = _starts(which)
    row = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(which)))
    most = np.zeros(len(starts), np.intp)
    for offset in (0.0, 0.5):
        places = (cells + offset).astype(np.intp)
        sizes = places.max(1, initial=0) + 1
        told = (
            row * int(sizes.prod()) + np.ravel_multi_index(tuple(places), tuple(sizes))
        ) * PER_PICTURE + point
        told.sort()
        movements = told[_starts(told)] // PER_PICTURE
        first = _starts(movements)
        votes = np.diff(first, append=len(movements))
        of_row = movements[first] // int(sizes.prod())
        np.maximum.at(most, of_row, votes)
    return np.stack([which[starts], most])[:, most >= VOTES]


def _parts(numbers: Numbers) -> tuple[Rows, Rows, Rows]:
    """Return pair * 2 + mirrored, and the key point of either picture."""
    rest, theirs = np.divmod(numbers, np.uint64(PER_PICTURE))
    which, ours = np.divmod(rest, np.uint64(PER_PICTURE))
    return which.astype(np.intp), ours.astype(np.intp), theirs.astype(np.intp)
