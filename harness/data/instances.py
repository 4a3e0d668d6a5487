"""A table of samples that somebody wrote: instances.csv, held to the rules of an index line by line."""

import csv as csv_files
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from harness.choices import nearest
from harness.data.rows import BOX, Row, Rows, and_others, existing
from harness.errors import DataError

RENAMED = {"sample_path": "sample", "mask_path": "mask", "source_image_id": "group"}
REQUIRED = (*RENAMED, "class_id", "scale")
OPTIONAL = ("photo_id", "instance_id", "fold")
BLANK = frozenset({"", "nan", "<na>", "null"})  # "none" and "na" may be names of classes


def instances(cache: Path, *, root: str, csv: str = "instances.csv") -> Rows:
    """Read a table of samples; its paths are relative to `root`, as is `csv`.

    Required columns: sample_path, mask_path, source_image_id, class_id, scale. Optional: photo_id,
    instance_id, fold (0, 1, ..., -1 for held-out), the crop box x0, y0, w, h in pixels of the photo.
    """
    folder = existing(root, "data.dataset.instances.root")
    path = folder / csv
    rows = _parsed(path)
    _refuse_repeats(path, rows)
    _refuse_missing_files(path, rows, folder)
    for column, kind in (("photo", "photo_id"), ("instance", "instance_id")):
        _refuse_shared(path, rows, column, kind)
    return Rows(folder, rows, grouped=True)


def _parsed(path: Path) -> list[Row]:
    rows = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv_files.DictReader(file, strict=True)
            _refuse_header(path, reader.fieldnames or [])
            for record in reader:
                rows.append(_row(f"{path}, line {reader.line_num}", record) | {"line": reader.line_num})
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check data.dataset") from error
    except (csv_files.Error, UnicodeDecodeError) as error:
        raise DataError(f"{path}: no CSV in UTF-8 ({error}); save it as one") from error
    if not rows:
        raise DataError(f"{path}: no rows; write one line a sample under the header")
    return rows


def _refuse_header(path: Path, columns: Sequence[str]) -> None:
    wanted = [*REQUIRED, *(BOX if set(BOX) & set(columns) else ())]
    for column in wanted:
        if column not in columns:
            near = nearest(column, set(columns) - set(wanted))
            raise DataError(f"{path}, line 1, {column}: column missing{near}; it needs {', '.join(wanted)}")
    for column in (*wanted, *OPTIONAL):
        if columns.count(column) > 1:
            raise DataError(f"{path}, line 1, {column}: the column stands there twice; keep one")


def _row(where: str, record: dict[str | Any, Any]) -> Row:
    if None in record or None in record.values():
        raise DataError(f"{where}: not as many fields as columns; quote fields that hold a comma")
    cells = {column: value.strip() for column, value in record.items()}
    given = {column: None if value.casefold() in BLANK else value for column, value in cells.items()}
    for column in (*REQUIRED, *OPTIONAL):
        if column in given and given[column] is None:
            raise DataError(f"{where}, {column}: {cells[column]!r} is blank; fill it in every row")
    row: Row = {RENAMED.get(column, column): cells[column] for column in REQUIRED}
    for column in ("sample", "mask"):
        row[column] = _inside(f"{where}, {column}_path", row[column])
    row |= _box(where, {column: given.get(column) for column in BOX})
    row["photo"] = given.get("photo_id") or row["group" if "x0" in row else "sample"]
    row["instance"] = given.get("instance_id")
    if "fold" in given:
        row["fold"] = _whole(f"{where}, fold", cells["fold"], lowest=-1)
    return row


def _inside(where: str, text: str) -> str:
    path = PurePosixPath(text)
    if path.is_absolute() or ".." in path.parts:
        raise DataError(f"{where}: {text!r} leaves the root; write a path relative to it, without '..'")
    return str(path)


def _box(where: str, box: dict[str, str | None]) -> Row:
    blank = [column for column, value in box.items() if value is None]
    if len(blank) == len(BOX):
        return {}
    if blank:
        raise DataError(f"{where}, {blank[0]}: blank, but the box has other sides; fill all four or none")
    return {c: _whole(f"{where}, {c}", str(v), lowest=1 if c in "wh" else 0) for c, v in box.items()}


def _whole(where: str, text: str, *, lowest: int) -> int:
    """Return the integer; 3.0 is one, as pandas writes columns with gaps."""
    if not re.fullmatch(r"[+-]?\d{1,9}(\.0*)?", text):
        raise DataError(f"{where}: {text!r} is no whole number; write one")
    number = int(text.split(".")[0])
    if number < lowest:
        raise DataError(f"{where}: {number} is below {lowest}; correct it")
    return number


def _refuse_repeats(path: Path, rows: Sequence[Row]) -> None:
    """A file shows one box of its photo and has one mask, so a path stands in one row."""
    lines: dict[str, int] = {}
    for row in rows:
        first = lines.setdefault(row["sample"], row["line"])
        if first != row["line"]:
            twice = f"{row['sample']!r} is on line {first} already; keep one of the two"
            raise DataError(f"{path}, line {row['line']}, sample_path: {twice}")


def _refuse_missing_files(path: Path, rows: Sequence[Row], root: Path) -> None:
    missing = [
        f"{path}, line {row['line']}, {column}_path: no file {row[column]!r} in {root}"
        for row in rows
        for column in ("sample", "mask")
        if not (root / row[column]).is_file()
    ]
    if missing:
        raise DataError(f"{missing[0]}{and_others(missing)}; add it or remove its row")


def _refuse_shared(path: Path, rows: Sequence[Row], column: str, written: str) -> None:
    """Refuse a photo or an instance that stands in two groups: a fold could then hold a part of it."""
    owner: dict[str, str] = {}
    for name, group in ((row[column], row["group"]) for row in rows if row[column] is not None):
        if owner.setdefault(name, group) != group:
            both = f"{owner[name]!r} and {group!r}; give each its own, or join the two"
            raise DataError(f"{path}, {written}: {name!r} stands in the source images {both}")
