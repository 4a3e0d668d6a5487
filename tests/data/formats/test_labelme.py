import base64
from pathlib import Path

import numpy as np
import pytest

from harness.errors import DataError
from tests.data.formats.examples import (
    classes,
    drawn,
    labelme_document,
    labelme_shape,
    lines,
    masks,
    picture,
    png,
    read,
    saved,
)


def mask_of(pixels: np.ndarray) -> str:  # type: ignore[type-arg]
    return base64.b64encode(png(pixels)).decode()


def test_polygons_circles_and_masks_are_drawn(tmp_path: Path) -> None:
    for name in "abc":
        picture(tmp_path / f"{name}.jpg")
    triangle = labelme_shape("polygon", [[1.0, 1.0], [7.0, 1.0], [1.0, 5.0]])
    circle = labelme_shape("circle", [[4.0, 3.0], [4.0, 5.1]], "hole")
    bits = drawn("#.# ###") > 0
    saved(tmp_path / "a.json", labelme_document("a.jpg", triangle))
    saved(tmp_path / "b.json", labelme_document("b.jpg", circle))
    both = [labelme_shape("mask", [[5.0, 1.0], [7.0, 2.0]], "spot", mask_of(bits)),
            labelme_shape("mask", [[0, 4], [2, 5]], "pit", mask_of(bits.astype(np.uint8)))]  # fmt: skip
    saved(tmp_path / "c.json", labelme_document("c.jpg", *both))
    rows = read(tmp_path, "labelme", path=".")
    assert masks(rows) == {
        "a.jpg": lines("........ .#####.. .####... .##..... .#...... ........"),
        "b.jpg": lines("........ ...##... ..####.. ..####.. ...##... ........"),
        "c.jpg": lines("........ .....#.# .....### ........ #.#..... ###....."),
    }
    assert classes(rows) == {"a.jpg": "pit", "b.jpg": "hole", "c.jpg": "pit+spot"}
    assert rows.notes == ("3 pictures with 4 objects read from 3 files, 0 clean",)


def test_what_has_no_area_leaves_its_picture_out(tmp_path: Path) -> None:
    kinds = {"line": [[1, 1], [3, 3]], "linestrip": [[1, 1], [2, 3], [3, 3]], "point": [[1, 1]], "points": [[1, 1]],
             "rectangle": [[6, 4], [2, 1]], "star": [[1, 1]], "polygon": [[1, 1], [2, 2]]}  # fmt: skip
    for kind, points in kinds.items():
        picture(tmp_path / f"{kind}.png")
        saved(tmp_path / f"{kind}.json", labelme_document(f"{kind}.png", labelme_shape(kind, points)))
    with pytest.raises(DataError, match=r"no picture is left to read: .*only a line, which has no area"):
        read(tmp_path, "labelme", path=".")
    rows = read(tmp_path, "labelme", path=".", boxes="fill")
    assert masks(rows) == {"rectangle.png": lines("........ ..####.. ..####.. ..####.. ........ ........")}
    assert rows.notes[1:] == (
        "2 pictures skipped: only a line, which has no area (first: line.png)",
        "2 pictures skipped: only points, which have no area (first: point.png)",
        "1 picture skipped: an outline of fewer than three points (first: polygon.png)",
        "1 picture skipped: a shape of the unknown kind 'star' (first: star.png)",
    )


