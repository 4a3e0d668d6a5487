import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from harness.data.formats.sizes import agreed_size, picture_size
from harness.data.grouping import upright_size
from harness.data.pictures import read_image
from harness.errors import DataError
from tests.data.formats.examples import picture


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "tif", "webp"])
@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_the_size_is_that_of_the_upright_picture(tmp_path: Path, suffix: str, orientation: int) -> None:
    if suffix == "bmp":
        orientation = 1
    picture(tmp_path / f"a.{suffix}", (9, 5), orientation=orientation)
    expected = (5, 9) if orientation == 6 else (9, 5)
    assert picture_size(tmp_path / f"a.{suffix}") == upright_size(tmp_path / f"a.{suffix}") == expected
    assert read_image(tmp_path / f"a.{suffix}").shape[1::-1] == expected


@pytest.mark.parametrize("key", ["Software", "XML:com.adobe.xmp", "Raw"])
def test_texts_in_a_png_are_looked_at_for_a_turn(tmp_path: Path, key: str) -> None:
    info = PngInfo()
    turned = '<x:xmpmeta><rdf:Description tiff:Orientation="6"></rdf:Description></x:xmpmeta>'
    info.add_itxt(key, turned) if key.startswith("XML") else info.add_text(key, "x" * 3)
    Image.fromarray(np.zeros((5, 9), np.uint8)).save(tmp_path / "a.png", pnginfo=info)
    assert picture_size(tmp_path / "a.png") == ((5, 9) if key.startswith("XML") else (9, 5))


def test_cut_and_altered_files_are_one_line_or_sizes(tmp_path: Path) -> None:
    picture(tmp_path / "a.png", (9, 5))
    whole = (tmp_path / "a.png").read_bytes()
    rng = random.Random(3)
    for _ in range(300):
        file = bytearray(whole[: rng.randrange(len(whole) + 1)])
        for _ in range(rng.randrange(3)):
            if file:
                file[rng.randrange(len(file))] = rng.randrange(256)
        (tmp_path / "b.png").write_bytes(file)
        message = ""
        try:
            picture_size(tmp_path / "b.png")
        except DataError as error:
            message = str(error)
        assert "\n" not in message


def test_a_cut_png_is_refused(tmp_path: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (50, 90), np.uint8)).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes()[:-2000])
    with pytest.raises(DataError, match=r"b\.png: no picture of a known kind, or cut off"):
        picture_size(tmp_path / "b.png")


def test_sizes_must_agree_and_be_possible(tmp_path: Path) -> None:
    picture(tmp_path / "a.png", (9, 5))
    assert (
        agreed_size(tmp_path / "a.png", (9, 5), "here")
        == agreed_size(tmp_path / "a.png", None, "here")
        == (9, 5)
    )
    for declared, message in (
        ((9, 6), r"here: drawn on 9 x 6 px, but a\.png is 9 x 5; give the picture"),
        ((5, 9), r"here: drawn on 5 x 9 px, but a\.png is 9 x 5 upright, the sides swapped"),
        ((100_001, 5), "here: 100,001 x 5 px, above 100,000 a side or 400,000,000 in all; cut it"),
        ((90_000, 90_000), "here: 90,000 x 90,000 px, above"),
    ):
        with pytest.raises(DataError, match=message):
            agreed_size(tmp_path / "a.png", declared, "here")
