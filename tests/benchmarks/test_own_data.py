import pandas as pd
import pytest

from benchmarks.own_data import compared, pairs_of


def test_pairs_that_are_cut_and_pairs_joined_too_many_are_counted_apart() -> None:
    told = pd.Series({"a": "1", "b": "1", "c": "1", "d": "2", "e": "3"})
    assert pairs_of(told) == 3
    assert compared(told, told) == (3, 0, 0)
    found = pd.Series({"e": "y", "d": "y", "c": "y", "b": "x", "a": "x"})  # in any order
    assert compared(told, found) == (3, 2, 3)
    with pytest.raises(ValueError, match="1 pictures of the table were not found"):
        compared(told, found.drop("e"))
