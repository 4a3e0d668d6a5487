import pytest

from harness.config import Folds
from harness.data.audit.nesting import nested_ids
from harness.data.split import new_split


def renamed(samples, name):
    """Return the samples with the ids g00, g01, ... written anew by their number."""
    return samples.assign(group=[name(int(group[1:])) for group in samples["group"]])


def test_plain_ids_pass(samples, split):
    assert nested_ids(samples, split).status == "pass"


@pytest.mark.parametrize("column", ["photo", "instance"])
def test_a_photo_or_an_instance_of_two_groups_fails_with_both(samples, split, column):
    samples.loc[[0, 20], column] = "shared"
    found = nested_ids(samples, split)
    assert (found.status, found.affected, found.share_of_validation) == ("fail", 2, 2 / 36)
    assert f"The {column} 'shared' stands in groups 'g00' and 'g06'" in found.summary


def test_ids_that_look_like_two_parts_of_one_thing_in_two_folds_are_told(samples, deal):
    nested = renamed(samples, lambda n: f"patient{n // 2 + 1}_{'left' if n % 2 else 'right'}")
    assert nested_ids(nested, deal(nested)).status == "pass"  # pairs of ids are dealt to one fold
    folds = {group: number % 3 for number, group in enumerate(sorted(set(nested["group"])))}
    found = nested_ids(nested, new_split("m", Folds(count=3), folds, notes=[], parent=None))
    assert (found.severity, found.status) == ("info", "warn")
    assert "begin alike and stand apart: if 'patient1' is one thing" in found.summary
    assert {item["begins"] for item in found.items} <= {f"patient{n}" for n in range(1, 7)}


@pytest.mark.parametrize(
    "name", [lambda n: f"tile_{n}", lambda n: f"lot1_{n}", lambda n: f"a{n}", lambda n: f"{n}_{n}"]
)
def test_running_numbers_and_one_common_beginning_are_no_parts(samples, deal, name):
    other = renamed(samples, name)
    assert nested_ids(other, deal(other)).status == "pass"
