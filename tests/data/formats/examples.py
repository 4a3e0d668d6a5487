"""Small data sets as the tools export them, and how tests look at what is read of them."""

import base64
import io
import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from harness.config import Choice
from harness.data.index import list_samples
from harness.data.rows import Rows

Settings = dict[str, Any]
SHADES = {".": 0, "#": 255, "?": 128}


def picture(path: Path, size: tuple[int, int] = (8, 6), *, orientation: int = 1) -> None:
    """Write a picture of width x height that no other name gives."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(sum(path.name.encode()))
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(rng.integers(0, 255, (size[1], size[0], 3), np.uint8)).save(path, exif=exif)


def drawn(art: str) -> NDArray[np.uint8]:
    """Return the mask of lines of `.`, `#` and `?`."""
    return np.array([[SHADES[sign] for sign in line] for line in art.split()], np.uint8)


def gray(path: Path, pixels: NDArray[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8)).save(path)


def saved(path: Path, document: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(document if isinstance(document, str) else json.dumps(document), encoding="utf-8")
    return path


def png(pixels: NDArray[Any], **how: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels, **how).save(file, "PNG")
    return file.getvalue()


def read(base: Path, name: str, **settings: Any) -> Rows:
    return list_samples(Choice(name=name, settings=settings), base=base, cache=base / "cache")


def masks(rows: Rows) -> dict[str, str]:
    """Return the mask of each picture as lines of `.`, `#` and `?`, empty for none."""
    signs = {value: sign for sign, value in SHADES.items()}
    found = {}
    for row in rows.rows:
        found[row["sample"]] = ""
        if row["mask"]:
            pixels = np.array(Image.open(rows.root / row["mask"]))
            found[row["sample"]] = "\n".join("".join(signs[int(v)] for v in line) for line in pixels)
    return found


def lines(art: str) -> str:
    return "\n".join(art.split())


def classes(rows: Rows) -> dict[str, str]:
    return {row["sample"]: row["class_id"] for row in rows.rows}


def content(folder: Path) -> dict[str, bytes]:
    """Return all files below a folder but the cache's."""
    return {
        str(p): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file() and "cache" not in p.parts
    }


def coco_document(*pictures: str, size: tuple[int, int] = (8, 6)) -> dict[str, Any]:
    """Return a file of one 4 x 2 px square in the first picture."""
    images = [
        {"id": n, "width": size[0], "height": size[1], "file_name": name, "license": 1, "date_captured": ""}
        for n, name in enumerate(pictures, start=1)
    ]
    square = {
        "id": 1, "image_id": 1, "category_id": 1, "iscrowd": 0, "area": 8.0, "bbox": [2, 1, 4, 2],
        "segmentation": [[2, 1, 6, 1, 6, 3, 2, 3]],
    }  # fmt: skip
    kinds = [{"id": 1, "name": "pit", "supercategory": ""}, {"id": 2, "name": "crack", "supercategory": ""}]
    return {"info": {}, "licenses": [], "images": images, "annotations": [square], "categories": kinds}


def write_coco(base: Path) -> Settings:
    for name in "ab":
        picture(base / f"coco/images/{name}.png")
    saved(base / "coco/annotations/instances_default.json", coco_document("a.png", "b.png"))
    return {"path": "coco"}


def write_yolo(base: Path) -> Settings:
    for name in ("train/a", "val/b"):
        picture(base / f"yolo/images/{name}.png")
    saved(
        base / "yolo/data.yaml",
        "path: ../datasets/mine\ntrain: images/train\nval: images/val\nnames:\n  0: pit\n  1: crack\n",
    )
    saved(base / "yolo/labels/train/a.txt", "0 0.25 0.166667 0.75 0.166667 0.75 0.5 0.25 0.5\n")
    saved(base / "yolo/labels/val/b.txt", "")
    return {"path": "yolo"}


def labelme_document(name: str, *shapes: dict[str, Any], size: tuple[int, int] = (8, 6)) -> dict[str, Any]:
    return {
        "version": "5.5.0", "flags": {}, "shapes": list(shapes), "imagePath": name, "imageData": None,
        "imageHeight": size[1], "imageWidth": size[0],
    }  # fmt: skip


def labelme_shape(
    kind: str, points: list[list[float]], label: str = "pit", mask: str | None = None
) -> dict[str, Any]:
    return {
        "label": label, "points": points, "group_id": None, "description": "", "shape_type": kind, "flags": {},
        "mask": mask,
    }  # fmt: skip


def write_labelme(base: Path) -> Settings:
    square = labelme_shape("polygon", [[2, 1], [6, 1], [6, 3], [2, 3]])
    for name, shapes in (("a", [square]), ("b", [])):
        picture(base / f"labelme/{name}.png")
        saved(base / f"labelme/{name}.json", labelme_document(f"{name}.png", *shapes))
    return {"path": "labelme"}