def test_shapes_and_sizes_as_relatives_of_labelme_write_them(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    turned = labelme_shape("rotation", [[4, 0.5], [6.5, 3], [4, 5.5], [1.5, 3]])
    saved(tmp_path / "a.json", labelme_document("a.png", turned) | {"imageHeight": None, "imageWidth": None})
    rows = read(tmp_path, "labelme", path=".", boxes="fill")
    assert masks(rows) == {"a.png": lines("........ ...##... ..####.. ..####.. ...##... ........")}
    with pytest.raises(DataError, match=r"no picture is left to read: .*1 picture skipped: only a box"):
        read(tmp_path, "labelme", path=".")


def test_pictures_without_json_are_skipped_or_clean_and_other_json_is_told(tmp_path: Path) -> None:
    picture(tmp_path / "sub/a.png")
    picture(tmp_path / "b.png")
    saved(tmp_path / "sub/a.json", labelme_document("a.png"))
    saved(tmp_path / "settings.json", {"theme": "dark"})
    rows = read(tmp_path, "labelme", path=".")
    assert classes(rows) == {"sub/a.png": "clean"}
    assert rows.notes[1:] == (
        "1 JSON file skipped: not of LabelMe, which has shapes and imagePath (first: settings.json)",
        "1 picture skipped: no JSON file; set missing: clean if that means that they show no target (first: b.png)",
    )
    assert classes(read(tmp_path, "labelme", path=".", missing="clean")) == {
        "b.png": "clean",
        "sub/a.png": "clean",
    }
    one = read(tmp_path, "labelme", path="sub/a.json")
    assert (one.root, classes(one)) == (tmp_path / "sub", {"a.png": "clean"})


def test_pictures_lie_where_the_file_says_or_beside_it_or_in_the_folder_that_is_set(tmp_path: Path) -> None:
    picture(tmp_path / "set/img/a.png")
    picture(tmp_path / "set/ann/b.png")
    picture(tmp_path / "set/img/c.png")
    saved(tmp_path / "set/ann/a.json", labelme_document("..\\img\\a.png"))
    saved(tmp_path / "set/ann/b.json", labelme_document("old/place/b.png"))
    saved(tmp_path / "set/ann/c.json", labelme_document("../img/c.png"))
    assert list(classes(read(tmp_path, "labelme", path="set"))) == ["ann/b.png", "img/a.png", "img/c.png"]
    rows = read(tmp_path, "labelme", path="set/ann", images="set/img")
    assert list(classes(rows)) == ["a.png", "c.png"]
    with pytest.raises(DataError, match=r"a\.json, imagePath: .*leaves the folder of the pictures"):
        read(tmp_path, "labelme", path="set/ann")


BROKEN = {
    "no points": ({"points": None}, r"shapes\[0\]\.points: None is no list"),
    "a point of three": ({"points": [[1, 2, 3]]}, r"points: \[1, 2, 3\] is no point \[x, y\]"),
    "a box without corners": ({"shape_type": "rotation", "points": []}, "0 of them, rotation has four"),
    "a turned box of three": (
        {"shape_type": "oriented_rectangle", "points": [[1, 1], [2, 2], [1, 3]]},
        "3 of them, oriented_rectangle has four",
    ),
    "a circle of one": ({"shape_type": "circle", "points": [[1, 2]]}, "1 of them, a circle has two"),
    "no label": ({"label": None}, r"shapes\[0\]\.label: None is no name"),
    "no mask": ({"shape_type": "mask", "points": [[0, 0], [1, 1]]}, "mask: None is no PNG in base64"),
    "a mask left of it": (
        {"shape_type": "mask", "points": [[-1, 0], [1, 1]], "mask": "x"},
        "-1.* is no whole number",
    ),
    "no base64": ({"shape_type": "mask", "points": [[0, 0], [1, 1]], "mask": "é"}, "no base64, or cut off"),
    "no PNG": (
        {"shape_type": "mask", "points": [[0, 0], [1, 1]], "mask": "aaaa"},
        "its PNG is broken or cut off",
    ),
    "a larger PNG": (
        {"shape_type": "mask", "points": [[0, 0], [1, 1]], "mask": mask_of(np.ones((3, 3), np.uint8))},
        "its PNG has 3 x 3 px, not 2 x 2",
    ),
    "a mask beyond": (
        {"shape_type": "mask", "points": [[6, 0], [8, 2]], "mask": mask_of(np.ones((3, 3), np.uint8))},
        "3 x 3 px at 6, 0 leave a picture of 8 x 6",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_shape_is_named(tmp_path: Path, case: str) -> None:
    change, message = BROKEN[case]
    picture(tmp_path / "a.png")
    shape = labelme_shape("polygon", [[2, 1], [6, 1], [6, 3]]) | change
    saved(tmp_path / "a.json", labelme_document("a.png", shape))
    with pytest.raises(DataError, match=rf"a\.json, .*{message}") as caught:
        read(tmp_path, "labelme", path=".")
    assert "\n" not in str(caught.value)


def test_what_is_no_file_of_labelme_is_told(tmp_path: Path) -> None:
    saved(tmp_path / "a.json", [])
    with pytest.raises(
        DataError, match="holds no JSON file of LabelMe, with shapes and imagePath; name its folder"
    ):
        read(tmp_path, "labelme", path=".")
    with pytest.raises(DataError, match=r"a\.json: is no file of LabelMe"):
        read(tmp_path, "labelme", path="a.json")
