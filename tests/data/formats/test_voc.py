from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from harness.errors import ConfigError, DataError
from tests.data.formats.examples import classes, drawn, gray, lines, masks, picture, read, saved

CLASS = drawn("........ ..##.... ..##.... ........ ........ ........") > 0
OTHER = drawn("........ ........ ........ .....##. .....##. ........") > 0
VOID = drawn("........ .#..#... .#..#... ........ ........ ........") > 0
LABELS = (CLASS * 1 + OTHER * 2 + VOID * 255).astype(np.uint8)
BOTH = lines("........ .?##?... .?##?... .....##. .....##. ........")
LABELMAP = "# label:color_rgb:parts:actions\nbackground:0,0,0::\npit:128,0,0::\ncrack:10,20,30::\n"


def palette(path: Path, labels: np.ndarray) -> None:  # type: ignore[type-arg]
    """Write an indexed PNG, as VOC's are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(labels).convert("P")
    image.putdata(labels.ravel().tolist())
    image.putpalette([value for n in range(256) for value in (n, 255 - n, 7)])
    image.save(path)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    for name in "ab":
        picture(tmp_path / f"JPEGImages/{name}.jpg")
    palette(tmp_path / "SegmentationClass/a.png", LABELS)
    return tmp_path


def test_an_indexed_mask_is_drawn_with_void_ignored(base: Path) -> None:
    rows = read(base, "voc", path=".")
    assert masks(rows) == {"JPEGImages/a.jpg": BOTH}
    assert classes(rows) == {"JPEGImages/a.jpg": "1+2"}
    assert rows.notes == (
        "1 picture read from 1 mask, 0 clean",
        "the value 255 (void) is drawn as 128: declare data.masks: {background: 0, target: 255, ignore: 128}",
        "the lists in ImageSets are not used, since groups decide",
        "1 picture skipped: no mask; set missing: clean if that means that they show no target (first: b.jpg)",
    )
    assert classes(read(base, "voc", path=".", missing="clean"))["JPEGImages/b.jpg"] == "clean"


def test_classes_are_chosen_and_the_cache_tells_them_apart(base: Path) -> None:
    one = read(base, "voc", path=".", classes=["2"])
    assert masks(one)["JPEGImages/a.jpg"] == lines("........ .?..?... .?..?... .....##. .....##. ........")
    assert classes(one) == {"JPEGImages/a.jpg": "2"}
    assert masks(read(base, "voc", path="."))["JPEGImages/a.jpg"] == BOTH
    with pytest.raises(ConfigError, match=r"voc\.classes: '3' is not known; known: 1, 2"):
        read(base, "voc", path=".", classes=["3"])


def test_names_come_from_the_export(base: Path) -> None:
    saved(base / "class_names.txt", "_background_\npit\ncrack\n")
    assert classes(read(base, "voc", path=".")) == {"JPEGImages/a.jpg": "crack+pit"}
    saved(base / "labelmap.txt", LABELMAP.replace("pit", "hole"))
    assert classes(read(base, "voc", path=".")) == {"JPEGImages/a.jpg": "crack+hole"}
    saved(base / "labelmap.txt", "background:0,0,0::\npit:1,1,1::\n")
    with pytest.raises(DataError, match=r"a\.png: holds the class 2, and 1 are named; correct the list"):
        read(base, "voc", path=".")
    saved(base / "labelmap.txt", "background:0,0::\n")
    with pytest.raises(DataError, match=r"labelmap\.txt: 'background:0,0::' is no name:red,green,blue"):
        read(base, "voc", path=".")


def test_colors_are_those_of_the_export_or_of_voc(base: Path) -> None:
    def colored(colors: dict[int, tuple[int, int, int]]) -> None:
        pixels = np.zeros((6, 8, 3), np.uint8)
        for number, color in colors.items():
            pixels[number == LABELS] = color
        Image.fromarray(pixels).save(base / "SegmentationClass/a.png")

    colored({1: (128, 0, 0), 2: (0, 128, 0), 255: (224, 224, 192)})
    assert masks(read(base, "voc", path="."))["JPEGImages/a.jpg"] == BOTH
    colored({1: (128, 0, 0), 2: (10, 20, 30), 255: (224, 224, 192)})
    with pytest.raises(
        DataError, match=r"a\.png: the color 10, 20, 30 is no class of labelmap\.txt, nor VOC's"
    ):
        read(base, "voc", path=".")
    saved(base / "labelmap.txt", LABELMAP)
    rows = read(base, "voc", path=".")
    assert masks(rows)["JPEGImages/a.jpg"] == BOTH
    assert classes(rows) == {"JPEGImages/a.jpg": "crack+pit"}


def test_the_folder_is_found_below_or_named(base: Path) -> None:
    (base / "VOCdevkit/VOC2012").mkdir(parents=True)
    for part in ("JPEGImages", "SegmentationClass"):
        (base / part).rename(base / "VOCdevkit/VOC2012" / part)
    assert read(base, "voc", path=".").root == base / "VOCdevkit/VOC2012"
    for part in ("JPEGImages", "SegmentationClass"):
        (base / "VOCdevkit/VOC2007" / part).mkdir(parents=True)
    with pytest.raises(DataError, match=r"SegmentationClass: VOCdevkit/VOC2007, VOCdevkit/VOC2012; name one"):
        read(base, "voc", path=".")
    with pytest.raises(DataError, match="VOC2007: no mask in SegmentationClass"):
        read(base, "voc", path="VOCdevkit/VOC2007")
    with pytest.raises(DataError, match="and SegmentationClass: none; name one"):
        read(base, "voc", path="VOCdevkit/VOC2007/JPEGImages")


def test_masks_that_do_not_fit_are_told(base: Path) -> None:
    gray(base / "SegmentationClass/a.png", np.zeros((7, 8)))
    with pytest.raises(DataError, match=r"a\.jpg: 8 x 6 px upright, but its mask a\.png has 8 x 7"):
        read(base, "voc", path=".")
    Image.fromarray(np.zeros((6, 8), np.uint16)).save(base / "SegmentationClass/a.png")
    with pytest.raises(DataError, match=r"a\.png: neither numbers of classes nor colors"):
        read(base, "voc", path=".")
    cut = base / "SegmentationClass/a.png"
    gray(cut, np.random.default_rng(0).integers(0, 2, (6, 8)))
    cut.write_bytes(cut.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"a\.png: .*or cut off"):
        read(base, "voc", path=".")
    assert not list((base / "cache").rglob("*"))