def cvat_document(inside: str) -> str:
    return f"""<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta><job><id>1</id><size>2</size><labels>
    <label><name>pit</name><color>#fa3253</color><type>any</type><attributes></attributes></label>
    <label><name>crack</name><color>#33ddff</color><type>any</type><attributes></attributes></label>
  </labels></job><dumped>2026-01-01 10:00:00.000000+00:00</dumped></meta>
{inside}
</annotations>
"""


def cvat_image(name: str, *shapes: str, size: tuple[int, int] = (8, 6)) -> str:
    return (
        f'  <image id="0" name="{name}" width="{size[0]}" height="{size[1]}">\n{"".join(shapes)}\n  </image>'
    )


CVAT_SQUARE = (
    '<polygon label="pit" source="manual" occluded="0" '
    'points="2.00,1.00;6.00,1.00;6.00,3.00;2.00,3.00" z_order="0"></polygon>'
)


def write_cvat(base: Path) -> Settings:
    for name in "ab":
        picture(base / f"cvat/images/{name}.png")
    saved(
        base / "cvat/annotations.xml",
        cvat_document(cvat_image("a.png", CVAT_SQUARE) + "\n" + cvat_image("b.png")),
    )
    return {"path": "cvat"}


SQUARE = drawn("........ ..####.. ..####.. ........ ........ ........") > 0


def write_voc(base: Path) -> Settings:
    for name in "abc":
        picture(base / f"voc/VOC2012/JPEGImages/{name}.jpg")
    for name, pixels in (("a", SQUARE * 15), ("b", SQUARE * 0)):
        gray(base / f"voc/VOC2012/SegmentationClass/{name}.png", pixels)
    saved(base / "voc/VOC2012/ImageSets/Segmentation/train.txt", "a\n")
    return {"path": "voc"}


def write_mvtec(base: Path) -> Settings:
    for name in ("train/good/000", "test/good/000", "test/crack/000"):
        picture(base / f"bottle/{name}.png")
    gray(base / "bottle/ground_truth/crack/000_mask.png", SQUARE * 255)
    return {"path": "bottle"}


def write_kolektor(base: Path) -> Settings:
    for item, shows in (("kos01", True), ("kos02", False)):
        for part in (0, 1):
            picture(base / f"KolektorSDD/{item}/Part{part}.jpg")
            gray(base / f"KolektorSDD/{item}/Part{part}_label.bmp", SQUARE * 255 * (shows and part == 1))
    return {"path": "KolektorSDD"}


def supervisely_document(*objects: dict[str, Any], size: tuple[int, int] = (8, 6)) -> dict[str, Any]:
    return {
        "description": "",
        "tags": [],
        "size": {"height": size[1], "width": size[0]},
        "objects": list(objects),
    }


def supervisely_polygon(exterior: object, *interior: object, label: str = "pit") -> dict[str, Any]:
    return {
        "id": 497489555, "classId": 1693021, "labelerLogin": "me", "createdAt": "2026-01-01T10:00:00.000Z",
        "geometryType": "polygon", "tags": [], "classTitle": label,
        "points": {"exterior": exterior, "interior": list(interior)},
    }  # fmt: skip


def supervisely_bitmap(file: bytes, origin: list[int], label: str = "crack") -> dict[str, Any]:
    data = base64.b64encode(zlib.compress(file)).decode()
    return {
        "id": 497489556, "geometryType": "bitmap", "tags": [], "classTitle": label,
        "bitmap": {"data": data, "origin": origin},
    }  # fmt: skip


def write_supervisely(base: Path) -> Settings:
    kinds = [
        {"title": "pit", "shape": "polygon"},
        {"title": "crack", "shape": "bitmap"},
        {"title": "box", "shape": "rectangle"},
    ]
    saved(base / "sly/meta.json", {"classes": [kind | {"color": "#208C2C"} for kind in kinds], "tags": []})
    square = supervisely_polygon([[2, 1], [5, 1], [5, 2], [2, 2]])  # corners are pixels
    for name, objects in (("a", [square]), ("b", [])):
        picture(base / f"sly/ds0/img/{name}.png")
        saved(base / f"sly/ds0/ann/{name}.png.json", supervisely_document(*objects))
    return {"path": "sly"}


def write_csv(base: Path) -> Settings:
    for name in "ab":
        picture(base / f"steel/train_images/{name}.jpg")
    saved(base / "steel/train.csv", "ImageId,ClassId,EncodedPixels\na.jpg,3,14 2 20 2 26 2 32 2\nb.jpg,,\n")
    return {"path": "steel/train.csv"}


WRITE: dict[str, Callable[[Path], Settings]] = {
    "coco": write_coco,
    "yolo": write_yolo,
    "labelme": write_labelme,
    "cvat": write_cvat,
    "voc": write_voc,
    "mvtec": write_mvtec,
    "kolektor": write_kolektor,
    "supervisely": write_supervisely,
    "csv": write_csv,
}
