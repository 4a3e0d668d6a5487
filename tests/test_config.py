"""Settings: one trial's version of them, and a study's identity."""

from typing import Any

import pytest
from pydantic import ValidationError

from harness.config import Choice, Study, field_of, known_paths
from harness.errors import ConfigError

BASE: dict[str, Any] = {
    "name": "tiny",
    "data": {"dataset": "demo"},
    "network": {"unet": {"encoder": "resnet18"}},
    "search": {
        "trials": 3,
        "loss": {
            "choice": {"dice_bce": {}, "tversky": {"fn_weight": [0.5, 0.9], "fp_weight": "1 - fn_weight"}}
        },
        "augment.strength": [0, 1],
        "train.epochs": [2, 8],
    },
}


def study(**changes: Any) -> Study:
    return Study.model_validate(BASE | changes)


def test_a_study_is_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        study().seed = 3  # type: ignore[misc]


@pytest.mark.parametrize("written", ["dice", {"dice": {}}, {"dice": None}, {"name": "dice", "settings": {}}])
def test_a_choice_may_be_written_short_or_long(written: Any) -> None:
    assert Choice.model_validate(written) == Choice(name="dice")


@pytest.mark.parametrize("written", [3, ["dice"], {"dice": 3}, {"dice": {}, "focal": {}}, {}])
def test_a_choice_of_two_names_or_none_is_refused(written: Any) -> None:
    with pytest.raises(ValidationError, match="write a name, or one name with its settings"):
        Choice.model_validate(written)


def test_a_trial_is_the_study_with_its_parameters_in_place() -> None:
    params = {"loss": "tversky", "loss.tversky.fn_weight": 0.7, "augment.strength": 0.25, "train.epochs": 4}
    trial = study().with_params(params)
    assert trial.loss == Choice(name="tversky", settings={"fn_weight": 0.7, "fp_weight": 0.3})
    assert (trial.augment.strength, trial.train.epochs) == (0.25, 4)
    assert trial.search == study().search


def test_a_parameter_outside_a_setting_is_refused_by_the_same_rules() -> None:
    with pytest.raises(
        ConfigError, match=r"augment\.strength: 2\.0: input should be less than or equal to 1"
    ):
        study().with_params({"augment.strength": 2.0})


def test_identity_leaves_out_names_budget_and_paths() -> None:
    one = study()
    other = study(
        name="other",
        description="words",
        data={"dataset": {"instances": {"root": "/elsewhere"}}},
        search=BASE["search"] | {"trials": 9},
        execute={"local": {"workers": 7}},
        train={"loader_workers": 3, "loader_timeout": 7.0, "checkpoint_every": 2},
    )
    assert one.identity("split") == other.identity("split")


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 18},
        {"loss": "dice"},
        {"train": {"lr": 0.5}},
        {"data": {"dataset": "demo", "size": 64}},
        {"search": BASE["search"] | {"window": 5}},
        {"search": BASE["search"] | {"augment.strength": [0, 0.5]}},
        {"network": {"unet": {"encoder": "resnet34"}}},
        {"profile": "gpu"},
    ],
    ids=str,
)
def test_identity_covers_what_changes_a_result(change: dict[str, Any]) -> None:
    assert study().identity("split") != study(**change).identity("split")


def test_identity_covers_the_split() -> None:
    assert study().identity("one") != study().identity("two")


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("train.lrr", "search.train.lrr: no such setting, did you mean 'train.lr'?"),
        ("augment", "is a group of settings; name one of augment.recipe, augment.strength"),
        ("folds.count", "'folds' cannot be searched"),
        ("loss.gamma", "no such setting"),
    ],
)
def test_a_wrong_path_in_the_space_names_the_nearest(path: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        study(search={"trials": 2, path: [0.1, 0.2]})
    assert said in str(caught.value)


def test_paths_and_types_are_those_of_the_settings() -> None:
    assert "train.lr" in known_paths()
    assert field_of("train.epochs", where="x") is int
    assert field_of("train.lr", where="x") is float
    assert field_of("loss", where="x") is Choice


@pytest.mark.parametrize(
    ("search", "said"),
    [
        (
            {"trials": 1, "baselines": [{"loss": "dice"}, {"loss": "focal"}], "train.lr": [0.1, 0.2]},
            "2 baselines",
        ),
        ({"trials": 5}, "no range to search in"),
        (
            {"trials": 2, "train.lr": [0.1, 0.2], "baselines": [{"trian.lr": 0.1}]},
            "search.baselines[0].trian.lr",
        ),
    ],
)
def test_a_budget_that_cannot_be_used_is_refused(search: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        study(search=search)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("train", "said"),
    [
        ({"crop": 100}, "multiple of 32"),
        ({"lr": 0}, "greater than 0"),
        ({"lr": "1e-3"}, None),
        ({"epochs": 0}, "greater than or equal to 1"),
        ({"epochs": True}, "must be a number"),
        ({"average": True}, "must be a number"),
        ({"precision": "fp16"}, "'fp32' or 'bf16'"),
        ({"lr": float("nan")}, "finite"),
    ],
)
def test_values_are_held_to_their_range(train: dict[str, Any], said: str | None) -> None:
    if said is None:
        assert study(train=train).train.lr == 0.001
        return
    with pytest.raises(ValidationError, match=said):
        study(train=train)


def test_a_mask_value_is_never_negative() -> None:
    with pytest.raises(ValidationError, match="greater than or equal to 0"):
        study(data={"dataset": "demo", "masks": {"background": -1, "target": 0}})


def test_mask_values_must_differ() -> None:
    with pytest.raises(ValidationError, match="different values"):
        study(data={"dataset": "demo", "masks": {"background": 0, "target": 255, "ignore": 255}})


@pytest.mark.parametrize(
    "folds", [{"scheme": "repeated"}, {"repeats": 2}, {"scheme": "leave_one_group_out", "repeats": 3}]
)
def test_repeats_belong_to_repeated_folds(folds: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="do not fit: write scheme: repeated with repeats of 2"):
        study(folds=folds)
    assert study(folds={"scheme": "repeated", "repeats": 2}).folds.count == 5
