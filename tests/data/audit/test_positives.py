import pytest

from harness.data.audit.positives import positives_per_fold


def test_five_positive_groups_a_fold_pass(make_table, deal):
    samples = make_table(groups=30)
    found = positives_per_fold(samples, deal(samples))
    assert (found.status, found.items) == ("pass", ())
    assert found.summary == "Fold 0 has 5 positive groups, the fewest."


def test_few_positive_groups_warn_with_every_such_part(samples, deal):
    found = positives_per_fold(samples, deal(samples, held_out=["g00"]))
    assert found.status == "warn"
    assert [(item["part"], item["positive_groups"]) for item in found.items] == [
        ("fold 0", 1),
        ("fold 1", 2),
        ("fold 2", 2),
        ("held out", 1),
    ]
    assert found.share_of_validation == 1


def test_fewer_than_the_floor_fail_with_both_numbers(samples, deal):
    found = positives_per_fold(samples, deal(samples, positive_floor=3))
    assert found.status == "fail"
    assert "Fold 0 has 2 positive groups, the floor is 3; lower folds.count" in found.summary


@pytest.mark.parametrize("part", ["g00 g06", "held out"])
def test_a_part_without_an_object_fails_and_only_it_is_affected(samples, deal, part):
    split = deal(samples, held_out=["g01"] if part == "held out" else [])
    if part != "held out":
        samples.loc[samples["group"].isin(part.split()), "positive"] = 0
    found = positives_per_fold(samples, split)
    assert found.status == "fail"
    assert len(found.items) == 1
    assert found.items[0]["positive_groups"] == 0
    assert found.affected == found.items[0]["samples"]
