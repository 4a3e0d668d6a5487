"""One small example of each format, written as its tool writes it, and what must come of it."""

import base64
import io
import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

WIDTH, HEIGHT = 20, 16
Mask = NDArray[np.uint8]


class Example(NamedTuple):
    """Settings of the data set, and for each sample its mask (None: declared clean) and class."""

    settings: dict[str, Any]
    expected: dict[str, tuple[Mask | None, str]]
    notes: tuple[str, ...] = ()
    groups: dict[str, str] | None = None  # where the set names them itself


def picture(path: Path, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (HEIGHT, WIDTH), np.uint8)
    Image.fromarray(pixels).save(path)


def blank() -> Mask:
    return np.zeros((HEIGHT, WIDTH), np.uint8)


def box(
    x0: int, y0: int, x1: int, y1: int, *, hole: tuple[int, int, int, int] | None = None, value: int = 255
) -> Mask:
    """Return a mask of a rectangle, end excluded, perhaps with a hole."""
    mask = blank()
    mask[y0:y1, x0:x1] = value
    if hole:
        mask[hole[1] : hole[3], hole[0] : hole[2]] = 0
    return mask


def corners(x0: float, y0: float, x1: float, y1: float) -> list[list[float]]:
    return [[x0, y0], [x1, y0], [x1, y1], [x0, y1]]


def flat(points: list[list[float]]) -> list[float]:
    return [value for point in points for value in point]


