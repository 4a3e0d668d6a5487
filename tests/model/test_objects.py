"""Matched, missed and false objects with their facts, held to a slow account of each."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from harness.model.histogram import COARSE, bins_of, coarse
from harness.model.objects import MOST_FALSE, Columns, match_objects, object_columns, size_of


def columns(logits: NDArray[np.float32], truth: NDArray[np.uint8]) -> Columns:
    return object_columns(match_objects(logits > 0, truth), logits, bins_of(logits))


def drawn(seed: int, side: int = 120) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Return smooth logits around spots, some of them missed and some false, and the truth with ignored pixels."""
    rng = np.random.default_rng(seed)
    truth, shown = np.zeros((2, side, side), np.uint8)
    for number in range(9):
        x, y, radius = (int(v) for v in (*rng.integers(8, side - 8, 2), rng.integers(1, 7)))
        for mask, drawn_in in ((truth, number < 7), (shown, number > 1)):
            cv2.circle(mask, (x, y), radius if drawn_in else 0, int(drawn_in), -1)
    truth[:, :5] = 255
    logits = cv2.GaussianBlur(shown.astype(np.float32), (0, 0), 1) * 12 - 5
    return logits + rng.normal(0, 0.3, logits.shape).astype(np.float32), truth


@pytest.mark.parametrize("seed", range(5))
def test_facts_of_each_object_are_those_of_its_own_pixels(seed: int) -> None:
    logits, truth = drawn(seed)
    found = match_objects(logits > 0, truth)
    told = object_columns(found, logits, bins_of(logits))
    partner = dict(found.pairs.tolist())
    for row in range(found.true_count):
        own = found.true == row + 1
        assert told["pixels"][row] == own.sum()
        histogram = np.bincount(coarse(bins_of(logits))[own], minlength=COARSE)
        assert told["bins"][row].tolist() == np.flatnonzero(histogram).tolist()
        assert told["counts"][row].tolist() == histogram[histogram > 0].tolist()
        assert told["kind"][row] == ("matched" if row + 1 in partner else "missed")
        if row + 1 in partner:
            other = found.predicted == partner[row + 1]
            assert told["iou"][row] == (own & other).sum() / (own | other).sum()
            assert told["predicted_pixels"][row] == other.sum()
            assert told["peak"][row] == logits[other].max()
            assert told["mean"][row] == pytest.approx(logits[other].mean(), rel=1e-5)
        else:
            assert np.isnan([told[name][row] for name in ("iou", "peak", "mean")]).all()
    false = [n for n in range(1, found.predicted_count + 1) if n not in partner.values()]
    peaks = [float(logits[found.predicted == n].max()) for n in false]
    assert told["peak"][found.true_count :].tolist() == sorted(peaks, reverse=True)
    assert set(told["kind"][found.true_count :]) <= {"false"}


def test_the_drawn_cases_hold_every_kind() -> None:
    assert {kind for seed in range(5) for kind in columns(*drawn(seed))["kind"]} == {
        "matched",
        "missed",
        "false",
    }


def test_size_classes_end_before_their_bounds() -> None:
    assert size_of(np.array([1, 63, 64, 1023, 1024, 9215, 9216])).tolist() == (
        ["tiny", "tiny", "small", "small", "medium", "medium", "large"]
    )


def test_a_flood_of_false_objects_has_few_rows_and_loses_none_of_the_count() -> None:
    logits = np.full((200, 200), -1.0, np.float32)
    logits[::3, ::3] = np.random.default_rng(0).permutation(67 * 67).reshape(67, 67) + 1.0
    logits[100:120, 100:120] = 0.5
    told = columns(logits, np.zeros((200, 200), np.uint8))
    single, rest = told["count"] == 1, told["count"] > 1
    assert (single[:MOST_FALSE]).all()
    assert len(told["kind"]) <= MOST_FALSE + 4
    assert told["count"].sum() == match_objects(logits > 0, np.zeros((200, 200), np.uint8)).predicted_count
    assert rest.sum() == 1
    peaks = np.sort(logits[logits > 0.5])[::-1]
    assert told["peak"][single][:MOST_FALSE].tolist() == peaks[:MOST_FALSE].tolist()
    assert told["peak"][rest][0] == peaks[MOST_FALSE]
    assert np.isnan(told["mean"][rest]).all()


@pytest.mark.parametrize("truth", [np.zeros((9, 9), np.uint8), np.full((9, 9), 255, np.uint8)])
def test_a_picture_without_objects_has_no_rows(truth: NDArray[np.uint8]) -> None:
    assert {len(values) for values in columns(np.full((9, 9), -2, np.float32), truth).values()} == {0}


def test_a_prediction_of_every_valid_pixel_finds_nothing_however_large_the_objects() -> None:
    truth = np.zeros((40, 40), np.uint8)
    truth[:, :15] = 1  # IoU .375 with everything
    truth[20:22] = 255  # two regions of valid pixels
    everywhere = match_objects(np.ones((40, 40), bool), truth)
    assert (len(everywhere.pairs), everywhere.true_count, everywhere.predicted_count) == (0, 2, 2)
    nearly = np.ones((40, 40), bool)
    nearly[0, 39] = False
    assert len(match_objects(nearly, truth).pairs) == 2


def test_a_picture_that_is_all_object_is_found_by_a_prediction_of_all_of_it() -> None:
    assert len(match_objects(np.ones((9, 9), bool), np.ones((9, 9), np.uint8)).pairs) == 1
