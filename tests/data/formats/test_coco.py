from pathlib import Path
from typing import Any

import pytest

from harness.errors import ConfigError, DataError
from tests.data.formats.examples import classes, coco_document, lines, masks, picture, read, saved

Document = dict[str, Any]
RING = "........ .###.... .#.#.... .#.#.... .###.... ........"


def annotation(
    number: int, drawn: object, *, category: int = 1, image: int = 1, crowd: int = 0, **more: object
) -> Document:
    return {
        "id": number, "image_id": image, "category_id": category, "segmentation": drawn, "iscrowd": crowd,
        "area": 1.0, "bbox": [1, 1, 2, 3],
    } | more  # fmt: skip


def box(x0: float, y0: float, x1: float, y1: float) -> list[float]:
    return [x0, y0, x1, y0, x1, y1, x0, y1]


@pytest.fixture
def base(tmp_path: Path) -> Path:
    for name in "abc":
        picture(tmp_path / f"{name}.png")
    return tmp_path


def write(base: Path, *annotations: Document, **parts: Any) -> Path:
    document = coco_document("a.png", "b.png", "c.png") | {"annotations": list(annotations)} | parts
    return saved(base / "ann.json", document)


def test_polygons_of_one_object_are_united_and_run_lengths_have_holes(base: Path) -> None:
    write(
        base,
        annotation(1, [box(1, 1, 4, 3), box(3, 2, 6, 4)]),
        annotation(2, {"size": [6, 8], "counts": [7, 4, 2, 1, 2, 1, 2, 4, 25]}, image=2, category=2),
        annotation(3, {"size": [6, 8], "counts": "742M0003g0"}, image=3),
        annotation(4, [box(6, 4, 8, 6)], image=3, category=2),
    )
    rows = read(base, "coco", path="ann.json")
    assert masks(rows) == {
        "a.png": lines("........ .###.... .#####.. ...###.. ........ ........"),
        "b.png": lines(RING),
        "c.png": lines("........ .###.... .#.#.... .#.#.... .###..## ......##"),
    }
    assert classes(rows) == {"a.png": "pit", "b.png": "crack", "c.png": "crack+pit"}
    assert rows.notes == ("3 pictures with 4 objects read from 1 file, 0 clean",)


def test_a_crowd_is_ignored_where_no_target_covers_it_whichever_comes_first(base: Path) -> None:
    crowd = annotation(1, {"size": [6, 8], "counts": [6, 24, 18]}, crowd=1)
    write(base, crowd, annotation(2, [box(2, 1, 6, 3)]), annotation(3, [box(0, 0, 2, 2)], image=2, crowd=1))
    rows = read(base, "coco", path="ann.json")
    assert masks(rows)["a.png"] == lines(".????... .?####.. .?####.. .????... .????... .????...")
    assert masks(rows)["b.png"] == lines("??...... ??...... ........ ........ ........ ........")
    assert classes(rows) == {"a.png": "pit", "b.png": "clean", "c.png": "clean"}
    assert rows.notes[:2] == (
        "3 pictures with 3 objects read from 1 file, 2 clean",
        "2 crowd regions are drawn as 128, which counts for nothing: declare data.masks: "
        "{background: 0, target: 255, ignore: 128}",
    )


def test_whatever_decides_a_pixel_decides_the_folder_of_the_masks(base: Path) -> None:
    runs: list[object] = [{"size": [6, 8], "counts": counts} for counts in ([6, 24, 18], [6, 23, 19])]
    drawn = [
        annotation(1, [box(1, 1, 4, 3)]),
        annotation(1, [box(1, 1, 4, 4)]),
        annotation(1, [box(1, 1, 4, 3)], crowd=1),
    ]
    folders, other = set(), annotation(99, [box(0, 0, 2, 2)], image=2)
    for some in (*drawn, *(annotation(1, run) for run in runs)):
        write(base, some, other)
        rows = read(base, "coco", path="ann.json")
        folders.add((rows.root / rows.rows[0]["mask"]).resolve().parent)
    write(base, drawn[0] | {"category_id": 2, "id": 7}, other)
    rows = read(base, "coco", path="ann.json")
    assert len(folders) == 5
    assert (rows.root / rows.rows[0]["mask"]).resolve().parent in folders, "a name of a class is no pixel"


