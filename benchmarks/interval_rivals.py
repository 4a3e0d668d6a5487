"""Intervals and tests that are not shipped, to be measured beside those that are."""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm
from scipy.stats import t as student

from harness.evaluate.groups import GroupCounts, fold_scores, group_counts, headline, ratio
from harness.evaluate.intervals import left_out, spread
from harness.evaluate.optimism import weighted_headlines

Floats = NDArray[np.float64]
Bounds = tuple[float, float]

RESAMPLES = 999
LEVEL = 0.95


def t_over_folds(counts: GroupCounts) -> Bounds:
    """Return mean ± t sd / sqrt(folds) of the fold scores."""
    scores = fold_scores(counts)
    half = float(student.ppf((1 + LEVEL) / 2, scores.size - 1) * scores.std(ddof=1) / np.sqrt(scores.size))
    return float(scores.mean()) - half, float(scores.mean()) + half


def percentile(counts: GroupCounts) -> Bounds:
    """Return the percentiles of the headline on groups resampled within folds; also for crops as 'groups'."""
    return _percentiles(_resampled(counts)[0], (1 - LEVEL) / 2, (1 + LEVEL) / 2)


def accelerated(counts: GroupCounts) -> Bounds:
    """Return the BCa interval (Efron 1987), groups resampled within folds."""
    values, value = _resampled(counts)[0], float(headline(counts))
    start = norm.ppf(((values < value).mean() + (values <= value).mean()) / 2)
    moved = left_out(counts)
    acceleration = (moved**3).sum() / (6 * (moved**2).sum() ** 1.5)
    shifted = start + norm.ppf([(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return _percentiles(values, *norm.cdf(start + shifted / (1 - acceleration * shifted)))


def bootstrap_t(counts: GroupCounts) -> Bounds:
    """Return the studentized bootstrap interval, groups resampled within folds, errors linearized."""
    values, errors = _resampled(counts)
    value, error = float(headline(counts)), float(_linear_error(counts, np.ones((1, len(counts.fold))))[0])
    steps = (values - value) / np.maximum(errors, 1e-9)
    low, high = _percentiles(steps, (1 - LEVEL) / 2, (1 + LEVEL) / 2)
    return value - high * error, value - low * error


def paired_t(a: GroupCounts, b: GroupCounts) -> float:
    """Return the one-sided p value of a paired t test over groups of one fold."""
    found = spread(a, minus=b)
    return float(student.sf(float(headline(a) - headline(b)) / max(float(found.error), 1e-9), found.freedom))


def paired_bootstrap_t(a: GroupCounts, b: GroupCounts) -> float:
    """Return the one-sided p value of the bootstrap-t of jackknife pseudo-values of a difference."""
    moved, count = left_out(a) - left_out(b), len(a.fold)
    pseudo = float(headline(a) - headline(b)) + (count - 1) * moved
    drawn = pseudo[np.random.default_rng(0).integers(0, count, (RESAMPLES, count))]
    steps = (drawn.mean(1) - pseudo.mean()) / np.maximum(drawn.std(1, ddof=1), 1e-9)
    return float((1 + (steps >= pseudo.mean() / pseudo.std(ddof=1)).sum()) / (RESAMPLES + 1))


def bootstrap_corrected(trials: GroupCounts) -> float:
    """Return the best trial's score by BBC-CV as published, groups drawn with replacement within folds."""
    weights = _weights(tuple(np.bincount(trials.fold)), RESAMPLES)[
        :, np.argsort(np.argsort(trials.fold, kind="stable"))
    ]
    chosen = weighted_headlines(trials, weights).argmax(1)
    unseen = weighted_headlines(trials, (weights == 0).astype(float))
    return float(unseen[np.arange(len(chosen)), chosen].mean())


def crops_of(counts: Floats, folds: int = 5) -> GroupCounts:
    """Return pictures (3, groups, pictures) as if each were a group of its own."""
    fold = np.repeat(np.arange(counts.shape[1]) % folds, counts.shape[2])
    flat = counts.reshape(3, -1)
    there = flat.sum(0) > 0
    return group_counts(*flat[:, there], fold[there])


def _resampled(counts: GroupCounts) -> tuple[Floats, Floats]:
    """Return headlines (resamples,) and their linearized errors."""
    order = np.argsort(np.argsort(counts.fold, kind="stable"))
    weights = _weights(tuple(np.bincount(counts.fold)), RESAMPLES)[:, order]
    tp, union = (weights @ (x[:, None] * counts.in_fold) for x in (counts.tp, counts.union))
    return ratio(tp, union).mean(1), _linear_error(counts, weights)


def _linear_error(counts: GroupCounts, weights: Floats) -> Floats:
    tp, union, fold = counts.tp[:, None], counts.union[:, None], counts.in_fold
    all_tp, all_union = weights @ (tp * fold), weights @ (union * fold)
    score, size = ratio(all_tp, all_union), fold.sum(0)
    squares = weights @ (tp**2 * fold) - 2 * score * (weights @ (tp * union * fold))
    squares = (squares + score**2 * (weights @ (union**2 * fold))).clip(0)
    variance = size / (size - 1) * squares / np.maximum(1, all_union) ** 2
    return np.asarray(np.sqrt(variance.sum(1)) / counts.folds)


@lru_cache(maxsize=8)
def _weights(sizes: tuple[int, ...], resamples: int) -> Floats:
    """Return how often each row was drawn (resamples, rows), rows ordered by fold."""
    rng = np.random.default_rng(0)
    drawn = [rng.multinomial(size, np.full(size, 1 / size), size=resamples) for size in sizes]
    return np.concatenate(drawn, 1).astype(np.float64)


def _percentiles(values: Floats, low: float, high: float) -> Bounds:
    found = np.quantile(values, [low, high])
    return float(found[0]), float(found[1])


RIVALS: dict[str, Callable[[GroupCounts], Bounds]] = {
    "t over 5 folds": t_over_folds,
    "group bootstrap, percentile": percentile,
    "group bootstrap, BCa": accelerated,
    "group bootstrap-t": bootstrap_t,
}
