"""A CSV of pictures with masks or run lengths, whatever its columns are called."""

import csv as csv_files
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from harness.choices import nearest
from harness.data.formats.documents import inside, read_text, source
from harness.data.formats.drawn import CLEAN, Drawn, Left, drawn_rows, wanted_classes
from harness.data.formats.polygons import Patch
from harness.data.formats.rle import from_starts
from harness.data.grouping import upright_size
from harness.data.rows import BOX, Row, Rows, existing, whole
from harness.errors import ConfigError, DataError

WHERE = "data.dataset.csv"
USUAL = {
    "image": (
        "image",
        "sample_path",
        "image_path",
        "img",
        "file",
        "filename",
        "file_name",
        "imageid",
        "image_id",
        "path",
    ),
    "mask": ("mask", "mask_path", "mask_file", "label_path", "segmentation", "annotation"),
    "rle": ("encodedpixels", "rle", "rle_mask", "encoded_pixels"),
    "group": (
        "source_image_id",
        "group",
        "patient",
        "patient_id",
        "patientid",
        "subject",
        "subject_id",
        "item",
        "part_id",
    ),
    "label": ("class_id", "class", "label", "classid", "category", "defect", "defect_type"),
    "scale": ("scale",),
}
BLANK = frozenset({"", "nan", "none", "null", "-1"})
Record = dict[str, str]


class _Columns(NamedTuple):
    image: str
    mask: str | None
    rle: str | None
    group: str | None
    label: str | None
    scale: str | None


def csv(
    cache: Path,
    *,
    path: str,
    images: str | None = None,
    columns: dict[str, Any] | None = None,
    classes: tuple[str, ...] | None = None,
) -> Rows:
    """Read a table: a column of pictures, and one of masks (files) or of run lengths (Kaggle's: by column, from 1).

    Columns are found by their usual names; `columns` names others: image, mask, rle, group (what a picture shows),
    label (its class), scale. Paths start at the table's folder, or at `images`. An empty mask or run length is a clean
    picture. Boxes `x0`, `y0`, `w`, `h` in px of the source are taken where they stand. A table with a group names the
    sources.
    """
    file = source(path, WHERE)
    if not file.is_file():
        raise DataError(f"{WHERE}.path: {file} is no file; name the CSV")
    header, records = _records(file)
    found = _columns(header, columns or {}, file)
    root = existing(images, f"{WHERE}.images") if images else file.parent
    if found.rle and not found.mask:
        return _from_runs(cache, file, root, (found, records), classes)
    if classes:
        raise ConfigError(f"{WHERE}.classes: goes with run lengths; masks of files have no classes")
    return _from_files(file, root, found, records)


def _records(file: Path) -> tuple[list[str], list[Record]]:
    try:
        reader = csv_files.DictReader(read_text(file).splitlines(), strict=True, dialect=_dialect(file))
        header = [name.strip() for name in reader.fieldnames or []]
        records = []
        for record in reader:
            if None in record or None in record.values():
                raise DataError(
                    f"{file}, line {reader.line_num}: not as many fields as columns; quote fields that hold a comma"
                )
            records.append({key.strip(): value.strip() for key, value in record.items()})
    except csv_files.Error as error:
        raise DataError(f"{file}: no CSV ({str(error)[:80]}); save it as one") from None
    if not records:
        raise DataError(f"{file}: no rows; write one line a picture under the header")
    return header, records


def _dialect(file: Path) -> type[csv_files.Dialect]:
    """Return a dialect by what the header separates columns with: comma, semicolon or tabulator."""
    first = read_text(file).split("\n", 1)[0]

    class Found(csv_files.excel):
        delimiter = max(",;\t", key=first.count)

    return Found


def _columns(header: Sequence[str], asked: dict[str, Any], file: Path) -> _Columns:
    by_name = {name.casefold(): name for name in header}
    for what, name in asked.items():
        if what not in USUAL:
            raise ConfigError(
                f"{WHERE}.columns: {what!r} is not known{nearest(what, USUAL)}; known: {', '.join(USUAL)}"
            )
        if name not in header:
            there = f"{nearest(name, header)}; it has: {_some(header)}"
            raise ConfigError(f"{WHERE}.columns.{what}: {file} has no column {name!r}{there}")
    found = {
        what: asked.get(what) or next((by_name[usual] for usual in usuals if usual in by_name), None)
        for what, usuals in USUAL.items()
    }
    if found["image"] is None or not (found["mask"] or found["rle"]):
        missing = "image" if found["image"] is None else "mask"
        asks = f"no column of {file} has a usual name; say which one it is of {_some(header)}"
        raise ConfigError(f"{WHERE}.columns.{missing}: {asks}")
    return _Columns(
        str(found["image"]), found["mask"], found["rle"], found["group"], found["label"], found["scale"]
    )


