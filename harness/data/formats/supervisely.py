"""Supervisely's projects: meta.json, and a folder a data set with ann/ and img/ (developer.supervisely.com)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from harness.data.formats.documents import AGAIN, integer, label, listing, mapping, read_json, shown
from harness.data.formats.drawn import Listing, rows_of
from harness.data.formats.places import files_of, folders_of, given, pictures_of, relative
from harness.data.formats.shapes import (
    FEW,
    LINE,
    POINT,
    Bitmap,
    Listed,
    Object,
    Points,
    Runs,
    Size,
    boxed,
    ring_of_pairs,
)
from harness.data.formats.sizes import refuse_too_large
from harness.data.formats.told import Left
from harness.data.formats.wanted import wanted
from harness.data.rows import Rows
from harness.errors import DataError

FORM = "supervisely"
FLAWS = {"line": LINE, "point": POINT, "graph": POINT, "cuboid": "only a cuboid, no outline"}

Shapes = dict[str, str]  # of classes


def supervisely(
    cache: Path,
    *,
    path: str,
    classes: tuple[str, ...] | None = None,
    boxes: str = "skip",
) -> Rows:
    """Read a project: every ann/*.json below its folder, with its picture in the img/ beside.

    Polygons with their holes, bitmaps and, with `boxes: fill`, rectangles are drawn as Supervisely's SDK does: corners
    are pixels, an outline belongs to its object, and that of a hole to the hole (OpenCV's fillPoly).
    """
    settings = wanted(FORM, classes, boxes=boxes)
    root = _project(given(path, FORM))
    shapes = _classes(root / "meta.json")
    left = Left()
    files = [file for file in files_of(root, (".json",), deep=True) if file.parent.name == "ann"]
    pictures = [_listed(file, root, shapes) for file in files]
    if not pictures:
        raise DataError(f"{root}: holds no <data set>/ann/*.json; name the folder of a project as path")
    _tell_bare(root, pictures, left)
    return rows_of(cache, Listing(root, pictures, len(files), shapes, left), settings)


def _project(place: Path) -> Path:
    if place.is_file():
        place = place.parent
    if (place / "meta.json").is_file():
        return place
    found = [folder for folder in folders_of(place) if (folder / "meta.json").is_file()]
    if len(found) != 1:
        names = ", ".join(folder.name for folder in found) or "none"
        raise DataError(
            f"{place}: no meta.json here; projects below it: {names}; name one project's folder as path"
        )
    return found[0].resolve()


def _classes(file: Path) -> Shapes:
    document = mapping(read_json(file), f"{file}")
    found: Shapes = {}
    for number, entry in enumerate(listing(document.get("classes"), f"{file}, classes")):
        where = f"{file}, classes[{number}]"
        declared = mapping(entry, where)
        found[label(declared.get("title"), f"{where}.title")] = str(declared.get("shape"))
    return found


def _listed(file: Path, root: Path, shapes: Shapes) -> Listed:
    document = mapping(read_json(file), f"{file}")
    size = mapping(document.get("size"), f"{file}, size")
    width, height = (integer(size.get(s), f"{file}, size.{s}", lowest=1) for s in ("width", "height"))
    name = (file.parent.parent.relative_to(root) / "img" / file.name.removesuffix(".json")).as_posix()
    refuse_too_large((width, height), f"{file}")
    objects = [
        _object(mapping(entry, f"{file}, objects[{n}]"), shapes, (width, height), f"{file}, objects[{n}]")
        for n, entry in enumerate(listing(document.get("objects"), f"{file}, objects"))
    ]
    return Listed(relative(name, f"{file}"), f"{file}", file, (width, height), objects)


def _tell_bare(root: Path, pictures: list[Listed], left: Left) -> None:
    named = {picture.name for picture in pictures}
    for path in pictures_of(root):
        name = path.relative_to(root).as_posix()
        if path.parent.name == "img" and name not in named:
            left.add("no annotation", name)


def _object(entry: dict[str, Any], shapes: Shapes, size: Size, where: str) -> Object:
    name = label(entry.get("classTitle"), f"{where}.classTitle")
    if name not in shapes:
        raise DataError(f"{where}.classTitle: {shown(name)} is not in meta.json; {AGAIN}")
    kind = entry.get("geometryType") or ("bitmap" if entry.get("bitmap") else shapes[name])
    if kind == "bitmap":
        return Object(name, (_bitmap(mapping(entry.get("bitmap"), f"{where}.bitmap"), f"{where}.bitmap"),))
    if kind not in ("polygon", "rectangle"):
        flaw = FLAWS.get(kind) if isinstance(kind, str) else None
        return Object(name, (), flaw or f"a figure of the unknown kind {shown(kind)}")
    points = mapping(entry.get("points"), f"{where}.points")
    exterior = ring_of_pairs(points.get("exterior"), f"{where}.points.exterior")
    if kind == "polygon":
        holes = listing(points.get("interior", []), f"{where}.points.interior")
        rings = [exterior, *(ring_of_pairs(hole, f"{where}.points.interior") for hole in holes)]
        flaw = FEW if any(len(ring) < 3 for ring in rings) else ""
        return Object(name, () if flaw else (_filled(rings, size),), flaw)
    if len(exterior) != 2:
        raise DataError(f"{where}.points.exterior: {len(exterior)} points, a rectangle has two; {AGAIN}")
    (x0, y0), (x1, y1) = exterior.tolist()
    left, right, top, bottom = min(x0, x1), max(x0, x1), min(y0, y1), max(y0, y1)
    return boxed(name, left, top, right + 1, bottom + 1, where)


def _filled(rings: Sequence[Points], size: Size) -> Runs:
    """Return the pixels of an outline, the first ring, without those of its holes; what lies outside is left out."""
    corners = [np.rint(ring).astype(np.int64) for ring in rings]
    low = np.clip(corners[0].min(axis=0), 0, size)
    high = np.clip(corners[0].max(axis=0) + 1, low, size)
    width, height = (high - low).tolist()
    part = np.zeros((height, width), np.uint8)
    for number, ring in enumerate(corners):
        if width and height:
            cv2.fillPoly(part, [(ring - low).astype(np.int32)], int(number == 0))
    edges = np.diff(np.pad(part, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    (rows, starts), (_, ends) = np.nonzero(edges == 1), np.nonzero(edges == -1)
    first = (rows + low[1]) * size[0] + low[0]
    return Runs(first + starts, first + ends, by_columns=False)


def _bitmap(entry: dict[str, Any], where: str) -> Bitmap:
    origin = listing(entry.get("origin"), f"{where}.origin")
    x, y = (integer(value, f"{where}.origin") for value in (origin if len(origin) == 2 else (-1, -1)))
    if not isinstance(entry.get("data"), str):
        raise DataError(f"{where}.data: {shown(entry.get('data'))} is no bitmap in base64; {AGAIN}")
    return Bitmap(x, y, entry["data"], True, None, where)
