"""Wrong, cut and hostile files: one line, nothing written, no other exception, no minutes."""

import base64
import io
import json
import os
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from harness.config import Choice
from harness.data.formats import drawn
from harness.data.index import list_samples
from harness.errors import ConfigError, DataError
from tests.data.formats.examples import EXAMPLES, HEIGHT, WIDTH, picture

DOCUMENTS = {
    "coco": "annotations/instances_train.json",
    "cvat": "annotations.xml",
    "labelme": "sub/a.json",
    "supervisely": "ds/ann/a.png.json",
    "yolo": "labels/train/a.txt",
    "csv": "table.csv",
}
LONG = 60.0  # s, in which anything must be refused


def refused(name: str, root: Path, settings: dict[str, Any]) -> str:
    """Return the line with which a data set is refused, having written nothing."""
    before = {
        path: path.read_bytes() for path in root.rglob("*") if path.is_file() and path.stat().st_size < 10**7
    }
    started = time.monotonic()
    with pytest.raises(DataError) as caught:
        list_samples(Choice(name=name, settings=settings), base=root, cache=root.parent / "cache")
    assert time.monotonic() - started < LONG
    assert not (root.parent / "cache").exists() or not any((root.parent / "cache").iterdir())
    assert {path: path.read_bytes() for path in before} == before
    line = str(caught.value)
    assert "\n" not in line
    assert len(line) < 800
    assert ";" in line or ":" in line  # where, what came, what to do
    return line


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    (tmp_path / "secret.png").write_bytes(b"x")
    return tmp_path / "data"


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


SPOILT = [(name, spoilt) for name in DOCUMENTS for spoilt in ("cut", "bytes", "empty", "deep")]
TEXTS = ("yolo", "csv")  # of which an empty one may be right, and none is deep