def test_boxes_are_skipped_with_their_picture_or_filled(base: Path) -> None:
    write(
        base, annotation(1, []), annotation(2, [box(4, 4, 6, 6)]), annotation(3, [box(0, 0, 1, 1)], image=2)
    )
    rows = read(base, "coco", path="ann.json")
    assert classes(rows) == {"b.png": "pit", "c.png": "clean"}
    assert rows.notes[1] == "1 picture skipped: only a box, no outline (first: a.png)"
    rows = read(base, "coco", path="ann.json", boxes="fill")
    assert masks(rows)["a.png"] == lines("........ .##..... .##..... .##..... ....##.. ....##..")
    other = annotation(1, [], category=2)
    write(base, other, annotation(2, [box(4, 4, 6, 6)]))
    rows = read(base, "coco", path="ann.json", classes=["pit"])
    assert classes(rows)["a.png"] == "pit", "a box of another class spoils no mask of this one"


def test_what_has_no_area_leaves_its_picture_out_or_is_told(base: Path) -> None:
    write(
        base,
        annotation(1, [[1, 1, 3, 3]]),
        annotation(2, None, image=2, bbox=None),
        annotation(3, [box(20, 1, 22, 3)], image=3),
        annotation(4, {"size": [6, 8], "counts": [48]}, image=3),
    )
    rows = read(base, "coco", path="ann.json")
    assert classes(rows) == {"c.png": "clean"}
    assert rows.notes[1:] == (
        "1 picture skipped: an outline of fewer than three points (first: a.png)",
        "1 picture skipped: an object without outline and without box (first: b.png)",
        "2 objects skipped: outside of its picture, or of no pixel (first: in c.png)",
    )


LAYOUTS = {
    "beside": ("ann.json", ""),
    "images beside": ("ann.json", "images/"),
    "of the official set": ("annotations/instances_val2017.json", "val2017/"),
    "of CVAT": ("annotations/instances_default.json", "images/default/"),
    "of FiftyOne": ("labels.json", "data/"),
    "of a folder": ("set/coco.json", "images/"),
}


@pytest.mark.parametrize("case", LAYOUTS)
def test_pictures_are_found_around_the_file(tmp_path: Path, case: str) -> None:
    file, folder = LAYOUTS[case]
    for name in "ab":
        picture(tmp_path / f"here/{folder}{name}.png")
    saved(tmp_path / "here" / file, coco_document("a.png", "b.png"))
    rows = read(tmp_path, "coco", path=f"here/{file}")
    assert rows.root == (tmp_path / "here" / folder).resolve()
    assert [row["sample"] for row in rows.rows] == ["a.png", "b.png"]
    elsewhere = tmp_path / "elsewhere"
    (tmp_path / "here" / folder).rename(elsewhere) if folder else None
    if folder:
        with pytest.raises(
            DataError, match=r"its pictures were not found \(first: 'a\.png'\); set .*coco\.images to"
        ):
            read(tmp_path, "coco", path=f"here/{file}")
        assert read(tmp_path, "coco", path=f"here/{file}", images="elsewhere").root == elsewhere


def test_all_files_of_a_folder_are_one_set_and_others_are_told(tmp_path: Path) -> None:
    for part, name in (("train", "a"), ("valid", "b")):
        picture(tmp_path / f"{part}/{name}.png")
        saved(tmp_path / f"{part}/_annotations.coco.json", coco_document(f"{name}.png"))
    rows = read(tmp_path, "coco", path=".")
    assert classes(rows) == {"train/a.png": "pit", "valid/b.png": "pit"}
    assert rows.notes[1] == "2 files are read as one set: their own split is not used, groups decide"
    picture(tmp_path / "images/a.png")
    saved(tmp_path / "annotations/instances.json", coco_document("a.png"))
    saved(tmp_path / "annotations/captions.json", {"images": [], "annotations": []})
    rows = read(tmp_path, "coco", path=".")
    assert classes(rows) == {"a.png": "pit"}
    told = (
        "1 JSON file skipped: not of COCO, which has images, annotations, categories (first: captions.json)"
    )
    assert rows.notes[1] == told
    saved(tmp_path / "annotations/person_keypoints.json", coco_document("a.png"))
    with pytest.raises(
        DataError, match=r"person_keypoints\.json, images\[0\]: 'a\.png' stands in .*name one file as"
    ):
        read(tmp_path, "coco", path=".")


