from typing import Any

import albumentations as A
import numpy as np

from harness.data.proof.draws import acting, alone, apply, at, draw, name_of, paths, ready
from harness.data.proof.planted import plant

PLANTED = plant(False)


def nested() -> list[Any]:
    return [
        A.HorizontalFlip(p=0.3),
        A.OneOf([A.Blur(3, p=0.5), A.Sequential([A.InvertImg(p=0.1), A.NoOp(p=0.0)])], p=0.2),
        A.OneOf([A.Transpose()], p=0.0),
        A.OneOrOther(A.VerticalFlip(), A.NoOp(), p=0.9),
    ]


def test_every_transform_that_can_act_is_found_through_nests() -> None:
    transforms = nested()
    found = {path: name_of(at(transforms, path)) for path in paths(transforms)}
    assert found == {
        (0,): "HorizontalFlip",
        (1, 0): "Blur",
        (1, 1, 0): "InvertImg",
        (3, 0): "VerticalFlip",
        (3, 1): "NoOp",
    }


def test_a_transform_made_to_act_acts_in_every_draw_and_the_pipeline_is_left_as_it_was() -> None:
    transforms = nested()
    inverting = acting(transforms, (1, 1, 0))
    for seed in range(20):
        assert apply(inverting, PLANTED.image, PLANTED.mask, seed)["image"].mean() > 120
        second = acting(transforms, (3, 0))[-1:]
        np.testing.assert_array_equal(
            apply(second, PLANTED.image, PLANTED.mask, seed)["image"], PLANTED.image[::-1]
        )
    assert [transform.p for transform in transforms] == [0.3, 0.2, 0.0, 0.9]
    assert at(transforms, (1, 1, 0)).p == 0.1


def test_a_transform_is_taken_alone() -> None:
    (flip,) = alone(nested(), (0,))
    for seed in range(5):
        changed = apply([flip], PLANTED.image, PLANTED.mask, seed)
        np.testing.assert_array_equal(changed["mask"], PLANTED.mask[:, ::-1])


def test_all_pictures_of_a_draw_are_changed_by_the_same_numbers() -> None:
    transforms = ready([A.D4(p=1.0), A.GaussNoise(std_range=(0.02, 0.02), p=1.0)])
    for seed in range(8):
        drawn = draw(transforms, PLANTED, seed)
        np.testing.assert_array_equal(drawn.image != drawn.ground, drawn.mask == 1)
        rows, columns = drawn.rows.astype(int) - 2, drawn.columns.astype(int) - 2
        np.testing.assert_array_equal(drawn.mask, PLANTED.mask[rows, columns])


def test_a_seed_repeats_and_the_scene_is_left_alone() -> None:
    transforms = [A.Affine(rotate=(-30, 30), p=1.0)]
    kept = PLANTED.image.copy()
    first, second, other = (
        apply(transforms, PLANTED.image, PLANTED.mask, seed)["image"] for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, second)
    assert (first != other).any()
    np.testing.assert_array_equal(PLANTED.image, kept)
