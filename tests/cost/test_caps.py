"""What the cost trains with: stated caps, and whole groups drawn by the seed."""

from typing import Any

import pandas as pd
import pytest

from harness.config import Choice, Data, Study
from harness.cost import caps
from harness.cost.caps import A_GROUP, PICTURES, draw, small, small_folds


def study(**changes: Any) -> Study:
    base: dict[str, Any] = {
        "name": "large",
        "data": Data(dataset=Choice(name="demo"), size=768),
        "network": {"unet": {"encoder": "resnet101", "weights": "imagenet"}},
        "train": {
            "epochs": 60,
            "batch_size": 16,
            "lr": 3e-4,
            "crop": 768,
            "precision": "bf16",
            "average": 0.999,
        },
        "search": {
            "trials": 1,
            "baselines": [{"loss": "dice_focal_reference"}],
            "loss": {"choice": {"dice_focal_reference": {}}},
        },
    }
    return Study.model_validate(base | changes)


def table(sizes: list[int], positive: list[bool]) -> pd.DataFrame:
    rows = [
        {"sample": f"{g}-{i}", "group": f"g{g}", "positive": int(positive[g])}
        for g, size in enumerate(sizes)
        for i in range(size)
    ]
    return pd.DataFrame(rows)


def test_everything_large_is_made_small_and_said() -> None:
    found, said = small(study(), longest=4000, trained=320)
    assert (found.data.size, found.train.crop, found.train.batch_size) == (512, 96, 8)
    assert found.network.settings["encoder"] == caps.ENCODER
    assert (found.train.lr, found.train.average, found.train.precision) == (4e-3, 0.95, "fp32")
    assert found.train.epochs == round(5000 / 320)
    assert found.train.validate_every == found.train.epochs
    assert {cap.what for cap in said} >= {"data.size", "train.crop", "network", "train.lr", "train.epochs"}
    assert next(cap for cap in said if cap.what == "train.crop").sentence == "train.crop 768 -> 96"


def test_the_recipe_is_the_first_baseline_over_the_defaults() -> None:
    assert study().loss.name == "dice_bce"
    assert small(study(), longest=100, trained=100)[0].loss.name == "dice_focal_reference"


def test_what_is_small_stays_as_it_is() -> None:
    own = study(
        data=Data(dataset=Choice(name="demo")),
        network={"unet": {"encoder": caps.ENCODER, "decoder_channels": [8, 8, 8, 8, 8]}},
        train={"epochs": 20, "batch_size": 4, "crop": 96, "lr": 1e-3},
    )
    found, said = small(own, longest=512, trained=250)
    assert said == []
    assert found.data.size is None
    assert found.network == own.network
    assert small(own, longest=513, trained=250)[0].data.size == 512


@pytest.mark.parametrize(
    ("epochs", "trained", "here"), [(60, 100, 50), (5, 100, 20), (60, 5000, 8), (1, 5000, 4)]
)
def test_epochs_show_a_stated_number_of_crops(epochs: int, trained: int, here: int) -> None:
    assert caps.small_epochs(epochs, trained) == here


def test_folds_have_a_positive_group_each_and_hold_nothing_out() -> None:
    assert small_folds(study(), 30)[0].count == 5
    assert small_folds(study(), 30)[1] == []
    folds, said = small_folds(study(), 3)
    assert (folds.count, folds.held_out, folds.scheme) == (3, 0, "groups")
    assert [cap.sentence for cap in said] == ["folds 5 -> 3"]


def test_few_pictures_are_all_taken_without_a_word() -> None:
    samples = table([3, 1, 4], [True, False, True])
    drawn, said = draw(samples, 17)
    assert drawn.equals(samples)
    assert said == []


def test_of_many_whole_groups_are_drawn_half_of_them_for_their_objects() -> None:
    samples = table([7] * 2000, [number % 100 == 0 for number in range(2000)])
    drawn, said = draw(samples, 17)
    assert PICTURES - 7 < len(drawn) <= PICTURES
    assert set(drawn.groupby("group").size()) == {7}
    assert drawn.loc[drawn["positive"] > 0, "group"].nunique() == 20
    assert said[0].sentence == "pictures 14,000 -> 399"
    shuffled = samples.sample(frac=1, random_state=0).reset_index(drop=True)
    assert set(draw(shuffled, 17)[0]["sample"]) == set(drawn["sample"])
    assert not drawn.equals(draw(samples, 18)[0])


def test_a_huge_group_gives_a_few_pictures_and_none_is_left_out_for_its_size() -> None:
    drawn, said = draw(table([1000, 1000, 2], [True, True, True]), 17)
    assert drawn.groupby("group").size().to_dict() == {"g0": A_GROUP, "g1": A_GROUP, "g2": 2}
    assert said[0].what == "pictures"
