"""The comparison of distributions: how often it is wrong where nothing differs, and that it counts groups."""

import numpy as np
import pytest
from scipy.stats import PermutationMethod, anderson_ksamp, ks_2samp

from harness.monitor.compare import size_of_group, units_of
from harness.monitor.drift import (
    FEWEST_GROUPS,
    FEWEST_NEW,
    Sample,
    differences,
    held_against,
    holm,
    noticed,
    too_few,
)

RUNS, MEASURES = 300, 8


def alone(values: np.ndarray) -> Sample:
    return Sample(np.asarray(values, float), np.arange(len(values)))


def grouped(rng: np.random.Generator, groups: int, size: int, shift: float = 0.0) -> Sample:
    """Return groups of pictures that are nearly alike."""
    unit = np.repeat(np.arange(groups), size)
    return Sample(shift + rng.standard_normal(groups)[unit] + 0.3 * rng.standard_normal(len(unit)), unit)


def test_distance_is_that_of_kolmogorov_and_smirnov_and_p_that_of_anderson_and_darling() -> None:
    rng = np.random.default_rng(0)
    for shift in (0.0, 0.4, 0.8):
        a, b = rng.standard_normal(40), shift + rng.standard_normal(25)
        distance, usual, p = held_against(alone(a), alone(b), seed=1)
        assert distance == pytest.approx(ks_2samp(a, b).statistic, abs=1e-6)
        assert 0.25 < usual < 0.4
        exact = PermutationMethod(n_resamples=999, rng=np.random.default_rng(1))
        theirs = anderson_ksamp([a, b], variant="continuous", method=exact).pvalue
        assert theirs - 0.04 < p < theirs + 0.15  # of two nulls the more careful one


@pytest.mark.parametrize("size", [1, 4])
def test_no_drift_is_an_alarm_in_at_most_one_run_of_twenty(size: int) -> None:
    rng = np.random.default_rng(size)
    wrong = 0
    for _ in range(RUNS):
        old = {str(m): grouped(rng, 20, size) for m in range(MEASURES)}
        new = {str(m): grouped(rng, 10, size) for m in range(MEASURES)}
        named = {name: Sample(one.values, units_of(np.arange(10 * size), size)) for name, one in new.items()}
        wrong += any(one.alarm for one in differences(old, named, draws=399))
    assert wrong / RUNS <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / RUNS)


def test_pictures_of_few_groups_prove_no_more_than_these_groups() -> None:
    rng = np.random.default_rng(4)
    by_group, by_picture = [], []
    for _ in range(100):
        old, new = grouped(rng, 20, 8), grouped(rng, 8, 8)
        by_group.append(
            held_against(old, Sample(new.values, units_of(np.arange(64), 8)), seed=0, draws=199)[2]
        )
        by_picture.append(held_against(alone(old.values), alone(new.values), seed=0, draws=199)[2])
    assert np.mean(np.array(by_group) <= 0.05) <= 0.1
    assert np.mean(np.array(by_picture) <= 0.05) > 0.3  # what would be said if pictures were counted


def test_shift_and_spread_are_found_and_the_surest_comes_first() -> None:
    rng = np.random.default_rng(2)
    old = {name: alone(rng.standard_normal(40)) for name in ("still", "moved", "wider")}
    new = {
        "still": alone(rng.standard_normal(40)),
        "moved": alone(rng.standard_normal(40) + 2),
        "wider": alone(4 * rng.standard_normal(40)),
    }
    found = {one.name: one for one in differences(old, new)}
    assert [one for one in found if found[one].alarm] == ["moved", "wider"]
    assert found["moved"].shift == pytest.approx(2, abs=0.6)
    assert found["moved"].distance > found["moved"].usual


def test_a_proven_difference_that_is_tiny_is_no_alarm() -> None:
    rng = np.random.default_rng(8)
    old, new = ({"x": alone(rng.standard_normal(4000) + shift)} for shift in (0, 0.15))
    (found,) = differences(old, new)
    assert found.proven
    assert found.distance < 0.1
    assert not found.alarm


def test_a_measure_that_never_varies_is_left_out_and_a_new_value_of_one_is_told() -> None:
    same, other = alone(np.zeros(20)), alone(np.ones(20))
    assert differences({"x": same}, {"x": same}) == []
    (found,) = differences({"x": same}, {"x": other})
    assert found.alarm
    assert found.shift is None


def test_counts_with_many_ties_are_not_taken_for_evidence() -> None:
    rare = np.zeros(30)
    rare[0] = 1
    distance, _, p = held_against(alone(rare), alone(np.zeros(30)), seed=0)
    assert distance < 0.05
    assert p > 0.4


def test_many_values_are_compared_at_few_points_and_nearly_as_well() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.standard_normal(3000), rng.standard_normal(2000) + 0.3
    assert held_against(alone(a), alone(b), seed=0, draws=99)[0] == pytest.approx(
        ks_2samp(a, b).statistic, abs=0.01
    )


def test_holm_is_that_of_the_book() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []


def test_few_of_either_side_are_too_few() -> None:
    assert not too_few(FEWEST_GROUPS, FEWEST_NEW)
    assert "5 to compare" in too_few(100, 5)
    assert "7 training groups" in too_few(7, 100)
    assert noticed(50, 10, 8) > noticed(50, 40, 8) > noticed(50, 40, 1)


def test_what_shows_one_thing_is_one_unit_and_neighbors_by_name_are_taken_for_a_group() -> None:
    shown = np.array([0, 0, 1, 2, 3, 1])
    assert units_of(shown, 1).tolist() == [0, 0, 1, 2, 3, 1]
    assert units_of(shown, 2).tolist() == [0, 0, 0, 1, 1, 0]


def test_large_groups_count_more_in_what_a_group_is_taken_for() -> None:
    assert size_of_group(np.arange(9)) == 1
    assert size_of_group(np.repeat(np.arange(5), 3)) == 3
    assert size_of_group(np.repeat([0, 1], [1, 5])) == 5  # 26 / 6, rounded up


@pytest.mark.parametrize(("groups", "new"), [(30, 30), (60, 10)])
def test_the_shift_that_is_said_to_be_noticed_is_noticed_four_times_of_five(groups: int, new: int) -> None:
    rng = np.random.default_rng(groups)
    shift, found = noticed(groups, new, MEASURES), 0
    for _ in range(60):
        old = {str(m): alone(rng.standard_normal(groups)) for m in range(MEASURES)}
        now = {str(m): alone(rng.standard_normal(new) + shift * (m == 0)) for m in range(MEASURES)}
        found += next(one for one in differences(old, now, draws=799) if one.name == "0").alarm
    assert 0.65 < found / 60 < 0.95