@pytest.mark.parametrize(
    ("name", "spoilt"), [s for s in SPOILT if s[0] not in TEXTS or s[1] in ("cut", "bytes")]
)
def test_a_broken_document_is_one_line(name: str, spoilt: str, root: Path) -> None:
    settings = EXAMPLES[name](root).settings
    path = root / DOCUMENTS[name]
    content = path.read_bytes()
    if name in TEXTS and spoilt == "cut":
        content = content[: content.index(b"\n") // 2 + 1] + b" x"
    else:
        content = {
            "cut": content[:-20],
            "bytes": b"\xff\xfe\0" + content,
            "empty": b"",
            "deep": b"[" * 10**5,
        }[spoilt]
    path.write_bytes(content)
    with pytest.raises((DataError, ConfigError)) as caught:  # a table without the columns is a wrong setting
        list_samples(Choice(name=name, settings=settings), base=root, cache=root.parent / "cache")
    assert "\n" not in str(caught.value)
    assert not (root.parent / "cache").exists()


AWAY = {
    "up": "../secret.png",
    "absolute": "/etc/hostname",
    "hidden": "images/../../secret.png",
    "link": "link/secret.png",
    "long": "x" * 5000,
    "zero": "a\0b.png",
}


@pytest.mark.parametrize(
    ("name", "place"),
    [
        (name, place)
        for place in AWAY
        for name in ("coco", "labelme", "cvat", "csv")
        if place != "zero" or name in ("coco", "labelme")  # the others' readers know no such character
    ],
)
def test_names_that_lead_away_are_refused(name: str, place: str, root: Path) -> None:
    settings, written = EXAMPLES[name](root).settings, AWAY[place]
    path = root / DOCUMENTS[name]
    for folder in (root, root / "images", root / "sub", root / "img"):
        if folder.is_dir():
            (folder / "link").symlink_to(root.parent)
    if name == "coco":
        edit(path, lambda document: document["images"][1].update(file_name=written))
    elif name == "labelme":
        higher = (
            f"../{written}" if written.startswith((".", "i")) else written
        )  # it counts from the file's folder
        edit(path, lambda document: document.update(imagePath=higher))
    elif name == "csv":
        path.write_text(f"image,mask\nimg/a.png,m/a.png\n{written},m/a.png\n")
    else:
        path.write_text(path.read_text().replace('name="b.png"', f'name="{written}"'))
    line = refused(name, root, settings)
    assert "leaves" in line or "is no file name" in line or "no usable file name" in line


@pytest.mark.parametrize("name", ["yolo", "labelme", "supervisely", "voc", "mvtec", "kolektor"])
def test_a_picture_that_is_a_link_out_is_refused(name: str, root: Path) -> None:
    example = EXAMPLES[name](root)
    sample = root / next(iter(example.expected))
    outside = root.parent / sample.name
    os.replace(sample, outside)
    sample.symlink_to(outside)
    assert "leaves" in refused(name, root, example.settings)


def test_a_mask_that_is_a_link_out_is_refused(root: Path) -> None:
    for name in ("mvtec", "kolektor", "voc"):
        place = root / name
        place.mkdir()
        example = EXAMPLES[name](place)
        masks = [
            p
            for p in place.rglob("*")
            if p.parent.name in ("hole", "SegmentationClass") or p.stem.endswith("_label")
        ]
        mask = sorted(p for p in masks if p.suffix in (".png", ".bmp") and "test" not in p.parts)[0]
        os.replace(mask, root.parent / mask.name)
        mask.symlink_to(root.parent / mask.name)
        assert "leaves" in refused(name, place, example.settings)


@pytest.mark.parametrize("side", [100_001, 10**30, -3, 0, 2.5, "20", None, float("nan")])
def test_sides_that_no_picture_has_are_refused_before_anything_is_allocated(side: Any, root: Path) -> None:
    settings = EXAMPLES["coco"](root).settings
    path = root / DOCUMENTS["coco"]
    document = json.loads(path.read_text())
    document["images"][0]["width"] = side
    path.write_text(json.dumps(document))
    line = refused("coco", root, settings)
    assert "no side of a picture" in line or "no JSON" in line


@pytest.mark.parametrize("name", ["coco", "cvat", "labelme", "supervisely"])
def test_a_claim_of_100_000_px_a_side_is_refused(name: str, root: Path) -> None:
    settings = EXAMPLES[name](root).settings
    path = root / DOCUMENTS[name]
    text = path.read_text()
    for old in ('"width": 20', 'width="20"', '"imageWidth": 20'):
        text = text.replace(old, old.replace("20", "100000"))
    for old in ('"height": 16', 'height="16"', '"imageHeight": 16'):
        text = text.replace(old, old.replace("16", "100000"))
    path.write_text(text)
    line = refused(name, root, settings)
    assert "100000" in line


def test_a_million_polygons_on_a_picture_are_refused_in_time(root: Path) -> None:
    settings = EXAMPLES["coco"](root).settings
    one = {"image_id": 1, "category_id": 1, "segmentation": [[1, 1, 3, 1, 3, 3, 1, 3]]}
    edit(
        root / DOCUMENTS["coco"],
        lambda document: document.update(annotations=[one | {"id": n} for n in range(10**6)]),
    )
    assert "1,000,000 shapes on one picture, more than 100,000" in refused("coco", root, settings)


def test_points_without_end_are_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawn, "MOST_POINTS", 1000)
    settings = EXAMPLES["coco"](root).settings
    ring = [float(n % 20) for n in range(200)]
    annotations = [
        {"id": n, "image_id": 1 + n % 3, "category_id": 1, "segmentation": [ring]} for n in range(11)
    ]
    edit(root / DOCUMENTS["coco"], lambda document: document.update(annotations=annotations))
    assert "outlines of 1,100 points, more than 1,000" in refused("coco", root, settings)


ENTITIES = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10 if n else "ha" * 10}">' for n in range(12))


@pytest.mark.parametrize(
    "head", [f"<!DOCTYPE a [{ENTITIES}]>", '<!DOCTYPE a SYSTEM "file:///etc/passwd">', "<!DOCTYPE a>"]
)
def test_document_types_are_refused_before_they_are_expanded(head: str, root: Path) -> None:
    settings = EXAMPLES["cvat"](root).settings
    path = root / DOCUMENTS["cvat"]
    path.write_text(
        path.read_text()
        .replace("<annotations>", f"{head}<annotations>")
        .replace("<version>1.1", "<version>&e11;")
    )
    assert "declares a document type" in refused("cvat", root, settings)


