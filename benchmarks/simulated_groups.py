"""Drawn studies whose true IoU is known: groups of pictures of small objects, and models that err on them.

A group has 3 to 9 pictures; 30 % of them are clean, and 15 % of the clean ones get a false object. Areas are lognormal
(median 200 px, sigma .9, half of it between groups), so a few groups weigh most. The logit of a picture's IoU is a
normal number with a part of the group and a part of the picture, of which models share a part; larger objects are found
better. The group's share of that number is the icc asked for; `icc_of` measures what the IoU of pictures has of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator
from scipy.special import expit

from harness.evaluate.groups import GroupCounts, group_counts

Floats = NDArray[np.float64]

PICTURES = (3, 9)
CLEAN, FALSE_OBJECT = 0.3, 0.15
AREA, AREA_SIGMA = 200.0, 0.9
LOCATION, DEVIATION, BY_AREA = 0.5, 1.3, 0.3  # of the logit of a picture's IoU
BLOCK = 20_000  # groups drawn at a time for a true value
SHIFTS = np.linspace(-1.0, 1.0, 11)


@dataclass(frozen=True)
class Model:
    """How a model errs: its skill (logit of IoU), and the share of missed pixels among its wrong ones."""

    skill: float = 0.0
    missed: float = 0.5


@dataclass(frozen=True)
class World:
    """What studies are drawn from: the part of groups in IoU, the part that models share, and the luck of trainings.

    luck: standard deviation, in logits, of what all groups of a fold have in common, since the same networks predict
    them. common: the share of its variance that all folds of a model have, as those of one seed would.
    """

    icc: float
    shared: float = 0.8
    luck: float = 0.0
    common: float = 0.0


def draw(
    world: World,
    models: Sequence[Model],
    shape: tuple[int, int],
    rng: np.random.Generator,
    folds: int | None = None,
) -> Floats:
    """Return counts (models, 3, studies, groups, pictures) of TP, FP, FN; a picture that is not there has none.

    The luck of trainings is drawn for each of `folds`, which groups are dealt to in turn, else for every group.
    """
    size = (*shape, PICTURES[1])
    there = np.arange(PICTURES[1]) < rng.integers(PICTURES[0], PICTURES[1] + 1, (*shape, 1))
    larger = _mixed(0.5, _noise(rng, size))
    area = np.maximum(4, np.rint(AREA * np.exp(AREA_SIGMA * larger)))
    clean, alarm = rng.random(size) < CLEAN, rng.random(size) < FALSE_OBJECT
    common = _noise(rng, size)
    counts = np.zeros((len(models), 3, *size), np.float32)
    for number, model in enumerate(models):
        own = [_mixed(world.shared, pair) for pair in zip(common, _noise(rng, size), strict=True)]
        logits = LOCATION + model.skill + BY_AREA * larger + DEVIATION * _mixed(world.icc, own)
        if world.luck:
            logits = logits + world.luck * _luck(world, shape, folds or shape[1], rng)
        false = np.rint(AREA / 2 * np.exp(AREA_SIGMA * rng.standard_normal(size))) * alarm
        counts[number] = np.where(
            clean, [0 * area, false, 0 * area], _errors(area, expit(logits), model.missed)
        )
    return np.asarray(counts * there, np.float64)


def _luck(world: World, shape: tuple[int, int], folds: int, rng: np.random.Generator) -> Floats:
    """Return the luck of a model's trainings (studies, groups, 1), of variance 1."""
    pair = rng.standard_normal((shape[0], 1)), rng.standard_normal((shape[0], folds))
    return _mixed(world.common, pair)[:, np.arange(shape[1]) % folds, None]


def _noise(rng: np.random.Generator, size: tuple[int, ...]) -> tuple[Floats, Floats]:
    """Return one number a group, and one a picture."""
    return rng.standard_normal((*size[:-1], 1)), rng.standard_normal(size)


def _mixed(part: float, pair: Sequence[Floats]) -> Floats:
    return np.asarray(np.sqrt(part) * pair[0] + np.sqrt(1 - part) * pair[1])


def _errors(area: Floats, iou: Floats, missed: float) -> list[Floats]:
    """Return TP, FP, FN of objects found with an IoU; of the wrong pixels a share is missed, the rest is false."""
    odds = 1 / iou - 1
    tp = np.rint(area / (1 + missed * odds))
    return [tp, np.rint(tp * odds * (1 - missed)), area - tp]


def studies_of(counts: Floats, folds: int = 5) -> list[list[GroupCounts]]:
    """Return for each study its models' counts, groups dealt to folds of equal size."""
    models, _, studies, groups, _ = counts.shape
    fold = np.arange(groups) % folds
    summed = counts.sum(-1)
    return [[group_counts(*summed[m, :, s], fold) for m in range(models)] for s in range(studies)]


@lru_cache
def true_iou(world: World, models: tuple[Model, ...], groups: int, seed: int = 1) -> tuple[float, ...]:
    """Return the IoU of each model over so many groups that their choice no longer matters."""
    rng, world = np.random.default_rng(seed), replace(world, common=0.0)  # else one number for all groups
    sums = np.zeros((len(models), 3))
    for _ in range(groups // BLOCK):
        sums += draw(world, models, (1, BLOCK), rng).sum((2, 3, 4))
    return tuple(float(iou) for iou in sums[:, 0] / sums.sum(1))


@lru_cache
def iou_by_skill(world: World, missed: float, groups: int) -> PchipInterpolator:
    """Return the true IoU as a function of skill, through true values on the same large set of groups."""
    models = tuple(Model(float(skill), missed) for skill in SHIFTS)
    return PchipInterpolator(SHIFTS, true_iou(replace(world, shared=1.0), models, groups))


def skill_for(iou: float, world: World, missed: float, groups: int) -> float:
    """Return the skill with which a model has a true IoU."""
    values = iou_by_skill(world, missed, groups)(SHIFTS)
    return float(PchipInterpolator(values, SHIFTS)(iou))


def icc_of(world: World, groups: int = BLOCK) -> float:
    """Return the intraclass correlation of the IoU of pictures with an object (one-way analysis of variance)."""
    counts = draw(world, [Model()], (1, groups), np.random.default_rng(2))[0, :, 0]
    positive = counts[0] + counts[2] > 0
    iou = np.where(positive, counts[0] / np.maximum(1, counts.sum(0)), 0)
    number = positive.sum(1)
    iou, positive, number = (x[number > 0] for x in (iou, positive, number))
    mean = iou.sum(1) / number
    between = (number * (mean - iou.sum() / number.sum()) ** 2).sum() / (len(number) - 1)
    within = (positive * (iou - mean[:, None]) ** 2).sum() / (number.sum() - len(number))
    usual = (number.sum() - (number**2).sum() / number.sum()) / (len(number) - 1)
    return float((between - within) / (between + (usual - 1) * within))
