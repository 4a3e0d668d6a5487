"""The metrics beside torchmetrics and MONAI: their values for drawn pictures, and they themselves where installed."""

from typing import NamedTuple

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from harness.evaluate.calibration import calibration_error
from harness.evaluate.pixels import boundary_dice, fold_histogram, pr_auc
from harness.evaluate.scores import fold_scores
from harness.model.outoffold import Collector, OutOfFold

# by torchmetrics 1.9.0 and MONAI 1.6.1, of the pictures that `drawn` makes
TORCHMETRICS = {
    "iou": 0.8174342,
    "pr_auc": 0.9726353,
    "calibration_error": 0.0831382,
    "dice_positive_pictures": 0.8864806,
}
MONAI = {"boundary_dice": 0.9876126}


class Picture(NamedTuple):
    logits: NDArray[np.float32]
    truth: NDArray[np.uint8]


def drawn(ignored: bool) -> list[Picture]:
    """Return six pictures of 64 px with blobs that stay off the border, which are predicted with errors."""
    rng = np.random.default_rng(7)
    pictures = []
    for number in range(6):
        smooth = gaussian_filter(rng.normal(size=(64, 64)), 4)
        truth = np.zeros((64, 64), np.uint8)
        truth[6:-6, 6:-6] = (smooth > np.quantile(smooth, 0.93))[6:-6, 6:-6]
        logits = 6 * (gaussian_filter(truth.astype(float), 1.5) - 0.4) + rng.normal(0, 0.7, (64, 64))
        logits[:4], logits[-4:], logits[:, :4], logits[:, -4:] = -4, -4, -4, -4
        if ignored and number == 0:
            truth[10:20, 10:30] = 255
        pictures.append(Picture(logits.astype(np.float32), truth))
    return pictures


def kept(pictures: list[Picture]) -> OutOfFold:
    collector = Collector(0)
    for number, picture in enumerate(pictures):
        collector.add(f"p{number}", f"p{number}", picture.logits, picture.truth)
    return collector.tables()


def ours() -> dict[str, float | None]:
    """Return our values: pixels with a part ignored, outlines without, since MONAI ignores nothing."""
    tables = kept(drawn(ignored=True))
    histogram, sums = fold_histogram(tables.histograms), tables.rows[["tp", "fp", "fn"]].sum()
    return {
        "iou": sums["tp"] / sums.sum(),
        "pr_auc": pr_auc(histogram),
        "calibration_error": calibration_error(histogram),
        "dice_positive_pictures": fold_scores(tables.rows, tables)["dice_positive_pictures"],
        "boundary_dice": boundary_dice(kept(drawn(ignored=False)).pixels),
    }


@pytest.mark.parametrize(
    ("name", "tolerance"),
    [
        ("iou", 1e-6),
        ("dice_positive_pictures", 1e-6),
        ("pr_auc", 5e-4),  # ours has the logits of a bin of 1/64 as ties
        ("calibration_error", 2e-3),  # ours takes the middle of that bin
        ("boundary_dice", 1e-6),
    ],
)
def test_our_values_are_those_of_the_reference(name: str, tolerance: float) -> None:
    assert ours()[name] == pytest.approx((TORCHMETRICS | MONAI)[name], abs=tolerance)


def test_the_values_are_those_that_torchmetrics_gives() -> None:
    functional = pytest.importorskip(
        "torchmetrics.functional.classification", reason="torchmetrics is not installed"
    )
    pictures = drawn(ignored=True)
    logits = torch.tensor(np.stack([picture.logits for picture in pictures]))
    truth = torch.tensor(np.stack([picture.truth for picture in pictures]).astype(np.int64))
    how = {"ignore_index": 255}
    dice = [
        functional.binary_f1_score(torch.sigmoid(x), y, **how) for x, y in zip(logits, truth, strict=True)
    ]
    found = {
        "iou": functional.binary_jaccard_index(torch.sigmoid(logits), truth, **how),
        "pr_auc": functional.binary_average_precision(torch.sigmoid(logits), truth, **how),
        "calibration_error": functional.binary_calibration_error(
            torch.sigmoid(logits), truth, n_bins=15, **how
        ),
        "dice_positive_pictures": torch.stack(dice).mean(),
    }
    assert {name: float(value) for name, value in found.items()} == pytest.approx(TORCHMETRICS, abs=1e-6)


@pytest.mark.filterwarnings("ignore::FutureWarning")  # MONAI's, of its own functions
def test_the_values_are_those_that_monai_gives() -> None:
    metrics = pytest.importorskip("monai.metrics", reason="MONAI is not installed")
    pictures = drawn(ignored=False)
    # MONAI gives a value a picture; weighted by their boundary pixels they are one over all
    tables = kept(pictures).pixels
    weights = (tables["boundary_true"] + tables["boundary_predicted"]).to_numpy()
    predicted, truth = (
        torch.tensor(np.stack(masks).astype(np.float32))[:, None]
        for masks in zip(*((picture.logits > 0, picture.truth == 1) for picture in pictures), strict=True)
    )
    found = metrics.compute_surface_dice(predicted, truth, class_thresholds=[2.0], include_background=True)
    assert float(np.average(found[:, 0].numpy(), weights=weights)) == pytest.approx(
        MONAI["boundary_dice"], abs=1e-6
    )
