"""Rows of TIFFs of many kinds are what was written; what is not read is refused with what to do."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from harness.errors import DataError
from harness.predict.sources import decoding, pictures_in
from harness.predict.tiff import pages_of, rows_of

RNG = np.random.default_rng(3)
GRAY, RGB, RGBA = (
    RNG.integers(0, 65536, (150, 170, *rest), np.uint16) // 512 * 512 for rest in ((), (3,), (4,))
)
FORMS: dict[str, dict[str, Any]] = {
    "plain": {},
    "strips": {"rowsperstrip": 7},
    "compressed strips": {"rowsperstrip": 7, "compression": "zlib"},
    "tiles": {"tile": (32, 48)},
    "compressed tiles": {"tile": (64, 32), "compression": "zlib"},
    "predicted": {"tile": (64, 32), "compression": "zlib", "predictor": True},
    "lzma": {"tile": (64, 64), "compression": "lzma"},
    "big": {"tile": (64, 64), "bigtiff": True},
    "big endian": {"byteorder": ">"},
    "big endian tiles": {"byteorder": ">", "tile": (64, 32), "compression": "zlib"},
}


def write(path: Path, pixels: Any, **form: Any) -> Path:
    form.setdefault("photometric", "minisblack" if pixels.ndim == 2 else "rgb")
    tifffile.imwrite(path, pixels, metadata=None, **form)
    return path


def read_by_rows(path: Path, page: int = 0) -> Any:
    with tifffile.TiffFile(path) as file, decoding(str(path)):
        one = pages_of(file, str(path))[page]
        rows = rows_of(one, str(path))
        edges = [0, 5, 64, 70, 71, one.imagelength]
        return np.concatenate([rows(top, bottom) for top, bottom in pairwise(edges)])


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("pixels", [GRAY, RGB, RGBA], ids=["gray", "RGB", "RGBA"])
def test_rows_are_what_was_written(tmp_path: Path, pixels: Any, depth: int, form: dict[str, Any]) -> None:
    stored = (pixels >> 8).astype(np.uint8) if depth == 8 else pixels
    if pixels.ndim == 3 and pixels.shape[2] == 4:
        form = form | {"extrasamples": ["unassalpha"]}
    found = read_by_rows(write(tmp_path / "a.tif", stored, **form))
    wanted = stored if stored.ndim == 2 else stored[:, :, :3]
    assert found.dtype == stored.dtype
    assert (found == wanted).all()


@pytest.mark.parametrize("form", ["strips", "compressed tiles"])
def test_planes_of_their_own_are_put_together(tmp_path: Path, form: str) -> None:
    planes = np.ascontiguousarray(np.moveaxis(RGB, 2, 0))
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, planes, photometric="rgb", planarconfig="separate", metadata=None, **FORMS[form])
    assert (read_by_rows(path) == RGB).all()


def test_zero_as_white_is_turned_round_at_8_bits_and_refused_at_16(tmp_path: Path) -> None:
    gray = (GRAY >> 8).astype(np.uint8)
    assert (read_by_rows(write(tmp_path / "a.tif", gray, photometric="miniswhite")) == 255 - gray).all()
    with pytest.raises(DataError, match="16 bits with 0 for white"):
        read_by_rows(write(tmp_path / "b.tif", GRAY, photometric="miniswhite"))


def test_tiles_that_were_never_written_are_black(tmp_path: Path) -> None:
    tiles = [np.full((64, 64), 9, np.uint8), None, None, np.full((64, 64), 7, np.uint8)]
    tifffile.imwrite(
        tmp_path / "a.tif",
        iter(tiles),
        shape=(128, 128),
        dtype=np.uint8,
        tile=(64, 64),
        photometric="minisblack",
    )
    found = read_by_rows(tmp_path / "a.tif")
    assert (found[:64, :64] == 9).all()
    assert not found[:64, 64:].any()
    assert (found[64:, 64:] == 7).all()


def test_pages_are_pictures_and_smaller_copies_are_none(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for page in (GRAY, GRAY // 2):
            file.write(page, photometric="minisblack", metadata=None)
        file.write(GRAY[::2, ::2], photometric="minisblack", metadata=None, subfiletype=1)
    with pictures_in(tmp_path / "a.tif", None) as openers:
        found = [opener() for opener in openers]
        assert [one.where[-6:] for one in found] == ["page 1", "page 2"]
    assert (read_by_rows(tmp_path / "a.tif", 1) == GRAY // 2).all()


REFUSED: dict[str, tuple[Any, dict[str, Any], str]] = {
    "floats": (GRAY.astype(np.float32), {}, "32 bits"),
    "signed": (GRAY.astype(np.int16), {}, "int16"),
    "palette": (
        GRAY[:, :, None][:, :, 0].astype(np.uint8),
        {"photometric": "palette", "colormap": np.zeros((3, 256), np.uint16)},
        "PALETTE",
    ),
    "ink": (RGBA, {"photometric": "separated"}, "SEPARATED"),
    "turned": (GRAY, {"extratags": [(274, 3, 1, 6, True)]}, "orientation 6"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_unusual_pixels_are_refused_in_a_line(tmp_path: Path, kind: str) -> None:
    pixels, form, said = REFUSED[kind]
    with pytest.raises(DataError, match=said) as error:
        read_by_rows(write(tmp_path / "a.tif", pixels, **form))
    assert "a.tif" in str(error.value)
    assert "save it" in str(error.value)


@pytest.mark.parametrize("name", ["tiff_lzw", "jpeg"])
def test_compressions_that_need_imagecodecs_say_so(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.tif"
    Image.fromarray((RGB >> 8).astype(np.uint8)).save(path, compression=name)
    with pytest.raises(DataError, match="imagecodecs") as error:
        read_by_rows(path)
    assert "deflate" in str(error.value)
    with pictures_in(path, None) as (opener,):  # small: by Pillow, as the served model reads it
        assert opener().shape == RGB.shape[:2]


@pytest.mark.parametrize("form", ["plain", "compressed tiles", "strips"])
def test_a_file_that_is_cut_off_is_told(tmp_path: Path, form: str) -> None:
    path = write(tmp_path / "a.tif", GRAY, **FORMS[form])
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(DataError, match=r"a\.tif"):
        read_by_rows(path)


def test_a_strip_too_large_to_decode_at_once_is_refused(tmp_path: Path) -> None:
    empty = np.zeros((9000, 9000), np.uint8)
    path = write(tmp_path / "a.tif", empty, compression="zlib", rowsperstrip=9000)
    with pytest.raises(DataError, match="strips of 9,000 rows"):
        read_by_rows(path)
