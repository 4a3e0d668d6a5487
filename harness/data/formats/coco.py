"""COCO's JSON: images, annotations, categories (COCO data format, Lin et al. 2014)."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from harness.choices import nearest
from harness.data.formats.documents import AGAIN, identity, integer, label, listing, mapping, read_json, shown
from harness.data.formats.drawn import Listing, rows_of
from harness.data.formats.places import files_of, folder_of_pictures, folders_of, given, relative
from harness.data.formats.rle import coco_counts, coco_text
from harness.data.formats.shapes import FEW, Area, Listed, Object, Rings, Size, boxed, ring
from harness.data.formats.told import Left, several
from harness.data.formats.wanted import wanted
from harness.data.rows import Rows
from harness.errors import ConfigError, DataError

FORM = "coco"
PARTS = ("images", "annotations", "categories")
CROWDS = ("ignore", "fill")
MISSING = "an object without outline and without box"

Names = dict[int | str, str]
CocoText = tuple[Path, dict[str, Any]]  # a file, and what it says
T = TypeVar("T")


class CocoFile(NamedTuple):
    """One file: its pictures, named relative to the folder `root`, and the classes that it declares."""

    root: Path
    pictures: list[Listed]
    classes: list[str]


def coco(
    cache: Path,
    *,
    path: str,
    images: str | None = None,
    classes: tuple[str, ...] | None = None,
    boxes: str = "skip",
    crowds: str = "ignore",
) -> Rows:
    """Read a COCO file, or those of a folder: *.json, annotations/*.json, or */*coco.json.

    `images` is the folder of the pictures; else they are looked for around each file. The polygons of one annotation
    are united (COCO has no holes, but in run lengths). A crowd region (iscrowd) is drawn as 128, unless
    `crowds` is fill: CVAT calls every brush mask one. `boxes` is skip or fill.
    """
    settings = wanted(FORM, classes, boxes=boxes)
    if crowds not in CROWDS:
        near = nearest(crowds, CROWDS)
        raise ConfigError(
            f"data.dataset.{FORM}.crowds: {crowds!r} is not known{near}; known: {', '.join(CROWDS)}"
        )
    left = Left()
    documents = _documents(given(path, FORM), left)
    files = [_file(file, _without_crowds(document, crowds), images) for file, document in documents]
    root = Path(os.path.commonpath([file.root for file in files]))
    pictures = [
        replace(picture, name=(file.root.relative_to(root) / picture.name).as_posix())
        for file in files
        for picture in file.pictures
    ]
    split = f"{several(len(files), 'file')} are read as one set: their own split is not used, groups decide"
    notes = (split,) if len(files) > 1 else ()
    known = [name for file in files for name in file.classes]
    return rows_of(cache, Listing(root, pictures, len(files), known, left, notes), settings)


def _without_crowds(document: dict[str, Any], crowds: str) -> dict[str, Any]:
    """Return the document with crowd regions as ordinary objects, if they are to be filled."""
    found = document.get("annotations")
    if crowds == "ignore" or not isinstance(found, list):
        return document
    return document | {
        "annotations": [one | {"iscrowd": 0} if isinstance(one, dict) else one for one in found]
    }


def _documents(place: Path, left: Left) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield the COCO files of a place. Raises DataError where there is none."""
    if place.is_file():
        yield place, _document(read_json(place), place)
        return
    for files in _candidates(place):
        documents = [(file, read_json(file)) for file in files]
        found = [(f, d) for f, d in documents if isinstance(d, dict) and set(PARTS) <= d.keys()]
        if found:
            for file in sorted(set(files) - {file for file, _ in found}):
                left.add(f"not of COCO, which has {', '.join(PARTS)}", file.name, what="JSON file")
            yield from _without_keypoints(found, left)
            return
    raise DataError(f"{place}: holds no JSON file of COCO, with {', '.join(PARTS)}; name the file as path")


def _without_keypoints(found: Sequence[CocoText], left: Left) -> Iterator[CocoText]:
    """Yield all files but those of key points whose pictures and classes stand in the other ones."""
    others = [(file, document) for file, document in found if not _names_keypoints(document)]
    known = {name for file, document in others for name in _file_names(file, document)}
    classes = {name for _, document in others for name in _class_names(document)}
    for file, document in found:
        names = _file_names(file, document)
        repeats = bool(names) and names <= known and _class_names(document) <= classes
        if repeats and _names_keypoints(document):
            left.add(
                "of key points, and its pictures and classes stand in the other files",
                file.name,
                what="JSON file",
            )
        else:
            yield file, document


def _names_keypoints(document: dict[str, Any]) -> bool:
    categories = document["categories"]
    return isinstance(categories, list) and any(
        isinstance(one, dict) and bool(one.get("keypoints")) for one in categories
    )


def _file_names(file: Path, document: dict[str, Any]) -> set[tuple[Path, str]]:
    images = document["images"] if isinstance(document["images"], list) else []
    return {(file.parent, str(one.get("file_name"))) for one in images if isinstance(one, dict)}


def _class_names(document: dict[str, Any]) -> set[str]:
    categories = document["categories"] if isinstance(document["categories"], list) else []
    return {str(one.get("name")) for one in categories if isinstance(one, dict)}


def _candidates(place: Path) -> Iterator[list[Path]]:
    yield files_of(place, (".json",))
    if (place / "annotations").is_dir():
        yield files_of(place, (".json",), below="annotations")
    yield [
        file
        for folder in folders_of(place)
        for file in files_of(place, (".json",), below=folder.name)
        if file.name.endswith("coco.json")
    ]


