"""PASCAL VOC's segmentation: JPEGImages and SegmentationClass (Everingham et al. 2010), also as CVAT exports it."""

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from harness.data.formats.documents import label, read_bytes, read_text, shown
from harness.data.formats.keep import DRAWING_VERSION, kept, mask_name, noted, write_mask
from harness.data.formats.limits import new_digest
from harness.data.formats.masks import IGNORE, TARGET
from harness.data.formats.places import files_of, folders_of, given
from harness.data.formats.sizes import picture_size, refuse_other_size
from harness.data.formats.told import Left, taken
from harness.data.formats.wanted import CLEAN, Wanted, wanted
from harness.data.pictures import FORMATS, SUFFIXES
from harness.data.rows import Rows, whole
from harness.errors import DataError

FORM = "voc"
PICTURES, MASKS = "JPEGImages", ("SegmentationClass", "SegmentationClassPNG")
VOID = 255  # the value of borders, which count for nothing
VALUES = f"{{background: 0, target: {TARGET}, ignore: {IGNORE}}}"
VOIDS = f"the value {VOID} (void) is drawn as {IGNORE}: declare data.masks: {VALUES}"
SPLIT = "the lists in ImageSets are not used, since groups decide"

Names = dict[int, str]
Colors = dict[tuple[int, int, int], int]
Labels = NDArray[np.uint8]  # (H, W): 0 background, 1 and on classes, 255 void


def voc(
    cache: Path,
    *,
    path: str,
    classes: tuple[str, ...] | None = None,
    missing: str = "skip",
) -> Rows:
    """Read the folder that holds JPEGImages and SegmentationClass, also two folders above it (VOCdevkit/VOC2012).

    Masks hold class numbers (gray, or indexed) or the colors of labelmap.txt; classes are named by labelmap.txt or
    class_names.txt, else by number. What is drawn from them has 255 for the classes, 128 for 255 (void). `missing`
    (pictures without mask, most of VOC's own) is skip or clean.
    """
    settings = wanted(FORM, classes, missing=missing)
    root = _folder(given(path, FORM))
    masks = _masks(root)
    left = Left()
    pictures = files_of(root, SUFFIXES, below=PICTURES)
    pairs = {picture: masks[picture.stem] for picture in pictures if picture.stem in masks}
    bare = [picture for picture in pictures if picture.stem not in masks]
    for picture in bare if not settings.clean else []:
        left.add("no mask; set missing: clean if that means that they show no target", picture.name)
    left.refuse_nothing(len(pairs), root)
    found = _drawn(cache, pairs, *_named(root), settings)
    for picture in bare if settings.clean else []:
        picture_size(picture)
        found[picture] = "", CLEAN
    rows = [
        whole(picture.relative_to(root).as_posix(), os.path.relpath(mask, root) if mask else "", shows)
        for picture, (mask, shows) in sorted(found.items(), key=lambda item: item[0])
    ]
    clean = sum(row["class_id"] == CLEAN for row in rows)
    return Rows(
        root, rows, notes=(taken(len(rows), clean, None, len(pairs), "mask"), VOIDS, SPLIT, *left.notes())
    )


def _folder(place: Path) -> Path:
    below = folders_of(place) if place.is_dir() else []
    candidates = [place, *below, *(folder for inner in below for folder in folders_of(inner))]
    found = [p for p in candidates if (p / PICTURES).is_dir() and any((p / m).is_dir() for m in MASKS)]
    if len(found) != 1:
        names = ", ".join(str(folder.relative_to(place)) for folder in found) or "none"
        raise DataError(f"{place}: folders with {PICTURES} and {MASKS[0]}: {names}; name one of them as path")
    return found[0].resolve()


def _masks(root: Path) -> dict[str, Path]:
    """Return the masks by the stem of their pictures."""
    for folder in MASKS:
        if (root / folder).is_dir() and (files := files_of(root, SUFFIXES, below=folder)):
            return {file.stem: file for file in files}
    raise DataError(f"{root}: no mask in {MASKS[0]}; copy the data set again")


def _named(root: Path) -> tuple[Names, Colors]:
    """Return the classes by number, and the number of each color, as a file of the export says or VOC has them."""
    listed, colored = root / "class_names.txt", root / "labelmap.txt"
    if colored.is_file():
        return _of_labelmap(colored)
    colors = {_color(number): number for number in range(VOID + 1)}
    if not listed.is_file():
        return {}, colors
    lines = [line.strip() for line in read_text(listed).split("\n") if line.strip()]
    return {n: label(line, f"{listed}, line {n + 1}") for n, line in enumerate(lines) if n}, colors


