import numpy as np
import pandas as pd
import pytest

from harness.config import Folds
from harness.data.copies.align import Alignment
from harness.data.copies.find import Calibration, Found, Pair
from harness.data.copies.search import Copies
from harness.data.repair import declare, reapply, repair
from harness.data.split import freeze, new_split, read_split, with_repairs
from harness.errors import LeakageError


def table(*groups):
    return declare(pd.DataFrame({"group": groups, "sample": [f"{i}.png" for i in range(len(groups))]}))


def search(samples, *pairs):
    same = Alignment(np.eye(2, 3), False, 60, 0.95, 1.0)
    found = tuple(Pair(a, b, same, sure=True) for a, b in pairs)
    return Copies(Found(found, np.ones(len(samples), bool), Calibration(7, 0, 0, 0), (), True, True), {})


def split_of(folds, repairs=()):
    made = new_split("m", Folds(count=2), folds, notes=[], parent=None)
    return with_repairs(made, dict(repairs))


def test_groups_whose_pictures_show_one_thing_take_the_least_name():
    samples = table("b", "a", "c", "d")
    repaired = repair(samples, search(samples, (0, 1), (1, 3)), None)
    assert repaired.samples["group"].tolist() == ["a", "a", "c", "a"]
    assert repaired.samples["declared"].tolist() == ["b", "a", "c", "d"]
    assert repaired.repairs == {"b": "a", "d": "a"}


def test_a_new_group_joins_the_frozen_one_whatever_their_names():
    samples = table("z", "a")
    repaired = repair(samples, search(samples, (0, 1)), split_of({"z": 0, "y": 1}))
    assert repaired.samples["group"].tolist() == ["z", "z"]


def test_what_joins_two_frozen_folds_asks_for_a_new_split_version():
    samples = table("x", "y", "new")
    with pytest.raises(LeakageError, match=r"'x' \(fold 0\) and 'y' \(fold 1\).*raise folds\.version"):
        repair(samples, search(samples, (0, 2), (1, 2)), split_of({"x": 0, "y": 1}))


def test_frozen_groups_of_one_fold_are_never_joined():
    samples = table("x", "y", "new")
    repaired = repair(samples, search(samples, (0, 2), (1, 2)), split_of({"x": 0, "y": 0, "w": 1}))
    assert repaired.samples["group"].tolist() == ["x", "y", "x"]


def test_a_child_keeps_its_parents_joins():
    samples = table("a", "b", "new")
    parent = split_of({"a": 0, "c": 1}, {"b": "a"})
    repaired = repair(samples, search(samples), parent)
    assert repaired.samples["group"].tolist() == ["a", "a", "new"]
    assert repaired.repairs == {"b": "a"}


def test_repairs_are_frozen_with_the_split_and_applied_as_they_were(tmp_path):
    parent = split_of({"a": 0, "c": 1}, {"b": "a"})
    assert parent.id != split_of({"a": 0, "c": 1}).id
    again = read_split(freeze(parent, tmp_path))
    assert again == parent
    assert reapply(table("b", "c"), again).samples["group"].tolist() == ["a", "c"]
    assert "1 groups joined 1 others" in again.notes[-1]
