"""Prove that epochs and pictures get numbers of their own, that a seed repeats, and that validation never changes."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.data.augment import Augmentation
from harness.data.cache import Cache
from harness.data.crops import Cropping
from harness.data.loader import TrainingSet
from harness.data.proof.draws import alone, apply, at, name_of, paths
from harness.data.proof.planted import SIDE, Planted

Pixels = NDArray[np.uint8]
Pair = tuple[Pixels, Pixels]
Recipe = Callable[[float, bool], list[Any]]
Build = Callable[[Recipe, float], Augmentation]

SEEDS = range(100, 112)
EPOCHS, COPIES = 6, 6  # the same picture several times in each epoch
VARIED = 0.8  # share of the commonest result below which equal epochs are no chance: 0.8 ** (6 * 5) is 0.1 %


@dataclass(frozen=True)
class Repeated:
    """A broken rule about seeds: how often, by whom, and a result that shows it."""

    rule: str
    figure: float
    transform: str
    shown: Pair


@dataclass(frozen=True)
class Subject:
    """A recipe at one strength as training will use it, and its transforms."""

    recipe: Recipe
    transforms: Sequence[Any]
    strength: float
    planted: Planted
    build: Build

    @property
    def pair(self) -> Pair:
        return self.planted.image.copy(), self.planted.mask.copy()

    def built(self) -> Augmentation:
        return self.build(self.recipe, self.strength)


@dataclass(frozen=True)
class _Copies(Cache):
    """The same picture at every position, held in memory."""

    pair: Pair = field(repr=False)

    def image(self, position: int) -> Pixels:
        return self.pair[0]

    def mask(self, position: int) -> Pixels:
        return self.pair[1]


def repeated(subject: Subject) -> Iterator[Repeated]:
    """Yield what is wrong with the augmentation's streams, the gravest first."""
    checks = (still,) if subject.strength == 0 else (validation, repeats, streams)
    yield from (found for check in checks if (found := check(subject)))


def still(subject: Subject) -> Repeated | None:
    """Strength 0 returns what it was given, as often as it is asked."""
    moved = [
        shown for seed in SEEDS if not _equal(shown := subject.built()(*subject.pair, seed), subject.pair)
    ]
    return Repeated("still", len(moved), _builder(subject), moved[0]) if moved else None


def validation(subject: Subject) -> Repeated | None:
    """What was given, which validation reads too, is the same afterwards."""
    pair, augment, changes = subject.pair, subject.built(), 0
    for seed in SEEDS:
        augment(*pair, seed)
        changes += not _equal(pair, subject.pair)
    who = _first(subject, _changes_what_it_is_given)
    return Repeated("validation", changes, who, pair) if changes else None


def repeats(subject: Subject) -> Repeated | None:
    """The same seed gives the same bytes in another augmentation, in another order, drawn from more often."""
    one, other, unlike = subject.built(), subject.built(), []
    expected = {seed: one(*subject.pair, seed) for seed in SEEDS}
    for seed in reversed(SEEDS):
        other(*subject.pair, seed + 1000)
        if not _equal(shown := other(*subject.pair, seed), expected[seed]):
            unlike.append(shown)
    who = _first(subject, _forgets_its_seed)
    return Repeated("repeats", len(unlike), who, unlike[0]) if unlike else None


def streams(subject: Subject) -> Repeated | None:
    """Epochs, and samples of one epoch, do not all get the numbers of the first, where the pipeline varies at all."""
    own = [apply(subject.transforms, *subject.pair, seed) for seed in range(EPOCHS * COPIES)]
    commonest = Counter(_bytes((one["image"], one["mask"])) for one in own).most_common(1)[0][1]
    if commonest >= VARIED * len(own):
        return None
    read = TrainingSet(
        _Copies(Path(), pd.DataFrame(), subject.pair), Cropping(SIDE), subject.built(), (0, 0, 0)
    )
    shown = [[read[epoch, position] for position in range(COPIES)] for epoch in range(EPOCHS)]
    digests = [[one[0].numpy().tobytes() + one[1].numpy().tobytes() for one in epoch] for epoch in shown]
    epochs = all(epoch == digests[0] for epoch in digests)
    samples = all(digest == epoch[0] for epoch in digests for digest in epoch)
    first = shown[0][0][0].numpy().transpose(1, 2, 0), shown[0][0][1].numpy()
    figure = (EPOCHS - 1) * epochs + (COPIES - 1) * samples
    return Repeated("streams", figure, _builder(subject), first) if figure else None


def _first(subject: Subject, guilty: Callable[[Any, Subject], bool]) -> str:
    """Return the name of the first transform that is guilty by itself, else of the augmentation."""
    for path in paths(subject.transforms):
        if guilty(alone(subject.transforms, path)[0], subject):
            return name_of(at(subject.transforms, path))
    return _builder(subject)


def _changes_what_it_is_given(transform: Any, subject: Subject) -> bool:
    image, mask = pair = subject.pair
    transform(image=image, mask=mask)
    return not _equal(pair, subject.pair)


def _forgets_its_seed(transform: Any, subject: Subject) -> bool:
    results = [apply([transform], *subject.pair, seed=0) for _ in range(2)]
    return _bytes((results[0]["image"], results[0]["mask"])) != _bytes(
        (results[1]["image"], results[1]["mask"])
    )


def _builder(subject: Subject) -> str:
    return getattr(subject.build, "__name__", type(subject.build).__name__)


def _equal(first: Pair, second: Pair) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def _bytes(pair: Pair) -> bytes:
    return b"".join(np.ascontiguousarray(layer).tobytes() for layer in pair)
