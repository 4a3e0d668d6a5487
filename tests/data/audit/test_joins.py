import pytest

from harness.data.audit.joins import Joins, frozen_folds, runaway_joins
from tests.data.audit.conftest import chain_of


def test_nothing_that_could_not_be_joined_passes():
    for done in ("tried", "frozen"):
        joins = Joins(done, parent=True)
        assert runaway_joins(joins).status == frozen_folds(joins).status == "pass"


def test_without_a_split_frozen_before_none_is_said_to_hold_and_nothing_is_decided():
    found = frozen_folds(Joins("tried"))
    assert (found.status, found.severity) == ("not run", "info")


def test_a_long_chain_is_told_by_its_ends(samples):
    found = runaway_joins(Joins("tried", (chain_of(samples, tuple(range(0, 36, 3))),)))
    assert "g00/0.png - g01/0.png - g02/0.png - ... - g09/0.png - g10/0.png - g11/0.png;" in found.summary
    assert len(found.items) == 12


@pytest.mark.parametrize(("done", "why"), [("trusted", "data.groups: trust"), ("given", "the column fold")])
def test_where_no_group_was_to_be_joined_nothing_is_called_sound(samples, done, why):
    for check in (runaway_joins, frozen_folds):
        found = check(Joins(done))
        assert (found.status, found.severity) == ("not run", "fail")
        assert why in found.summary
    assert frozen_folds(None).status == "not run"


def test_a_runaway_fails_with_its_chain(samples):
    found = runaway_joins(Joins("tried", (chain_of(samples, (0, 3, 6)), chain_of(samples, (9, 12)))))
    assert (found.id, found.status, found.affected) == ("D10", "fail", 5)
    assert "g00/0.png - g01/0.png - g02/0.png; look at each pair" in found.summary
    assert found.summary.endswith("(and 1 more chain).")
    assert [(item["chain"], item["place"], item["image"]) for item in found.items[2:4]] == [
        (0, 2, "g02/0.png"),
        (1, 0, "g03/0.png"),
    ]


def test_what_would_run_away_in_a_frozen_split_is_a_warning(samples):
    found = runaway_joins(Joins("frozen", (chain_of(samples, (0, 3, 6)),)))
    assert found.status == "warn"
    assert "frozen groups stay as they are" in found.summary


def test_what_joins_two_frozen_folds_fails_and_asks_for_a_new_split_version(samples):
    found = frozen_folds(
        Joins(torn=(chain_of(samples, (0, 30, 6), ("fold 0", "", "held out")),), parent=True)
    )
    assert (found.id, found.status, found.affected) == ("G6", "fail", 3)
    assert "'g00/0.png' (fold 0) - 'g10/0.png' (new) - 'g02/0.png' (held out) show one thing" in found.summary
    assert "raise folds.version" in found.summary
    assert [item["group"] for item in found.items] == ["g00", "g10", "g02"]
    assert [item["frozen fold"] for item in found.items] == ["fold 0", "", "held out"]
