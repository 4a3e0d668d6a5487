"""Find the pictures of a set that show the same thing: propose, align, decide; and measure how well that works here."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from threadpoolctl import threadpool_limits

from harness.data.copies import featureless
from harness.data.copies.align import SAME, Alignment, align, compare
from harness.data.copies.canary import Planted
from harness.data.copies.candidates import propose
from harness.data.copies.fingerprint import Fingerprint, Floats
from harness.data.copies.noise import noise_of
from harness.data.copies.recognize import is_verifiable

COPIES_VERSION = 3  # part of what is kept on disk; raise it when another pair would be found
FEWEST_INLIERS = 7  # key points that must agree on a movement, at least
SMALL_SET = 150  # pictures, of which nearly all pairs are drawn
LARGEST_FAMILY = 1 / 3  # of a small set, that may show one thing
MARGIN = 2  # times what unrelated pairs of this set reach
CROWD = 2000  # pictures among which planted copies are looked for
UNRELATED = 3000  # pairs of pictures from different groups that are aligned for this
FEWEST_UNRELATED = 200  # pairs; of fewer, copies under own ids would be the rule
TAIL = 0.95  # share of them that must stay below half the threshold; the rest may be copies under own ids
PLAIN_SAME = 0.9  # agreement from which textures without key points are one
PLAIN_OVERLAP = 0.4  # share both must show for that
PLAIN_TAIL = 0.5  # agreement that most unrelated textures must stay below, or none can be told apart


@dataclass(frozen=True)
class Pair:
    """Two pictures by position, first < second, and how they lie on each other; `sure` pairs show one thing."""

    first: int
    second: int
    alignment: Alignment
    sure: bool


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


@dataclass(frozen=True)
class Found:
    """All pairs worth showing; `verifiable` tells for each picture whether its copies could be found."""

    pairs: tuple[Pair, ...]
    verifiable: NDArray[np.bool_]
    calibration: Calibration
    planted_found: tuple[bool, ...]  # for each planted copy, whether it was paired with its origin
    plain_run: bool  # whether copies among pictures without key points were looked for and could be told
    plain_overlaps_run: bool


def find_pairs(
    marks: Sequence[Fingerprint],
    groups: Sequence[str],
    planted: Sequence[Planted] = (),
    *,
    seed: int = 0,
    threads: int = 2,
) -> Found:
    """Return the pairs among pictures with these fingerprints; `groups` are their declared source images.

    The same fingerprints and groups give the same pairs. BLAS is held to one thread, as small products gain nothing.
    """
    everyone, plain_overlaps = np.arange(len(marks)), False
    with threadpool_limits(1), ThreadPoolExecutor(threads) as pool:
        verifiable = np.array([is_verifiable(mark) for mark in marks], bool)
        rows, plain = np.flatnonzero(verifiable), np.flatnonzero(~verifiable)
        calibration = _calibrate(marks, (rows, everyone), groups, seed, pool)
        noise = noise_of(marks, planted)
        proposed = propose(marks, noise, seed=seed, threads=threads)
        of_plain = ~verifiable[proposed[:, :2]].any(1)
        pairs = list(_by_key_points(marks, proposed[~of_plain], calibration.threshold, pool))
        among_plain = _calibrate(marks, (plain, plain), groups, seed, pool)
        if among_plain.is_known:
            pairs += _by_key_points(marks, proposed[of_plain], among_plain.threshold, pool)
        plain_run = 2 <= len(plain) <= featureless.MOST and not _look_alike(marks, plain, groups, seed)
        if plain_run:
            plain_overlaps = len(plain) <= featureless.MOST_OVERLAPS
            pairs += _by_texture(marks, plain, overlaps=plain_overlaps)
        hits = _planted_found(marks, planted, noise, calibration.threshold, seed)
    best = tuple(sorted(_best_of_pair(pairs), key=lambda pair: (pair.first, pair.second)))
    return Found(best, verifiable, calibration, hits, plain_run, plain_overlaps)


def _planted_found(
    marks: Sequence[Fingerprint], planted: Sequence[Planted], noise: Floats | None, threshold: int, seed: int
) -> tuple[bool, ...]:
    """Return for each planted copy whether it is found among pictures of the set, apart so that these lose nothing."""
    origins = sorted({copy.origin for copy in planted})
    others = np.random.default_rng(seed).permutation(len(marks))[:CROWD]
    crowd = [*origins, *np.setdiff1d(others, origins).tolist()]
    whole = [*(marks[i] for i in crowd), *(copy.mark for copy in planted)]
    place = {origin: i for i, origin in enumerate(origins)}
    wanted = [(place[copy.origin], len(crowd) + i) for i, copy in enumerate(planted)]
    proposed = propose(whole, noise, seed=seed)
    asked = set(wanted)
    own = proposed[np.array([tuple(row) in asked for row in proposed[:, :2].tolist()], bool)]
    with ThreadPoolExecutor(1) as pool:
        sure = {(p.first, p.second) for p in _by_key_points(whole, own, threshold, pool) if p.sure}
    return tuple(pair in sure for pair in wanted)


def _by_key_points(
    marks: Sequence[Fingerprint], proposed: NDArray[np.intp], threshold: int, pool: ThreadPoolExecutor
) -> Iterator[Pair]:
    for (a, b, _), found in zip(proposed.tolist(), _aligned(marks, proposed, pool), strict=True):
        if found is None:
            continue
        many, same = found.inliers >= threshold, found.agreement >= SAME
        if (many and same) or found.inliers >= 2 * threshold:
            yield Pair(a, b, found, sure=many and same)


def _by_texture(marks: Sequence[Fingerprint], plain: NDArray[np.intp], *, overlaps: bool) -> Iterator[Pair]:
    """Yield pairs of pictures without key points."""
    found = list(featureless.pairs_of([marks[i] for i in plain], overlaps=overlaps))
    worth = [(a, b, at) for a, b, at in found if at.agreement >= SAME and at.overlap >= PLAIN_OVERLAP]
    for a, b, at in worth:
        yield Pair(int(plain[a]), int(plain[b]), at, sure=at.agreement >= PLAIN_SAME)


def _look_alike(
    marks: Sequence[Fingerprint], plain: NDArray[np.intp], groups: Sequence[str], seed: int
) -> bool:
    """Tell whether unrelated pictures without key points agree as a rule, as those in one frame do."""
    drawn = _unrelated(plain, plain, np.asarray(groups, object), np.random.default_rng(seed))
    reached = [compare(marks[a], marks[b], np.eye(2, 3), mirrored=False)[0] for a, b in drawn]
    return bool(np.median(reached or [0.0]) > PLAIN_TAIL)


def _calibrate(
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
    drawn = _unrelated(*between, np.asarray(groups, object), np.random.default_rng(seed))
    reached = np.zeros((2, len(drawn)), np.intp)
    for mirrored in (0, 1):
        found = _aligned(marks, np.column_stack([drawn, np.full(len(drawn), mirrored)]), pool)
        reached[mirrored] = [a.inliers if a and a.agreement >= SAME else 0 for a in found]
    reached = reached[:, ~_of_few(drawn, reached.max(0) >= FEWEST_INLIERS)]
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


def _of_few(drawn: NDArray[np.intp], alike: NDArray[np.bool_]) -> NDArray[np.bool_]:
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


def _unrelated(
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


def _aligned(
    marks: Sequence[Fingerprint], pairs: NDArray[np.intp], pool: ThreadPoolExecutor
) -> list[Alignment | None]:
    return list(pool.map(partial(_align_row, marks), pairs.tolist(), chunksize=64))


def _align_row(marks: Sequence[Fingerprint], row: Sequence[int]) -> Alignment | None:
    return align(marks[row[0]], marks[row[1]], mirrored=bool(row[2]))


def _best_of_pair(pairs: Sequence[Pair]) -> Iterator[Pair]:
    """Yield each two pictures once, as they lie best."""
    best: dict[tuple[int, int], Pair] = {}
    for pair in pairs:
        key = (pair.first, pair.second)
        if key not in best or _strength(pair) > _strength(best[key]):
            best[key] = pair
    yield from best.values()


def _strength(pair: Pair) -> tuple[bool, int, float]:
    return pair.sure, pair.alignment.inliers, pair.alignment.agreement
