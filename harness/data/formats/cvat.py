"""CVAT for images 1.1, an XML file for all pictures (docs.cvat.ai, XML annotation format)."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from harness.data.formats.documents import AGAIN, Attributes, decimal, label, shown, walk_xml
from harness.data.formats.drawn import Listing, rows_of
from harness.data.formats.places import files_of, folder_of_pictures, given, is_there, relative
from harness.data.formats.rle import cvat as cvat_runs
from harness.data.formats.shapes import (
    BOX,
    LINE,
    POINT,
    Listed,
    Object,
    Points,
    Rings,
    Size,
    outlined,
    oval,
    ring,
)
from harness.data.formats.told import Left
from harness.data.formats.wanted import wanted
from harness.data.rows import Rows
from harness.errors import DataError

FORM = "cvat"
DEEPEST = 50  # elements in elements; CVAT has six
FLAWS = {"polyline": LINE, "points": POINT, "skeleton": POINT, "cuboid": "only a cuboid, no outline"}


def cvat(
    cache: Path,
    *,
    path: str,
    images: str | None = None,
    classes: tuple[str, ...] | None = None,
    boxes: str = "skip",
) -> Rows:
    """Read CVAT's annotations.xml, or the one XML file of a folder.

    `images` is the folder of the pictures; else they are looked for in images/ and beside the file. Polygons, ellipses
    and masks are drawn, each for itself (CVAT has no holes, but in masks; a polygon that crosses itself is even-odd).
    `boxes` is skip or fill.
    """
    settings = wanted(FORM, classes, boxes=boxes)
    file = _file_of(given(path, FORM))
    reader = Reader(file)
    walk_xml(file, reader.start, reader.end, reader.text)
    if not reader.is_cvat:
        raise DataError(f"{file}: is no XML file of CVAT, <annotations>; export as 'CVAT for images 1.1'")
    listed = list(zip(reader.pictures, reader.subsets, strict=True))
    names = [name for picture, subset in listed for name in _names(picture, subset)]
    root = folder_of_pictures(images, FORM, _around(file), names, f"{file}")
    pictures = [_found(picture, subset, root) for picture, subset in listed]
    return rows_of(cache, Listing(root, pictures, 1, reader.labels, Left()), settings)


def _file_of(place: Path) -> Path:
    if place.is_file():
        return place
    found = files_of(place, (".xml",))
    usual = [file for file in found if file.name == "annotations.xml"] or found
    if len(usual) != 1:
        names = ", ".join(file.name for file in usual) or "no XML file"
        raise DataError(f"{place}: holds {names}; name the XML file of CVAT as path")
    return usual[0]


def _around(file: Path) -> Iterator[Path]:
    base = file.parent
    yield from (base / "images", base, base.parent / "images", base / "data", base.parent)


def _names(picture: Listed, subset: str) -> list[str]:
    """Return what a picture may be called: a project's export has a folder a subset."""
    return [f"{subset}/{picture.name}", picture.name] if subset else [picture.name]


def _found(picture: Listed, subset: str, root: Path) -> Listed:
    there = [name for name in _names(picture, subset) if is_there(root, name, picture.where)]
    return replace(picture, name=there[0]) if there else picture


class Reader:
    """What is read along the file: its pictures, their subsets in a project, and the declared labels."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.pictures: list[Listed] = []
        self.subsets: list[str] = []
        self.labels: list[str] = []
        self.is_cvat = False
        self._inside: list[str] = []
        self._text = ""

    def start(self, name: str, found: Attributes, line: int) -> None:
        """Take an element with its attributes."""
        where = f"{self.file}, line {line}"
        self.is_cvat |= not self._inside and name == "annotations"
        if name == "track" and len(self._inside) == 1:
            raise DataError(f"{where}: a <track> of a video; export as 'CVAT for images 1.1'")
        if name == "image" and len(self._inside) == 1:
            self._add_picture(found, where)
        elif self._inside[1:] == ["image"] and (name in SHAPES or name in FLAWS):
            self.pictures[-1].objects.append(_object(name, found, self.pictures[-1].size, where))
        self._inside.append(name)
        if len(self._inside) > DEEPEST:
            raise DataError(f"{where}: nested more than {DEEPEST} deep; {AGAIN}")
        self._text = ""

    def end(self, name: str) -> None:
        """Take the end of an element; the name of a label is text."""
        self._inside.pop()
        if name == "name" and self._inside[-1:] == ["label"] and self._text.strip():
            self.labels.append(self._text.strip())

    def text(self, some: str) -> None:
        """Take a piece of text."""
        self._text = (self._text + some)[:1000]

    def _add_picture(self, found: Attributes, where: str) -> None:
        name = relative(label(found.get("name"), f"{where}, name"), f"{where}, name")
        size = (_whole(found, "width", where), _whole(found, "height", where))
        subset = found.get("subset", "")
        self.subsets.append(relative(subset, f"{where}, subset") if subset else "")
        self.pictures.append(Listed(name, where, self.file, size, []))


def _object(kind: str, found: Attributes, size: Size | None, where: str) -> Object:
    name = label(found.get("label"), f"{where}, label")
    if kind in FLAWS:
        return Object(name, (), FLAWS[kind])
    return SHAPES[kind](name, found, size or (1, 1), where)


def _polygon(name: str, found: Attributes, size: Size, where: str) -> Object:
    return outlined(name, [_points(found.get("points", ""), where)])


def _points(text: str, where: str) -> Points:
    pairs = [pair.split(",") for pair in text.split(";")]
    try:
        if any(len(pair) != 2 for pair in pairs):
            raise ValueError
        return ring([float(value) for pair in pairs for value in pair], where)
    except ValueError:
        raise DataError(f"{where}: {shown(text)} are no points x,y;x,y; {AGAIN}") from None


def _box(name: str, found: Attributes, size: Size, where: str) -> Object:
    x0, y0, x1, y1 = (decimal(found.get(side), f"{where}, {side}") for side in ("xtl", "ytl", "xbr", "ybr"))
    turned = decimal(found.get("rotation", "0"), f"{where}, rotation")
    half = ((x1 - x0) / 2, (y1 - y0) / 2)
    corners = oval((x0 + x1) / 2, (y0 + y1) / 2, (half[0] * 2**0.5, half[1] * 2**0.5), where, turned=turned)
    return Object(name, (Rings((corners[45::90],)),), BOX)


def _ellipse(name: str, found: Attributes, size: Size, where: str) -> Object:
    x, y, rx, ry = (decimal(found.get(side), f"{where}, {side}") for side in ("cx", "cy", "rx", "ry"))
    turned = decimal(found.get("rotation", "0"), f"{where}, rotation")
    return outlined(name, [oval(x, y, (rx, ry), where, turned=turned)])


def _mask(name: str, found: Attributes, size: Size, where: str) -> Object:
    left, top = (_whole(found, side, where, lowest=0) for side in ("left", "top"))
    box = (_whole(found, "width", where), _whole(found, "height", where))
    return Object(name, (cvat_runs(found.get("rle", ""), (left, top), box, size, f"{where}, rle"),))


def _whole(found: Attributes, name: str, where: str, *, lowest: int = 1) -> int:
    text = found.get(name, "")
    if not text.isdecimal() or len(text) > 9 or int(text) < lowest:
        raise DataError(f"{where}, {name}: {shown(text)} is no whole number from {lowest} on; {AGAIN}")
    return int(text)


SHAPES: dict[str, Callable[[str, Attributes, Size, str], Object]] = {
    "polygon": _polygon,
    "box": _box,
    "ellipse": _ellipse,
    "mask": _mask,
}