def png(mask: NDArray[Any]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.where(mask, 255, 0).astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def counts(mask: Mask, order: str) -> list[int]:
    """Return run lengths, outside first, as the tools write them."""
    values = (mask.ravel(order=order) > 0).astype(int)  # type: ignore[call-overload]
    edges = np.flatnonzero(np.diff(values)) + 1
    lengths = np.diff([0, *edges, len(values)]).tolist()
    return lengths if not values[0] else [0, *lengths]


def coco(root: Path) -> Example:
    for number, name in enumerate(("a.png", "b.png", "c.png", "d.png")):
        picture(root / "images" / name, number)
    ring = box(8, 2, 16, 12, hole=(10, 4, 14, 8))
    annotations = [
        {
            "image_id": 1,
            "category_id": 1,
            "iscrowd": 0,
            "segmentation": [flat(corners(2, 3, 6, 9)), flat(corners(8, 1, 9, 2))],
        },
        {"image_id": 1, "category_id": 2, "iscrowd": 0, "segmentation": [flat(corners(4.5, 8, 12, 10))]},
        {
            "image_id": 2,
            "category_id": 1,
            "iscrowd": 1,
            "segmentation": {"size": [HEIGHT, WIDTH], "counts": counts(ring, "F")},
        },
        {"image_id": 2, "category_id": 2, "iscrowd": 0, "segmentation": [flat(corners(0, 0, 3, 3))]},
        {"image_id": 4, "category_id": 1, "iscrowd": 0, "segmentation": [], "bbox": [1, 1, 4, 4]},
    ]
    images = [
        {"id": n, "file_name": f"{name}.png", "width": WIDTH, "height": HEIGHT}
        for n, name in enumerate("abcde", start=1)
    ]
    document = {
        "images": images,
        "annotations": [one | {"id": n, "area": 1} for n, one in enumerate(annotations, start=1)],
        "categories": [{"id": 1, "name": "pit"}, {"id": 2, "name": "crack"}],
    }
    (root / "annotations").mkdir()
    (root / "annotations" / "instances_train.json").write_text(json.dumps(document))
    both = np.maximum(
        np.maximum(box(2, 3, 6, 9), box(8, 1, 9, 2)), box(5, 8, 12, 10)
    )  # 4.5: the center of column 4
    both[8:10, 4] = 255
    crowd = np.where(ring > 0, np.uint8(128), box(0, 0, 3, 3))
    expected = {"a.png": (both, "crack+pit"), "b.png": (crowd, "crack"), "c.png": (None, "clean")}
    notes = (
        "5 annotations in 1 file(s)",
        "3 pictures read, 1 of them without a target",
        "1 picture skipped: objects with boxes alone, no outlines; boxes: fill takes boxes as they are (first: d.png)",
        "1 picture skipped: the file is not there (first: e.png)",
    )
    return Example({"path": "."}, expected, notes)


def csv(root: Path) -> Example:
    for name in ("a.png", "b.png", "c.png"):
        picture(root / "img" / name)
    (root / "m").mkdir()
    Image.fromarray(box(1, 1, 4, 5)).save(root / "m" / "a.png")
    lines = [
        "filename;Mask;Patient;Label",
        "img/a.png;m/a.png;7;pit",
        "img/b.png;;7;pit",
        "img/gone.png;m/a.png;8;pit",
    ]
    (root / "table.csv").write_text("\n".join(lines) + "\n")
    expected = {"img/a.png": (box(1, 1, 4, 5), "pit"), "img/b.png": (None, "clean")}
    notes = ("2 of 3 rows read", "1 picture skipped: its file or its mask is not there (first: img/gone.png)")
    return Example({"path": "table.csv"}, expected, notes, {"img/a.png": "7", "img/b.png": "7"})


def cvat(root: Path) -> Example:
    for name in ("a.png", "b.png", "c.png", "d.png"):
        picture(root / "images" / name)
    patch = np.array([[1, 0, 1], [0, 1, 0]], bool)
    rle = ", ".join(map(str, counts(patch.astype(np.uint8), "C")))
    points = ";".join(f"{x:.2f},{y:.2f}" for x, y in corners(2, 3, 6, 9))
    size = f'width="{WIDTH}" height="{HEIGHT}"'
    (root / "annotations.xml").write_text(
        f"""<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version>
  <meta><task><labels><label><name>pit</name></label><label><name>dust</name></label></labels></task></meta>
  <image id="0" name="a.png" {size}>
    <polygon label="pit" source="manual" occluded="0" points="{points}" z_order="0"></polygon>
    <mask label="pit" source="manual" rle="{rle}" left="10" top="4" width="3" height="2" z_order="0"></mask>
    <polygon label="dust" points="12,12;18,12;18,15;12,15" z_order="0"></polygon>
    <tag label="pit"></tag>
  </image>
  <image id="1" name="b.png" {size}></image>
  <image id="2" name="c.png" {size}><polyline label="pit" points="1,1;5,5"></polyline></image>
  <image id="3" name="d.png" {size}><ellipse label="pit" cx="10" cy="8" rx="3" ry="3"></ellipse></image>
</annotations>
"""
    )
    drawn = box(2, 3, 6, 9)
    drawn[4:6, 10:13][patch] = 255
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH] + 0.5
    disk = (255 * ((x - 10) ** 2 + (y - 8) ** 2 < 9)).astype(np.uint8)
    expected = {"a.png": (drawn, "pit"), "b.png": (None, "clean"), "d.png": (disk, "pit")}
    notes = ("4 pictures listed", "3 pictures read, 1 of them without a target")
    return Example({"path": ".", "classes": ["pit"]}, expected, notes)


def kolektor(root: Path) -> Example:
    for item, part in (("kos01", 0), ("kos01", 1), ("kos02", 0)):
        picture(root / item / f"Part{part}.jpg", part)
        Image.fromarray(box(1, 1, 4, 5) if part else blank()).save(root / item / f"Part{part}_label.bmp")
    picture(root / "kos02" / "Part9.jpg")
    expected = {
        "kos01/Part0.jpg": (blank(), "defect"),
        "kos01/Part1.jpg": (box(1, 1, 4, 5), "defect"),
        "kos02/Part0.jpg": (blank(), "defect"),
    }
    notes = ("3 pictures read", "1 picture skipped: no mask of its name (first: kos02/Part9.jpg)")
    return Example({"path": "."}, expected, notes, {name: name.split("/")[0] for name in expected})


