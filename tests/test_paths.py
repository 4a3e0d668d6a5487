from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from harness.paths import put, setting_type, take


def test_a_dotted_setting_is_put_and_taken() -> None:
    tree: dict[str, Any] = {"train": {"lr": 1}}
    put(tree, "train.lr", 2)
    put(tree, "augment.strength", 0.5)
    assert tree == {"train": {"lr": 2}, "augment": {"strength": 0.5}}
    assert (take(tree, "train.lr"), take(tree, "train")) == (2, {"lr": 2})


@pytest.mark.parametrize(
    ("annotation", "wanted"),
    [
        (int, int),
        (int | None, int),
        (Annotated[int, Field(ge=1)] | None, int),
        (Literal["a", "b"], str),
    ],
)
def test_the_type_of_a_setting_is_that_without_its_bounds(annotation: Any, wanted: Any) -> None:
    assert setting_type(annotation) == wanted
