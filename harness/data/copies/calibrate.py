"""How many key points strangers of this very set share, and how many are asked for because of it."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import chain

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from harness.data.copies.align import SAME, Alignment, align
from harness.data.copies.fingerprint import Fingerprint

FEWEST_INLIERS = 7  # key points that must agree on a movement, at least
MARGIN = 2  # times what unrelated pairs of this set reach
UNRELATED = 3000  # pairs of pictures from different groups that are aligned for this
FEWEST_UNRELATED = 200  # pairs; of fewer, copies under own ids would be the rule
TAIL = 0.95  # share of them that must stay below half the threshold; the rest may be copies under own ids
SMALL_SET = 150  # pictures, of which nearly all pairs are drawn
PART = 64  # pairs that a thread aligns at once
LARGEST_FAMILY = 1 / 3  # of a small set, that may show one thing


@dataclass(frozen=True)
class Calibration:
    """What unrelated pairs of this very set reach, and the number of key points asked for because of it."""

    threshold: int
    unrelated: int
    reached: int  # by the TAIL of the unrelated pairs
    most: int  # by any; a copy under two group ids may be among them
    above: int = 0  # pairs that reach the threshold

    @property
    def is_known(self) -> bool:
        """Tell whether there were enough unrelated pairs."""
        return self.unrelated >= 2 * FEWEST_UNRELATED


def calibrate(
    marks: Sequence[Fingerprint],
    between: tuple[NDArray[np.intp], NDArray[np.intp]],
    groups: Sequence[str],
    seed: int,
    pool: ThreadPoolExecutor,
) -> Calibration:
    """Align unrelated pairs of these rows, as they are and mirrored; ask for MARGIN times what most stay below.

    Where ids are wrong, some pairs are copies; they are seldom mirrored ones too, so the lower of both tails counts,
    unless unrelated pictures look alike as a rule: then the higher.
    """
    drawn = unrelated_pairs(*between, np.asarray(groups, object), np.random.default_rng(seed))
    reached = np.zeros((2, len(drawn)), np.intp)
    for mirrored in (0, 1):
        found = aligned(marks, np.column_stack([drawn, np.full(len(drawn), mirrored)]), pool)
        reached[mirrored] = [a.inliers if a and a.agreement >= SAME else 0 for a in found]
    reached = reached[:, ~of_few(drawn, reached.max(0) >= FEWEST_INLIERS)]
    count = reached.shape[1]
    tails = (
        [int(np.quantile(one, TAIL, method="higher")) for one in reached]
        if count >= FEWEST_UNRELATED
        else [0]
    )
    tail = max(tails) if count and np.median(reached[0]) > 0 else min(tails)
    threshold = max(FEWEST_INLIERS, MARGIN * tail)
    above = int((reached >= threshold).sum())
    return Calibration(threshold, 2 * count, tail, int(reached.max(initial=0)), above)


def of_few(drawn: NDArray[np.intp], alike: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Tell which alike pairs are copies by all appearance: in a small set, of pictures alike in small families.

    Strangers that look alike do so across the whole set. In a large set copies of few are too rare to count.
    """
    pictures, ends = np.unique(drawn, return_inverse=True)
    if len(pictures) > SMALL_SET:
        return np.zeros(len(drawn), bool)
    rows, columns = ends.reshape(drawn.shape)[alike].T
    links = coo_array((np.ones(len(rows)), (rows, columns)), shape=(len(pictures),) * 2)
    family = connected_components(links, directed=False)[1]
    few = np.bincount(family)[family] <= LARGEST_FAMILY * len(pictures)
    return np.asarray(alike & few[ends.reshape(drawn.shape)[:, 0]], bool)


def unrelated_pairs(
    rows: NDArray[np.intp],
    others: NDArray[np.intp],
    groups: NDArray[np.object_],
    rng: np.random.Generator,
) -> NDArray[np.intp]:
    """Return pairs (N, 2) of positions with different groups, the first of `rows`, drawn at random."""
    if not len(rows):
        return np.zeros((0, 2), np.intp)
    drawn = np.column_stack([part[rng.integers(len(part), size=UNRELATED)] for part in (rows, others)])
    apart = groups[drawn[:, 0]] != groups[drawn[:, 1]]
    return np.unique(drawn[apart], axis=0)


def aligned(
    marks: Sequence[Fingerprint], pairs: NDArray[np.intp], pool: ThreadPoolExecutor
) -> list[Alignment | None]:
    """Return how pairs (first, second, mirrored) lie on each other."""
    parts = [pairs[start : start + PART].tolist() for start in range(0, len(pairs), PART)]
    return list(chain.from_iterable(pool.map(partial(_aligned, marks), parts)))


def _aligned(marks: Sequence[Fingerprint], rows: list[list[int]]) -> list[Alignment | None]:
    return [align(marks[first], marks[second], mirrored=bool(mirrored)) for first, second, mirrored in rows]
