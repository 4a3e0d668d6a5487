"""A Supervisely project: meta.json, and for each data set pictures in img/ and their JSON files in ann/."""

import zlib
from pathlib import Path
from typing import Any

from harness.data.formats.documents import (
    inside,
    listed,
    number,
    one_of,
    pictures_in,
    read_json,
    refuse_size,
    side,
    small_png,
    source,
    unpacked,
)
from harness.data.formats.drawn import Drawn, Left, drawn_rows, wanted_classes
from harness.data.formats.polygons import Outline, Patch, Points, Shape, box_outline, pairs
from harness.data.grouping import upright_size
from harness.data.rows import Rows
from harness.errors import DataError

WHERE = "data.dataset.supervisely"
MOST_PACKED = 2**26  # bytes that a packed patch may become
NO_AREA = "lines, points or boxes, which give no outline; boxes: fill takes boxes as they are"


def supervisely(
    cache: Path,
    *,
    path: str,
    classes: tuple[str, ...] | None = None,
    boxes: str = "skip",
    missing: str = "skip",
) -> Rows:
    """Read a project's folder: polygons with holes, bitmaps and, with `boxes: fill`, rectangles.

    A file without objects is a clean picture; `missing` is skip or clean: what a picture without a file is.
    """
    one_of(f"{WHERE}.boxes", boxes, "skip", "fill")
    one_of(f"{WHERE}.missing", missing, "skip", "clean")
    root = source(path, WHERE)
    meta = root / "meta.json"
    if not meta.is_file():
        raise DataError(f"{WHERE}.path: {root} holds no meta.json; name the project's folder")
    known = {str(one.get("title")) for one in listed(read_json(meta), "classes", meta)}
    wanted = wanted_classes(classes, known, WHERE)
    left, pictures, objects = Left(), list[Drawn](), 0
    for found in pictures_in(root):
        if found.parent.name != "img":
            continue
        place = inside(root, found.relative_to(root).as_posix(), WHERE)
        file = found.parent.parent / "ann" / f"{found.name}.json"
        if not file.is_file() and missing == "skip":
            left.add("no JSON file; missing: clean takes such pictures as clean", found.name)
            continue
        drawn, every = _drawn(place, file, (known, wanted, boxes == "fill"))
        objects += len(drawn.targets)
        if every:
            pictures.append(drawn)
        else:
            left.add(NO_AREA, found.name)
    return drawn_rows(cache, "supervisely", root, pictures, [f"{objects} objects drawn"], left)


def _drawn(place: Path, file: Path, how: tuple[set[str], frozenset[str], bool]) -> tuple[Drawn, bool]:
    """Return the picture with its objects, and whether all of them have an area."""
    if not file.is_file():
        return Drawn(place, upright_size(place)), True
    document = read_json(file)
    sides: Any = document.get("size")
    if not isinstance(sides, dict):
        raise DataError(f"{file}: its size is missing; export it again")
    drawn = Drawn(place, (side(sides.get("width"), str(file)), side(sides.get("height"), str(file))))
    return drawn, all([_add(one, drawn, file, *how) for one in listed(document, "objects", file)])


def _add(
    one: dict[str, Any], drawn: Drawn, file: Path, known: set[str], wanted: frozenset[str], fill: bool
) -> bool:
    """Add an object; tell whether it has an area, or is of no class that matters."""
    name, kind = str(one.get("classTitle")), one.get("geometryType")
    if name not in known:
        raise DataError(f"{file}: the class {name[:40]!r} is not in meta.json; export the project again")
    if name not in wanted:
        return True
    if kind not in SHAPES or (kind == "rectangle" and not fill):
        return False
    drawn.targets.append(SHAPES[kind](one, drawn.size, f"{file}, a {kind} of {name[:40]!r}"))
    drawn.classes.add(name)
    return True


def _rings(one: dict[str, Any], where: str) -> tuple[Points, list[Points]]:
    points: Any = one.get("points")
    if not isinstance(points, dict) or not isinstance(points.get("interior", []), list):
        raise DataError(f"{where}: its points are missing; export it again")
    return pairs(points.get("exterior"), where), [pairs(hole, where) for hole in points.get("interior", [])]


def _polygon(one: dict[str, Any], size: tuple[int, int], where: str) -> Shape:
    exterior, interior = _rings(one, where)
    return Outline((exterior, *interior))


def _rectangle(one: dict[str, Any], size: tuple[int, int], where: str) -> Shape:
    corners, _ = _rings(one, where)
    if len(corners) != 2:
        raise DataError(f"{where}: a rectangle of {len(corners)} points, not 2; export it again")
    (x0, y0), (x1, y1) = corners.min(axis=0), corners.max(axis=0)
    return box_outline(x0, y0, x1 + 1 - x0, y1 + 1 - y0)  # its corners are pixels of it


def _bitmap(one: dict[str, Any], size: tuple[int, int], where: str) -> Shape:
    """Return a bitmap: a PNG, packed by zlib and written as base64, its upper left corner at the origin."""
    bitmap: Any = one.get("bitmap")
    if (
        not isinstance(bitmap, dict)
        or not isinstance(bitmap.get("origin"), list)
        or len(bitmap["origin"]) != 2
    ):
        raise DataError(f"{where}: its bitmap has no data or origin; export it again")
    refuse_size(size, where)
    x, y = (int(number(v, where)) for v in bitmap["origin"])
    unpacker = zlib.decompressobj()
    try:
        file = unpacker.decompress(unpacked(bitmap.get("data"), where), MOST_PACKED)
    except zlib.error:
        raise DataError(f"{where}: its bitmap is no zlib data, or cut off; export it again") from None
    if unpacker.unconsumed_tail:
        raise DataError(f"{where}: its bitmap grows beyond {MOST_PACKED >> 20} MiB; export it again")
    return Patch(x, y, small_png(file, where, size))


SHAPES = {"polygon": _polygon, "bitmap": _bitmap, "rectangle": _rectangle}
