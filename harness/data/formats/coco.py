"""COCO object annotations (Lin et al. 2014): polygons, run lengths, crowds."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from harness.data.formats.documents import (
    inside,
    listed,
    number,
    one_of,
    only,
    read_json,
    refuse_size,
    side,
    source,
)
from harness.data.formats.drawn import Drawn, Left, drawn_rows, wanted_classes
from harness.data.formats.polygons import Outline, Patch, Shape, box_outline, ring
from harness.data.formats.rle import counts_of, from_counts
from harness.data.rows import Rows, existing
from harness.errors import DataError

WHERE = "data.dataset.coco"
LOOKED_AT = 50  # names by which the folder of the pictures is told
ONLY_BOXES = "objects with boxes alone, no outlines; boxes: fill takes boxes as they are"


class _File(NamedTuple):
    path: Path
    pictures: list[dict[str, Any]]
    annotations: list[dict[str, Any]]
    names: dict[Any, str]  # of categories


def coco(
    cache: Path,
    *,
    path: str,
    images: str | None = None,
    classes: tuple[str, ...] | None = None,
    boxes: str = "skip",
) -> Rows:
    """Read COCO JSON: a file, or a folder of them, whose own division is not used.

    The polygons of an annotation are united, as COCO has no holes but in run lengths. Crowds are ignored pixels. A
    picture listed without annotations is clean. `boxes` is skip or fill: what becomes of objects without outlines.
    """
    one_of(f"{WHERE}.boxes", boxes, "skip", "fill")
    found = source(path, WHERE)
    files = [_read(*one) for one in (_documents(found) if found.is_dir() else [(found, read_json(found))])]
    root = existing(images, f"{WHERE}.images") if images else _folder_of(files)
    wanted = wanted_classes(classes, {name for file in files for name in file.names.values()}, WHERE)
    left, pictures = Left(), dict[Path, Drawn]()
    for file in files:
        _take(file, root, wanted, pictures, left, fill=boxes == "fill")
    notes = [f"{sum(len(file.annotations) for file in files)} annotations in {len(files)} file(s)"]
    if len(files) > 1:
        notes.append("the files' own division is not used: groups decide what trains and what validates")
    return drawn_rows(cache, "coco", root, list(pictures.values()), notes, left)


def _documents(folder: Path) -> list[tuple[Path, dict[str, Any]]]:
    """Return the files of annotations in a folder with what they hold: those that list pictures."""
    found = sorted([*folder.glob("*.json"), *folder.glob("annotations/*.json")])
    documents = [(path, read_json(path)) for path in found]
    objects = [one for one in documents if {"images", "annotations", "categories"} <= one[1].keys()]
    return objects or [(path, read_json(path)) for path in [only(found, "COCO's JSON files", folder, WHERE)]]


def _read(path: Path, document: dict[str, Any]) -> _File:
    names = {}
    for category in listed(document, "categories", path):
        if not isinstance(category.get("name"), str) or not isinstance(category.get("id"), int | str):
            raise DataError(f"{path}: a category without id or name; export it again")
        names[category["id"]] = category["name"]
    return _File(path, listed(document, "images", path), listed(document, "annotations", path), names)


def _folder_of(files: list[_File]) -> Path:
    """Return the folder, of the usual ones, that holds most of the first pictures."""
    folders = list(dict.fromkeys(place for file in files for place in _places(file.path)))
    names = [str(one.get("file_name")) for file in files for one in file.pictures[:LOOKED_AT]]

    def held(folder: Path) -> int:
        return sum(inside_or_none(folder, name) for name in names)

    best = max(folders, key=held, default=None)
    if best is None or not held(best):
        first = names[0] if names else "none"
        raise DataError(
            f"{files[0].path}: its pictures ({first[:80]}, ...) are in none of the usual folders; set images to theirs"
        )
    return best.resolve()


def inside_or_none(folder: Path, name: str) -> bool:
    """Tell whether a picture of this name lies in the folder."""
    try:
        return inside(folder.resolve(), name, "").is_file()
    except DataError:
        return False


def _places(path: Path) -> Iterator[Path]:
    parent, stem = path.parent, path.stem.removeprefix("instances_")
    yield from (parent, parent / "images", parent / stem, parent.parent, parent.parent / "images")
    yield from (parent.parent / stem, parent.parent / "images" / stem)


def _take(
    file: _File, root: Path, wanted: frozenset[str], pictures: dict[Path, Drawn], left: Left, *, fill: bool
) -> None:
    """Add the pictures of a file, each with its shapes."""
    of_picture = _annotations_by_picture(file)
    seen = set()
    for listed_one in file.pictures:
        key = listed_one.get("id")
        where = f"{file.path}, image {str(key)[:40]}"
        if not isinstance(key, int | str) or key in seen:
            raise DataError(f"{where}: the id is missing or stands there twice; export it again")
        seen.add(key)
        place = inside(root, listed_one.get("file_name"), where)
        size = side(listed_one.get("width"), where), side(listed_one.get("height"), where)
        if place in pictures:
            raise DataError(f"{where}: {place.name} is listed already; keep one")
        if not place.is_file():
            left.add("the file is not there", str(listed_one["file_name"]))
            continue
        drawn = Drawn(place, size)
        if all(_add(one, drawn, file, wanted, fill=fill) for one in of_picture.get(key, [])):
            pictures[place] = drawn
        else:
            left.add(ONLY_BOXES, str(listed_one["file_name"]))


def _annotations_by_picture(file: _File) -> dict[Any, list[dict[str, Any]]]:
    known = {one.get("id") for one in file.pictures if isinstance(one.get("id"), int | str)}
    found: dict[Any, list[dict[str, Any]]] = {}
    for one in file.annotations:
        where = f"{file.path}, annotation {str(one.get('id'))[:40]}"
        for key, there, what in (("image_id", known, "image"), ("category_id", file.names, "category")):
            if not isinstance(one.get(key), int | str) or one[key] not in there:
                raise DataError(f"{where}: no {what} has the id {str(one.get(key))[:40]}; export it again")
        found.setdefault(one["image_id"], []).append(one)
    return found


def _add(one: dict[str, Any], drawn: Drawn, file: _File, wanted: frozenset[str], *, fill: bool) -> bool:
    """Add an annotation's shapes; tell whether it has an area, or is of no class that matters."""
    name = file.names[one["category_id"]]
    if name not in wanted:
        return True
    where = f"{file.path}, annotation {str(one.get('id'))[:40]}"
    shapes = list(_shapes(one, drawn.size, where))
    if not shapes and fill and isinstance(one.get("bbox"), list) and len(one["bbox"]) == 4:
        x, y, width, height = (number(v, where) for v in one["bbox"])
        shapes = [box_outline(x, y, width, height)]
    if one.get("iscrowd"):
        drawn.ignored += shapes
    else:
        drawn.targets += shapes
        drawn.classes.add(name)
    return bool(shapes)


def _shapes(one: dict[str, Any], size: tuple[int, int], where: str) -> Iterator[Shape]:
    segmentation = one.get("segmentation")
    if isinstance(segmentation, list):
        for numbers in segmentation:
            yield Outline((ring(numbers, where),))
    elif isinstance(segmentation, dict):
        counts, shape = segmentation.get("counts"), segmentation.get("size")
        if not isinstance(shape, list) or shape != [size[1], size[0]]:
            raise DataError(
                f"{where}: run lengths of size {str(shape)[:40]} on {size[0]} x {size[1]} px; export it again"
            )
        refuse_size(size, where)
        if isinstance(counts, str):
            counts = counts_of(counts, where)
        yield Patch(0, 0, from_counts(counts, size[1], size[0], where, by_column=True))
    elif segmentation is not None:
        raise DataError(f"{where}: its segmentation is neither polygons nor run lengths; export it again")
