import numpy as np
import pytest

from harness.data.audit.shift import shift_between_folds


@pytest.fixture
def varied(make_table):
    samples, rng = make_table(groups=90), np.random.default_rng(0)
    samples["gray_mean"] = rng.normal(120, 10, 90)[np.arange(len(samples)) // 3]
    return samples


def test_folds_dealt_blindly_pass(varied, deal):
    found = shift_between_folds(varied, deal(varied))
    assert (found.status, found.affected) == ("pass", 0)
    assert found.summary.startswith("At most: ")


def test_a_fold_of_darker_pictures_is_named(varied, deal):
    split = deal(varied)
    dark = split.of(varied) == 1
    varied.loc[dark, "gray_mean"] -= 40
    found = shift_between_folds(varied, split)
    assert found.status == "warn"
    assert found.summary.startswith(
        "mean gray tells fold 1 from the others in 100% of pairs of sources (p 0.005)"
    )
    assert found.affected == dark.sum()
    assert [item["part"] for item in found.items] == ["fold 0", "fold 1", "fold 2"]


def test_held_out_groups_are_compared_too(varied, deal):
    split = deal(varied, held_out=[f"g{n}" for n in range(70, 90)])
    varied.loc[split.held_out(varied), "focus"] = 0.4
    assert "focus tells held out from the others" in shift_between_folds(varied, split).summary


def test_one_odd_source_with_many_pictures_is_no_shift(varied, deal):
    varied.loc[varied["group"] == "g04", "gray_mean"] = 5
    assert shift_between_folds(varied, deal(varied)).status == "pass"


def test_folds_of_few_sources_are_not_compared(samples, split):
    found = shift_between_folds(samples, split)
    assert (found.severity, found.status) == ("info", "not run")