def _some(header: Sequence[str]) -> str:
    return ", ".join(header[:12])


def _from_files(file: Path, root: Path, columns: _Columns, records: Sequence[Record]) -> Rows:
    left, rows, seen = Left(), list[Row](), set[str]()
    for line, record in enumerate(records, start=2):
        where = f"{file}, line {line}"
        place = inside(root, record[columns.image], where)
        name = place.relative_to(root).as_posix()
        if name in seen:
            raise DataError(f"{where}: {name!r} stands there twice; keep one")
        seen.add(name)
        mask = record[str(columns.mask)]
        drawn = inside(root, mask, where) if mask.casefold() not in BLANK else None
        if not place.is_file() or (drawn and not drawn.is_file()):
            left.add("its file or its mask is not there", record[columns.image])
            continue
        rows.append(_row(record, columns, (name, drawn.relative_to(root).as_posix() if drawn else ""), where))
    if not rows:
        raise DataError(f"{file}: no picture can be taken from it: {next(iter(left.notes()))}")
    read = f"{len(rows)} of {len(records)} rows read"
    return Rows(root, rows, columns.group is not None, notes=(read, *left.notes()))


def _row(record: Record, columns: _Columns, names: tuple[str, str], where: str) -> Row:
    row = whole(*names, (record[columns.label] or "target") if columns.label else "target")
    if not names[1]:
        row["class_id"] = CLEAN
    if columns.scale:
        row["scale"] = record[columns.scale] or "full"
    if columns.group:
        row["group"] = _group(record, columns.group, where)
    box = {name: record[name] for name in BOX if record.get(name, "").casefold() not in BLANK}
    if len(box) == len(BOX):
        row |= {name: _whole(text, f"{where}, {name}") for name, text in box.items()}
        row["photo"] = row["group"]
    elif box:
        raise DataError(f"{where}: the box lacks a side; fill {', '.join(BOX)}, or none of them")
    return row


def _group(record: Record, column: str, where: str) -> str:
    if record[column].casefold() in BLANK - {"-1"}:
        raise DataError(f"{where}, {column}: {record[column]!r} is blank; fill it in every row")
    return record[column]


def _whole(text: str, where: str) -> int:
    try:
        number = float(text)
        if number.is_integer() and 0 <= number < 1e9:
            return int(number)
    except (ValueError, OverflowError):
        pass
    raise DataError(f"{where}: {text[:40]!r} is no whole number of px; correct it")


def _from_runs(
    cache: Path,
    file: Path,
    root: Path,
    table: tuple[_Columns, Sequence[Record]],
    classes: tuple[str, ...] | None,
) -> Rows:
    """Return the pictures of run lengths, of which several rows may tell one picture."""
    columns, records = table
    labels = {record[columns.label] if columns.label else "target" for record in records}
    wanted = wanted_classes(classes, labels, WHERE)
    left, pictures, groups = Left(), dict[Path, Drawn](), dict[str, str]()
    for line, record in enumerate(records, start=2):
        where = f"{file}, line {line}"
        place = inside(root, record[columns.image], where)
        if not place.is_file():
            left.add("its file is not there", record[columns.image])
            continue
        drawn = pictures.setdefault(place, Drawn(place, upright_size(place)))
        text = record[str(columns.rle)]
        name = record[columns.label] if columns.label else "target"
        if text.casefold() not in BLANK and name in wanted:
            drawn.targets.append(Patch(0, 0, from_starts(text, drawn.size[1], drawn.size[0], where)))
            drawn.classes.add(name)
        if columns.group:
            group = _group(record, columns.group, where)
            if groups.setdefault(place.relative_to(root).as_posix(), group) != group:
                raise DataError(f"{where}: {place.name} stands in two groups; correct {columns.group}")
    found = drawn_rows(
        cache, "csv", root, list(pictures.values()), [f"{len(records)} rows of run lengths"], left
    )
    if not columns.group:
        return found
    rows = [row | {"group": groups[str(row["sample"])]} for row in found.rows]
    return Rows(root, rows, grouped=True, notes=found.notes)
