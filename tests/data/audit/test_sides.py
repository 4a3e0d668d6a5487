import pandas as pd
import pytest

from harness.data.audit.sides import HELD_OUT, fold_name, fold_of, summary
from harness.errors import DataError


def test_the_fold_of_each_row_follows_its_group():
    assert fold_of(["b", "a", "b"], {"a": 0, "b": HELD_OUT}).tolist() == [HELD_OUT, 0, HELD_OUT]
    assert fold_of(pd.Series(["a"], index=[9]), {"a": 4}).tolist() == [4]
    assert fold_of([], {"a": 4}).tolist() == []


def test_groups_without_fold_and_rows_without_group_are_errors():
    with pytest.raises(DataError, match="2 groups have no fold, the first is 'x'"):
        fold_of(["a", "x", "y", "x"], {"a": 0})
    with pytest.raises(DataError, match="2 rows have no group, the first is row 1"):
        fold_of(["a", None, float("nan")], {"a": 0})


def test_folds_have_one_name():
    assert (fold_name(3), fold_name(HELD_OUT)) == ("fold 3", "held out")


def test_the_summary_counts_each_part_and_adds_up(samples, deal):
    table = summary(samples, deal(samples, held_out=["g00", "g01", "g02"]))
    assert table["fold"].tolist() == [0, 1, 2, HELD_OUT]
    assert table["groups"].tolist() == [2, 3, 4, 3]
    assert table["positive_groups"].tolist() == [1, 1, 2, 2]
    assert table["samples"].tolist() == [6, 9, 12, 9]
    assert table["positive_samples"].tolist() == [1, 1, 2, 2]
    assert table["objects"].sum() == samples["objects"].sum()
    assert table["positive_px"].sum() == samples["positive"].sum()
    assert table["coverage"].tolist() == (table["positive_px"] / (table["samples"] * 1000)).tolist()


def test_the_summary_shows_an_empty_fold_and_no_held_out_row_where_nothing_is_held_out(samples, deal):
    few = samples[samples["group"].isin(["g00", "g01"])]
    table = summary(few, deal(samples))
    assert table["fold"].tolist() == [0, 1, 2]
    assert table["groups"].tolist() == [2, 0, 0]
    assert table["coverage"].tolist()[1:] == [0, 0]


def test_the_summary_goes_by_position(samples, split):
    shuffled = samples.sample(frac=1, random_state=0)
    assert summary(shuffled, split).equals(summary(samples, split))
