"""The result of a nested search is read whole, or refused in a line."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.errors import DataError
from harness.search.nested import COUNTED, NESTED, SERVED, is_of_budget, read_nested


def result() -> dict[str, Any]:
    columns = [f"{of}{name}" for of in ("", SERVED) for name in COUNTED]
    chosen = [{"fold": fold, "study": "tiny.outer0-1", "trial": 0, "loss": "dice"} for fold in range(3)]
    return {
        "trials": 2,
        "second_look": 1,
        "code": "c",
        "iou_mean": 0.5,
        "iou_std": 0.1,
        "low": 0.4,
        "high": 0.6,
        "iou_folds": [0.4, 0.5, 0.6],
        "chosen": chosen,
        "served_iou_mean": 0.6,
        "served_iou_std": 0.1,
        "counts": {"fold": [0, 1, 2], "group": ["a", "b", "c"], **{name: [1, 2, 3] for name in columns}},
    }


def test_a_result_is_read_as_it_was_written_and_older_ones_too(tmp_path: Path) -> None:
    assert read_nested(tmp_path) is None
    later = ("counts", "code", "second_look", "served_iou_mean", "served_iou_std")
    older = {name: value for name, value in result().items() if name not in later}
    for content in (result(), older):
        (tmp_path / NESTED).write_text(json.dumps(content))
        assert read_nested(tmp_path) == content
    assert is_of_budget(result(), 2, 1)
    assert is_of_budget(older, 2, 0)
    assert not is_of_budget(result(), 2, 0)
    assert not is_of_budget(result(), 3, 1)


WRONG: dict[str, Callable[[dict[str, Any]], Any]] = {
    "a list": lambda found: [found],
    "a number": lambda found: 3,
    "no trials": lambda found: found.pop("trials") and found,
    "no code": lambda found: found.pop("code") and found,
    "a score in words": lambda found: found | {"iou_mean": "good"},
    "folds without a choice": lambda found: found | {"chosen": found["chosen"][:2]},
    "no counts in it": lambda found: found | {"counts": {}},
    "counts of nothing": lambda found: found | {"counts": {name: [] for name in found["counts"]}},
    "a column too short": lambda found: found | {"counts": found["counts"] | {"tp": [1]}},
    "less than none": lambda found: found | {"counts": found["counts"] | {"served_fn": [1, -1, 0]}},
    "a group that is a list": lambda found: (
        found | {"counts": found["counts"] | {"group": [["a"], ["b"], ["c"]]}}
    ),
    "a column more": lambda found: found | {"counts": found["counts"] | {"valid": [1]}},
    "no score at thresholds": lambda found: found.pop("served_iou_std") and found,
    "a score that is no number": lambda found: found | {"iou_mean": float("nan")},
    "a list of counts": lambda found: found | {"counts": [1]},
}


@pytest.mark.parametrize("wrong", WRONG)
def test_json_that_is_no_result_is_one_line(tmp_path: Path, wrong: str) -> None:
    (tmp_path / NESTED).write_text(json.dumps(WRONG[wrong](result())))
    with pytest.raises(DataError, match=r"nested\.json: cannot be read \(it holds no result\)"):
        read_nested(tmp_path)
