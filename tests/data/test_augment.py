import inspect
import pickle
from collections import Counter
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from harness.config import Augment
from harness.data.augment import AUGMENTATIONS, Augmentation, build_augmentation
from harness.errors import ConfigError

Pixels = NDArray[np.uint8]
RECIPES = sorted(AUGMENTATIONS)
STRENGTHS = [0.25, 0.5, 1.0]
DROPOUT = {"reference": {"dropout": 1.0}}


def built(recipe: Any, strength: float = 0.5) -> Augmentation:
    return build_augmentation(Augment.model_validate({"recipe": recipe, "strength": strength}))


def planted(color: bool, seed: int = 0) -> tuple[Pixels, Pixels]:
    """Return bright squares on dark noise, some at the edges, with a strip that is ignored."""
    rng = np.random.default_rng(seed)
    image = rng.integers(30, 60, (96, 96, 3) if color else (96, 96)).astype(np.uint8)
    mask = np.zeros((96, 96), np.uint8)
    for y, x in ((0, 0), (5, 40), (50, 60), (88, 88), (70, 10)):
        image[y : y + 8, x : x + 8] = 220
        mask[y : y + 8, x : x + 8] = 1
    mask[30:40, :20] = 255
    return image, mask


def objects(mask: Pixels) -> int:
    return int(cv2.connectedComponents((mask == 1).astype(np.uint8), connectivity=8)[0]) - 1


@pytest.mark.parametrize("color", [False, True])
@pytest.mark.parametrize("recipe", [*RECIPES, DROPOUT])
def test_strength_zero_changes_nothing(recipe: Any, color: bool) -> None:
    image, mask = planted(color)
    for seed in range(20):
        changed = built(recipe, 0.0)(image, mask, seed)
        np.testing.assert_array_equal(changed[0], image)
        np.testing.assert_array_equal(changed[1], mask)


@pytest.mark.parametrize("recipe", [recipe for recipe in RECIPES if recipe != "none"])
def test_strength_changes_pictures_more_often_and_further(recipe: str) -> None:
    image, mask = planted(True)
    change = []
    for augmentation in (built(recipe, 0.1), built(recipe, 0.5)):
        shown = [augmentation(image, mask, seed)[0] for seed in range(60)]
        change.append(np.mean([np.abs(pixels - image.astype(float)).mean() for pixels in shown]))
    assert 0 < change[0] < change[1]


@pytest.mark.parametrize("color", [False, True])
@pytest.mark.parametrize("strength", STRENGTHS)
@pytest.mark.parametrize("recipe", [*RECIPES, DROPOUT])
def test_planted_objects_keep_their_labels_and_kinds(recipe: Any, strength: float, color: bool) -> None:
    augmentation = built(recipe, strength)
    image, mask = planted(color)
    bright, dark = [], []
    for seed in range(60):
        changed, labels = augmentation(image, mask, seed)
        assert changed.shape == image.shape
        assert changed.dtype == labels.dtype == np.uint8
        assert labels.shape == mask.shape
        assert set(np.unique(labels)) <= {0, 1, 255}
        bright.append(changed[labels == 1].mean() if (labels == 1).any() else 255)
        dark.append(changed[labels == 0].mean())
        if recipe != DROPOUT:
            assert objects(labels) <= objects(mask)
    assert np.mean(np.array(bright) > np.array(dark) + 60) > 0.98


@pytest.mark.parametrize("strength", STRENGTHS)
def test_what_was_not_photographed_is_ignored(strength: float) -> None:
    augmentation = built("shifts", strength)
    image, mask = np.full((96, 96), 200, np.uint8), np.zeros((96, 96), np.uint8)
    outside = 0
    for seed in range(80):
        changed, labels = augmentation(image, mask, seed)
        assert (labels[changed < 45] == 255).all()  # a corner's pixels are blended down to a quarter
        assert (labels[changed > 120] == 0).all()
        outside += int((labels == 255).sum())
    assert outside > 0


def test_every_mirror_image_and_turn_is_drawn_by_itself() -> None:
    image, mask = np.arange(9, dtype=np.uint8).reshape(3, 3), np.zeros((3, 3), np.uint8)
    augmentation, count = built("flips"), 600
    drawn = Counter(augmentation(image, mask, seed)[0].tobytes() for seed in range(count))
    assert len(drawn) == 8
    assert 0.12 < drawn[image.tobytes()] / count < 0.27  # by the recipe's probabilities .19


def test_shifts_and_light_are_drawn_apart_from_flips() -> None:
    image = np.zeros((64, 64), np.uint8)
    image[:32], image[:, :32] = 40, image[:, :32] + 100
    augmentation = built("reference")
    mirrored, shifted = [], []
    for seed in range(300):
        changed, labels = augmentation(image, np.zeros((64, 64), np.uint8), seed)
        mirrored.append(changed[32:, :32].mean() < changed[32:, 32:].mean())
        shifted.append((labels == 255).any())
    assert abs(np.corrcoef(mirrored, shifted)[0, 1]) < 0.2