def _of_labelmap(file: Path) -> tuple[Names, Colors]:
    """Read lines `name:red,green,blue:parts:actions`, the first of them the background."""
    names: Names = {}
    colors: Colors = {_color(VOID): VOID}
    lines = [line for line in read_text(file).split("\n") if line.strip() and not line.startswith("#")]
    for number, line in enumerate(lines):
        name, _, rest = line.partition(":")
        try:
            red, green, blue = (int(value) for value in rest.split(":")[0].split(","))
        except ValueError:
            raise DataError(f"{file}: {shown(line)} is no name:red,green,blue; export it again") from None
        if number > VOID:
            raise DataError(f"{file}: more than {VOID} classes; a mask cannot hold their numbers")
        names[number] = label(name, f"{file}")
        colors[red, green, blue] = number
    names.pop(0, None)
    return names, colors


def _color(number: int) -> tuple[int, int, int]:
    """Return the color that VOC's palette gives to a number: its bits, three by three, from the highest on."""
    red, green, blue = (
        sum((number >> (3 * step + channel) & 1) << (7 - step) for step in range(3)) for channel in range(3)
    )
    return red, green, blue


def _drawn(
    cache: Path, pairs: dict[Path, Path], names: Names, colors: Colors, settings: Wanted
) -> dict[Path, tuple[Path | str, str]]:
    """Return the mask and the class of each picture; masks are drawn once."""

    def write(folder: Path) -> list[list[str]]:
        notes = [_write(folder, n, mask, names, colors, settings) for n, mask in enumerate(pairs.values())]
        settings.refuse_unknown([*names.values(), *(name for note in notes for name in note[1])])
        return [[name, settings.class_id(filter(settings.takes, seen))] for name, seen in notes]

    digest = new_digest(FORM, DRAWING_VERSION, names, colors, sorted(settings.classes or ["*"]))
    for picture, mask in pairs.items():
        refuse_other_size(picture, mask)
        digest.update(repr((mask.name, new_digest(read_bytes(mask)).hexdigest())).encode())
    folder = kept(cache, f"{FORM}-{digest.hexdigest()[:16]}", write)
    return {
        picture: (folder / name if name else "", shows)
        for picture, (name, shows) in zip(pairs, noted(folder), strict=True)
    }


def _write(
    folder: Path, number: int, mask: Path, names: Names, colors: Colors, settings: Wanted
) -> tuple[str, list[str]]:
    """Draw one mask; return its name, empty where it would be, and all classes that it shows."""
    labels = _labels(mask, colors)
    values = [int(value) for value in np.unique(labels) if value]
    unknown = [value for value in values if value != VOID and names and value not in names]
    if unknown:
        raise DataError(
            f"{mask}: holds the class {unknown[0]}, and {len(names)} are named; correct the list of names"
        )
    seen = {value: names.get(value, str(value)) for value in values if value != VOID}
    drawn = np.where(labels == VOID, IGNORE, 0).astype(np.uint8)
    drawn[np.isin(labels, [value for value, name in seen.items() if settings.takes(name)])] = TARGET
    name = mask_name(number, mask.name) if drawn.any() else ""
    if name:
        write_mask(folder / name, drawn)
    return name, list(seen.values())


def _labels(mask: Path, colors: Colors) -> Labels:
    try:
        with Image.open(mask, formats=FORMATS) as picture:
            mode = picture.mode
            pixels: NDArray[Any] = np.array(picture.convert("RGB") if mode == "RGBA" else picture)
    except Exception as error:  # decoders raise whatever they like on broken bytes
        raise DataError(f"{mask}: broken or cut off ({type(error).__name__}); copy it again") from error
    if pixels.dtype != np.uint8 or mode not in ("P", "L", "RGB", "RGBA"):
        raise DataError(f"{mask}: neither numbers of classes nor colors ({mode}); save it as an indexed PNG")
    return pixels if pixels.ndim == 2 else _of_colors(pixels, colors, mask)


def _of_colors(pixels: NDArray[Any], colors: Colors, mask: Path) -> Labels:
    codes = pixels.astype(np.int64) @ [1 << 16, 1 << 8, 1]
    labels = np.zeros(codes.shape, np.uint8)
    known = np.zeros(codes.shape, np.bool_)
    for (red, green, blue), number in colors.items():
        here = codes == (red << 16) + (green << 8) + blue
        labels[here] = number
        known |= here
    if not known.all():
        wrong = ", ".join(str(value) for value in pixels[~known][0])
        raise DataError(
            f"{mask}: the color {wrong} is no class of labelmap.txt, nor VOC's; correct that list"
        )
    return labels
