"""One draw of a pipeline on the planted scene, and its transforms taken one by one or made to act."""

import copy
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import albumentations as A
import cv2
import numpy as np
from numpy.typing import NDArray

from harness.data.proof.planted import Planted

Pixels = NDArray[np.uint8]
Path = tuple[int, ...]  # of a transform, through nested pipelines

SAME = 2  # gray levels: pictures of different things that differ no more show neither of them


@dataclass(frozen=True)
class Draw:
    """What one seed made of the planted scene; fields as in `Planted`."""

    image: Pixels
    mask: Pixels
    ground: Pixels
    bright: Pixels
    dark: Pixels
    rows: Pixels
    columns: Pixels


def draw(transforms: Sequence[Any], planted: Planted, seed: int) -> Draw:
    """Return what `transforms` make of the scene with its objects, without them, and of other pictures.

    The same numbers are drawn every time, so that images differ only by what was photographed; rows and columns
    go the way of the mask.
    """
    places = {"rows": planted.rows, "columns": planted.columns}
    shown = apply(transforms, planted.image, planted.mask, seed, **places)
    ground, bright = (
        apply(transforms, image, planted.mask, seed)["image"] for image in (planted.ground, planted.bright)
    )
    # the third is rarely needed: where the other two differ, the picture is neither erased nor saturated
    dark = (
        bright
        if _all_differ(ground, bright)
        else apply(transforms, planted.dark, planted.mask, seed)["image"]
    )
    return Draw(shown["image"], shown["mask"], ground, bright, dark, shown["rows"], shown["columns"])


def unlike(first: Pixels, second: Pixels) -> Pixels:
    """Return by how many gray levels pictures differ (H, W), in the channel where they differ most."""
    change = cv2.absdiff(first, second)
    return np.asarray(reduce(cv2.max, cv2.split(change)) if change.ndim == 3 else change)


def apply(
    transforms: Sequence[Any], image: Pixels, mask: Pixels, seed: int, **masks: Pixels
) -> dict[str, Any]:
    """Return image, mask and further masks after `transforms`, as A.Compose applies them with one stream."""
    streams = np.random.default_rng(seed), random.Random(seed)
    data = {"image": image.copy(), "mask": mask.copy()} | {
        name: layer.copy() for name, layer in masks.items()
    }
    for transform in transforms:
        transform.set_random_state(*streams)
    for transform in transforms:
        data = transform(**data)
    return data


def ready(transforms: Sequence[Any]) -> list[Any]:
    """Return copies that carry rows and columns as they carry the mask."""
    copies = _copied(transforms)
    for transform in copies:
        transform.add_targets({"rows": "mask", "columns": "mask"})
    return copies


def _copied(transforms: Sequence[Any]) -> list[Any]:
    """Return deep copies, which share their streams: those of each would take longer to copy than all else."""
    streams = np.random.default_rng(0), random.Random(0)
    for transform in transforms:
        transform.set_random_state(*streams)
    return copy.deepcopy(list(transforms))


def paths(transforms: Sequence[Any]) -> Iterator[Path]:
    """Yield where the single transforms are that can act at all."""
    for position, transform in enumerate(transforms):
        if transform.p > 0 and _is_nest(transform):
            yield from ((position, *path) for path in paths(transform.transforms))
        elif transform.p > 0:
            yield (position,)


def at(transforms: Sequence[Any], path: Path) -> Any:
    """Return the transform at `path`."""
    transform = transforms[path[0]]
    return at(transform.transforms, path[1:]) if path[1:] else transform


def acting(transforms: Sequence[Any], path: Path) -> list[Any]:
    """Return copies of all transforms in which the one at `path` acts in every draw, where its nest can choose it."""
    copies = _copied(transforms)
    level = copies
    for depth, position in enumerate(path):
        level[position].p = 1.0
        if depth + 1 < len(path):
            chosen = path[depth + 1]
            if isinstance(level[position], A.OneOf):
                weights = [float(other == chosen) for other in range(len(level[position].transforms))]
                level[position].transforms_ps = weights
            if isinstance(level[position], A.OneOrOther):
                level[position].p = float(chosen == 0)
            level = level[position].transforms
    return copies


def alone(transforms: Sequence[Any], path: Path) -> list[Any]:
    """Return a copy of the transform at `path` that acts in every draw."""
    single = copy.deepcopy(at(transforms, path))
    single.p = 1.0
    return [single]


def name_of(transform: Any) -> str:
    """Return what a transform is called in messages."""
    return type(transform).__name__


def _all_differ(first: Pixels, second: Pixels) -> bool:
    if first.dtype != np.uint8 or first.dtype != second.dtype or first.shape != second.shape:
        return True  # refused for what it is
    return bool((unlike(first, second) > SAME).all())


def _is_nest(transform: Any) -> bool:
    # transforms of single channels act on the image alone: outside of their nest they are other transforms
    return isinstance(transform, A.BaseCompose) and not isinstance(transform, A.SelectiveChannelTransform)
