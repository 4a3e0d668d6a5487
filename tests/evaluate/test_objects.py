"""Objects by size and FROC, from tables by hand and held to a threshold at a time."""

import numpy as np
import pandas as pd
import pytest

from harness.evaluate.objects import RATES, by_size, froc, recall_at
from harness.model.objects import match_objects
from harness.model.outoffold import Collector
from tests.model.test_objects import drawn

NAN = float("nan")


def table(*rows: tuple[str, str, float, int]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["kind", "size", "peak", "count"])


HAND = table(
    ("matched", "tiny", 4.0, 1),
    ("missed", "tiny", NAN, 1),
    ("matched", "small", 1.0, 1),
    ("false", "tiny", 3.0, 1),
    ("false", "tiny", 1.0, 1),
    ("false", "large", 0.5, 6),
)


def test_scores_by_size_are_their_definitions_on_counts_by_hand() -> None:
    scores = by_size(HAND)
    assert scores.index.tolist() == ["tiny", "small", "medium", "large"]
    assert scores["objects"].tolist() == [2, 1, 0, 0]
    assert scores["found"].tolist() == [1, 1, 0, 0]
    assert scores["false"].tolist() == [2, 0, 0, 6]
    np.testing.assert_allclose(scores["recall"], [1 / 2, 1, NAN, NAN])
    np.testing.assert_allclose(scores["precision"], [1 / 3, 1, NAN, 0])
    np.testing.assert_allclose(scores["f1"], [2 / 5, 1, NAN, 0])


def test_the_curve_is_walked_from_the_surest_object_and_equal_peaks_come_together() -> None:
    curve = froc(HAND, photographs=4)
    assert curve["peak"].tolist() == [np.inf, 4, 3, 1, 0.5]
    assert curve["recall"].tolist() == [0, 1 / 3, 1 / 3, 2 / 3, 2 / 3]
    assert curve["false"].tolist() == [0, 0, 1 / 4, 2 / 4, 8 / 4]
    assert recall_at(curve, [0, 0.25, 0.49, 0.5, 100]) == [1 / 3, 1 / 3, 1 / 3, 2 / 3, 2 / 3]


def test_the_curve_is_that_of_matching_and_counting_at_each_peak() -> None:
    shown = [drawn(seed) for seed in range(6)]
    collector = Collector(0)
    for number, picture in enumerate(shown):
        collector.add(f"p{number}", "g", *picture)
    kept = collector.tables()
    curve = froc(kept.objects, len(kept.rows))
    truths = 0
    peaks: list[tuple[float, bool]] = []
    for logits, truth in shown:
        found = match_objects(logits > 0, truth)
        truths += found.true_count
        for label in range(1, found.predicted_count + 1):
            peak = float(logits[found.predicted == label].max())
            peaks.append((peak, label in found.pairs[:, 1].tolist()))
    for peak, false, recall in curve.itertuples(index=False):
        above = [hit for p, hit in peaks if p >= peak]
        assert recall == sum(above) / truths
        assert false == (len(above) - sum(above)) / len(shown)
    assert len(curve) == 1 + len({peak for peak, _ in peaks})
    assert 0 < curve["recall"].iloc[-1] < 1
    assert curve["false"].iloc[-1] == kept.rows["false"].mean()


def test_recall_rises_with_the_false_objects_that_are_allowed() -> None:
    recalls = recall_at(froc(HAND, photographs=4))
    assert len(recalls) == len(RATES)
    assert recalls == sorted(recalls)
    assert recalls[0] < recalls[-1] == 2 / 3


def test_nothing_predicted_finds_nothing_and_nothing_to_find_has_no_curve() -> None:
    assert recall_at(froc(table(("missed", "tiny", NAN, 1)), 3)) == [0.0] * len(RATES)
    assert recall_at(froc(table(("false", "tiny", 1.0, 1)), 3)) == []
    assert by_size(table(("false", "tiny", 1.0, 1))).loc["tiny", "f1"] == 0


@pytest.mark.parametrize("pictures", [1, 10])
def test_the_rate_is_of_all_photographs_clean_ones_too(pictures: int) -> None:
    assert froc(HAND, pictures)["false"].iloc[-1] == 8 / pictures
