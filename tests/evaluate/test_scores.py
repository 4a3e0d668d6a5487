"""Scores beside the headline, from counts by hand."""

import pandas as pd
import pytest

from harness.evaluate.scores import mean_iou, scores_beside


def row(tp: int, fp: int, fn: int, objects: int, found: int, predicted: int) -> dict[str, int]:
    counts = {"tp": tp, "fp": fp, "fn": fn, "valid": 100}
    return counts | {"objects": objects, "found": found, "predicted": predicted, "false": predicted - found}


HALF = row(2, 1, 1, objects=2, found=1, predicted=2)  # IoU .5
MISSED = row(0, 0, 4, objects=1, found=0, predicted=0)  # IoU 0
CLEAN = row(0, 0, 0, objects=0, found=0, predicted=0)
ALARM = row(0, 3, 0, objects=0, found=0, predicted=2)


def test_every_score_is_its_definition_on_counts_by_hand() -> None:
    scores = scores_beside(pd.DataFrame([HALF, MISSED, CLEAN, ALARM]))
    assert scores == pytest.approx(
        {
            "iou_positive_pictures": 0.25,
            "clean_with_false_object": 0.5,
            "object_recall": 1 / 3,
            "object_precision": 1 / 4,
            "object_f1": 2 / 7,
        }
    )


def test_empty_pictures_do_not_raise_the_score_of_positive_ones() -> None:
    few, many = (scores_beside(pd.DataFrame([HALF, MISSED] + [CLEAN] * n)) for n in (1, 99))
    assert few == many


def test_a_score_without_its_denominator_is_left_out() -> None:
    assert set(scores_beside(pd.DataFrame([CLEAN]))) == {"object_f1", "clean_with_false_object"}
    assert set(scores_beside(pd.DataFrame([MISSED]))) == {
        "object_f1",
        "iou_positive_pictures",
        "object_recall",
    }


def test_finding_nothing_scores_zero() -> None:
    assert scores_beside(pd.DataFrame([MISSED, CLEAN]))["object_f1"] == 0
    assert mean_iou(pd.DataFrame([MISSED])) == 0
