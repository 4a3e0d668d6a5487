"""A table of pictures in any CSV file: masks as files or as run lengths, columns found by their usual names."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from harness.data.formats.columns import WHERE, Entry, read_table
from harness.data.formats.documents import label as checked_label
from harness.data.formats.drawn import Listing
from harness.data.formats.drawn import rows_of as drawn_rows
from harness.data.formats.files import Pair
from harness.data.formats.files import rows_of as file_rows
from harness.data.formats.places import distinct, folder_of_pictures, folders_of, given, is_there, relative
from harness.data.formats.rle import kaggle
from harness.data.formats.shapes import Listed, Object
from harness.data.formats.sizes import picture_size
from harness.data.formats.told import Left
from harness.data.formats.wanted import CLEAN, Wanted, wanted
from harness.data.rows import Row, Rows, existing
from harness.errors import ConfigError, DataError

FORM = "csv"
TARGET = "target"  # the class where no column says one
KINDS = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
SUFFIXES = ("", *KINDS, *map(str.upper, KINDS))  # that ids of pictures may lack


def csv(  # noqa: PLR0913  # keyword-only arguments are the settings of a study file
    cache: Path,
    *,
    path: str,
    images: str | None = None,
    classes: tuple[str, ...] | None = None,
    masks: str | None = None,
    image: str | None = None,
    mask: str | None = None,
    rle: str | None = None,
    group: str | None = None,
    label: str | None = None,
    scale: str | None = None,
) -> Rows:
    """Read a CSV file whose lines name a picture and its mask: a file, or Kaggle's run lengths (from 1, by columns).

    `image`, `mask` or `rle`, `group`, `label` and `scale` name columns; else these are found by usual names. An empty
    mask is a clean picture; run lengths of several lines of a picture are joined. `images` and `masks` are the folders
    that pictures and masks are relative to, else these are looked for beside the file. x0, y0, w, h are the box of a
    crop.
    """
    settings = wanted(FORM, classes)
    file = given(path, FORM)
    named = {"image": image, "mask": mask, "rle": rle, "group": group, "label": label, "scale": scale}
    columns, lines = read_table(file, named)
    names = [relative(line.cells["image"], line.where) for line in lines]
    usual = [name + suffix for name in names[:50] for suffix in SUFFIXES]
    root = folder_of_pictures(images, FORM, _around(file), usual, f"{file}")
    names = [_found(root, name, line.where) for name, line in zip(names, lines, strict=True)]
    sources = _sources(names, lines, once="mask" in columns)
    if masks is not None and "mask" not in columns:
        raise ConfigError(f"{WHERE}.masks: {file} has masks as run lengths; leave the setting out")
    if "mask" in columns:
        both = list(zip(names, lines, strict=True))
        ways, notes = _masks(file, root, masks, both)
        rows = _of_files(root, ways, both, settings)
        rows = replace(rows, notes=(*rows.notes, *notes))
    else:
        rows = drawn_rows(cache, _runs(file, root, names, lines), settings)
    return replace(rows, rows=[row | sources[row["sample"]] for row in rows.rows], grouped="group" in columns)


def _around(file: Path) -> Iterator[Path]:
    base = file.parent
    yield from (base, base / "images", base / f"{file.stem}_images", base / file.stem)
    yield from folders_of(base)


def _masks(
    file: Path, root: Path, masks: str | None, lines: Sequence[tuple[str, Entry]]
) -> tuple[list[Path], tuple[str, ...]]:
    """Return the folders that masks are relative to, and a note where that was found by looking. Raises DataError.

    They are relative to the pictures' folder or the table's own; where none is there, to the one folder beside the
    table that holds any.
    """
    if masks is not None:
        return [existing(masks, f"{WHERE}.masks")], ()
    near = list(distinct((root, file.parent)))
    if _holds_any(near, root, lines):
        return near, ()
    beside = [folder for folder in distinct(folders_of(file.parent)) if _may_hold(folder, root, lines)]
    if len(beside) > 1:
        raise DataError(
            f"{file}: files of its masks' names lie in {beside[0]} and in {beside[1]}; set {WHERE}.masks to the folder "
            "of the masks"
        )
    note = (
        "masks are taken from {}, where files of their names lie; write data.dataset.csv.masks to hold to it"
    )
    return beside or near, tuple(note.format(folder) for folder in beside)


def _may_hold(folder: Path, root: Path, lines: Sequence[tuple[str, Entry]]) -> bool:
    """Tell whether a folder that nobody named holds masks; one with links that lead out of it does not."""
    try:
        return _holds_any([folder], root, lines)
    except DataError:
        return False


def _holds_any(ways: Sequence[Path], root: Path, lines: Sequence[tuple[str, Entry]]) -> bool:
    named = (
        (name, relative(line.cells["mask"], line.where), line) for name, line in lines if line.cells["mask"]
    )
    return any(_mask(ways, root / name, mask, line.where) for name, mask, line in named)


def _found(root: Path, name: str, where: str) -> str:
    return next((name + suffix for suffix in SUFFIXES if is_there(root, name + suffix, where)), name)


def _sources(names: Sequence[str], lines: Sequence[Entry], *, once: bool) -> dict[str, Row]:
    """Return what the lines of each picture say of its source, which they must agree on."""
    found: dict[str, Entry] = {}
    for name, line in zip(names, lines, strict=True):
        first = found.setdefault(name, line)
        if first is not line and (once or first.source != line.source):
            what = "stands there already" if once else "has another group, scale or box"
            raise DataError(
                f"{line.where}: {name!r} {what} in line {first.where.rsplit(' ', 1)[1]}; correct one of them"
            )
    return {name: line.source for name, line in found.items()}


def _label(line: Entry) -> str:
    text = line.cells.get("label", "")
    return checked_label(text, f"{line.where}, class") if text else TARGET


def _of_files(root: Path, ways: Sequence[Path], lines: Sequence[tuple[str, Entry]], settings: Wanted) -> Rows:
    left = Left()
    pairs = []
    for name, line in lines:
        mask = line.cells["mask"]
        place = _mask(ways, root / name, relative(mask, line.where), line.where) if mask else None
        if not is_there(root, name, line.where):
            left.add("the file is not there", name)
        elif not mask:
            pairs.append(Pair(name, "", CLEAN))
        elif place is None:
            own = is_there(root, mask, line.where) and root / mask == root / name
            left.add("its mask is the picture itself" if own else "its mask is not there", name)
        else:
            pairs.append(Pair(name, Path(os.path.relpath(place, root)).as_posix(), _label(line)))
    return file_rows(root, pairs, (_label(line) for _, line in lines if line.cells["mask"]), settings, left)


def _mask(ways: Sequence[Path], picture: Path, name: str, where: str) -> Path | None:
    """Return the file of a mask; where it has its picture's name, the picture is not its own mask."""
    found = (folder / name for folder in ways if is_there(folder, name, where))
    return next((path for path in found if path != picture), None)


def _runs(file: Path, root: Path, names: Sequence[str], lines: Sequence[Entry]) -> Listing:
    pictures: dict[str, Listed] = {}
    for name, line in zip(names, lines, strict=True):
        if name not in pictures:
            there = is_there(root, name, line.where)
            size = picture_size(root / name) if there else None
            pictures[name] = Listed(name, line.where, file, size, [])
        size = pictures[name].size
        if line.cells["rle"] and size:
            runs = kaggle(line.cells["rle"], size, line.where)
            pictures[name].objects.append(Object(_label(line), (runs,)))
    return Listing(root, list(pictures.values()), 1)
