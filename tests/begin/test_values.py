from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from harness.begin.values import meant_by, white_of
from harness.config import MaskValues
from harness.data.pictures import read_mask
from harness.errors import DataError

SIDE = 16


def mask(path: Path, *values: int, background: int = 0) -> Path:
    """Write a mask that has one pixel of each value."""
    pixels = np.full((SIDE, SIDE), background, np.uint8)
    pixels.ravel()[: len(values)] = values
    Image.fromarray(pixels).save(path)
    return path


@pytest.mark.parametrize(
    ("values", "background", "setting"),
    [
        ((255,), 0, {"background": 0, "target": 255}),
        ((1,), 0, {"background": 0, "target": 1}),
        ((7,), 0, {"background": 0, "target": 7}),
        ((), 0, {"background": 0, "target": 255}),
        ((1, 255), 0, {"background": 0, "target": 1, "ignore": 255}),
        ((0,), 255, {"background": 255, "target": 0}),
    ],
)
def test_values_mean_what_their_shares_say(
    values: tuple[int, ...], background: int, setting: dict[str, int], tmp_path: Path
) -> None:
    first = mask(tmp_path / "a.png", *values, background=background)
    second = mask(tmp_path / "b.png", background=background)
    meant = meant_by([second, first])
    assert meant.setting == setting
    assert bool(meant.why) == (background == 255 or len(values) == 2)
    MaskValues(**meant.setting)


def test_masks_with_gray_edges_are_cut_in_the_middle(tmp_path: Path) -> None:
    disk = np.zeros((64, 64), np.uint8)
    cv2.circle(disk, (30, 30), 12, 255, -1, cv2.LINE_AA)
    Image.fromarray(cv2.GaussianBlur(disk, (0, 0), 1.0)).save(tmp_path / "a.jpg", quality=80)
    meant = meant_by([tmp_path / "a.jpg"])
    assert list(meant.setting) == ["above"]
    assert "gray edges" in meant.why
    found = read_mask(tmp_path / "a.jpg", MaskValues(**meant.setting))
    assert set(np.unique(found)) == {0, 1}
    assert abs(int(found.sum()) - int((disk > 127).sum())) < 10


def test_classes_are_no_gray_edges_and_are_told(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"a\.png: masks hold the values 0, 1, 2, 3, so they may be classes; save"
    ):
        meant_by([mask(tmp_path / "a.png", 1, 2, 3)])
    noise = np.random.default_rng(1).integers(0, 256, (64, 64), np.uint8)
    Image.fromarray(noise).save(tmp_path / "n.png")
    with pytest.raises(
        DataError, match=r"n\.png: masks hold the values 0, 1, .*, \.\.\., so they may be classes"
    ):
        meant_by([tmp_path / "n.png"])


def test_dark_16_bit_pictures_get_the_white_of_their_bits(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.full((4, 4), 3012, np.uint16))
    cv2.imwrite(str(tmp_path / "b.png"), np.full((4, 4), 60000, np.uint16))
    mask(tmp_path / "c.png", 255)
    assert white_of([tmp_path / "a.png"]) == 4095
    assert white_of([tmp_path / "a.png", tmp_path / "b.png"]) is None
    assert white_of([tmp_path / "c.png"]) is None
