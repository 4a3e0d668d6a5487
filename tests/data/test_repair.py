import numpy as np
import pandas as pd

from harness.config import Folds
from harness.data.audit.joins import Shown
from harness.data.copies.align import Alignment
from harness.data.copies.calibrate import Calibration
from harness.data.copies.find import Found, Pair
from harness.data.copies.search import Copies
from harness.data.repair import declare, reapply, repair
from harness.data.split import freeze, new_split, read_split, with_repairs


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
    parent = split_of({"x": 0, "y": 1}, {"y0": "y"})
    samples = table("x", "y0", "new", "other")
    repaired = repair(samples, search(samples, (0, 2), (1, 2), (2, 3)), parent)
    (chain,) = repaired.joins.torn
    assert chain == (Shown("0.png", "x", "fold 0"), Shown("2.png", "new"), Shown("1.png", "y0", "fold 1"))
    assert repaired.samples["group"].tolist() == ["x", "y", "new", "other"], "nothing is joined there"
    assert repaired.repairs == {"y0": "y"}


def test_folds_of_a_later_repeat_are_torn_too():
    samples = table("x", "y", "new")
    settings = Folds(count=2, scheme="repeated", repeats=2)
    parent = new_split(
        "m", settings, {"x": 0, "y": 0, "z": 1}, {"x": 2, "y": 3, "z": 3}, notes=[], parent=None
    )
    repaired = repair(samples, search(samples, (0, 2), (1, 2)), parent)
    assert [shown.fold for shown in repaired.joins.torn[0]] == ["fold 0, fold 2", "", "fold 0, fold 3"]


def test_a_frozen_split_is_reapplied_with_what_is_known_of_its_joins():
    samples = table(*(f"g{number:02}" for number in range(40)))
    chained = search(samples, *((number, number + 1) for number in range(20)))
    split = split_of({"g00": 0, "g05": 1}, {"g03": "g00"})
    again = reapply(samples, chained, split, None)
    assert again.samples["group"].tolist()[:5] == ["g00", "g01", "g02", "g00", "g04"]
    assert (again.joins.done, len(again.joins.runaways), again.joins.torn) == ("frozen", 1, ())
    assert [shown.sample for shown in again.joins.runaways[0]] == [f"{number}.png" for number in range(21)]


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
    samples = table("b", "c")
    assert reapply(samples, search(samples), again, None).samples["group"].tolist() == ["a", "c"]
    assert "1 groups joined 1 others" in again.notes[-1]
