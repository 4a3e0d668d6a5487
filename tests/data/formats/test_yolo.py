import re
from pathlib import Path

import pytest

from harness.errors import DataError
from tests.data.formats.examples import classes, lines, masks, picture, read, saved


def polygon(*points: tuple[float, float], kind: int = 0) -> str:
    return f"{kind} " + " ".join(f"{x / 8:.6f} {y / 6:.6f}" for x, y in points) + "\n"


@pytest.fixture
def base(tmp_path: Path) -> Path:
    for name in ("train/images/a.jpg", "train/images/b.jpg", "valid/images/c.jpg"):
        picture(tmp_path / "set" / name)
    saved(
        tmp_path / "set/data.yaml",
        "train: ../train/images\nval: ../valid/images\nnc: 2\nnames: ['pit', 'crack']\n",
    )
    return tmp_path


def test_lines_are_objects_and_a_line_that_touches_itself_has_a_hole(base: Path) -> None:
    bridge = [(1, 1), (6, 1), (6, 5), (1, 5), (1, 1), (2, 2), (2, 4), (5, 4), (5, 2), (2, 2)]
    saved(base / "set/train/labels/a.txt", polygon(*bridge) + polygon((6, 4), (8, 4), (8, 6), (6, 6), kind=1))
    saved(base / "set/train/labels/b.txt", "\n")
    saved(base / "set/valid/labels/c.txt", polygon((0, 0), (2, 0), (2, 2), (0, 2), kind=1).rstrip())
    rows = read(base, "yolo", path="set")
    assert masks(rows) == {
        "train/images/a.jpg": lines("........ .#####.. .#...#.. .#...#.. .####### ......##"),
        "train/images/b.jpg": "",
        "valid/images/c.jpg": lines("##...... ##...... ........ ........ ........ ........"),
    }
    assert list(classes(rows).values()) == ["crack+pit", "clean", "crack"]
    assert rows.notes == (
        "3 pictures with 3 objects read from 3 files, 1 clean",
        "the folders' own split into train, val and test is not used, since groups decide",
    )
    assert read(base, "yolo", path="set/data.yaml") == rows


def test_pictures_without_labels_are_skipped_or_clean(base: Path) -> None:
    saved(base / "set/train/labels/a.txt", polygon((0, 0), (2, 0), (2, 2)))
    rows = read(base, "yolo", path="set")
    assert list(classes(rows)) == ["train/images/a.jpg"]
    assert rows.notes[2].startswith("2 pictures skipped: no label file; set missing: clean if")
    rows = read(base, "yolo", path="set", missing="clean")
    assert list(classes(rows).values()) == ["pit", "clean", "clean"]
    assert rows.notes[0] == "3 pictures with 1 object read from 1 file, 2 clean"


def test_classes_saved_as_decimals_are_whole_numbers(base: Path) -> None:
    for text in ("1.0", "1.000000000000000000e+00"):  # the second as numpy.savetxt has it
        saved(base / "set/train/labels/a.txt", polygon((0, 0), (2, 0), (2, 2)).replace("0 ", f"{text} ", 1))
        assert classes(read(base, "yolo", path="set")) == {"train/images/a.jpg": "crack"}
    for text in ("1.5", "1e99", "1..0", "-1.0", "nan"):
        saved(base / "set/train/labels/a.txt", polygon((0, 0), (2, 0), (2, 2)).replace("0 ", f"{text} ", 1))
        with pytest.raises(
            DataError, match=rf"a\.txt, line 1: the class '{re.escape(text)}' is no whole number"
        ):
            read(base, "yolo", path="set")


def test_boxes_are_skipped_or_filled(base: Path) -> None:
    saved(base / "set/train/labels/a.txt", "1 0.5 0.5 0.5 0.333333\n")
    saved(base / "set/train/labels/b.txt", "")
    rows = read(base, "yolo", path="set")
    assert list(classes(rows)) == ["train/images/b.jpg"]
    assert "1 picture skipped: only a box, no outline (first: train/images/a.jpg)" in rows.notes
    filled = masks(read(base, "yolo", path="set", boxes="fill"))
    assert filled["train/images/a.jpg"] == lines("........ ........ ..####.. ..####.. ........ ........")


def test_classes_are_named_by_a_list_or_by_number(base: Path) -> None:
    saved(base / "set/train/labels/a.txt", polygon((0, 0), (2, 0), (2, 2), kind=1))
    (base / "set/data.yaml").unlink()
    assert set(classes(read(base, "yolo", path="set")).values()) == {"1"}
    saved(base / "set/classes.txt", "pit\r\nscratch\r\n")
    assert set(classes(read(base, "yolo", path="set")).values()) == {"scratch"}
    saved(base / "set/one.yaml", "names: {0: pit, 1: 7}")
    assert set(classes(read(base, "yolo", path="set")).values()) == {"7"}
    saved(base / "set/two.yaml", "names: [a, b]")
    with pytest.raises(DataError, match=r"set: holds one\.yaml, two\.yaml; name the one to use as path"):
        read(base, "yolo", path="set")


BROKEN = {
    "an odd number": ("0 .1 .1 .2 .2 .3\n", r"a\.txt, line 1: 5 coordinates, an odd number"),
    "a class beyond": (
        "0 .1 .1 .2 .2 .3 .3\n2 .1 .1 .2 .2 .3 .3",
        r"a\.txt, line 2: class 2 is not among the 2 that",
    ),
    "a negative class": ("-1 .1 .1 .2 .2 .3 .3", "line 1: the class '-1' is no whole number"),
    "a class in words": ("pit .1 .1 .2 .2 .3 .3", "line 1: the class 'pit' is no whole number"),
    "a word": ("0 .1 .1 .2 x .3 .3", "line 1: '.1 .1 .2 x .3 .3' are no numbers"),
    "pixels": ("0 10 10 20 20 30 30", "line 1: coordinates from 10 to 30, not 0 to 1"),
    "below zero": ("0 -.2 .1 .2 .2 .3 .3", "line 1: coordinates from -0.2 to 0.3, not 0 to 1"),
    "not a number": ("0 nan .1 .2 .2 .3 .3", "line 1: a coordinate is beyond"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_line_is_named(base: Path, case: str) -> None:
    text, message = BROKEN[case]
    saved(base / "set/train/labels/a.txt", text)
    with pytest.raises(DataError, match=message) as caught:
        read(base, "yolo", path="set")
    assert "\n" not in str(caught.value)


def test_a_set_that_cannot_be_paired_is_told(base: Path) -> None:
    with pytest.raises(
        DataError, match=r"set: no picture has a label file \(images/a\.jpg: labels/a\.txt\); name"
    ):
        read(base, "yolo", path="set")
    with pytest.raises(DataError, match="no picture has a label file"):
        read(base, "yolo", path="set", missing="clean")
    saved(base / "set/train/labels/a.txt", "")
    picture(base / "set/train/images/a.png")
    with pytest.raises(DataError, match=r"a\.png: train/images/a\.jpg has the same label file; keep one"):
        read(base, "yolo", path="set")
    for text in (
        "names: 3",
        "train: images",
        "names: {0: [1]}",
        "names: {a: pit}",
        "names: [",
        "names: ['']",
    ):
        saved(base / "set/data.yaml", text)
        with pytest.raises(DataError, match=r"data\.yaml"):
            read(base, "yolo", path="set")
