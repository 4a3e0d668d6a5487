"""Find the pictures of a set that show the same thing: propose, align, decide; and measure how well that works here."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from harness.data.copies import featureless
from harness.data.copies.align import SAME, Alignment, compare
from harness.data.copies.calibrate import Calibration, aligned, calibrate, unrelated_pairs
from harness.data.copies.canary import Planted
from harness.data.copies.candidates import propose
from harness.data.copies.fingerprint import Fingerprint, Floats
from harness.data.copies.noise import noise_of
from harness.data.copies.recognize import is_verifiable

COPIES_VERSION = 5  # part of what is kept on disk; raise it when another pair would be found
CROWD = 2000  # pictures among which planted copies are looked for
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
    with threadpool_limits(1), ThreadPoolExecutor(threads) as pool:
        verifiable = np.array([is_verifiable(mark) for mark in marks], bool)
        rows, plain = np.flatnonzero(verifiable), np.flatnonzero(~verifiable)
        calibration = calibrate(marks, (rows, np.arange(len(marks))), groups, seed, pool)
        noise = noise_of(marks, planted)
        proposed = propose(marks, noise, pool, seed=seed)
        of_plain = ~verifiable[proposed[:, :2]].any(1)
        pairs = list(_by_key_points(marks, proposed[~of_plain], calibration.threshold, pool))
        among_plain = calibrate(marks, (plain, plain), groups, seed, pool)
        if among_plain.is_known:
            pairs += _by_key_points(marks, proposed[of_plain], among_plain.threshold, pool)
        hits = _planted_found(marks, planted, noise, calibration.threshold, seed, pool)
        plain_run = 2 <= len(plain) <= featureless.MOST and not _look_alike(marks, plain, groups, seed)
        overlaps_run = plain_run and len(plain) <= featureless.MOST_OVERLAPS
        if plain_run:
            pairs += _by_texture(marks, plain, overlaps=overlaps_run)
    best = tuple(sorted(_best_of_pair(pairs), key=lambda pair: (pair.first, pair.second)))
    return Found(best, verifiable, calibration, hits, plain_run, overlaps_run)


def _planted_found(
    marks: Sequence[Fingerprint],
    planted: Sequence[Planted],
    noise: Floats | None,
    threshold: int,
    seed: int,
    pool: ThreadPoolExecutor,
) -> tuple[bool, ...]:
    """Return for each planted copy whether it is found among pictures of the set, apart so that these lose nothing."""
    origins = sorted({copy.origin for copy in planted})
    others = np.random.default_rng(seed).permutation(len(marks))[:CROWD]
    crowd = [*origins, *np.setdiff1d(others, origins).tolist()]
    whole = [*(marks[i] for i in crowd), *(copy.mark for copy in planted)]
    place = {origin: i for i, origin in enumerate(origins)}
    wanted = [(place[copy.origin], len(crowd) + i) for i, copy in enumerate(planted)]
    asked = np.ones(len(whole), bool)
    asked[len(origins) : len(crowd)] = False
    proposed, pairs = propose(whole, noise, pool, asked=asked, seed=seed), set(wanted)
    own = proposed[np.array([tuple(row) in pairs for row in proposed[:, :2].tolist()], bool)]
    sure = {(p.first, p.second) for p in _by_key_points(whole, own, threshold, pool) if p.sure}
    return tuple(pair in sure for pair in wanted)


def _by_key_points(
    marks: Sequence[Fingerprint], proposed: NDArray[np.intp], threshold: int, pool: ThreadPoolExecutor
) -> Iterator[Pair]:
    for (a, b, _), found in zip(proposed.tolist(), aligned(marks, proposed, pool), strict=True):
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
        first, second = int(plain[a]), int(plain[b])
        yield Pair(first, second, at, sure=at.agreement >= PLAIN_SAME and _is_told(marks, first, second, at))


def _is_told(marks: Sequence[Fingerprint], first: int, second: int, at: Alignment) -> bool:
    """Tell whether two textures agree more, by half of what is left, than each with itself one period on."""
    same = max(featureless.repetition(marks[i]) for i in (first, second))
    return at.agreement >= (1 + same) / 2


def _look_alike(
    marks: Sequence[Fingerprint], plain: NDArray[np.intp], groups: Sequence[str], seed: int
) -> bool:
    """Tell whether unrelated pictures without key points agree as a rule, as those in one frame do."""
    drawn = unrelated_pairs(plain, plain, np.asarray(groups, object), np.random.default_rng(seed))
    reached = [compare(marks[a], marks[b], np.eye(2, 3), mirrored=False)[0] for a, b in drawn]
    return bool(np.median(reached or [0.0]) > PLAIN_TAIL)


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
