"""A mask that is written in bands is the mask."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from harness.predict.masks import mask_ending, write_mask

Pixels = NDArray[np.uint8]


def bands(mask: Pixels, rows: int) -> Iterator[Pixels]:
    for top in range(0, len(mask), rows):
        yield mask[top : top + rows]


@pytest.mark.parametrize("rows", [32, 96, 256, 1000])
@pytest.mark.parametrize("ending", [".png", ".tif"])
@pytest.mark.parametrize("shape", [(513, 300), (256, 256), (700, 257)])
def test_bands_become_the_mask(tmp_path: Path, shape: tuple[int, int], ending: str, rows: int) -> None:
    mask = ((np.random.default_rng(1).random(shape) < 0.3) * 255).astype(np.uint8)
    path = tmp_path / f"mask{ending}"
    write_mask(path, shape, bands(mask, rows))
    found = np.array(Image.open(path)) if ending == ".png" else tifffile.imread(path)
    assert (found == mask).all()
    if ending == ".tif":
        with tifffile.TiffFile(path) as file:
            assert file.pages.first.tile == (256, 256)


def test_the_same_mask_is_the_same_file(tmp_path: Path) -> None:
    mask = np.eye(300, dtype=np.uint8) * 255
    for ending in (".png", ".tif"):
        for name, rows in (("a", 32), ("b", 288)):
            write_mask(tmp_path / f"{name}{ending}", mask.shape, bands(mask, rows))
        assert (tmp_path / f"a{ending}").read_bytes() == (tmp_path / f"b{ending}").read_bytes()


def test_a_mask_is_a_png_up_to_a_size() -> None:
    assert (mask_ending((8192, 8192)), mask_ending((8192, 8193))) == (".png", ".tif")
