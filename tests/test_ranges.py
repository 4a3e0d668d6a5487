"""The search space as plain values."""

from typing import Any

import pytest

from harness.errors import ConfigError
from harness.ranges import Alternatives, Options, Range, corners, parse

LOSS = {
    "choice": {
        "dice": {},
        "focal": {"gamma": [0.5, 4]},
        "tversky": {"fn_weight": [0.5, 0.9], "fp_weight": "1 - fn_weight"},
    }
}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([0, 1], Range(0.0, 1.0)),
        ({"log": [1e-4, 1e-2]}, Range(1e-4, 1e-2, log=True)),
        ({"log": ["1e-4", 0.01]}, Range(1e-4, 1e-2, log=True)),
        ({"int": [1, 5]}, Range(1, 5, whole=True)),
        ({"choice": ["a", "b"]}, Options(("a", "b"))),
    ],
)
def test_each_form_is_read(value: Any, expected: Range | Options) -> None:
    assert parse("train.lr", value) == expected


def test_a_whole_setting_gives_a_whole_range() -> None:
    parsed = parse("train.epochs", [2, 8], whole=True)
    assert parsed == Range(2, 8, whole=True)
    assert isinstance(parsed.low, int)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([1, 0], "the range starts at 1 and ends at 0"),
        ([1, 1], "low must be below high"),
        ([0, 1, 2], "write two numbers"),
        ([0, "x"], "write two numbers"),
        ([0, float("nan")], "write two numbers"),
        ([False, True], "write two numbers"),
        ({"log": [0, 1]}, "a log range starts above 0"),
        ({"int": [0, 1.5]}, "whole numbers"),
        ({"lgo": [0, 1]}, "write {log: [low, high]}"),
        ({"choice": []}, "at least one"),
        ({"choice": {}}, "at least one"),
        (3, "is no range"),
        ("1 - other", "is no range"),
    ],
)
def test_a_wrong_range_names_path_and_value(value: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=r"search\.train\.lr") as caught:
        parse("train.lr", value)
    assert said in str(caught.value)


def test_a_tied_setting_follows_its_range() -> None:
    parsed = parse("loss", LOSS)
    assert isinstance(parsed, Alternatives)
    assert parsed.settings("tversky", {"fn_weight": 0.7}) == {"fn_weight": 0.7, "fp_weight": 0.3}


def test_a_tie_to_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"search\.loss\.tversky\.fp_weight: '1 - fn' needs a range 'fn'"):
        parse("loss", {"choice": {"tversky": {"fn_weight": [0.5, 0.9], "fp_weight": "1 - fn"}}})


def test_corners_visit_both_ends_of_every_range_and_every_choice() -> None:
    space = {
        "loss": parse("loss", LOSS),
        "augment.strength": parse("augment.strength", [0, 1]),
        "sampler": parse("sampler", {"choice": ["a", "b", "c"]}),
    }
    seen: dict[str, set[Any]] = {}
    for params in corners(space):
        for name, value in params.items():
            seen.setdefault(name, set()).add(value)
    assert seen["loss"] == {"dice", "focal", "tversky"}
    assert seen["augment.strength"] == {0.0, 1.0}
    assert seen["loss.focal.gamma"] == {0.5, 4.0}
    assert seen["loss.tversky.fn_weight"] == {0.5, 0.9}
    assert seen["sampler"] == {"a", "b", "c"}


def test_every_option_inside_a_choice_is_visited() -> None:
    encoders = {"choice": ["a", "b", "c"]}
    space = {"network": parse("network", {"choice": {"unet": {"encoder": encoders}, "fpn": {}}})}
    seen = [(params["network"], params.get("network.unet.encoder")) for params in corners(space)]
    assert seen == [("unet", "a"), ("unet", "b"), ("unet", "c"), ("fpn", None)]


def test_a_list_of_names_is_a_choice_without_settings() -> None:
    listed = parse("loss", {"choice": ["dice", "focal"]}, names=True)
    assert listed == Alternatives({"dice": {}, "focal": {}})
    with pytest.raises(ConfigError, match=r"search\.loss: choice \[.*\]; write a list of names"):
        parse("loss", {"choice": ["dice", {"focal": {"gamma": 2}}]}, names=True)


def test_what_is_searched_is_said_in_words() -> None:
    assert str(parse("train.lr", [0, 1])) == "0.0 to 1.0"
    assert str(parse("train.crop", {"choice": [64, 96, 128]})) == "64, 96, 128"


def test_a_choice_own_parameters_come_only_with_it() -> None:
    for params in corners({"loss": parse("loss", LOSS)}):
        assert all(name == "loss" or name.startswith(f"loss.{params['loss']}.") for name in params)
