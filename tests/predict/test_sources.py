"""What a file gives is what the served model sees; what is too large, or no picture, is one line."""

import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from harness.errors import DataError
from harness.predict.sources import pictures_in
from harness.tracking.served_model import read, to_8_bits
from tests.predict.conftest import blobs


def shown(path: Path, white: int | None = None) -> Any:
    with pictures_in(path, white) as (opener,):
        source = opener()
        half = source.shape[0] // 2
        return np.concatenate([source.rows(0, half), source.rows(half, source.shape[0])])


@pytest.mark.parametrize("ending", ["png", "jpg", "bmp", "webp", "tif"])
@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_are_shown_as_the_served_model_sees_them(tmp_path: Path, ending: str, channels: int) -> None:
    path, picture = tmp_path / f"a.{ending}", blobs(60, 50)
    assert cv2.imwrite(str(path), picture if channels == 3 else picture[:, :, 0])
    assert (shown(path) == to_8_bits(read(path.read_bytes(), "a", None), "a", None)).all()


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_16_bits_are_shown_by_their_white(tmp_path: Path, ending: str) -> None:
    path, deep = tmp_path / f"a.{ending}", blobs(60, 50).astype(np.uint16) * 16
    assert cv2.imwrite(str(path), deep)
    found = shown(path, 4095)
    assert found.dtype == np.uint8
    assert (found == np.minimum((2 * 255 * deep[:, :, ::-1].astype(int) + 4095) // (2 * 4095), 255)).all()


def test_deep_planes_of_their_own_are_read_though_other_decoders_get_them_wrong(tmp_path: Path) -> None:
    deep = np.moveaxis(blobs(60, 50).astype(np.uint16) * 257, 2, 0)
    tifffile.imwrite(tmp_path / "a.tif", deep, photometric="rgb", planarconfig="separate")
    assert (shown(tmp_path / "a.tif") == blobs(60, 50)).all()


def test_a_depth_other_than_trained_on_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    for name in ("a.png", "a.tif"):
        cv2.imwrite(str(tmp_path / name), blobs(60, 50))
        with (
            pytest.raises(DataError, match="white is 4095") as error,
            pictures_in(tmp_path / name, 4095) as (opener,),
        ):
            opener()
        assert str(error.value).count(name) == 1


def test_a_large_png_is_refused_by_its_header(tmp_path: Path) -> None:
    for side in (8193, 20_000, 60_000):
        size = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
        chunks = [(b"IHDR", size), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")]
        coded = [struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks]
        (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(coded))
        with (
            pytest.raises(DataError, match="tiled TIFF") as error,
            pictures_in(tmp_path / "a.png", None) as (opener,),
        ):
            opener()
        assert "67,108,864" in str(error.value)


def test_what_is_no_picture_is_one_line(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "whole.png"), blobs(200, 200))
    Image.fromarray(np.zeros((9, 9), np.float32)).save(tmp_path / "float.tif")
    broken = {
        "empty.png": b"",
        "text.png": b"hello",
        "cut.png": (tmp_path / "whole.png").read_bytes()[:5000],
        "cut.tif": b"II*\0\xff\xff\xff\xff",
        "float.tif": (tmp_path / "float.tif").read_bytes(),
    }
    for name, data in broken.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(DataError, match=name) as error, pictures_in(tmp_path / name, None) as openers:
            openers[0]()
        assert "\n" not in str(error.value)
    with pytest.raises(DataError, match="No such file"), pictures_in(tmp_path / "none.png", None):
        pass
