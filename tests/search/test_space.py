import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from harness.config import Choice, Data, Folds, Search, Study
from harness.errors import ConfigError
from harness.search.space import params_of, suggest
from tests.search.formula import SPACE, study

WIDE = SPACE | {
    "augment.recipe": {"choice": {"none": {}, "reference": {"dropout": [0.0, 0.5], "erased": 255}}},
    "train.epochs": {"int": [5, 9]},
    "train.batch_size": {"log": [2, 64]},
    "train.crop": {"choice": [64, 96, 128]},
}


def searching(space: dict[str, object], **settings: object) -> Study:
    return Study.model_validate(
        {
            "name": "space",
            "data": Data(dataset=Choice(name="demo")),
            "folds": Folds(count=2),
            "network": "unet",
            "search": Search(trials=5, space=space).model_dump(),
        }
        | settings
    )


def drawn(plan: Study, seed: int) -> optuna.trial.FrozenTrial:
    """Return a trial whose parameters were suggested with this seed."""
    stored = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    trial = stored.ask()
    assert suggest(trial, plan.dimensions()) == trial.params
    return stored.trials[0]


def test_parameters_of_a_choice_exist_only_with_it() -> None:
    names = {
        "dice_bce": set(),
        "tversky": {"loss.tversky.fn_weight"},
        "focal_tversky": {"loss.focal_tversky.fn_weight", "loss.focal_tversky.gamma"},
    }
    seen = set()
    for seed in range(30):
        params = drawn(study(), seed).params
        assert set(params) == {"loss", "augment.strength", "train.lr"} | names[params["loss"]]
        seen.add(params["loss"])
    assert seen == set(names)


def test_ranges_become_distributions_of_their_kind() -> None:
    distributions: dict[str, object] = {}
    for seed in range(20):
        distributions |= drawn(searching(WIDE), seed).distributions
    assert distributions == {
        "loss": CategoricalDistribution(("dice_bce", "focal_tversky", "tversky")),
        "loss.tversky.fn_weight": FloatDistribution(0.5, 0.9),
        "loss.focal_tversky.fn_weight": FloatDistribution(0.5, 0.9),
        "loss.focal_tversky.gamma": FloatDistribution(0.6, 1.5),
        "augment.strength": FloatDistribution(0, 1),
        "augment.recipe": CategoricalDistribution(("none", "reference")),
        "augment.recipe.reference.dropout": FloatDistribution(0.0, 0.5),
        "train.lr": FloatDistribution(1e-4, 1e-2, log=True),
        "train.epochs": IntDistribution(5, 9),
        "train.batch_size": IntDistribution(2, 64, log=True),
        "train.crop": CategoricalDistribution((64, 96, 128)),
    }


def test_a_tied_weight_is_one_minus_the_other() -> None:
    plan = study()
    for seed in range(20):
        params = drawn(plan, seed).params
        settings = plan.with_params(params).loss.settings
        if params["loss"] != "tversky":
            assert "fp_weight" not in settings
        else:
            assert settings["fn_weight"] == params["loss.tversky.fn_weight"]
            assert settings["fp_weight"] == pytest.approx(1 - settings["fn_weight"], abs=1e-12)


def test_the_order_in_the_study_file_changes_no_parameter() -> None:
    turned = dict(reversed(WIDE.items()))
    turned["loss"] = {"choice": dict(reversed(WIDE["loss"]["choice"].items()))}  # type: ignore[index]
    plan, other = searching(WIDE), searching(turned)
    assert plan.identity("split") == other.identity("split")
    for seed in range(5):
        assert drawn(plan, seed).params == drawn(other, seed).params


@pytest.mark.parametrize("space", [SPACE, WIDE], ids=["usual", "wide"])
def test_the_parameters_of_settings_made_from_parameters_are_those(space: dict[str, object]) -> None:
    plan = searching(space)
    for seed in range(60):
        params = drawn(plan, seed).params
        assert params_of(plan.with_params(params)) == params


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"loss": "lovasz_bce"}, r"^loss: 'lovasz_bce' is not among the choices searched \(.*tversky.*\)"),
        (
            {"loss": {"tversky": {"fn_weight": 0.95}}},
            r"^loss\.tversky\.fn_weight: 0\.95 lies outside .*0\.5 to 0\.9",
        ),
        ({"loss": "tversky"}, r"^loss\.tversky\.fn_weight: is searched, so a baseline must say its value"),
        (
            {"loss": {"tversky": {"fn_weight": 0.7, "fp_weight": 0.7}}},
            r"^loss\.tversky\.fp_weight: 0\.7 cannot be reached; the space gives 0\.3$",
        ),
        (
            {"loss": {"focal_tversky": {"fn_weight": 0.7, "gamma": 1.0, "fp_weight": 0.3}}},
            r"^loss\.focal_tversky\.fp_weight: 0\.3 cannot be reached; the space gives 'its default'$",
        ),
        ({"train": {"lr": 0.1}}, r"^train\.lr: 0\.1 lies outside what is searched \(0\.0001 to 0\.01\)"),
    ],
)
def test_settings_outside_the_space_are_named(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        params_of(searching(SPACE, **settings))
