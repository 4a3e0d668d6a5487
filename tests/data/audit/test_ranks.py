import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from harness.data.audit.ranks import chance, means_by, ranked, separation, strength


def test_separation_is_the_area_under_the_roc_curve_ties_included():
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"a": rng.normal(size=60), "b": rng.integers(0, 4, 60), "c": 1})
    member = rng.random((3, 60)) < 0.3
    found = separation(ranked(table), member)
    wanted = [[roc_auc_score(part, table[name]) for name in table] for part in member]
    assert found == pytest.approx(np.array(wanted))
    assert (strength(found) >= 0.5 - 1e-12).all()


def test_chance_is_small_for_a_real_difference_and_not_for_none():
    rng = np.random.default_rng(1)
    label = np.arange(40) < 15
    table = pd.DataFrame({"shifted": rng.normal(size=40) + 3 * label, "noise": rng.normal(size=40)})
    assert chance(ranked(table), label[None]) == 1 / 200
    assert chance(ranked(table[["noise"]]), label[None]) > 0.05


def test_chance_is_seldom_small_by_chance():
    label = np.arange(40) < 15
    values = [pd.DataFrame(np.random.default_rng(n).normal(size=(40, 4))) for n in range(60)]
    small = sum(chance(ranked(table), label[None]) <= 0.05 for table in values)
    assert small <= 8


def test_means_are_by_all_keys():
    table = pd.DataFrame({"g": list("aab"), "k": [1, 1, 2], "v": [1.0, 3.0, 5.0]})
    assert means_by(table, ["g", "k"], ["v"])["v"].tolist() == [2.0, 5.0]