def labelme(root: Path) -> Example:
    patch = np.array([[1, 0, 1], [0, 1, 0]], bool)
    shapes: dict[str, list[dict[str, Any]]] = {
        "a": [
            {"label": "pit", "points": corners(2, 3, 6, 9), "shape_type": "polygon"},
            {"label": "pit", "points": [[12, 9], [9, 5]], "shape_type": "rectangle"},
            {
                "label": "crack",
                "points": [[14, 12], [16, 13]],
                "shape_type": "mask",
                "mask": base64.b64encode(png(patch)).decode(),
            },
        ],
        "b": [],
        "c": [{"label": "pit", "points": [[1, 1], [5, 5]], "shape_type": "line"}],
    }
    for name, drawn in shapes.items():
        picture(root / "sub" / f"{name}.png")
        document = {
            "version": "5.5.0",
            "flags": {},
            "shapes": [one | {"group_id": None, "flags": {}} for one in drawn],
            "imagePath": f"{name}.png" if name != "b" else ".\\b.png",
            "imageData": None,
            "imageHeight": HEIGHT,
            "imageWidth": WIDTH,
        }
        (root / "sub" / f"{name}.json").write_text(json.dumps(document))
    picture(root / "sub" / "z.png")
    mask = np.maximum(box(2, 3, 6, 9), box(9, 5, 12, 9))
    mask[12:14, 14:17][patch] = 255
    expected = {"sub/a.png": (mask, "crack+pit"), "sub/b.png": (None, "clean")}
    notes = (
        "3 JSON files",
        "2 pictures read, 1 of them without a target",
        "1 picture skipped: lines or points, which have no area (first: c.png)",
        "1 picture skipped: no JSON file; missing: clean takes such pictures as clean (first: z.png)",
    )
    return Example({"path": "."}, expected, notes)


def mvtec(root: Path) -> Example:
    for name in ("train/good/000.png", "test/good/000.png", "test/hole/000.png", "test/hole/001.png"):
        picture(root / "bottle" / name)
    (root / "bottle" / "ground_truth" / "hole").mkdir(parents=True)
    Image.fromarray(box(1, 1, 4, 5)).save(root / "bottle" / "ground_truth" / "hole" / "000_mask.png")
    expected = {
        "bottle/train/good/000.png": (None, "clean"),
        "bottle/test/good/000.png": (None, "clean"),
        "bottle/test/hole/000.png": (box(1, 1, 4, 5), "bottle/hole"),
    }
    notes = (
        "3 pictures read, 2 of them without a mask",
        "1 picture skipped: no mask in ground_truth/hole (first: 001.png)",
    )
    return Example({"path": "."}, expected, notes)


def supervisely(root: Path) -> Example:
    classes = [
        {"title": "pit", "shape": "polygon"},
        {"title": "crack", "shape": "bitmap"},
        {"title": "frame", "shape": "any"},
    ]
    (root / "meta.json").write_text(json.dumps({"classes": classes, "tags": []}))
    patch = np.array([[1, 0, 1], [0, 1, 0]], bool)
    data = base64.b64encode(zlib.compress(png(patch))).decode()
    exterior, interior = corners(2, 2, 12, 12), [corners(4, 4, 8, 8)]
    objects: dict[str, list[dict[str, Any]]] = {
        "a": [
            {
                "classTitle": "pit",
                "geometryType": "polygon",
                "points": {"exterior": exterior, "interior": interior},
            },
            {"classTitle": "crack", "geometryType": "bitmap", "bitmap": {"data": data, "origin": [15, 3]}},
            {
                "classTitle": "frame",
                "geometryType": "rectangle",
                "points": {"exterior": [[0, 0], [19, 15]], "interior": []},
            },
        ],
        "b": [],
        "c": [
            {
                "classTitle": "pit",
                "geometryType": "line",
                "points": {"exterior": [[1, 1], [5, 5]], "interior": []},
            }
        ],
    }
    (root / "ds" / "ann").mkdir(parents=True)
    for name, drawn in objects.items():
        picture(root / "ds" / "img" / f"{name}.png")
        document = {
            "description": "",
            "tags": [],
            "size": {"height": HEIGHT, "width": WIDTH},
            "objects": drawn,
        }
        (root / "ds" / "ann" / f"{name}.png.json").write_text(json.dumps(document))
    mask = box(2, 2, 12, 12, hole=(4, 4, 8, 8))
    mask[3:5, 15:18][patch] = 255
    expected = {"ds/img/a.png": (mask, "crack+pit"), "ds/img/b.png": (None, "clean")}
    notes = ("2 objects drawn", "2 pictures read, 1 of them without a target")
    return Example({"path": ".", "classes": ["pit", "crack"]}, expected, notes)


