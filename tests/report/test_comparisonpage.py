"""The page of a comparison: its pairs in numbers, words and plots, as its JSON has them."""

import json
from pathlib import Path

import plotly.graph_objects as go
import pytest

from harness.evaluate.comparisons import ROPE
from harness.report.comparison import compare_trials
from harness.report.comparisonpage import write_comparison
from harness.report.leaderboard import read_leaderboard
from tests.report.drawn import drawn_groups, write_ledger
from tests.report.reading import read_page


def test_the_page_has_the_pairs_of_the_json_with_the_rope(tmp_path: Path) -> None:
    ledger = write_ledger(tmp_path / "ledger", drawn_groups((0.6, 0.61, 0.3)))
    path = write_comparison(compare_trials(read_leaderboard(ledger), ledger, [1, 0, 2]), tmp_path)
    assert path.name == "compare_1_0_2.html"
    said, page = json.loads(path.with_suffix(".json").read_bytes()), read_page(path.read_text())
    assert path.with_suffix(".md").is_file()
    pairs = said["pairs"]
    assert [row["trials"] for row in page.table("trials")] == ["1 - 0", "1 - 2", "0 - 2"]
    assert [row["difference"] for row in page.table("trials")] == [
        f"{pair['difference']:+.4f}" for pair in pairs
    ]
    for pair in pairs:
        assert pair["sentence"] in page.text
    assert said["reading"] in page.text
    plot = page.plot("Differences. ")
    (dots,) = plot["data"]
    for place, pair in enumerate(pairs):
        assert dots["x"][place] == pytest.approx(pair["difference"], abs=1e-5)
        assert dots["x"][place] + dots["error_x"]["array"][place] == pytest.approx(pair["high"], abs=1e-5)
        assert dots["x"][place] - dots["error_x"]["arrayminus"][place] == pytest.approx(pair["low"], abs=1e-5)
    rope = plot["layout"]["shapes"][0]
    assert (rope["x0"], rope["x1"]) == (-ROPE, ROPE)
    folds = page.plot("Differences by fold")
    assert [len(trace["y"]) for trace in folds["data"]] == [5, 5, 5]
    for drawn in page.plots.values():
        go.Figure(drawn)