def test_noise_is_as_strong_as_named() -> None:
    flat, mask = np.full((128, 128), 128, np.uint8), np.zeros((128, 128), np.uint8)
    for strength, low, high in ((0.5, 1.8, 4.6), (1.0, 3.7, 9.2)):
        augmentation = built("light", strength)
        spread = [float(augmentation(flat, mask, seed)[0].std()) for seed in range(250)]
        noisy = [deviation for deviation in spread if deviation > 0]
        assert len(noisy) > 12
        assert low < min(noisy) < max(noisy) < high


@pytest.mark.parametrize("recipe", RECIPES)
def test_gray_pictures_stay_gray_and_color_ones_color(recipe: str) -> None:
    augmentation, (gray, mask), (rgb, _) = built(recipe, 1.0), planted(False), planted(True)
    colored = []
    for seed in range(40):
        assert augmentation(gray, mask, seed)[0].shape == gray.shape
        changed = augmentation(rgb, mask, seed)[0]
        assert changed.shape == rgb.shape
        colored.append((changed[..., 0] != changed[..., 2]).any())
    assert np.mean(colored) > 0.6  # some lose their saturation


def test_nothing_is_erased_unless_asked_for() -> None:
    image, mask = np.full((96, 96), 200, np.uint8), np.zeros((96, 96), np.uint8)
    for default, recipe in ((True, "reference"), (False, DROPOUT)):
        augmentation, black = built(recipe), 0
        for seed in range(100):
            changed, labels = augmentation(image, mask, seed)
            middle = np.s_[24:72, 24:72]  # what comes in from outside does not reach it
            black += int((changed[middle] == 0).sum() + (labels[middle] == 255).sum())
        assert (black == 0) is default


@pytest.mark.parametrize("erased", [255, 0])
def test_erased_pixels_are_never_labeled_as_target(erased: int) -> None:
    image, mask = np.full((96, 96), 200, np.uint8), np.ones((96, 96), np.uint8)
    erasing = built({"reference": {"dropout": 1.0, "erased": erased}}, 0.5)
    holes = 0
    for seed in range(60):
        changed, labels = erasing(image, mask, seed)
        gone = labels[24:72, 24:72] == erased  # what comes in from outside does not reach the middle
        shown = changed[24:72, 24:72]
        holes += int(gone.sum())
        assert not (labels[changed == 0] == 1).any()
        assert set(np.unique(labels)) <= {1, 255, erased}
        if gone.any():
            assert np.median(shown[gone]) < np.median(shown[~gone]) - 80
    assert holes > 1000


def test_what_comes_in_from_outside_is_ignored_where_it_meets_a_hole_labeled_0() -> None:
    image, mask = np.full((96, 96), 200, np.uint8), np.zeros((96, 96), np.uint8)
    erasing, corner = built({"reference": {"dropout": 1.0, "erased": 0}}, 1.0), np.s_[:4, :4]
    turned = [erasing(image, mask, seed) for seed in range(200)]
    outside = [labels[corner] for changed, labels in turned if (changed[:12, :12].max() < 30).all()]
    assert len(outside) > 3
    assert all((labels == 255).all() for labels in outside)


@pytest.mark.parametrize("color", [False, True])
@pytest.mark.parametrize("recipe", [*RECIPES, DROPOUT])
def test_a_seed_decides_the_result_whatever_was_drawn_before(recipe: Any, color: bool) -> None:
    image, mask = planted(color)
    used, fresh = built(recipe, 1.0), pickle.loads(pickle.dumps(built(recipe, 1.0)))
    expected = {seed: fresh(image, mask, seed) for seed in range(25)}
    for seed in reversed(range(25)):
        for _ in range(seed % 3):
            used(image, mask, 1000 + seed)
        changed, labels = used(image, mask, seed)
        np.testing.assert_array_equal(changed, expected[seed][0])
        np.testing.assert_array_equal(labels, expected[seed][1])
    if recipe != "none":
        assert len({changed.tobytes() for changed, _ in expected.values()}) > 5


def test_the_input_is_left_as_it_was() -> None:
    image, mask = planted(True)
    kept = image.copy(), mask.copy()
    augmentation = built(DROPOUT, 1.0)
    for seed in range(30):
        augmentation(image, mask, seed)
    np.testing.assert_array_equal(image, kept[0])
    np.testing.assert_array_equal(mask, kept[1])


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ("referense", r"augment\.recipe: 'referense' is not known, did you mean 'reference'\?"),
        ({"reference": {"droput": 0.1}}, r"augment\.recipe\.reference\.droput: .* did you mean 'dropout'\?"),
        ({"flips": {"p": 0.1}}, r"'flips' has no such setting; it takes: no settings"),
        ({"reference": {"dropout": 2.0}}, r"augment\.recipe\.reference\.dropout: 2\.0 is no probability"),
        ({"reference": {"dropout": "often"}}, r"'often'; it must be a number"),
        (
            {"reference": {"dropout": 0.1, "erased": 1}},
            r"augment\.recipe\.reference\.erased: 1; .* 255 .* or 0",
        ),
    ],
)
@pytest.mark.parametrize("strength", [0.0, 0.5])
def test_what_is_not_known_is_refused_at_any_strength(recipe: Any, message: str, strength: float) -> None:
    with pytest.raises(ConfigError, match=message):
        built(recipe, strength)


def test_every_recipe_says_what_it_does() -> None:
    assert all(inspect.getdoc(recipe) for recipe in AUGMENTATIONS.values())
