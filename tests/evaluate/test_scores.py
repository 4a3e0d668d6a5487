"""Scores beside the headline, from counts by hand, and what no number of empty pictures or cut of tiles may change."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from harness.evaluate.scores import kept_scores, mean_iou, mean_of_folds, scores_beside, threshold_scores
from harness.evaluate.thresholds import cross_fit, fold_counts
from harness.model.outoffold import Collector, OutOfFold
from harness.model.predict import predict_photos
from tests.model.test_objects import drawn
from tests.model.test_predict import Pack

SIDE = 40  # px


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
            "dice_positive_pictures": 1 / 3,
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
        "dice_positive_pictures",
        "object_recall",
    }


def test_finding_nothing_scores_zero() -> None:
    assert scores_beside(pd.DataFrame([MISSED, CLEAN]))["object_f1"] == 0
    assert mean_iou(pd.DataFrame([MISSED])) == 0


def collected(*shown: tuple[NDArray[np.float32], NDArray[np.uint8]], group: str = "g") -> OutOfFold:
    collector = Collector(0)
    for number, picture in enumerate(shown):
        collector.add(f"{group}{number}", f"{group}{number % 3}", *picture)
    return collector.tables()


def masks(empty: int) -> list[NDArray[np.uint8]]:
    """Return 100 masks, so many of them empty; of the others one has large objects, the rest small ones."""
    rng = np.random.default_rng(empty)
    made = []
    for number in range(100):
        mask = np.zeros((SIDE, SIDE), np.uint8)
        mask[:, :2] = 255
        if number == empty:
            mask[:, 5:15] = mask[:, 20:30] = mask[:, 34:38] = 1  # 10 % of the photograph each, and more
        elif number > empty:
            top, left = rng.integers(3, SIDE - 5, 2)
            mask[top : top + 4, left : left + 3] = 1
        made.append(mask)
    return made


@pytest.mark.parametrize("empty", [0, 50, 90, 99])
def test_one_class_everywhere_is_worth_nothing_or_the_coverage_however_many_are_empty(empty: int) -> None:
    truths = masks(empty)
    positive, valid = (
        sum(int(test(mask).sum()) for mask in truths) for test in (lambda m: m == 1, lambda m: m != 255)
    )
    for logit, wanted in ((-20.0, 0.0), (20.0, positive / valid)):
        kept = collected(*((np.full((SIDE, SIDE), logit, np.float32), mask) for mask in truths))
        tp, fp, fn = (int(kept.rows[name].sum()) for name in ("tp", "fp", "fn"))
        assert tp / (tp + fp + fn) == pytest.approx(wanted, abs=1e-6)
        assert (tp == 0) == (logit < 0)
        assert scores_beside(kept.rows)["object_f1"] <= 0.01
        assert kept_scores(kept)["pr_auc"] == pytest.approx(positive / valid, abs=1e-6)
        assert kept_scores(kept)["boundary_dice"] == 0
        assert kept_scores(kept)["recall_at_8"] <= 0.01


def test_a_background_everywhere_is_no_better_at_any_threshold_that_others_choose() -> None:
    folds = [
        collected(*((np.full((SIDE, SIDE), -20, np.float32), mask) for mask in masks(50)), group=name)
        for name in "abc"
    ]
    found = threshold_scores(folds)
    assert (found["iou_cross_fitted"], found["own_threshold_gain"], found["threshold"]) == (0, 0, 0)


def pixelwise(images: list[NDArray[np.uint8]], sizes: list[tuple[int, int]]) -> list[NDArray[np.float32]]:
    """Return logits that depend on each pixel alone."""
    assert [image.shape for image in images] == sizes
    return [image.astype(np.float32) / 8 - 12 for image in images]


@pytest.mark.parametrize(("tile", "step"), [(32, 32), (48, 24), (64, 40), (96, 96)])
def test_cutting_photographs_into_tiles_changes_nothing_that_is_kept(
    tmp_path: Path, tile: int, step: int
) -> None:
    (tmp_path / "whole").mkdir()
    (tmp_path / "tiles").mkdir()
    whole, tiles = Pack(tmp_path / "whole"), Pack(tmp_path / "tiles")
    for seed in range(3):
        logits, mask = drawn(seed, side=96)
        image = np.clip((logits + 12) * 8, 0, 255).astype(np.uint8)
        whole.add(f"{seed}", image, mask)
        corners = sorted({min(start, 96 - tile) for start in range(0, 96, step)})
        for top in corners:
            for left in corners:
                window = np.s_[top : top + tile, left : left + tile]
                tiles.add(f"{seed}", image[window], mask[window], (left, top, tile, tile))
    kept = []
    for pack in (whole, tiles):
        collector = Collector(0)
        for photo in predict_photos(pixelwise, *pack.build(), batch=5):  # type: ignore[arg-type]
            collector.add(photo.name, photo.group, photo.logits, photo.truth)
        kept.append(collector.tables())
    assert kept[0].files() == kept[1].files()
    assert len(kept[0].rows) == 3
    assert kept_scores(kept[0]) == kept_scores(kept[1])


def test_every_score_is_there_where_it_can_be_and_left_out_where_not() -> None:
    found = kept_scores(collected(*map(drawn, range(3))))
    wanted = {"pr_auc", "aupro", "boundary_dice", "calibration_error", "froc"}
    wanted |= {f"recall_at_{rate}" for rate in ("0.25", "0.5", "1", "2", "4", "8")}
    assert set(found) == wanted | {"object_recall_tiny", "object_recall_small"}
    assert all(0 <= value <= 1 for value in found.values())
    clean = collected((np.full((9, 9), -1, np.float32), np.zeros((9, 9), np.uint8)))
    assert set(kept_scores(clean)) == {"calibration_error"}


def test_false_objects_are_counted_a_photograph() -> None:
    logits, truth = drawn(0)
    clean = [(np.full((9, 9), -1, np.float32), np.zeros((9, 9), np.uint8))] * 30
    one, many = (kept_scores(collected((logits, truth), *more)) for more in ([], clean))
    assert one["recall_at_0.25"] < many["recall_at_0.25"] == one["recall_at_8"]


def test_a_better_prediction_scores_better_on_all_of_them() -> None:
    rng = np.random.default_rng(0)
    shown = [drawn(seed) for seed in range(4)]
    noisy = [(z + rng.normal(0, 2.5, z.shape).astype(np.float32), truth) for z, truth in shown]
    perfect = [((truth == 1) * np.float32(20) - 10, truth) for _, truth in shown]
    scores = [kept_scores(collected(*pictures)) for pictures in (noisy, shown, perfect)]
    for name in ("pr_auc", "aupro", "boundary_dice", "froc", "recall_at_1"):
        assert scores[0][name] < scores[1][name] < scores[2][name], name
        assert scores[2][name] == pytest.approx(1)
    assert scores[2]["calibration_error"] < 1e-3


def test_a_threshold_that_all_folds_ask_for_is_found_and_gains() -> None:
    folds = [
        collected(*((z - shift, truth) for z, truth in map(drawn, seeds)), group=name)
        for name, shift, seeds in (("b", 4.0, range(4, 8)), ("c", 5.0, range(8, 12)), ("a", 1.5, range(4)))
    ]
    found = threshold_scores(folds)
    assert found["threshold"] < 0
    assert 0.01 < found["cross_fitted_gain"] <= found["own_threshold_gain"]
    fitted = cross_fit([fold_counts(fold.pixels) for fold in folds])
    assert fitted.deployed != fitted.chosen[0]
    assert found == {
        "threshold": fitted.deployed,
        "iou_cross_fitted": fitted.iou,
        "cross_fitted_gain": fitted.gain,
        "own_threshold_gain": fitted.own_gain,
        "threshold_spread": fitted.spread,
    }


def test_the_mean_over_folds_is_of_the_scores_that_all_have() -> None:
    assert mean_of_folds([{"a": 1.0, "b": 2.0}, {"a": 2.0}]) == {"a": 1.5}