def _document(document: object, path: Path) -> dict[str, Any]:
    found = mapping(document, f"{path}")
    for part in PARTS:
        if part not in found:
            raise DataError(f"{path}: has no {part!r}; a COCO file has {', '.join(PARTS)}: name another one")
    return found


def _file(path: Path, document: dict[str, Any], images: str | None) -> CocoFile:
    classes = _classes(path, document)
    listed = _listed(path, document)
    _add_objects(path, document, listed, classes)
    names = [picture.name for picture in listed.values()]
    root = folder_of_pictures(images, FORM, _around(path), names, f"{path}")
    return CocoFile(root, list(listed.values()), list(classes.values()))


def _around(path: Path) -> Iterator[Path]:
    """Yield where the pictures of a file may lie: beside it, in images/, in folders named as it is."""
    base, parent, stem = path.parent, path.parent.parent, path.stem
    last = stem.rsplit("_", 1)[-1]  # of instances_train2017
    for folder in (base, parent):
        yield from (
            folder / name for name in ("images", f"images/{stem}", f"images/{last}", stem, last, "data")
        )
        yield folder


def _classes(path: Path, document: dict[str, Any]) -> Names:
    found: Names = {}
    for number, entry in enumerate(listing(document["categories"], f"{path}, categories")):
        where = f"{path}, categories[{number}]"
        category = mapping(entry, where)
        key = _new_id(category, found, where)
        found[key] = label(category.get("name"), f"{where}.name")
    return found


def _new_id(entry: dict[str, Any], known: dict[int | str, Any], where: str) -> int | str:
    key = identity(entry.get("id"), f"{where}.id")
    if key in known:
        raise DataError(f"{where}.id: {shown(key)} stands there twice; {AGAIN}")
    return key


def _listed(path: Path, document: dict[str, Any]) -> dict[int | str, Listed]:
    found: dict[int | str, Listed] = {}
    for number, entry in enumerate(listing(document["images"], f"{path}, images")):
        where = f"{path}, images[{number}]"
        image = mapping(entry, where)
        key = _new_id(image, found, where)
        name = relative(label(image.get("file_name"), f"{where}.file_name"), f"{where}.file_name")
        found[key] = Listed(name, where, path, _size(image, where), [])
    return found


def _size(image: dict[str, Any], where: str) -> Size | None:
    if image.get("width") is None and image.get("height") is None:
        return None
    width, height = (integer(image.get(side), f"{where}.{side}", lowest=1) for side in ("width", "height"))
    return width, height


def _add_objects(
    path: Path, document: dict[str, Any], listed: dict[int | str, Listed], classes: Names
) -> None:
    seen: set[int | str] = set()
    for number, entry in enumerate(listing(document["annotations"], f"{path}, annotations")):
        where = f"{path}, annotations[{number}]"
        annotation = mapping(entry, where)
        key = identity(annotation.get("id", f"no id {number}"), f"{where}.id")
        if key in seen:
            raise DataError(f"{where}.id: {shown(key)} stands there twice; {AGAIN}")
        seen.add(key)
        picture = _of_id(listed, annotation, "image_id", where)
        if picture.size is None and isinstance(annotation.get("segmentation"), dict):
            size = _sides(annotation["segmentation"], f"{where}.segmentation")
            picture = listed[annotation["image_id"]] = replace(picture, size=size)
        name = _of_id(classes, annotation, "category_id", where)
        picture.objects.append(_object(annotation, name, picture.size, where))


def _of_id(known: dict[int | str, T], annotation: dict[str, Any], kind: str, where: str) -> T:
    key = identity(annotation.get(kind), f"{where}.{kind}")
    if key not in known:
        raise DataError(f"{where}.{kind}: {shown(key)} is not listed; {AGAIN}")
    return known[key]


def _object(annotation: dict[str, Any], name: str, size: Size | None, where: str) -> Object:
    drawn = annotation.get("segmentation")
    where_drawn = f"{where}.segmentation"
    crowd = integer(annotation.get("iscrowd") or 0, f"{where}.iscrowd") == 1
    if not drawn:
        return _box(annotation, name, where)._replace(ignored=crowd)
    if isinstance(drawn, dict):
        return Object(name, (_runs(drawn, size, where_drawn),), ignored=crowd)
    rings = [ring(listing(flat, where_drawn), where_drawn) for flat in listing(drawn, where_drawn)]
    flaw = FEW if any(len(points) < 3 for points in rings) else ""
    return Object(name, tuple(Rings((points,)) for points in rings), flaw, crowd)


def _box(annotation: dict[str, Any], name: str, where: str) -> Object:
    if not annotation.get("bbox"):
        return Object(name, (), MISSING)
    points = ring(listing(annotation["bbox"], f"{where}.bbox"), f"{where}.bbox")
    if len(points) != 2:
        raise DataError(f"{where}.bbox: not x, y, width, height; {AGAIN}")
    (x, y), (width, height) = points.tolist()
    return boxed(name, x, y, x + width, y + height, f"{where}.bbox")


def _runs(drawn: dict[str, Any], size: Size | None, where: str) -> Area:
    width, height = _sides(drawn, where)
    if size is not None and size != (width, height):
        raise DataError(
            f"{where}: drawn on {width} x {height} px, but its image has {size[0]} x {size[1]}; {AGAIN}"
        )
    counts = drawn.get("counts")
    if isinstance(counts, str):
        return coco_text(counts, (width, height), where)
    return coco_counts(listing(counts, f"{where}.counts"), (width, height), where)


def _sides(drawn: dict[str, Any], where: str) -> Size:
    """Return the size that run lengths were drawn on."""
    sides = listing(drawn.get("size"), f"{where}.size")
    height, width = (
        integer(side, f"{where}.size", lowest=1) for side in (sides if len(sides) == 2 else (0, 0))
    )
    return width, height