def test_aliases_that_grow_are_refused(root: Path) -> None:
    settings = EXAMPLES["yolo"](root).settings
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    (root / "data.yaml").write_text("\n".join([*rows, "names: *a11"]) + "\n")
    assert "aliases" in refused("yolo", root, settings)


def big_png(side: int) -> bytes:
    """Return a PNG that claims side x side px, of a few bytes."""
    file = io.BytesIO()
    Image.new("1", (64, 64)).save(file, "PNG")
    content = file.getvalue()
    head = content[12:16] + side.to_bytes(4) * 2 + content[24:29]
    return content[:12] + head + zlib.crc32(head).to_bytes(4) + content[33:]


BOMBS = {
    "grows beyond 64 MiB": zlib.compress(bytes(2**28)),
    "no PNG, or cut off (DecompressionBombError)": zlib.compress(big_png(90_000)),
    "a patch of 100 x 100 px is larger than its picture": zlib.compress(big_png(100)),
    "no PNG, or cut off": zlib.compress(b"hello"),
    "is no zlib data": b"hello",
}


@pytest.mark.parametrize("says", BOMBS)
def test_packed_bitmaps_that_grow_or_are_broken_are_refused(says: str, root: Path) -> None:
    settings = EXAMPLES["supervisely"](root).settings
    data = base64.b64encode(BOMBS[says]).decode()
    edit(root / DOCUMENTS["supervisely"], lambda document: document["objects"][1]["bitmap"].update(data=data))
    assert says in refused("supervisely", root, settings)


@pytest.mark.parametrize(
    "mask", [base64.b64encode(big_png(90_000)).decode(), "no base64!", "aGVsbG8=", None, 7]
)
def test_masks_inside_json_are_held_to_their_picture(mask: Any, root: Path) -> None:
    settings = EXAMPLES["labelme"](root).settings
    edit(root / DOCUMENTS["labelme"], lambda document: document["shapes"][2].update(mask=mask))
    assert "'crack'" in refused("labelme", root, settings)


WRONG_OUTLINES: list[Any] = [
    [1, 2, 3],
    [],
    ["1", 2, 3, 4, 5, 6],
    [1e300, 2, 3, 4, 5, 6],
    [10**400, 2, 3, 4, 5, 6],
    [True, 2, 3, 4, 5, 6],
    [None, 2, 3, 4, 5, 6],
    {"a": 1},
    "abc",
]


@pytest.mark.parametrize("numbers", WRONG_OUTLINES, ids=str)
def test_outlines_that_are_none_are_refused(numbers: Any, root: Path) -> None:
    settings = EXAMPLES["coco"](root).settings
    edit(root / DOCUMENTS["coco"], lambda document: document["annotations"][0].update(segmentation=[numbers]))
    assert "annotation 1: " in refused("coco", root, settings)


RUNS: list[Any] = [
    {"size": [HEIGHT, WIDTH], "counts": [5, 6]},
    {"size": [HEIGHT, WIDTH], "counts": [-1, HEIGHT * WIDTH + 1]},
    {"size": [HEIGHT, WIDTH], "counts": [10**30]},
    {"size": [HEIGHT, WIDTH], "counts": ["320"]},
    {"size": [HEIGHT, WIDTH], "counts": "\x7f\x7f"},
    {"size": [HEIGHT, WIDTH], "counts": "o" * 500},
    {"size": [1, 10**9], "counts": [10**9]},
    {"size": None, "counts": [1]},
]


@pytest.mark.parametrize("runs", RUNS, ids=str)
def test_run_lengths_that_do_not_fit_are_refused(runs: Any, root: Path) -> None:
    settings = EXAMPLES["coco"](root).settings
    edit(root / DOCUMENTS["coco"], lambda document: document["annotations"][2].update(segmentation=runs))
    assert "annotation 3: " in refused("coco", root, settings)


