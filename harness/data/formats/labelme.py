"""LabelMe's JSON files (Wada, labelme): one a picture, beside it."""

from pathlib import Path
from typing import Any

from harness.data.formats.documents import (
    inside,
    listed,
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
from harness.data.formats.polygons import Outline, Patch, Shape, box_outline, ellipse_outline, pairs
from harness.data.grouping import upright_size
from harness.data.rows import Rows
from harness.errors import DataError

WHERE = "data.dataset.labelme"
LINES = frozenset({"line", "linestrip", "point", "points"})
ONLY_LINES = "lines or points, which have no area"
Document = tuple[Path, dict[str, Any]]


def labelme(cache: Path, *, path: str, classes: tuple[str, ...] | None = None, missing: str = "skip") -> Rows:
    """Read a folder of LabelMe's files, subfolders included: polygons, rectangles, circles and masks.

    A file without shapes is a clean picture; `missing` is skip or clean: what a picture without a file is.
    """
    one_of(f"{WHERE}.missing", missing, "skip", "clean")
    root = source(path, WHERE)
    if not root.is_dir():
        raise DataError(f"{WHERE}.path: {root} is no folder; name that of the JSON files")
    documents = _documents(root)
    labels = {str(shape.get("label")) for file, one in documents for shape in listed(one, "shapes", file)}
    wanted = wanted_classes(classes, labels, WHERE)
    left, pictures = Left(), dict[Path, Drawn]()
    skipped: set[Path] = set()
    for file, document in documents:
        place = inside(root, _name_of(file, document, root), str(file))
        if place in pictures:
            raise DataError(f"{file}: {place.name} has a file already; keep one")
        if not place.is_file():
            left.add("the file is not there (it may be inside its JSON: export pictures, too)", place.name)
            continue
        size = side(document.get("imageWidth"), str(file)), side(document.get("imageHeight"), str(file))
        drawn = Drawn(place, size)
        if all(_add(shape, drawn, file, wanted) for shape in listed(document, "shapes", file)):
            pictures[place] = drawn
        else:
            skipped.add(place)
            left.add(ONLY_LINES, place.name)
    _rest(root, pictures, skipped, left, clean=missing == "clean")
    return drawn_rows(cache, "labelme", root, list(pictures.values()), [f"{len(documents)} JSON files"], left)


def _documents(root: Path) -> list[Document]:
    found = [(file, read_json(file)) for file in sorted(root.rglob("*.json")) if file.is_file()]
    documents = [(file, one) for file, one in found if {"shapes", "imagePath"} <= one.keys()]
    if not documents:
        raise DataError(f"{WHERE}.path: {root} holds no file of LabelMe; name the folder of the JSON files")
    return documents


def _name_of(file: Path, document: dict[str, Any], root: Path) -> str:
    """Return the picture's path from the root; LabelMe writes it from the file's folder, perhaps in Windows' way."""
    name = document["imagePath"]
    if not isinstance(name, str):
        raise DataError(f"{file}: imagePath is no file name; export it again")
    return (
        str((file.parent / name.replace("\\", "/")).relative_to(root)) if not name.startswith("/") else name
    )


def _rest(root: Path, pictures: dict[Path, Drawn], skipped: set[Path], left: Left, *, clean: bool) -> None:
    """Take the pictures without a file as clean, or leave them out."""
    for found in pictures_in(root):
        place = inside(root, found.relative_to(root).as_posix(), WHERE)
        if place in pictures or place in skipped:
            continue
        if clean:
            pictures[place] = Drawn(place, upright_size(place))
        else:
            left.add("no JSON file; missing: clean takes such pictures as clean", place.name)


def _add(shape: dict[str, Any], drawn: Drawn, file: Path, wanted: frozenset[str]) -> bool:
    """Add a shape; tell whether it has an area, or is of no class that matters."""
    label, kind = str(shape.get("label")), shape.get("shape_type", "polygon")
    if label not in wanted:
        return True
    if kind in LINES:
        return False
    where = f"{file}, a shape of {label[:40]!r}"
    drawn.targets.append(_shape(shape, str(kind), drawn.size, where))
    drawn.classes.add(label)
    return True


def _shape(shape: dict[str, Any], kind: str, size: tuple[int, int], where: str) -> Shape:
    points = pairs(shape.get("points"), where)
    if kind == "polygon":
        return Outline((points,))
    if kind not in ("rectangle", "circle", "mask") or len(points) != 2:
        raise DataError(
            f"{where}: a {kind[:40]} of {len(points)} points is not known; export it as a polygon"
        )
    (x0, y0), (x1, y1) = points.tolist()
    if kind == "circle":  # its center, and a point of its edge
        radius = ((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5
        return ellipse_outline(x0, y0, radius, radius)
    if kind == "rectangle":
        return box_outline(min(x0, x1), min(y0, y1), abs(x1 - x0), abs(y1 - y0))
    refuse_size(size, where)
    return Patch(round(x0), round(y0), small_png(unpacked(shape.get("mask"), where), where, size))
