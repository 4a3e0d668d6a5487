"""AUGMENTATIONS: named recipes with one strength in [0, 1]; image and mask always together.

Strength 0 changes nothing, 0.5 is the recipe as named, 1 doubles every range and probability (those of flips stay
at one half). What was not photographed is 255 in the mask. albumentations draws from one seed given for every
sample, since left to itself it repeats its numbers in each worker and epoch (2.0.8).
"""

import math
import random
from collections.abc import Callable
from typing import Any

import albumentations as A
import cv2
import numpy as np
from numpy.typing import NDArray

from harness.choices import choose
from harness.config import Augment
from harness.errors import ConfigError

Pixels = NDArray[np.uint8]
IGNORE = 255


class Augmentation:
    """A recipe at one strength, for gray (H, W) and RGB (H, W, 3) pictures."""

    def __init__(self, recipe: Callable[[float, bool], list[Any]], strength: float) -> None:
        # built at strength 0 too: wrong settings are refused at any strength
        pipelines = {color: A.Compose(recipe(2 * strength, color), strict=True) for color in (False, True)}
        self._pipelines = pipelines if strength > 0 else None

    def __call__(self, image: Pixels, mask: Pixels, seed: int) -> tuple[Pixels, Pixels]:
        """Return the pair as changed by the numbers that follow from `seed`."""
        if self._pipelines is None:
            return image, mask
        pipeline = self._pipelines[image.ndim == 3]
        # one stream for all of them: set_random_seed would give every transform the same numbers, so that a picture
        # is mirrored both ways, turned, shifted and lit, or nothing at all
        pipeline.set_random_state(np.random.default_rng(seed), random.Random(seed))
        changed = pipeline(image=image, mask=mask)
        return changed["image"], changed["mask"]


def build_augmentation(augment: Augment) -> Augmentation:
    """Return the augmentation a study names. Raises ConfigError for unknown names, settings and values."""
    recipe = choose(AUGMENTATIONS, "augment.recipe", augment.recipe.name, augment.recipe.settings)
    return Augmentation(recipe, augment.strength)


def flips(factor: float, color: bool) -> list[Any]:
    """Mirror images and quarter turns."""
    return [
        A.HorizontalFlip(p=min(0.5, 0.5 * factor)),
        A.VerticalFlip(p=min(0.5, 0.5 * factor)),
        A.RandomRotate90(p=min(0.5, 0.5 * factor)),
    ]


def light(factor: float, color: bool) -> list[Any]:
    """Brightness, contrast, color, and blur or sensor noise (2 to 4 gray levels), as in the reference."""
    noise = (min(1.0, math.sqrt(5) / 255 * factor), min(1.0, math.sqrt(20) / 255 * factor))
    shades = [
        A.RandomBrightnessContrast(
            brightness_limit=min(0.9, 0.2 * factor),
            contrast_limit=min(0.9, 0.2 * factor),
            p=min(1.0, 0.3 * factor),
        )
    ]
    if color:  # on gray pictures a change of saturation would paint them
        limits = {
            f"{name}_shift_limit": limit * factor for name, limit in (("hue", 10), ("sat", 15), ("val", 10))
        }
        shades.append(A.HueSaturationValue(**limits, p=min(1.0, 0.3 * factor)))
    blur_or_noise = [A.GaussianBlur(blur_limit=(3, 5), p=1.0), A.GaussNoise(std_range=noise, p=1.0)]
    return [*shades, A.OneOf(blur_or_noise, p=min(1.0, 0.2 * factor))]


def shifts(factor: float, color: bool) -> list[Any]:
    """Small translations, rotations and changes of scale; outside is 255 in the mask."""
    return [
        A.Affine(
            translate_percent=(-0.05 * factor, 0.05 * factor),
            scale=(1 - 0.15 * factor, 1 + 0.15 * factor),
            rotate=(-15 * factor, 15 * factor),
            interpolation=cv2.INTER_LINEAR,
            mask_interpolation=cv2.INTER_NEAREST,
            border_mode=cv2.BORDER_CONSTANT,
            fill=0,
            fill_mask=IGNORE,
            p=min(1.0, 0.5 * factor),
        )
    ]


def reference(factor: float, color: bool, *, dropout: float = 0.0, erased: int = IGNORE) -> list[Any]:
    """The reference's recipe: flips, quarter turns, small shifts, light.

    `dropout` is the probability of erasing small squares (at strength 0.5; off by default: under 5 % coverage it
    erases targets), `erased` what the mask says there: 255 = ignored, or 0. Squares are erased before the picture
    is shifted: what comes in from outside stays 255.
    """
    if erased not in (0, IGNORE):
        raise ConfigError(
            f"augment.recipe.reference.erased: {erased!r}; erased pixels are 255 (ignored) or 0"
        )
    if not 0 <= dropout <= 1:
        raise ConfigError(f"augment.recipe.reference.dropout: {dropout!r} is no probability; write 0 to 1")
    holes = A.CoarseDropout(
        num_holes_range=(1, 8),
        hole_height_range=(0.02, 0.08),
        hole_width_range=(0.02, 0.08),
        fill=0,
        fill_mask=erased,
        p=min(1.0, dropout * factor),
    )
    return [
        *flips(factor, color),
        *([holes] if dropout else []),
        *shifts(factor, color),
        *light(factor, color),
    ]


def none(factor: float, color: bool) -> list[Any]:
    """Nothing at any strength."""
    return []


AUGMENTATIONS: dict[str, Callable[..., list[Any]]] = {
    "none": none,
    "flips": flips,
    "light": light,
    "shifts": shifts,
    "reference": reference,
}
