import re
from functools import partial
from typing import Any

import albumentations as A
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from harness.data.augment import AUGMENTATIONS, Augmentation
from harness.data.proof.prove import Proof, prove, refuse_untrue
from harness.data.proof.rules import RULES
from harness.errors import ConfigError
from tests.data.proof.pipelines import BAD, GOOD

Pixels = NDArray[np.uint8]
REFERENCE = AUGMENTATIONS["reference"]
OURS = AUGMENTATIONS | {
    f"dropout, {erased} on holes": partial(REFERENCE, dropout=0.5, erased=erased) for erased in (0, 255)
}


def proven(pipeline: Any, **settings: Any) -> Proof:
    return prove(lambda factor, color: pipeline(), "theirs", **settings)


def test_the_lists_are_long_enough() -> None:
    assert len(BAD) >= 15
    assert len(GOOD) >= 15


@pytest.mark.parametrize("name", BAD)
def test_a_harmful_pipeline_is_refused_by_name_with_a_picture(name: str) -> None:
    pipeline, transform, rules = BAD[name]
    proof = proven(pipeline)
    assert {violation.transform for violation in proof.violations} == {transform}
    assert {violation.rule for violation in proof.violations} & rules
    for violation in proof.violations:
        assert violation.figure > violation.limit
        shown = cv2.imdecode(np.frombuffer(violation.picture, np.uint8), cv2.IMREAD_COLOR)
        assert shown.shape[0] > 384
        assert len(np.unique(shown.reshape(-1, 3), axis=0)) > 20
    with pytest.raises(
        ConfigError, match=rf"^augment\.recipe 'theirs': {transform} breaks '\w+' at strength"
    ):
        refuse_untrue(proof)


@pytest.mark.parametrize("name", GOOD)
def test_a_sound_pipeline_passes(name: str) -> None:
    proof = proven(GOOD[name], strengths=(0.0, 1.0))  # these lists are the same at any other strength
    refuse_untrue(proof)
    assert proof.violations == ()


@pytest.mark.parametrize("name", OURS)
def test_every_recipe_of_ours_passes(name: str) -> None:
    proof = prove(OURS[name], name)
    refuse_untrue(proof)
    assert proof.strengths == (0.0, 0.5, 1.0)
    assert all(figure <= RULES[rule].limit for rule, figure in proof.figures.items())


def test_the_line_says_recipe_transform_rule_strength_figure_and_limit() -> None:
    proof = proven(lambda: [A.HorizontalFlip(), A.GaussNoise(p=0.5)])
    with pytest.raises(ConfigError) as caught:
        refuse_untrue(proof)
    said = (
        r"augment\.recipe 'theirs': GaussNoise breaks 'noise' at strength 0\.5 \(gray\): "
        r"\d\d\.\d gray levels of noise, at most 16 may\."
    )
    assert re.fullmatch(said, str(caught.value))
    assert caught.value.exit_code == 2


def test_every_broken_rule_is_told() -> None:
    proof = proven(lambda: [A.GridDropout(p=1.0), A.GaussNoise(p=1.0)])
    assert {(v.transform, v.rule) for v in proof.violations} == {
        ("GridDropout", "erased"),
        ("GaussNoise", "noise"),
    }
    with pytest.raises(ConfigError, match=r" Also: \w+ \(\w+\)\."):
        refuse_untrue(proof)


def test_a_transform_that_rarely_acts_is_found() -> None:
    proof = proven(lambda: [A.HorizontalFlip(), A.OneOf([A.CLAHE(), A.Erasing()], p=0.001)], strengths=(0.5,))
    assert [(v.transform, v.rule) for v in proof.violations] == [("Erasing", "erased")]


def test_what_harms_only_color_or_only_full_strength_is_found_there() -> None:
    def colored(factor: float, color: bool) -> list[Any]:
        return [A.GridDropout()] if color and factor > 1 else [A.HorizontalFlip()]

    (violation,) = prove(colored, "colored").violations
    assert (violation.strength, violation.color) == (1.0, True)


def test_a_transform_that_is_harmless_where_it_stands_is_no_harm() -> None:
    reflected = A.PadIfNeeded(144, 144, border_mode=cv2.BORDER_REFLECT_101, p=1.0)
    assert proven(lambda: [reflected, A.CenterCrop(128, 128, p=1.0)]).violations == ()
    (violation, *_) = proven(
        lambda: [A.CenterCrop(100, 100, p=1.0), A.PadIfNeeded(128, 128, border_mode=4)]
    ).violations
    assert (violation.transform, violation.rule) == ("PadIfNeeded", "copied")


def test_wrong_settings_of_the_recipe_itself_are_its_own_error() -> None:
    with pytest.raises(ConfigError, match=r"^augment\.recipe\.reference\.erased"):
        prove(partial(REFERENCE, erased=3), "reference")


def test_a_proof_repeats() -> None:
    first, second = (proven(BAD["affine labeled as background"][0]) for _ in range(2))
    assert first == second


def test_what_acts_at_strength_0_is_refused() -> None:
    class Eager(Augmentation):
        """Takes strength 0 for a little."""

        def __init__(self, recipe: Any, strength: float) -> None:
            super().__init__(recipe, max(strength, 0.2))

    (violation,) = prove(lambda factor, color: [A.D4(p=1.0)], "flips", build=Eager).violations
    assert (violation.transform, violation.rule, violation.strength) == ("Eager", "still", 0.0)


class OneStream(Augmentation):
    """Gives every sample the same numbers, as one stream copied into all workers does."""

    def __call__(self, image: Pixels, mask: Pixels, seed: int) -> tuple[Pixels, Pixels]:
        return super().__call__(image, mask, 5)


class OwnStream(Augmentation):
    """Draws on from where it stopped, as the library does by itself."""

    drawn = 0

    def __call__(self, image: Pixels, mask: Pixels, seed: int) -> tuple[Pixels, Pixels]:
        self.drawn += 1
        return super().__call__(image, mask, self.drawn)


@pytest.mark.parametrize(("build", "rule"), [(OneStream, "streams"), (OwnStream, "repeats")])
def test_streams_that_repeat_or_do_not_repeat_are_found(build: Any, rule: str) -> None:
    for recipe in (AUGMENTATIONS["flips"], REFERENCE):
        (violation,) = prove(recipe, "ours", build=build).violations
        assert (violation.rule, violation.transform) == (rule, build.__name__)


def test_what_is_always_the_same_is_no_repeated_stream() -> None:
    assert proven(lambda: [A.HorizontalFlip(p=1.0)]).violations == ()
