"""A study asked to stop in some phases ends with 75 in time and goes on to the same; `make soak` tries all phases."""

from dataclasses import replace

import pytest

from benchmarks.soak_stops import Stops, Tally


@pytest.fixture(scope="module")
def stops(tmp_path_factory: pytest.TempPathFactory) -> Stops:
    return Stops(tmp_path_factory.mktemp("stops"), seed=1)


def test_a_study_that_is_stopped_ends_with_75_in_time_and_goes_on_to_the_same_end(stops: Stops) -> None:
    stops.try_at("between two folds")
    tally = stops.tallies["between two folds"]
    assert (tally.wrong, tally.codes, tally.missed) == ([], {75}, 0)
    assert 0 < tally.worst < 30


@pytest.mark.slow
def test_so_does_one_whose_server_hangs_at_the_end(stops: Stops) -> None:
    stops.try_at("the server hangs: the last delivery")
    assert stops.tallies["the server hangs: the last delivery"].wrong == []


def test_a_promotion_that_is_stopped_goes_on_too_and_an_end_that_is_not_the_same_is_told(
    stops: Stops,
) -> None:
    stops.wanted = replace(stops.wanted, runs={})
    stops.try_at("promote: audited again")
    tally = stops.tallies["promote: audited again"]
    assert (tally.codes, tally.missed) == ({75}, 0)
    (line,) = tally.wrong
    assert line.startswith("promote: audited again: runs: ")
    assert Tally(2, 0, 3.25, {75}, [line]).line("x").split() == ["x", "2", "0", "3.2", "s", "75", "1"]
