"""CVAT's own XML, "CVAT for images 1.1": polygons, boxes, ellipses and masks on pictures."""

import math
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np

from harness.data.formats.documents import inside, number, one_of, only, read_xml, refuse_size, side, source
from harness.data.formats.drawn import Drawn, Left, drawn_rows, wanted_classes
from harness.data.formats.polygons import Outline, Patch, Shape, box_outline, ellipse_outline, ring
from harness.data.formats.rle import from_counts
from harness.data.rows import Rows, existing
from harness.errors import DataError

WHERE = "data.dataset.cvat"
AREAS = ("polygon", "mask", "ellipse", "box")
LINES = ("polyline", "points", "cuboid", "skeleton")
NO_AREA = "lines, points or boxes, which give no outline; boxes: fill takes boxes as they are"


def cvat(
    cache: Path,
    *,
    path: str,
    images: str | None = None,
    classes: tuple[str, ...] | None = None,
    boxes: str = "skip",
) -> Rows:
    """Read annotations.xml, or the folder that holds it; pictures lie in `images/` beside it, or there.

    A picture listed without shapes is clean. `boxes` is skip or fill. Tracks of videos are refused.
    """
    one_of(f"{WHERE}.boxes", boxes, "skip", "fill")
    found = source(path, WHERE)
    file = only(sorted(found.glob("*.xml")), "CVAT's XML", found, WHERE) if found.is_dir() else found
    document = read_xml(file)
    if document.tag != "annotations" or document.find("track") is not None:
        raise DataError(
            f"{file}: is no XML of `CVAT for images`, or of a video; export it as `CVAT for images 1.1`"
        )
    elements = document.findall("image")
    root = existing(images, f"{WHERE}.images") if images else _root_of(file, elements)
    labels = {str(shape.get("label")) for one in elements for shape in one if shape.tag in (*AREAS, *LINES)}
    labels |= {str(name.text) for name in document.findall(".//label/name")}
    wanted = wanted_classes(classes, labels, WHERE)
    left, pictures = Left(), dict[Path, Drawn]()
    for one in elements:
        _take(one, file, root, (wanted, boxes == "fill"), (pictures, left))
    return drawn_rows(
        cache, "cvat", root, list(pictures.values()), [f"{len(elements)} pictures listed"], left
    )


def _root_of(file: Path, elements: list[Element]) -> Path:
    names = [str(one.get("name")) for one in elements[:50]]
    places = [file.parent / "images", file.parent]
    held = [
        sum((place / name).is_file() for name in names if "\0" not in name and len(name) < 200)
        for place in places
    ]
    return places[1 if held[1] > held[0] or not places[0].is_dir() else 0].resolve()


def _take(
    one: Element,
    file: Path,
    root: Path,
    how: tuple[frozenset[str], bool],
    into: tuple[dict[Path, Drawn], Left],
) -> None:
    pictures, left = into
    name = one.get("name")
    where = f"{file}, image {str(name)[:80]}"
    place = inside(root, name, where)
    if place in pictures:
        raise DataError(f"{where}: is listed already; keep one")
    drawn = Drawn(place, (_side(one, "width", where), _side(one, "height", where)))
    if not place.is_file():
        left.add("the file is not there", str(name))
    elif all(_add(shape, drawn, where, *how) for shape in one):
        pictures[place] = drawn
    else:
        left.add(NO_AREA, str(name))


def _side(element: Element, key: str, where: str) -> int:
    return side(number(element.get(key), where), where)


def _add(shape: Element, drawn: Drawn, where: str, wanted: frozenset[str], fill: bool) -> bool:
    """Add a shape; tell whether it has an area, or is of no class that matters."""
    label = str(shape.get("label"))
    if shape.tag not in (*AREAS, *LINES) or label not in wanted:  # tags say something of the whole picture
        return True
    if shape.tag in LINES or (shape.tag == "box" and not fill):
        return False
    drawn.targets.append(_shape(shape, drawn.size, f"{where}, a {shape.tag} of {label[:40]!r}"))
    drawn.classes.add(label)
    return True


def _shape(shape: Element, size: tuple[int, int], where: str) -> Shape:
    if shape.tag == "polygon":
        words = str(shape.get("points")).replace(";", ",").split(",")
        return Outline((ring([number(word, where) for word in words], where),))
    if shape.tag == "mask":
        return _patch(shape, size, where)
    names = ("cx", "cy", "rx", "ry") if shape.tag == "ellipse" else ("xtl", "ytl", "xbr", "ybr")
    a, b, c, d = (number(shape.get(name), where) for name in names)
    upright = ellipse_outline(a, b, c, d) if shape.tag == "ellipse" else box_outline(a, b, c - a, d - b)
    return _turned(upright, number(shape.get("rotation", 0), where))


def _turned(outline: Outline, degrees: float) -> Outline:
    """Return the outline turned about its middle, clockwise on the screen."""
    (points,) = outline.rings
    middle, turn = (points.min(axis=0) + points.max(axis=0)) / 2, math.radians(degrees)
    matrix = np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])
    return Outline(((points - middle) @ matrix + middle,)) if degrees else outline


def _patch(shape: Element, size: tuple[int, int], where: str) -> Patch:
    """Return a mask: run lengths by row inside its box."""
    x, y = (int(number(shape.get(name), where)) for name in ("left", "top"))
    width, height = (_side(shape, name, where) for name in ("width", "height"))
    refuse_size((width, height), where)
    if width > size[0] or height > size[1]:
        raise DataError(
            f"{where}: {width} x {height} px on a picture of {size[0]} x {size[1]}; export it again"
        )
    counts = [int(number(word, where)) for word in str(shape.get("rle")).split(",")]
    return Patch(x, y, from_counts(counts, height, width, where, by_column=False))
