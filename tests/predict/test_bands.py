"""Tiled is whole, for networks that see no farther than tiles are cut; and what goes whole is what is served."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from harness.errors import DataError
from harness.model.tiles import Tiling
from harness.predict.bands import goes_whole, tiled_bands, whole_bands, whole_probabilities
from harness.predict.sources import MOST_DECODED, Source
from harness.tracking.registry import open_model
from harness.tracking.served_model import Segmenter
from tests.predict.conftest import SETTINGS, blobs, bright

Pixels = NDArray[np.uint8]


def source_of(picture: Pixels) -> Source:
    shape = (picture.shape[0], picture.shape[1])
    return Source("a picture", shape, lambda top, bottom: picture[top:bottom], None)


def tiled(segmenter: Segmenter, picture: Pixels, tiling: Tiling, together: int = 1) -> NDArray[np.float32]:
    bands = list(tiled_bands(segmenter, source_of(picture), tiling, together))
    assert all(band.top % 32 == 0 for band in bands)
    assert (np.concatenate([band.picture for band in bands]) == picture).all()
    return np.concatenate([band.probability for band in bands])


@pytest.mark.parametrize("shape", [(512, 512), (500, 611), (257, 300), (100, 700)])
def test_tiled_equals_whole_everywhere_where_the_network_sees_less_than_a_quarter_of_the_overlap(
    near: Segmenter, shape: tuple[int, int]
) -> None:
    picture = blobs(*shape)
    whole = near.probability(picture)
    assert whole.std() > 0.05, "there is something to be wrong about"
    assert np.abs(tiled(near, picture, Tiling(256, 128)) - whole).max() < 1e-5


def test_tiled_equals_whole_with_mirrored_views(near_weights: list[Path]) -> None:
    mirrored, picture = open_model(SETTINGS | {"flips": True}, near_weights), blobs(300, 200)
    assert np.abs(tiled(mirrored, picture, Tiling(256, 128)) - mirrored.probability(picture)).max() < 1e-5


def test_tiled_differs_near_seams_where_tiles_share_less_and_nowhere_else(near: Segmenter) -> None:
    picture = blobs(256, 480)
    off = np.abs(tiled(near, picture, Tiling(256, 0)) - near.probability(picture))
    assert off.max() > 1e-3
    assert off[:, :190].max() < 1e-5, "away from the border at column 224"


def test_tiles_together_give_what_they_give_alone(near: Segmenter) -> None:
    picture = blobs(300, 700)
    alone, together = (tiled(near, picture, Tiling(128, 64), number) for number in (1, 4))
    assert np.abs(alone - together).max() < 1e-5


@pytest.mark.parametrize("size", [None, 96])
def test_what_goes_whole_is_exactly_what_is_served(near_weights: list[Path], size: int | None) -> None:
    segmenter, picture = open_model(SETTINGS | {"size": size}, near_weights), blobs(190, 250)
    assert goes_whole(source_of(picture), size, Tiling(256, 64))
    (found,) = whole_probabilities(segmenter, [picture])
    bands = list(whole_bands(picture, found))
    assert (np.concatenate([band.probability for band in bands]) == segmenter.probability(picture)).all()


def test_only_what_fits_or_was_trained_whole_goes_whole() -> None:
    picture = source_of(np.zeros((10, 257), np.uint8))
    assert not goes_whole(picture, None, Tiling(256, 64))
    assert goes_whole(picture, 64, Tiling(256, 64))
    assert not goes_whole(picture, 64, Tiling(256, 64, scale=0.5))
    huge = Source("huge", (MOST_DECODED, 2), lambda top, bottom: np.zeros((0, 0)), None)
    with pytest.raises(DataError, match=r"--scale 7.6e-06"):
        goes_whole(huge, 512, Tiling())


@pytest.mark.parametrize("scale", [0.5, 0.3, 2.0])
def test_at_another_scale_tiled_is_about_the_whole_at_that_scale(scale: float) -> None:
    picture = blobs(700, 611, sigma=9)
    size = round(scale * 700)
    whole = bright(size=size).probability(picture)
    found = tiled(bright(), picture, Tiling(128, 32, scale))
    assert np.abs(found - whole).mean() < 0.01
    assert np.abs(tiled(bright(), cv2.blur(picture, (30, 30)), Tiling(128, 32, scale)) - whole).mean() > 0.03


def test_gray_is_read_as_color_with_equal_channels(near: Segmenter) -> None:
    gray = blobs(300, 300)[:, :, 0]
    color = np.repeat(gray[:, :, None], 3, axis=2)
    assert (tiled(near, gray, Tiling(128, 64)) == tiled(near, color, Tiling(128, 64))).all()
