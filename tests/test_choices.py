"""A name from a table, its settings held to the function's signature."""

from typing import Any

import pytest

from harness.choices import choose, nearest, settings_of
from harness.errors import ConfigError


def scaled(value: float, *, factor: float = 2.0, steps: int = 1, names: list[str] | None = None) -> float:
    return value * factor**steps


def needy(value: float, *, factor: float) -> float:
    return value * factor


TABLE = {"scaled": scaled, "needy": needy}


def test_settings_are_bound_and_defaults_kept() -> None:
    assert choose(TABLE, "size", "scaled", {"factor": 3})(2.0) == 6.0
    assert choose(TABLE, "size", "scaled", {})(2.0) == 4.0


def test_positional_parameters_are_no_settings() -> None:
    assert list(settings_of(scaled)) == ["factor", "steps", "names"]
    with pytest.raises(ConfigError, match=r"size\.scaled\.value: 'scaled' has no such setting"):
        choose(TABLE, "size", "scaled", {"value": 1.0})


@pytest.mark.parametrize(
    ("name", "settings", "said"),
    [
        ("scald", {}, "size: 'scald' is not known, did you mean 'scaled'?; known: needy, scaled"),
        ("scaled", {"facto": 1.0}, "size.scaled.facto: 'scaled' has no such setting, did you mean 'factor'?"),
        ("scaled", {"factor": "big"}, "size.scaled.factor: 'big'; it must be a number"),
        ("scaled", {"factor": True}, "size.scaled.factor: true; it must be a number"),
        ("scaled", {"steps": 1.5}, "size.scaled.steps: 1.5; it must be a whole number"),
        (
            "scaled",
            {"names": ["a", 1]},
            "size.scaled.names: ['a', 1]; it must be null or a list, each of it a text",
        ),
        ("needy", {}, "size.needy.factor: missing; 'needy' needs it"),
    ],
)
def test_a_wrong_choice_is_one_line_with_path_value_and_way_out(
    name: str, settings: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        choose(TABLE, "size", name, settings)
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


def test_whole_numbers_pass_as_floats_and_none_where_allowed() -> None:
    assert choose(TABLE, "size", "scaled", {"factor": 1, "names": None})(5.0) == 5.0


def test_nothing_is_suggested_for_a_name_that_is_near_to_none() -> None:
    assert nearest("zzz", ["scaled", "needy"]) == ""
