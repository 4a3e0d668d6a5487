"""Ultralytics' segmentation labels: a text file a picture, a line an object (docs.ultralytics.com/datasets/segment)."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

from harness.data.formats.documents import AGAIN, integer, label, read_text, shown
from harness.data.formats.drawn import Listing, rows_of
from harness.data.formats.places import files_of, given, is_there, pictures_of
from harness.data.formats.shapes import Listed, Object, Size, boxed, outlined, ring
from harness.data.formats.sizes import picture_size
from harness.data.formats.told import Left
from harness.data.formats.wanted import Wanted, wanted
from harness.data.rows import Rows
from harness.errors import DataError

FORM = "yolo"
USUAL = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
NAMES_LIMIT = 1_000_000  # bytes of data.yaml
CLASS = re.compile(
    r"[0-9]{1,9}(\.[0-9]{0,32})?(e[+-][0-9]{2})?"
)  # tables that NumPy saved have 0.0, or 0.000e+00
MOST_CLASSES = 10**9
BEYOND = 0.01  # that a coordinate may lie outside of 0 to 1: tools round
SPLIT = "the folders' own split into train, val and test is not used, since groups decide"

Names = dict[int, str]


def yolo(
    cache: Path,
    *,
    path: str,
    classes: tuple[str, ...] | None = None,
    boxes: str = "skip",
    missing: str = "skip",
) -> Rows:
    """Read all pictures below a data set's folder, or that of its data.yaml, whatever its lists say.

    The label file of a picture has its path with the last `images` as `labels`; classes are named by data.yaml or
    classes.txt, else by number. One line is one object; lines that touch themselves make holes (even-odd). `missing`
    (pictures without label file) is skip or clean, `boxes` (lines of four numbers) skip or fill.
    """
    settings = wanted(FORM, classes, boxes=boxes, missing=missing)
    place = given(path, FORM)
    root = place.parent if place.is_file() else place
    names = _names(_naming_file(place))
    root = root.parent if root.name == "images" and (root.parent / "labels").is_dir() else root
    left = Left()
    pictures = list(_listed(root, names, settings, left))
    labeled = [picture for picture in pictures if picture.file != root]
    if not labeled:
        raise DataError(
            f"{root}: no picture has a label file (images/a.jpg: labels/a.txt); name the data set's folder"
        )
    listing = Listing(root, pictures, len(labeled), names.values(), left, (SPLIT,))
    return rows_of(cache, listing, settings)


def _naming_file(place: Path) -> Path | None:
    """Return the file that names the classes: data.yaml or another YAML file, else classes.txt."""
    if place.is_file():
        return place
    found = files_of(place, (".yaml", ".yml"))
    usual = [file for file in found if file.name in USUAL] or found
    if len(usual) > 1:
        raise DataError(
            f"{place}: holds {', '.join(file.name for file in usual)}; name the one to use as path"
        )
    lists = [file for file in files_of(place, (".txt",)) if file.name == "classes.txt"]
    return next(iter([*usual, *lists]), None)


def _names(file: Path | None) -> Names:
    if file is None:
        return {}
    text = read_text(file)
    if file.suffix == ".txt":
        return {
            n: label(line, f"{file}, line {n + 1}") for n, line in enumerate(text.split("\n")) if line.strip()
        }
    if len(text) > NAMES_LIMIT:
        raise DataError(f"{file}: more than {NAMES_LIMIT:,} characters; a data.yaml names classes only")
    try:
        document = yaml.safe_load(text)
    except Exception as error:  # its constructors raise whatever they like on odd tags
        raise DataError(f"{file}: no YAML ({' '.join(str(error).split())[:200]}); {AGAIN}") from error
    return _named(document.get("names") if isinstance(document, dict) else None, f"{file}, names")


def _named(names: object, where: str) -> Names:
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict):
        raise DataError(f"{where}: {shown(names)} is neither a list of classes nor number: name; {AGAIN}")
    found: Names = {}
    for number, name in names.items():
        text = str(name) if isinstance(name, int | float) else name
        found[integer(number, where)] = label(text, f"{where}, {shown(number)}")
    return found


def _listed(root: Path, names: Names, settings: Wanted, left: Left) -> Iterator[Listed]:
    """Yield the pictures with label files; without one, with the root as file, if that means clean."""
    owners: dict[str, str] = {}
    for picture in _named_pictures(root):
        labels = _label_file(picture)
        if owners.setdefault(labels, picture) != picture:
            raise DataError(
                f"{root / picture}: {owners[labels]} has the same label file; keep one of the two"
            )
        if is_there(root, labels, f"{root / labels}"):
            yield _read(root, picture, root / labels, names)
        elif settings.clean:
            yield Listed(picture, f"{root / picture}", root, None, [])
        else:
            left.add("no label file; set missing: clean if that means that they show no target", picture)


def _named_pictures(root: Path) -> list[str]:
    found = [path.relative_to(root).as_posix() for path in pictures_of(root)]
    inside = [name for name in found if "images" in name.split("/")[:-1]]
    return inside or found


def _label_file(picture: str) -> str:
    *folders, file = picture.split("/")
    if "images" in folders:
        last = len(folders) - 1 - folders[::-1].index("images")
        folders[last] = "labels"
    return str(Path(*folders, file).with_suffix(".txt"))


def _read(root: Path, picture: str, file: Path, names: Names) -> Listed:
    size = picture_size(root / picture)
    objects = []
    for number, line in enumerate(read_text(file).split("\n"), start=1):
        if fields := line.split():
            objects.append(_object(fields, names, size, f"{file}, line {number}"))
    return Listed(picture, f"{file}", file, size, objects)


def _object(fields: Sequence[str], names: Names, size: Size, where: str) -> Object:
    name = _class(fields[0], names, where)
    try:
        flat = [float(value) for value in fields[1:]]
    except ValueError:
        raise DataError(f"{where}: {shown(' '.join(fields[1:9]))} are no numbers; {AGAIN}") from None
    points = ring(flat, where)
    if len(points) and not (points.min() >= -BEYOND and points.max() <= 1 + BEYOND):
        raise DataError(
            f"{where}: coordinates from {points.min():g} to {points.max():g}, not 0 to 1; {AGAIN}"
        )
    if len(points) == 2:
        (x, y), (width, height) = (points * size).tolist()
        return boxed(name, x - width / 2, y - height / 2, x + width / 2, y + height / 2, where)
    return outlined(name, [points * size])


def _class(text: str, names: Names, where: str) -> str:
    value = float(text) if CLASS.fullmatch(text) else -1.0
    if not (value.is_integer() and 0 <= value < MOST_CLASSES):
        raise DataError(f"{where}: the class {shown(text)} is no whole number; {AGAIN}")
    number = int(value)
    if names and number not in names:
        raise DataError(
            f"{where}: class {number} is not among the {len(names)} that are named; correct the names"
        )
    return names.get(number, str(number))
