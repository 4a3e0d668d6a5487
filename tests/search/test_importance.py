"""Importance of parameters from a ledger's rows alone: what scores depend on comes first."""

from typing import Any

import numpy as np
import pytest

from harness.ranges import parse
from harness.search.importance import importances

SPACE = {
    "augment.strength": parse("augment.strength", [0, 1]),
    "train.lr": parse("train.lr", {"log": [1e-4, 1e-2]}),
    "train.crop": parse("train.crop", {"choice": [64, 128]}),
    "loss": parse("loss", {"choice": {"dice_bce": {}, "tversky": {"fn_weight": [0.5, 0.9]}}}, names=True),
}


def drawn(count: int) -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    found = []
    for number in range(count):
        params = {"augment.strength": rng.uniform(), "train.lr": 10 ** rng.uniform(-4, -2), "train.crop": 64}
        params |= {"loss": "tversky", "loss.tversky.fn_weight": rng.uniform(0.5, 0.9)} if number % 2 else {}
        found.append({"loss": "dice_bce"} | params)
    return found


@pytest.mark.parametrize("decisive", ["augment.strength", "train.lr"])
def test_the_parameter_that_scores_depend_on_has_the_largest_share(decisive: str) -> None:
    told = [(params, -abs(np.log(params[decisive]))) for params in drawn(60)]
    found = importances(told, SPACE)
    assert next(iter(found)) == decisive
    assert found[decisive] > 0.5
    assert sum(found.values()) == pytest.approx(1)
    assert list(found.values()) == sorted(found.values(), reverse=True)
    assert found == importances(told, SPACE)


def test_a_parameter_of_one_choice_is_judged_with_the_others() -> None:
    told = [(params, params.get("loss.tversky.fn_weight", 0.0)) for params in drawn(60)]
    assert "loss.tversky.fn_weight" in list(importances(told, SPACE))[:2]
