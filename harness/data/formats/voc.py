"""PASCAL VOC's layout (Everingham et al. 2010): JPEGImages, and SegmentationClass with a class a pixel value."""

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.data.formats.documents import inside, one_of, pictures_in, read_text, source
from harness.data.formats.drawn import Drawn, Left, drawn_rows, wanted_classes
from harness.data.formats.polygons import Patch
from harness.data.grouping import upright_size
from harness.data.pictures import image_pixels, read_file, stored_labels
from harness.data.rows import Rows
from harness.errors import DataError

WHERE = "data.dataset.voc"
VOID = 255  # borders between objects, and what is too hard to say
NAMES = [
    *("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *(
        "diningtable",
        "dog",
        "horse",
        "motorbike",
        "person",
        "pottedplant",
        "sheep",
        "sofa",
        "train",
        "tvmonitor",
    ),
]
LABEL = re.compile(r"([^:#]+):(\d{1,3}),(\d{1,3}),(\d{1,3}):.*")
Color = tuple[int, int, int]


def voc(cache: Path, *, path: str, classes: tuple[str, ...] | None = None, missing: str = "skip") -> Rows:
    """Read JPEGImages and SegmentationClass below a folder; value 0 is background, 255 is ignored.

    Values are numbers of classes: VOC's own, or the lines of a labelmap.txt as CVAT writes it, whose colors are
    understood, too. `missing` is skip or clean: what a picture without a mask is.
    """
    one_of(f"{WHERE}.missing", missing, "skip", "clean")
    root = source(path, WHERE)
    folders = [root / name for name in ("JPEGImages", "SegmentationClass")]
    for folder in folders:
        if not folder.is_dir():
            raise DataError(f"{WHERE}.path: {root} holds no folder {folder.name}; name the one that does")
    names, colors = _label_map(root / "labelmap.txt")
    wanted = wanted_classes(classes, names[1:], WHERE)
    masks = {path.stem: path for path in pictures_in(folders[1])}
    left, pictures = Left(), list[Drawn]()
    for found in pictures_in(folders[0]):
        place = inside(root, found.relative_to(root).as_posix(), WHERE)
        drawn = Drawn(place, upright_size(place))
        if mask := masks.get(found.stem):
            _add(drawn, inside(root, mask.relative_to(root).as_posix(), WHERE), (names, colors), wanted)
        elif missing == "skip":
            left.add("no mask; missing: clean takes such pictures as clean", found.name)
            continue
        pictures.append(drawn)
    return drawn_rows(cache, "voc", root, pictures, [f"{len(masks)} masks"], left)


def _label_map(path: Path) -> tuple[list[str], dict[Color, int]]:
    """Return the classes' names by number, and their numbers by color. Raises DataError."""
    if not path.is_file():
        return NAMES, {}
    lines = [line.strip() for line in read_text(path).splitlines()]
    found = [LABEL.fullmatch(line) for line in lines if line and not line.startswith("#")]
    if not found or None in found:
        raise DataError(f"{path}: a line is no `name:red,green,blue::`; export it again")
    named = [(match[1], (int(match[2]), int(match[3]), int(match[4]))) for match in found if match]
    named.sort(key=lambda one: one[0] != "background")  # wherever CVAT puts it
    return [name for name, _ in named], {color: number for number, (_, color) in enumerate(named)}


def _add(drawn: Drawn, mask: Path, known: tuple[list[str], dict[Color, int]], wanted: frozenset[str]) -> None:
    names, colors = known
    labels = _labels(mask, colors)
    if labels.shape != drawn.size[::-1]:
        shown = f"{labels.shape[1]} x {labels.shape[0]}"
        raise DataError(
            f"{mask}: {shown} px, its picture {drawn.size[0]} x {drawn.size[1]}; export both at one size"
        )
    for value in np.unique(labels).tolist():
        if value == VOID:
            drawn.ignored.append(Patch(0, 0, labels == VOID))
        elif value >= len(names):
            raise DataError(
                f"{mask}: holds the value {value}, of {len(names)} classes; add a labelmap.txt, or correct it"
            )
        elif value and names[value] in wanted:
            drawn.classes.add(names[value])
            drawn.targets.append(Patch(0, 0, labels == value))


def _labels(mask: Path, colors: dict[Color, int]) -> NDArray[Any]:
    """Return the class of each pixel; of a mask in the colors of a label map, too. Raises DataError."""
    try:
        return stored_labels(read_file(mask), mask)
    except DataError:
        pixels = image_pixels(read_file(mask), mask).astype(np.int32)
        if not colors or pixels.ndim != 3:
            raise
    codes = (pixels[..., 0] << 16) + (pixels[..., 1] << 8) + pixels[..., 2]
    labels = np.full(codes.shape, -1, np.int32)
    for (red, green, blue), number in colors.items():
        labels[codes == (red << 16) + (green << 8) + blue] = number
    labels[codes == 0xE0E0C0] = VOID  # VOC's own color of it
    if (labels < 0).any():
        raise DataError(f"{mask}: holds a color that labelmap.txt does not name; export it again")
    return labels
