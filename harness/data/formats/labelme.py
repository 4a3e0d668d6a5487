"""LabelMe's JSON, one file a picture (github.com/wkentaro/labelme)."""

from collections.abc import Iterator
from math import dist
from pathlib import Path, PurePosixPath
from typing import Any

from harness.data.formats.documents import AGAIN, integer, label, listing, mapping, read_json, shown
from harness.data.formats.drawn import Listing, rows_of
from harness.data.formats.places import files_of, given, is_there, pictures_of, relative, resolved_name
from harness.data.formats.shapes import (
    BOX,
    LINE,
    POINT,
    Bitmap,
    Listed,
    Object,
    Points,
    Rings,
    Size,
    boxed,
    outlined,
    oval,
    ring_of_pairs,
)
from harness.data.formats.told import Left
from harness.data.formats.wanted import wanted
from harness.data.rows import Rows, existing
from harness.errors import DataError

FORM = "labelme"
TURNED = ("oriented_rectangle", "rotation")  # the second of relatives of LabelMe
FLAWS = {"line": LINE, "linestrip": LINE, "point": POINT, "points": POINT}


def labelme(
    cache: Path,
    *,
    path: str,
    images: str | None = None,
    classes: tuple[str, ...] | None = None,
    boxes: str = "skip",
    missing: str = "skip",
) -> Rows:
    """Read all LabelMe files below a folder, or one; each names its picture, relative to itself.

    With `images` pictures are looked for in that folder by their file names. Polygons, circles and masks are drawn,
    each shape for itself (LabelMe has no holes, but in masks; a polygon that crosses itself is even-odd). `missing`
    (pictures without JSON) is skip or clean, `boxes` (rectangles) skip or fill.
    """
    settings = wanted(FORM, classes, boxes=boxes, missing=missing)
    place = given(path, FORM)
    files = [place] if place.is_file() else files_of(place, (".json",), deep=True)
    base = place.parent if place.is_file() else place
    root = existing(images, f"data.dataset.{FORM}.images") if images is not None else base
    left = Left()
    pictures = [
        listed
        for file in files
        if (listed := _listed(file, root, left, one=place.is_file(), flat=images is not None))
    ]
    if not pictures:
        raise DataError(
            f"{place}: holds no JSON file of LabelMe, with shapes and imagePath; name its folder as path"
        )
    number = len(pictures)
    if not place.is_file():
        pictures += _without(root, {picture.name for picture in pictures}, left, clean=settings.clean)
    return rows_of(cache, Listing(root, pictures, number, left=left), settings)


def _without(root: Path, named: set[str], left: Left, *, clean: bool) -> Iterator[Listed]:
    for picture in pictures_of(root):
        name = picture.relative_to(root).as_posix()
        if name not in named:
            if clean:
                yield Listed(name, f"{picture}", picture, None, [])
            else:
                left.add("no JSON file; set missing: clean if that means that they show no target", name)


def _listed(file: Path, root: Path, left: Left, *, one: bool, flat: bool) -> Listed | None:
    document = read_json(file)
    if not isinstance(document, dict) or not {"shapes", "imagePath"} <= document.keys():
        if one:
            raise DataError(f"{file}: is no file of LabelMe, with shapes and imagePath; name another one")
        left.add("not of LabelMe, which has shapes and imagePath", file.name, what="JSON file")
        return None
    size = _size(document, f"{file}")
    name = _name(label(document["imagePath"], f"{file}, imagePath"), file, root, flat=flat)
    objects = [
        _object(mapping(entry, f"{file}, shapes[{n}]"), f"{file}, shapes[{n}]")
        for n, entry in enumerate(listing(document["shapes"], f"{file}, shapes"))
    ]
    return Listed(name, f"{file}", file, size, objects)


def _size(document: dict[str, Any], where: str) -> Size | None:
    if document.get("imageWidth") is None and document.get("imageHeight") is None:
        return None
    width, height = (
        integer(document.get(s), f"{where}, {s}", lowest=1) for s in ("imageWidth", "imageHeight")
    )
    return width, height


def _name(text: str, file: Path, root: Path, *, flat: bool) -> str:
    """Return the picture's name in the root: where the file says, or one of that file name beside it."""
    where = f"{file}, imagePath"
    if flat:
        return relative(PurePosixPath(text.replace("\\", "/")).name or text, where)
    name = resolved_name(root, file.parent, text, where)
    beside = (file.parent.relative_to(root) / PurePosixPath(name).name).as_posix()
    return name if is_there(root, name, where) or not is_there(root, beside, where) else beside


def _object(shape: dict[str, Any], where: str) -> Object:
    name = label(shape.get("label"), f"{where}.label")
    kind = label(shape.get("shape_type") or "polygon", f"{where}.shape_type")
    points = ring_of_pairs(shape.get("points"), f"{where}.points")
    if kind == "polygon":
        return outlined(name, [points])
    if kind in FLAWS:
        return Object(name, (), FLAWS[kind])
    if kind in TURNED:
        if len(points) != 4:
            raise DataError(f"{where}.points: {len(points)} of them, {kind} has four; {AGAIN}")
        return Object(name, (Rings((points,)),), BOX)
    if kind not in ("rectangle", "circle", "mask"):
        return Object(name, (), f"a shape of the unknown kind {shown(kind)}")
    return _between(kind, name, points, shape, where)


def _between(kind: str, name: str, points: Points, shape: dict[str, Any], where: str) -> Object:
    """Return what two points describe: opposite corners, or a center and a point on the circle."""
    if kind == "rectangle" and len(points) == 4:
        return Object(name, (Rings((points,)),), BOX)
    if len(points) != 2:
        raise DataError(f"{where}.points: {len(points)} of them, a {kind} has two; {AGAIN}")
    (x0, y0), (x1, y1) = points.tolist()
    if kind == "rectangle":
        return boxed(name, x0, y0, x1, y1, where)
    if kind == "circle":
        radius = dist((x0, y0), (x1, y1))
        return outlined(name, [oval(x0, y0, (radius, radius), where)])
    if not isinstance(shape.get("mask"), str):
        raise DataError(f"{where}.mask: {shown(shape.get('mask'))} is no PNG in base64; {AGAIN}")
    left, top, right, bottom = (integer(float(round(v)), where) for v in (x0, y0, x1, y1))
    size = (right - left + 1, bottom - top + 1)
    return Object(name, (Bitmap(left, top, shape["mask"], False, size, where),))
