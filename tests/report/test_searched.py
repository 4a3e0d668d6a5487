"""Plots of the search, from the leaderboard alone."""

from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import pytest

from benchmarks.drawn_study import draw_study
from harness.report.leaderboard import Leaderboard, read_leaderboard
from harness.report.searched import MOST_DOTS, contour, history, losses_by_strength, shares, slices, space_of
from tests.report.drawn import drawn_groups, write_ledger


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Leaderboard:
    work = tmp_path_factory.mktemp("home") / "small-12345678"
    draw_study(work, trials=60, groups=10)
    return read_leaderboard(work / "ledger")


def test_the_history_is_in_the_order_of_the_trials_and_its_line_never_falls(board: Leaderboard) -> None:
    trials, best, ended = history(board).traces
    scores = {row["trial"]: row["iou_mean"] for row in board.complete}
    assert list(trials["x"]) == sorted(scores)
    assert [scores[number] for number in trials["x"]] == trials["y"]
    assert (np.diff(best["y"]) >= 0).all()
    assert best["y"][-1] == board.trials[0]["iou_mean"]
    assert set(ended["x"]) == {row["trial"] for row in board.trials} - set(scores)


def test_slices_are_in_the_order_asked_for_and_hold_the_trials_that_have_the_parameter(
    board: Leaderboard,
) -> None:
    found = slices(board, space_of(board), ["train.lr", "augment.strength"])
    assert [plot.title for plot in found[:2]] == ["train.lr", "augment.strength"]
    assert [plot.figure()["layout"]["xaxis"]["type"] for plot in found[:2]] == ["log", "linear"]
    by_name = {plot.title: plot for plot in found}
    own = [row for row in board.complete if "loss.tversky.fn_weight" in row["params"]]
    assert 0 < len(own) < len(board.complete)
    assert by_name["loss.tversky.fn_weight"].traces[0]["y"] == [row["iou_mean"] for row in own]
    assert by_name["loss"].figure()["layout"]["xaxis"]["type"] == "category"


def test_a_contour_has_the_mean_of_each_cell(board: Leaderboard) -> None:
    space = space_of(board)
    plot = contour(board, space, ["loss", "augment.strength", "train.lr", "loss.tversky.fn_weight"])
    assert plot is not None
    assert plot.title == "augment.strength by train.lr"
    field, dots = plot.traces
    filled = np.isfinite(field["z"])
    assert 1 < filled.sum() <= len(board.complete)
    scores = [row["iou_mean"] for row in board.complete]
    assert min(scores) <= np.nanmin(field["z"]) <= np.nanmax(field["z"]) <= max(scores)
    best = board.trials[0]["params"]
    column = int(np.abs(np.array(field["x"]) - best["augment.strength"]).argmin())
    row = int(np.abs(np.log(field["y"]) - np.log(best["train.lr"])).argmin())
    assert filled[row, column]
    assert len(dots["x"]) == len(board.complete)
    go.Figure(plot.figure())
    assert contour(board, space, ["augment.strength"]) is None


def test_thousands_of_trials_are_thinned_with_the_best_among_them(tmp_path: Path) -> None:
    rows = [
        {"trial": n, "iou_mean": 0.5 - n / 1e5, "loss": "tversky", "params": {"augment.strength": n / 5000}}
        for n in range(5000)
    ]
    board = Leaderboard({"settings": {}}, rows, {})
    plots = slices(board, {}, [])
    (dots,) = plots[0].traces
    assert MOST_DOTS / 2 < len(dots["x"]) <= MOST_DOTS
    assert (dots["x"][0], dots["y"][0]) == (0, 0.5)
    assert "IoU of 5,000 complete trials by this parameter, 1,000 of them, spread evenly;" in plots[0].says
    silent = [row | {"params": {}} for row in rows]
    assert losses_by_strength(Leaderboard({"settings": {}}, silent, {})) is None


def test_settings_of_another_version_leave_out_importance_alone(tmp_path: Path) -> None:
    board = read_leaderboard(write_ledger(tmp_path / "ledger", drawn_groups([0.5] * 12)))
    assert space_of(board) == {}
    assert shares(board, {}) == {}
    heat = losses_by_strength(board)
    assert heat is not None
    assert len(heat.traces[0]["y"]) == 3
    assert [plot.title for plot in slices(board, {}, [])] == ["augment.strength", "loss"]
