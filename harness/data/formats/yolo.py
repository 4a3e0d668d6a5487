"""YOLO segmentation labels as Ultralytics has them: a text file a picture, a line an object, in shares of its sides."""

from pathlib import Path
from typing import Any

import numpy as np

from harness.data.formats.documents import inside, one_of, pictures_in, read_text, read_yaml, source
from harness.data.formats.drawn import Drawn, Left, drawn_rows, wanted_classes
from harness.data.formats.polygons import Outline, box_outline, ring
from harness.data.grouping import upright_size
from harness.data.rows import Rows
from harness.errors import DataError

WHERE = "data.dataset.yolo"
BEYOND = 0.01  # share of a side by which rounding may lead out of the picture
ONLY_BOXES = "lines of boxes, no outlines; boxes: fill takes boxes as they are"


def yolo(
    cache: Path,
    *,
    path: str,
    classes: tuple[str, ...] | None = None,
    boxes: str = "skip",
    missing: str = "skip",
) -> Rows:
    """Read a folder of pictures and labels, or its data.yaml with the classes' names; all splits together.

    A label lies in `labels/` where its picture lies in `images/`, or beside it. An empty label file is a clean
    picture; `missing` is skip or clean: what a picture without a label file is. `boxes` is skip or fill.
    """
    one_of(f"{WHERE}.boxes", boxes, "skip", "fill")
    one_of(f"{WHERE}.missing", missing, "skip", "clean")
    found = source(path, WHERE)
    root = found if found.is_dir() else found.parent
    names = _names(found)
    wanted = wanted_classes(classes, names.values(), WHERE) if names else frozenset(classes or ())
    left, pictures, lines = Left(), list[Drawn](), 0
    for picture in pictures_in(root):
        label = _label_of(picture, root)
        place = inside(root, picture.relative_to(root).as_posix(), WHERE)
        if label is None and missing == "skip":
            left.add("no label file; missing: clean takes such pictures as clean", picture.name)
            continue
        drawn = Drawn(place, upright_size(place))
        rows = _rows_of(label) if label else []
        lines += len(rows)
        if label is None or all(_add(*row, drawn, (names, wanted), fill=boxes == "fill") for row in rows):
            pictures.append(drawn)
        else:
            left.add(ONLY_BOXES, picture.name)
    notes = [f"{lines} lines of labels; the folders' own division is not used, groups decide"]
    return drawn_rows(cache, "yolo", root, pictures, notes, left)


def _names(found: Path) -> dict[int, str]:
    """Return the classes' names out of a data.yaml; none where there is none."""
    files = sorted([*found.glob("*.yaml"), *found.glob("*.yml")]) if found.is_dir() else [found]
    documents = [(file, read_yaml(file)) for file in files]
    for file, document in documents:
        names: Any = document.get("names")
        if isinstance(names, list):
            names = dict(enumerate(names))
        if isinstance(names, dict) and all(
            isinstance(k, int) and isinstance(v, str) for k, v in names.items()
        ):
            return names
        if not found.is_dir():
            raise DataError(f"{file}: holds no `names`, a list or numbers with names; name a data.yaml")
    return {}


def _label_of(picture: Path, root: Path) -> Path | None:
    parts = list(picture.relative_to(root).parts)
    places = [picture.with_suffix(".txt")]
    if "images" in parts[:-1]:
        at = len(parts) - 2 - parts[-2::-1].index("images")
        parts[at] = "labels"
        places.insert(0, root.joinpath(*parts).with_suffix(".txt"))
    elif root.name == "images":
        places.insert(0, (root.parent / "labels").joinpath(*parts).with_suffix(".txt"))
    return next((place for place in places if place.is_file()), None)


def _rows_of(label: Path) -> list[tuple[str, int, list[float]]]:
    """Return where each line stands, its class and its numbers."""
    rows = []
    for number, line in enumerate(read_text(label).splitlines(), start=1):
        words, where = line.split(), f"{label}, line {number}"
        if not words:
            continue
        try:
            kind, values = int(words[0]), [float(word) for word in words[1:]]
        except ValueError:
            raise DataError(f"{where}: {line[:40]!r} is no class with numbers; export it again") from None
        if len(values) != 4 and (len(values) < 6 or len(values) % 2):
            raise DataError(
                f"{where}: {len(values)} numbers after the class, no outline of x y pairs; export it again"
            )
        if not all(-BEYOND <= value <= 1 + BEYOND for value in values):
            raise DataError(
                f"{where}: numbers outside 0 to 1, so they are no shares of the sides; export it again"
            )
        rows.append((where, kind, values))
    return rows


def _add(
    where: str,
    kind: int,
    values: list[float],
    drawn: Drawn,
    classes: tuple[dict[int, str], frozenset[str]],
    *,
    fill: bool,
) -> bool:
    """Add a line's shape; tell whether it has an area, or is of no class that matters."""
    names, wanted = classes
    if names and kind not in names:
        raise DataError(f"{where}: no class has the number {kind}; correct data.yaml or the label")
    name = names.get(kind, str(kind))
    if wanted and name not in wanted:
        return True
    if len(values) == 4 and not fill:
        return False
    drawn.targets.append(_outline(values, drawn.size, where))
    drawn.classes.add(name)
    return True


def _outline(values: list[float], size: tuple[int, int], where: str) -> Outline:
    if len(values) == 4:
        x, y, width, height = (value * side for value, side in zip(values, (*size, *size), strict=True))
        return box_outline(x - width / 2, y - height / 2, width, height)
    return Outline((ring(values, where) * np.array(size),))
