from pathlib import Path

import pytest

from harness.errors import DataError
from tests.data.formats.examples import (
    CVAT_SQUARE,
    classes,
    cvat_document,
    cvat_image,
    lines,
    masks,
    picture,
    read,
    saved,
)

MASK = '<mask label="crack" source="semi-auto" occluded="0" rle="{rle}" left="{left}" top="{top}" width="3" height="2" z_order="0"></mask>'  # noqa: E501  # as CVAT writes it
BOX = '<box label="pit" source="manual" occluded="0" xtl="2.00" ytl="1.00" xbr="6.00" ybr="3.00" z_order="0"{more}></box>'  # noqa: E501  # as CVAT writes it


@pytest.fixture
def base(tmp_path: Path) -> Path:
    for name in "abcd":
        picture(tmp_path / f"images/{name}.png")
    return tmp_path


def write(base: Path, *images: str) -> Path:
    return saved(base / "annotations.xml", cvat_document("\n".join(images)))


def polygon(points: str, label: str = "pit") -> str:
    return f'<polygon label="{label}" source="manual" occluded="0" points="{points}" z_order="0"><attribute name="x">1</attribute></polygon>'  # noqa: E501  # as CVAT writes it


def test_polygons_ellipses_and_masks_are_drawn(base: Path) -> None:
    ellipse = '<ellipse label="spot" cx="4.00" cy="3.00" rx="3.00" ry="1.00" rotation="90.00"></ellipse>'
    write(
        base,
        cvat_image("a.png", polygon("1.00,1.00;7.00,5.00;7.00,1.00;1.00,5.00")),
        cvat_image("b.png", MASK.format(rle="1, 4, 1", left=5, top=4), CVAT_SQUARE),
        cvat_image("c.png", ellipse),
        cvat_image("d.png", '<tag label="crack" source="manual"></tag>'),
    )
    rows = read(base, "cvat", path="annotations.xml")
    assert masks(rows) == {
        "a.png": lines("........ .#....#. .##..##. .##..##. .#....#. ........"),
        "b.png": lines("........ ..####.. ..####.. ........ ......## .....##."),
        "c.png": lines("...##... ...##... ...##... ...##... ...##... ...##..."),
        "d.png": "",
    }
    assert classes(rows) == {"a.png": "pit", "b.png": "crack+pit", "c.png": "spot", "d.png": "clean"}
    assert rows.notes == ("4 pictures with 4 objects read from 1 file, 1 clean",)


def test_what_has_no_area_leaves_its_picture_out_and_boxes_may_be_filled(base: Path) -> None:
    write(
        base,
        cvat_image("a.png", BOX.format(more="")),
        cvat_image("b.png", '<polyline label="pit" points="1.00,1.00;2.00,2.00"></polyline>'),
        cvat_image("c.png", '<points label="pit" points="1.00,1.00"></points>'),
        cvat_image("d.png", BOX.format(more=' rotation="90.00"')),
    )
    with pytest.raises(DataError, match=r"no picture is left to read: 2 pictures skipped: only a box"):
        read(base, "cvat", path=".")
    rows = read(base, "cvat", path=".", boxes="fill")
    assert masks(rows) == {
        "a.png": lines("........ ..####.. ..####.. ........ ........ ........"),
        "d.png": lines("...##... ...##... ...##... ...##... ........ ........"),
    }
    assert rows.notes[1:] == (
        "1 picture skipped: only a line, which has no area (first: b.png)",
        "1 picture skipped: only points, which have no area (first: c.png)",
    )


def test_a_box_is_turned_as_the_hands_of_a_clock(base: Path) -> None:
    turned = BOX.replace("1.00", "2.50").replace("3.00", "3.50").format(more=' rotation="45.00"')
    write(base, cvat_image("a.png", turned))
    drawn = masks(read(base, "cvat", path=".", boxes="fill"))["a.png"]
    assert drawn == lines("........ ........ ...#.... ....#... ........ ........")


def test_a_label_that_is_only_declared_is_known(base: Path) -> None:
    write(base, cvat_image("a.png", CVAT_SQUARE))
    assert classes(read(base, "cvat", path=".", classes=["crack"])) == {"a.png": "clean"}


def test_the_subsets_of_a_project_are_folders(tmp_path: Path) -> None:
    for subset in ("train", "val"):
        picture(tmp_path / f"images/{subset}/a.png")
    images = [
        cvat_image("a.png", CVAT_SQUARE).replace('id="0"', f'id="0" subset="{s}" task_id="1"')
        for s in ("train", "val")
    ]
    write(tmp_path, *images)
    assert classes(read(tmp_path, "cvat", path=".")) == {"train/a.png": "pit", "val/a.png": "pit"}


def test_the_file_is_found_in_a_folder_or_named(base: Path) -> None:
    write(base, cvat_image("a.png")).rename(base / "task.xml")
    assert read(base, "cvat", path=".").root == base / "images"
    saved(base / "other.xml", "<a/>")
    with pytest.raises(DataError, match=r"holds other\.xml, task\.xml; name the XML file of CVAT as path"):
        read(base, "cvat", path=".")
    with pytest.raises(DataError, match=r"other\.xml: is no XML file of CVAT"):
        read(base, "cvat", path="other.xml")
    with pytest.raises(DataError, match="images: holds no XML file"):
        read(base, "cvat", path="images")


BROKEN = {
    "a video": (
        '<track id="0" label="pit"></track>',
        "line 8: a <track> of a video; export as 'CVAT for images 1.1'",
    ),
    "no name": ('<image id="0" width="8" height="6"/>', "line 8, name: None is no name"),
    "no width": (
        '<image id="0" name="a.png" height="6"/>',
        "line 8, width: '' is no whole number from 1 on",
    ),
    "no points": (cvat_image("a.png", polygon("")), "line 9: '' are no points"),
    "half a point": (cvat_image("a.png", polygon("1,1;2;3,3")), "line 9: '1,1;2;3,3' are no points x,y;x,y"),
    "three numbers": (cvat_image("a.png", polygon("1,1;2,2,2;3,3")), "are no points"),
    "a word": (cvat_image("a.png", polygon("1,1;2,x;3,3")), "are no points"),
    "infinity": (cvat_image("a.png", polygon("1,1;2,inf;3,3")), "a coordinate is beyond"),
    "no label": (cvat_image("a.png", '<polygon points="1,1;2,2;3,1"/>'), "line 9, label: None is no name"),
    "half a box": (cvat_image("a.png", '<box label="pit" xtl="1"/>'), "line 9, ytl: None is no number"),
    "runs of less": (
        cvat_image("a.png", MASK.format(rle="1, 2", left=1, top=1)),
        "line 9, rle: run lengths of 3",
    ),
    "a mask beyond": (
        cvat_image("a.png", MASK.format(rle="0, 6", left=6, top=1)),
        "leaves its picture of 8 x 6",
    ),
    "a mask before": (
        cvat_image("a.png", MASK.format(rle="0, 6", left=-1, top=1)),
        "line 9, left: '-1' is no whole",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_element_is_named_with_its_line(base: Path, case: str) -> None:
    inside, message = BROKEN[case]
    write(base, inside)
    with pytest.raises(DataError, match=rf"annotations\.xml, .*{message}") as caught:
        read(base, "cvat", path=".")
    assert "\n" not in str(caught.value)
