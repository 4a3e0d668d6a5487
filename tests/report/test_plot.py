"""A plot in a page: what plotly.js reads, words, and numbers where they are few."""

import json

import numpy as np
import pytest

from harness.report.plot import MOST_NUMBERS, Plot, plain
from tests.report.reading import read_page


def plot(rows: int) -> Plot:
    return Plot("Title", "It falls.", [{"type": "scatter"}], {}, (("a", "b"), [["1", "2"]] * rows))


def test_values_are_plain_with_six_digits_and_null_for_what_is_not_finite() -> None:
    found = plain(
        {"x": np.array([1 / 3, np.nan, np.inf]), "n": np.int64(3), "s": "a", "b": True, "none": None}
    )
    assert found == {"x": [0.333333, None, None], "n": 3, "s": "a", "b": True, "none": None}
    json.dumps(found, allow_nan=False)


def test_text_from_data_ends_neither_the_script_nor_the_label() -> None:
    evil = '</script><b id="x">'
    shown = read_page(Plot(evil, evil, [{"type": "bar", "x": [evil], "y": [1]}]).to_html())
    assert not shown.of("b")
    assert shown.plots[f"{evil}. {evil}"]["data"][0]["x"] == [evil]


@pytest.mark.parametrize(("rows", "tables"), [(1, 1), (MOST_NUMBERS, 1), (MOST_NUMBERS + 1, 0)])
def test_numbers_are_a_table_where_they_are_few(rows: int, tables: int) -> None:
    assert len(read_page(plot(rows).to_html()).tables) == tables


def test_own_axes_keep_the_look_of_all() -> None:
    shown = Plot("Title", "It falls.", [], {"xaxis": {"type": "log"}}).figure()["layout"]
    assert shown["xaxis"]["type"] == "log"
    assert shown["xaxis"]["gridcolor"] == shown["yaxis"]["gridcolor"]
    assert shown["paper_bgcolor"] == "rgba(0,0,0,0)"