def voc(root: Path) -> Example:
    for name in ("a", "b", "c"):
        picture(root / "JPEGImages" / f"{name}.jpg")
    (root / "SegmentationClass").mkdir()
    labels = box(1, 1, 4, 5, value=5) + box(6, 6, 9, 9, value=8) + box(10, 10, 12, 12, value=255)
    for name, values in (("a", labels), ("b", blank())):
        mask = Image.fromarray(values, "P")
        mask.putpalette([n * 7 % 256 for n in range(768)])
        mask.save(root / "SegmentationClass" / f"{name}.png")
    drawn = box(1, 1, 4, 5) + box(10, 10, 12, 12, value=128)
    expected = {"JPEGImages/a.jpg": (drawn, "bottle"), "JPEGImages/b.jpg": (None, "clean")}
    notes = (
        "2 masks",
        "2 pictures read, 1 of them without a target",
        "1 picture skipped: no mask; missing: clean takes such pictures as clean (first: c.jpg)",
    )
    return Example({"path": ".", "classes": ["bottle"]}, expected, notes)


def yolo(root: Path) -> Example:
    for number, name in enumerate(("train/a", "train/b", "val/c", "val/d")):
        picture(root / "images" / f"{name}.png", number)
        (root / "labels" / name).parent.mkdir(parents=True, exist_ok=True)
    shares = " ".join(
        f"{v / side:.8f}" for v, side in zip(flat(corners(2, 3, 6, 9)), (WIDTH, HEIGHT) * 4, strict=True)
    )
    (root / "labels/train/a.txt").write_text(f"0 {shares}\n1 0.5 0.5 0.75 0.5 0.75 0.75 0.5 0.75\n")
    (root / "labels/train/b.txt").write_text("\n")
    (root / "labels/val/c.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    (root / "data.yaml").write_text(
        "path: .\ntrain: images/train\nval: images/val\nnames:\n  0: pit\n  1: crack\n"
    )
    mask = np.maximum(box(2, 3, 6, 9), box(10, 8, 15, 12))
    expected = {"images/train/a.png": (mask, "crack+pit"), "images/train/b.png": (None, "clean")}
    notes = (
        "3 lines of labels; the folders' own division is not used, groups decide",
        "2 pictures read, 1 of them without a target",
        "1 picture skipped: lines of boxes, no outlines; boxes: fill takes boxes as they are (first: c.png)",
        "1 picture skipped: no label file; missing: clean takes such pictures as clean (first: d.png)",
    )
    return Example({"path": "data.yaml"}, expected, notes)


EXAMPLES: dict[str, Callable[[Path], Example]] = {
    "coco": coco,
    "csv": csv,
    "cvat": cvat,
    "kolektor": kolektor,
    "labelme": labelme,
    "mvtec": mvtec,
    "supervisely": supervisely,
    "voc": voc,
    "yolo": yolo,
}