IMAGE = {"id": 1, "file_name": "a.png", "width": 8, "height": 6}
BROKEN: dict[str, tuple[Document, str]] = {
    "an image twice": ({"images": [IMAGE, IMAGE]}, r"images\[1\]\.id: 1 stands there twice"),
    "a class twice": (
        {"categories": [{"id": 1, "name": "a"}] * 2},
        r"categories\[1\]\.id: 1 stands there twice",
    ),
    "an object twice": (
        {"annotations": [annotation(1, [])] * 2},
        r"annotations\[1\]\.id: 1 stands there twice",
    ),
    "no such image": (
        {"annotations": [annotation(1, [], image=9)]},
        r"annotations\[0\]\.image_id: 9 is not listed",
    ),
    "no such class": ({"annotations": [annotation(1, [], category=9)]}, r"\.category_id: 9 is not listed"),
    "an id that is true": ({"images": [IMAGE | {"id": True}]}, r"images\[0\]\.id: True is no id"),
    "no id": ({"images": [{"file_name": "a.png"}]}, r"images\[0\]\.id: None is no id"),
    "an odd number": ({"annotations": [annotation(1, [[1, 1, 2, 2, 3]])]}, "5 coordinates, an odd number"),
    "a word": ({"annotations": [annotation(1, [[1, 1, 2, 2, "3", 3]])]}, "'3' is no coordinate"),
    "a huge number": ({"annotations": [annotation(1, [[1, 1, 2, 2, 10**400, 3]])]}, "beyond 1,000,000 px"),
    "a flat list": ({"annotations": [annotation(1, [1, 1, 2, 2, 3, 3])]}, "segmentation: 1 is no list"),
    "no name": ({"categories": [{"id": 1, "name": " "}]}, r"categories\[0\]\.name: ' ' is no name"),
    "a width of zero": (
        {"images": [IMAGE | {"width": 0}]},
        r"images\[0\]\.width: 0 is no whole number from 1 on",
    ),
    "runs of another size": (
        {"annotations": [annotation(1, {"size": [8, 6], "counts": [48]})]},
        "drawn on 6 x 8 px, but its image has 8 x 6",
    ),
    "runs of no size": (
        {"annotations": [annotation(1, {"counts": [48]})]},
        r"segmentation\.size: None is no list",
    ),
    "a box of three": (
        {"annotations": [annotation(1, [], bbox=[1, 2, 3, 4, 5, 6])]},
        "bbox: not x, y, width, height",
    ),
    "images as object": ({"images": {}}, "images: {} is no list"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_file_is_one_line_with_the_place(base: Path, case: str) -> None:
    parts, message = BROKEN[case]
    write(base, **parts)
    with pytest.raises(DataError, match=rf"ann\.json, .*{message}") as caught:
        read(base, "coco", path="ann.json")
    assert "\n" not in str(caught.value)
    assert not (base / "cache").exists()


def test_key_points_of_pictures_that_have_instances_are_told(base: Path) -> None:
    points = coco_document("a.png")
    points["categories"] = [{"id": 1, "name": "pit", "keypoints": ["middle"], "skeleton": []}]
    instances = coco_document("a.png")
    saved(base / "annotations/person_keypoints_val.json", points)
    saved(base / "annotations/instances_val.json", instances)
    rows = read(base, "coco", path=".")
    assert classes(rows) == {"a.png": "pit"}
    why = "of key points, and its pictures and classes stand in the other files"
    assert f"1 JSON file skipped: {why} (first: person_keypoints_val.json)" in rows.notes
    saved(base / "annotations/instances_val.json", coco_document("b.png"))
    assert classes(read(base, "coco", path=".")) == {"a.png": "pit", "b.png": "pit"}
    saved(base / "annotations/instances_val.json", coco_document("a.png"))
    for change in ({"keypoints": []}, {"keypoints": ["nose"], "name": "person"}):
        points["categories"][0] |= change
        saved(base / "annotations/person_keypoints_val.json", points)
        with pytest.raises(DataError, match=r"person_keypoints_val\.json, images\[0\]: 'a\.png' stands in"):
            read(base, "coco", path=".")


def test_what_is_no_file_of_coco_is_told(base: Path) -> None:
    saved(base / "other/list.json", [1])
    with pytest.raises(
        DataError, match=r"other: holds no JSON file of COCO, with images, annotations, categories; name"
    ):
        read(base, "coco", path="other")
    saved(base / "other/ann.json", {"images": []})
    with pytest.raises(DataError, match=r"ann\.json: has no 'annotations'; a COCO file has"):
        read(base, "coco", path="other/ann.json")


def test_brush_masks_that_cvat_calls_crowds_are_told_and_may_be_filled(base: Path) -> None:
    write(base, annotation(1, [box(2, 1, 6, 3)], crowd=1))
    with pytest.raises(
        DataError, match=r"all 1 objects are crowd regions .*; where they are the targets .*crowds: fill"
    ):
        read(base, "coco", path="ann.json")
    rows = read(base, "coco", path="ann.json", crowds="fill")
    assert masks(rows)["a.png"] == lines("........ ..####.. ..####.. ........ ........ ........")
    with pytest.raises(ConfigError, match=r"coco\.crowds: 'filll' is not known, did you mean 'fill'"):
        read(base, "coco", path="ann.json", crowds="filll")
