import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from harness.errors import DataError
from tests.data.formats.examples import (
    classes,
    drawn,
    lines,
    masks,
    picture,
    png,
    read,
    saved,
    supervisely_bitmap,
    supervisely_document,
    supervisely_polygon,
)

BITS = drawn("#.# ###")


@pytest.fixture
def base(tmp_path: Path) -> Path:
    kinds = [("pit", "polygon"), ("crack", "bitmap"), ("box", "rectangle"), ("line", "line"), ("any", "any")]
    saved(
        tmp_path / "p/meta.json",
        {"classes": [{"title": t, "shape": s, "color": "#1"} for t, s in kinds], "tags": []},
    )
    return tmp_path


def write(base: Path, name: str, *objects: dict[str, object], folder: str = "ds") -> None:
    picture(base / f"p/{folder}/img/{name}")
    saved(base / f"p/{folder}/ann/{name}.json", supervisely_document(*objects))


def palette(pixels: np.ndarray) -> bytes:  # type: ignore[type-arg]
    """Return a bitmap as Supervisely's own code writes it: indexed, the background transparent."""
    image = Image.fromarray((pixels > 0).astype(np.uint8)).convert("P")
    image.putdata((pixels > 0).ravel().astype(int).tolist())
    image.putpalette([0, 0, 0, 255, 255, 255])
    file = io.BytesIO()
    image.save(file, "PNG", transparency=0, optimize=0)
    return file.getvalue()


def test_polygons_have_holes_and_bitmaps_an_origin(base: Path) -> None:
    hole = supervisely_polygon(
        [[1, 0], [7, 0], [7, 5], [1, 5]], [[3, 1], [5, 1], [5, 3], [3, 3]], [[5, 3], [6, 3], [6, 4], [5, 4]]
    )
    write(base, "a.jpg", hole)
    write(
        base, "b.png", supervisely_bitmap(palette(BITS), [5, 1]), supervisely_bitmap(png(BITS), [0, 4], "any")
    )
    rgba = np.dstack([np.full_like(BITS, 9)] * 3 + [BITS])
    write(base, "c.png", supervisely_bitmap(png(rgba), [2, 2]), folder="ds2")
    rows = read(base, "supervisely", path="p")
    assert masks(rows) == {
        "ds/img/a.jpg": lines(".####### .##...## .##...## .##....# .####..# .#######"),
        "ds/img/b.png": lines("........ .....#.# .....### ........ #.#..... ###....."),
        "ds2/img/c.png": lines("........ ........ ..#.#... ..###... ........ ........"),
    }
    assert list(classes(rows).values()) == ["pit", "any+crack", "crack"]
    assert rows.notes == ("3 pictures with 4 objects read from 3 files, 0 clean",)
    assert read(base, "supervisely", path="p/meta.json") == read(base, "supervisely", path=".") == rows


def test_what_has_no_area_leaves_its_picture_out_and_boxes_may_be_filled(base: Path) -> None:
    rectangle = supervisely_polygon([[2, 1], [6, 3]], label="box") | {"geometryType": "rectangle"}
    write(base, "a.png", rectangle)
    write(base, "b.png", supervisely_polygon([[2, 1], [6, 3]], label="line") | {"geometryType": "line"})
    write(base, "c.png", supervisely_polygon([], label="any") | {"geometryType": "spline"})
    write(base, "d.png")
    picture(base / "p/ds/img/e.png")
    rows = read(base, "supervisely", path="p", boxes="fill")
    assert masks(rows) == {
        "ds/img/a.png": lines("........ ..#####. ..#####. ..#####. ........ ........"),
        "ds/img/d.png": "",
    }
    assert rows.notes[1:] == (
        "1 picture skipped: no annotation (first: ds/img/e.png)",
        "1 picture skipped: only a line, which has no area (first: ds/img/b.png)",
        "1 picture skipped: a figure of the unknown kind 'spline' (first: ds/img/c.png)",
    )
    assert list(classes(read(base, "supervisely", path="p"))) == ["ds/img/d.png"]


def test_old_files_without_kinds_have_those_of_their_classes(base: Path) -> None:
    polygon, bitmap = (
        supervisely_polygon([[2, 1], [5, 1], [5, 2], [2, 2]]),
        supervisely_bitmap(png(BITS), [0, 4]),
    )
    for entry in (polygon, bitmap):
        del entry["geometryType"]
    write(base, "a.png", polygon | {"bitmap": None}, bitmap | {"points": {"exterior": [], "interior": []}})
    assert masks(read(base, "supervisely", path="p"))["ds/img/a.png"] == lines(
        "........ ..####.. ..####.. ........ #.#..... ###....."
    )


BROKEN = {
    "no such class": (supervisely_polygon([], label="dent"), r"objects\[0\]\.classTitle: 'dent' is not in meta\.json"),
    "no exterior": (supervisely_polygon(None), r"points\.exterior: None is no list"),
    "no interior": (supervisely_polygon([[1, 1], [2, 2], [3, 1]], 3), r"points\.interior: 3 is no list"),
    "a rectangle of one": (
        supervisely_polygon([[1, 1]]) | {"geometryType": "rectangle"}, "1 points, a rectangle has two",
    ),
    "no zlib": (
        {"classTitle": "crack", "geometryType": "bitmap", "bitmap": {"data": "aaaa", "origin": [0, 0]}}, "no zlib data",
    ),
    "no data": (
        {"classTitle": "crack", "geometryType": "bitmap", "bitmap": {"origin": [0, 0]}}, "data: None is no bitmap",
    ),
    "a place outside": (supervisely_bitmap(png(BITS), [6, 1]), "3 x 2 px at 6, 1 leave a picture of 8 x 6"),
    "a negative place": (supervisely_bitmap(png(BITS), [-1, 1]), r"origin: -1 is no whole number"),
    "no PNG": (supervisely_bitmap(b"GIF89a", [0, 0]), "its PNG is broken or cut off"),
    "a cut PNG": (supervisely_bitmap(png(BITS)[:-26], [0, 0]), "its PNG is broken or cut off"),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_object_is_named(base: Path, case: str) -> None:
    entry, message = BROKEN[case]
    write(base, "a.png", entry)
    with pytest.raises(DataError, match=rf"a\.png\.json, .*{message}") as caught:
        read(base, "supervisely", path="p")
    assert "\n" not in str(caught.value)


def test_what_is_no_project_is_told(base: Path) -> None:
    with pytest.raises(DataError, match=r"p: holds no <data set>/ann/\*\.json; name the folder of a project"):
        read(base, "supervisely", path="p")
    saved(base / "q/meta.json", {"classes": []})
    with pytest.raises(
        DataError, match=r"no meta\.json here; projects below it: p, q; name one project's folder"
    ):
        read(base, "supervisely", path=".")
    saved(base / "q/meta.json", {})
    with pytest.raises(DataError, match=r"meta\.json, classes: None is no list"):
        read(base, "supervisely", path="q")