IDS: list[tuple[str, int, dict[str, Any], str]] = [
    ("annotations", 0, {"image_id": 99}, "no image has the id 99"),
    ("annotations", 0, {"category_id": None}, "no category has the id None"),
    ("annotations", 0, {"image_id": [1]}, "no image has the id"),
    ("images", 4, {"id": 1}, "the id is missing or stands there twice"),
    ("images", 1, {"file_name": "a.png"}, "is listed already; keep one"),
    ("images", 1, {"file_name": 7}, "is no file name"),
    ("categories", 0, {"name": None}, "a category without id or name"),
]


@pytest.mark.parametrize(("part", "at", "change", "says"), IDS)
def test_ids_that_do_not_fit_together_are_refused(
    part: str, at: int, change: dict[str, Any], says: str, root: Path
) -> None:
    settings = EXAMPLES["coco"](root).settings
    edit(root / DOCUMENTS["coco"], lambda document: document[part][at].update(change))
    assert says in refused("coco", root, settings)


YOLO_LINES = {
    "0 0.1 0.2 0.3": "no outline of x y pairs",
    "0 0.1 0.2 0.3 0.4 0.5 0.6 0.7": "no outline of x y pairs",
    "0 1 2 100 40 30 20": "no shares of the sides",
    "pit 0.1 0.2 0.3 0.4 0.5 0.6": "is no class with numbers",
    "0 nan 0.2 0.3 0.4 0.5 0.6": "no shares of the sides",
    "7 0.1 0.2 0.3 0.4 0.5 0.6": "no class has the number 7",
}


@pytest.mark.parametrize("line", YOLO_LINES)
def test_lines_of_labels_that_are_none_are_told_with_their_number(line: str, root: Path) -> None:
    settings = EXAMPLES["yolo"](root).settings
    path = root / DOCUMENTS["yolo"]
    path.write_text(path.read_text() + line + "\n")
    said = refused("yolo", root, settings)
    assert "a.txt, line 3: " in said
    assert YOLO_LINES[line] in said


CSV_TABLES = {
    "image,mask\nimg/a.png\n": "line 2: not as many fields as columns",
    "image,mask\n": "no rows",
    "image,mask\nimg/a.png,m/a.png\nimg/a.png,m/a.png\n": "stands there twice",
    "image,mask,patient\nimg/a.png,m/a.png,\n": "line 2, patient: '' is blank",
    "image,mask,x0,y0,w,h\nimg/a.png,m/a.png,1,,4,4\n": "the box lacks a side",
    "image,mask,x0,y0,w,h\nimg/a.png,m/a.png,1,1,4,inf\n": "'inf' is no whole number",
    "ImageId,EncodedPixels\nimg/a.png,1 2 3\n": "pairs of start and length",
    "ImageId,EncodedPixels\nimg/a.png,0 2\n": "leave the picture",
    "ImageId,EncodedPixels\nimg/a.png,300 99\n": "leave the picture",
    "ImageId,EncodedPixels\nimg/a.png,1 99999999999999999999\n": "pairs of start and length",
}


@pytest.mark.parametrize("text", CSV_TABLES, ids=CSV_TABLES.values())
def test_tables_that_are_wrong_are_told_with_their_line(text: str, root: Path) -> None:
    EXAMPLES["csv"](root)
    (root / "table.csv").write_text(text)
    assert CSV_TABLES[text] in refused("csv", root, {"path": "table.csv"})


def test_run_lengths_of_a_table_go_by_column_and_rows_are_joined(root: Path) -> None:
    picture(root / "a.png")
    picture(root / "b.png")
    (root / "t.csv").write_text("ImageId,ClassId,EncodedPixels\na.png,1,2 3 17 1\na.png,2,33 2\nb.png,1,\n")
    rows = list_samples(
        Choice(name="csv", settings={"path": "t.csv"}), base=root, cache=root.parent / "cache"
    )
    assert [(row["sample"], row["class_id"]) for row in rows.rows] == [("a.png", "1+2"), ("b.png", "clean")]
    mask = np.array(Image.open(rows.root / rows.rows[0]["mask"]))
    assert sorted(zip(*(side.tolist() for side in np.nonzero(mask)), strict=True)) == [
        *((0, 1), (0, 2), (1, 0), (1, 2)),
        *((2, 0), (3, 0)),
    ]
