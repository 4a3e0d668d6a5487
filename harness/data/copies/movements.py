"""Of two pictures whose key points met, tell how many of these speak for one movement (Hough voting: Lowe, IJCV 2004).

Two key points that show one place tell of a whole movement: turn, change of scale, and where the middle of the first
picture lands in the second. That of a picture which was only cut, mirrored or turned by quarters is told to the px.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from harness.data.copies.fingerprint import SIDE, Fingerprint, Floats

PER_PICTURE = 250  # strongest key points of a picture that propose
VOTES = 2  # key points that must tell of the same movement
PER_PAIRING = 12  # proposals a picture may make on either kind of movement, the best
FARTHEST = 4.0 * SIDE  # px; middles that land beyond it are told apart no more
CELL = 32.0  # px at SIDE, in which the middle lands for one movement, and
TURN, GROWTH = 45.0, 1.0  # degrees and octaves, in which its turn and its change of scale lie
SEAM = 225.0  # degrees, where cells of turns begin and end: as far from quarter turns as can be
STRAIGHT_CELL = 6.0  # px at SIDE, for a movement by quarters
STRAIGHT_TURN, STRAIGHT_GROWTH = (
    15.0,
    0.4,
)  # degrees off the quarter and octaves off the scale that it may be told by

AT_ONCE = 500_000  # meetings

Numbers = NDArray[np.uint64]
Rows = NDArray[np.intp]


class KeyPoints:
    """The key points of all pictures."""

    def __init__(self, marks: Sequence[Fingerprint]) -> None:
        counts = np.array([len(mark.points) for mark in marks], np.intp)
        self.pictures = len(marks)
        self._first = np.cumsum(counts) - counts
        self._all = np.concatenate([mark.points for mark in marks])

    def of(self, pictures: Rows, points: Rows) -> Floats:
        """Return one key point (M, 4) of each of these pictures."""
        chosen: Floats = self._all[self._first[pictures] + points]
        return chosen


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


def meeting_numbers(pairs: Rows, mirrored: NDArray[np.bool_], points: Rows, pictures: int) -> Numbers:
    """Return one number for pairs (2, M) of so many pictures, first < second, and a key point of each (2, M)."""
    number: Numbers = pairs[0].astype(np.uint64)
    for count, part in (
        (pictures, pairs[1]),
        (2, mirrored),
        (PER_PICTURE, points[0]),
        (PER_PICTURE, points[1]),
    ):
        number = number * np.uint64(count) + part.astype(np.uint64)
    return number


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


def best_of_each(marks: Sequence[Fingerprint], numbers: Numbers, told: Votes) -> Rows:
    """Return rows (first, second, mirrored) that are among the best PER_PAIRING of either picture."""
    points = KeyPoints(marks)
    found = [_strongest(met, *told(met)) for met in _some_at_a_time(points, numbers)]
    which, votes = np.concatenate([np.zeros((2, 0), np.intp), *found], 1)
    rows = np.stack(pairs_of(which, points.pictures), 1).astype(np.intp)
    keep = np.zeros(len(rows), bool)
    for side in (0, 1):
        order = np.lexsort((-votes, rows[:, side]))
        owner = rows[order, side]
        start = np.searchsorted(owner, owner, side="left")
        keep[order[np.arange(len(order)) - start < PER_PAIRING]] = True
    return rows[keep]


def _some_at_a_time(points: KeyPoints, numbers: Numbers) -> Iterator[Meetings]:
    """Yield sorted meetings, those of one pair together: a few, as each takes a hundred bytes."""
    edges = np.append(_starts(numbers // np.uint64(PER_PICTURE**2)), len(numbers))
    wanted = np.append(np.arange(0, len(numbers), AT_ONCE), len(numbers))
    ends = np.unique(edges[np.searchsorted(edges, wanted)])
    for start, end in itertools.pairwise(ends):
        yield Meetings(points, numbers[start:end])


def _starts(ordered: Numbers) -> Rows:
    """Return where in a sorted row another number begins."""
    return np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]][: len(ordered)])


def _strongest(met: Meetings, meetings: Rows, cells: Floats) -> Rows:
    """Return the pairs, each once, of whose best movement VOTES key points or more tell, and how many do (2, P).

    They are counted in two grids half a cell apart, so that few are lost at edges.
    """
    which, row = np.unique(met.which[meetings], return_inverse=True)
    most = np.zeros(len(which), np.intp)
    for offset in (0.0, 0.5):
        places = (cells + offset).astype(np.intp)
        sizes = places.max(1, initial=0) + 1
        of_pair = row * int(sizes.prod()) + np.ravel_multi_index(tuple(places), tuple(sizes))
        told = np.unique(of_pair * PER_PICTURE + met.point[meetings]) // PER_PICTURE
        movements, count = np.unique(told, return_counts=True)
        np.maximum.at(most, movements // int(sizes.prod()), count)
    return np.stack([which, most])[:, most >= VOTES]


def _parts(numbers: Numbers) -> tuple[Rows, Rows, Rows]:
    """Return pair * 2 + mirrored, and the key point of either picture."""
    rest, theirs = np.divmod(numbers, np.uint64(PER_PICTURE))
    which, ours = np.divmod(rest, np.uint64(PER_PICTURE))
    return which.astype(np.intp), ours.astype(np.intp), theirs.astype(np.intp)
