import json
from typing import Any

import albumentations as A
import cv2
import numpy as np
import pytest

from harness.data.audit.finding import worst
from harness.data.augment import AUGMENTATIONS
from harness.data.proof.findings import findings, grid
from harness.data.proof.prove import Proof, prove
from tests.data.proof.pipelines import BAD


def erasing(factor: float, color: bool) -> list[Any]:
    return [A.GridDropout()]


@pytest.fixture(scope="module")
def sound() -> Proof:
    return prove(AUGMENTATIONS["flips"], "flips")


def test_sound_recipes_pass_both_findings_with_their_figures(sound: Proof) -> None:
    masks, streams = findings([sound])
    assert (masks.id, masks.status, masks.severity) == ("A1", "pass", "fail")
    assert (streams.id, streams.status, streams.severity) == ("A2", "pass", "fail")
    assert "flips at strengths 0, 0.5, 1" in masks.summary
    assert {"recipe", "rule", "figure", "limit", "says"} == set(masks.items[0])
    json.dumps([masks.items, streams.items], allow_nan=False)


def test_a_harmful_recipe_fails_the_finding_and_names_its_transform(sound: Proof) -> None:
    masks, streams = findings([sound, prove(erasing, "erasing")])
    assert (masks.status, streams.status) == ("fail", "pass")
    assert "GridDropout breaks 'erased'" in masks.summary
    assert [item["transform"] for item in masks.items] == ["GridDropout"]
    json.dumps(masks.items, allow_nan=False)


def test_seeds_fail_the_second_finding() -> None:
    masks, streams = findings([prove(lambda factor, color: BAD["global numbers"][0](), "global")])
    assert (masks.status, streams.status) == ("pass", "fail")
    assert streams.items[0]["transform"] == "GlobalNoise"


def test_nothing_proven_is_never_green() -> None:
    assert [finding.status for finding in findings([])] == ["not run", "not run"]
    assert worst(findings([])) == "not run"


def test_the_grid_shows_before_and_every_strength_for_every_seed() -> None:
    small, large = (
        cv2.imdecode(np.frombuffer(grid(AUGMENTATIONS["shifts"], **settings), np.uint8), cv2.IMREAD_COLOR)
        for settings in ({"seeds": (0,), "strengths": (0.0,)}, {"title": "shifts"})
    )
    assert large.shape[0] > 3 * small.shape[0] > 3 * 384
    assert large.shape[1] > 1.9 * small.shape[1]


def test_strength_0_looks_as_before() -> None:
    image, mask = np.full((64, 64), 90, np.uint8), np.zeros((64, 64), np.uint8)
    mask[10:20, 30:40], mask[40:, :10] = 1, 255
    shown = cv2.imdecode(
        np.frombuffer(
            grid(AUGMENTATIONS["reference"], pair=(image, mask), seeds=(3,), strengths=(0.0,)), np.uint8
        ),
        cv2.IMREAD_COLOR,
    )
    before, after = shown[30:210, 8:200], shown[30:210, 208:400]
    np.testing.assert_array_equal(before, after)
