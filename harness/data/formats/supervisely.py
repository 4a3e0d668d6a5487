"""Supervisely's projects: meta.json, and a folder a data set with ann/ and img/ (developer.supervisely.com)."""

from pathlib import Path
from typing import Any

from harness.data.formats.documents import AGAIN, integer, label, listing, mapping, read_json, shown
from harness.data.formats.drawn import Listing, rows_of
from harness.data.formats.places import files_of, folders_of, given, pictures_of, relative
from harness.data.formats.shapes import LINE, POINT, Bitmap, Listed, Object, boxed, outlined, ring_of_pairs
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

    Polygons with their holes (even-odd), bitmaps and, with `boxes: fill`, rectangles are drawn. Coordinates are taken
    as places, 0 at the outer edge of the first pixel: Supervisely's own drawing may differ by a pixel at the outline.
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
    objects = [
        _object(mapping(entry, f"{file}, objects[{n}]"), shapes, f"{file}, objects[{n}]")
        for n, entry in enumerate(listing(document.get("objects"), f"{file}, objects"))
    ]
    return Listed(relative(name, f"{file}"), f"{file}", file, (width, height), objects)


def _tell_bare(root: Path, pictures: list[Listed], left: Left) -> None:
    named = {picture.name for picture in pictures}
    for path in pictures_of(root):
        name = path.relative_to(root).as_posix()
        if path.parent.name == "img" and name not in named:
            left.add("no annotation", name)


def _object(entry: dict[str, Any], shapes: Shapes, where: str) -> Object:
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
        return outlined(
            name, [exterior, *(ring_of_pairs(hole, f"{where}.points.interior") for hole in holes)]
        )
    if len(exterior) != 2:
        raise DataError(f"{where}.points.exterior: {len(exterior)} points, a rectangle has two; {AGAIN}")
    (x0, y0), (x1, y1) = exterior.tolist()
    return boxed(name, x0, y0, x1, y1, where)


def _bitmap(entry: dict[str, Any], where: str) -> Bitmap:
    origin = listing(entry.get("origin"), f"{where}.origin")
    x, y = (integer(value, f"{where}.origin") for value in (origin if len(origin) == 2 else (-1, -1)))
    if not isinstance(entry.get("data"), str):
        raise DataError(f"{where}.data: {shown(entry.get('data'))} is no bitmap in base64; {AGAIN}")
    return Bitmap(x, y, entry["data"], True, None, where)
