from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from harness.config import Choice, Data
from harness.data.cache import Cache, build_cache
from harness.model.classical import BASELINES, KERNELS, POLARITIES, baseline_scores, top_hat_otsu
from tests.conftest import content_of

Pixels = NDArray[np.uint8]


def surface(kind: str, seed: int, square: int = 6, side: int = 72) -> tuple[Pixels, Pixels]:
    """Return a noisy gray surface with squares that are bright or dark, and its mask of 0 and 255."""
    rng = np.random.default_rng(seed)
    image = rng.integers(110, 130, (side, side)).astype(np.uint8)
    mask = np.zeros((side, side), np.uint8)
    for y, x in ((8, 10), (30, 45), (50, 20)):
        spot = np.s_[y : y + square, x : x + square]
        image[spot], mask[spot] = (
            (230, 255) if kind == "bright" else (20, 255) if kind == "dark" else (120, 0)
        )
    return image, mask


def cached(root: Path, kinds: list[str], square: int = 6) -> tuple[Cache, pd.DataFrame]:
    rows: list[dict[str, Any]] = []
    for number, kind in enumerate(kinds):
        image, mask = surface(kind, number, square)
        for name, pixels in ((f"{number}.png", image), (f"{number}_m.png", mask)):
            assert cv2.imwrite(str(root / name), pixels)
        rows.append(
            {
                "sample": f"{number}.png",
                "mask": f"{number}_m.png",
                "group": f"g{number}",
                "photo": f"{number:02}",
            }
            | {
                "height": image.shape[0],
                "width": image.shape[1],
                "channels": 1,
            }
            | content_of(root, f"{number}.png", f"{number}_m.png")
            | {"w": pd.NA, "h": pd.NA, "x0": pd.NA, "y0": pd.NA}
        )
    samples = pd.DataFrame(rows).astype(dict.fromkeys(("x0", "y0", "w", "h"), "Int64"))
    return build_cache(samples, root, Data(dataset=Choice(name="folders")), root / "caches"), samples


def overlap(found: NDArray[np.bool_], mask: Pixels) -> float:
    return float((found & (mask > 0)).sum() / (found | (mask > 0)).sum())


@pytest.mark.parametrize("color", [False, True])
@pytest.mark.parametrize("kind", ["bright", "dark"])
@pytest.mark.parametrize("kernel", KERNELS)
def test_a_top_hat_finds_squares_of_its_polarity(kind: str, kernel: int, color: bool) -> None:
    image, mask = surface(kind, 1)
    shown = np.repeat(image[:, :, None], 3, axis=2) if color else image
    other = "dark" if kind == "bright" else "bright"
    score = {p: overlap(top_hat_otsu(shown, kernel=kernel, polarity=p), mask) for p in POLARITIES}
    assert score[kind] > 0.9
    assert score[other] < 0.3
    if kernel == min(KERNELS):  # a wider one also finds the gaps between the squares
        assert score["both"] > 0.9


def test_squares_larger_than_the_kernel_are_not_found() -> None:
    image, mask = surface("bright", 1, square=14)
    scores = [overlap(top_hat_otsu(image, kernel=kernel, polarity="bright"), mask) for kernel in KERNELS]
    assert scores[0] < 0.3 < 0.9 < scores[-1]


def test_a_flat_picture_holds_nothing() -> None:
    for polarity in POLARITIES:
        assert not top_hat_otsu(np.full((40, 40), 90, np.uint8), kernel=9, polarity=polarity).any()


def test_a_cached_picture_is_read_as_it_is(tmp_path: Path) -> None:
    cache, _ = cached(tmp_path, ["bright"])
    found = top_hat_otsu(cache.image(0), kernel=17, polarity="bright")
    np.testing.assert_array_equal(found, top_hat_otsu(surface("bright", 0)[0], kernel=17, polarity="bright"))


def test_each_baseline_has_a_score_for_each_fold(tmp_path: Path) -> None:
    cache, samples = cached(tmp_path, ["bright"] * 6)
    scores = baseline_scores(cache, samples, np.array([0, 1, 2, 0, 1, 2]))
    assert scores.columns.tolist() == list(BASELINES)
    assert len(scores) == 3
    assert (scores["classical"] > 0.9).all()
    coverage = 3 * 36 / 72**2
    np.testing.assert_allclose(scores["constant"], coverage, atol=1e-9)


def test_a_constant_scores_the_coverage_of_its_fold_however_many_pictures_are_clean(tmp_path: Path) -> None:
    cache, samples = cached(tmp_path, ["bright", "clean", "bright", "clean", "clean", "clean"])
    scores = baseline_scores(cache, samples, np.array([0, 0, 1, 1, 1, 1]))
    coverage = 3 * 36 / 72**2
    np.testing.assert_allclose(scores["constant"], [coverage / 2, coverage / 4], atol=1e-9)


def test_a_constant_that_training_folds_make_best_may_score_zero(tmp_path: Path) -> None:
    cache, samples = cached(tmp_path, ["bright", "clean"])
    assert baseline_scores(cache, samples, np.array([0, 1]))["constant"].tolist() == [0.0, 0.0]


def test_the_variant_is_chosen_on_training_folds_only(tmp_path: Path) -> None:
    cache, samples = cached(tmp_path, ["bright"] * 4 + ["dark"])
    scores = baseline_scores(cache, samples, np.array([0, 0, 1, 1, 2]))["classical"]
    # fold 2 would score above .9 with a variant for dark squares, which the bright training folds do not choose
    assert scores[2] < 0.3
    two = baseline_scores(cache, samples, np.array([0, 0, 0, 0, 1]))["classical"]
    assert two.max() < 0.3


def test_held_out_samples_are_never_read(tmp_path: Path) -> None:
    cache, samples = cached(tmp_path, ["bright", "bright", "bright", "dark", "dark", "dark"])
    folds = np.array([0, 1, 1, -1, -1, -1])
    scores = baseline_scores(cache, samples, folds)
    assert (scores["classical"] > 0.9).all()  # the dark ones would have made another variant best
    alone = samples.copy()
    alone.loc[3:, "photo"] = alone.loc[3:, "group"] = "held out"
    pd.testing.assert_frame_equal(baseline_scores(cache, alone, folds), scores)
    broken = Cache(cache.folder, cache.rows.assign(image_at=cache.rows["image_at"].where(folds >= 0, 10**12)))
    pd.testing.assert_frame_equal(baseline_scores(broken, samples, folds), scores)
    with pytest.raises(ValueError, match="mmap"):
        broken.image(4)
