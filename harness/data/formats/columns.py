"""The rows of any CSV file, cells by what they mean; columns are named by settings or found by their usual names."""

import csv
import io
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from harness.choices import nearest
from harness.data.formats.documents import AGAIN, FILE_LIMIT, read_text, shown
from harness.data.instances import BLANK
from harness.data.rows import BOX, Row
from harness.errors import ConfigError, DataError

USUAL = {  # of each meaning, in any case, the first that is there
    "image": (
        "image",
        "sample_path",
        "image_path",
        "filename",
        "file_name",
        "ImageId",
        "image_id",
        "img",
        "file",
        "id",
    ),
    "mask": ("mask", "mask_path", "mask_file", "maskname"),
    "rle": ("EncodedPixels", "encoded_pixels", "rle", "rle_mask"),
    "group": (
        "group",
        "patient",
        "patient_id",
        "PatientId",
        "source_image_id",
        "source",
        "subject",
        "subject_id",
    ),
    "label": ("class", "label", "class_id", "ClassId", "defect"),
    "scale": ("scale",),
}
WHERE = "data.dataset.csv"
NO_RUN = "-1"  # which some tables write for a clean picture


class Entry(NamedTuple):
    """One line: the cells by meaning, blank ones as empty text, and what it says of its source."""

    where: str
    cells: Mapping[str, str]
    source: Row


def read_table(path: Path, named: Mapping[str, str | None]) -> tuple[frozenset[str], list[Entry]]:
    """Return which meanings have a column, and the lines. Raises ConfigError for wrong names of columns, DataError."""
    limit = csv.field_size_limit(FILE_LIMIT)  # run lengths of large pictures are longer than the default
    try:
        lines = _lines(path)
        columns = _columns(path, next(lines)[1], named)
        boxed = set(BOX) <= columns.keys()
        return frozenset(columns), [
            _entry(path, number, cells, columns, boxed=boxed) for number, cells in lines
        ]
    except csv.Error as error:
        raise DataError(f"{path}: no CSV ({error}); save it as one") from error
    finally:
        csv.field_size_limit(limit)


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield line numbers with cells; the first line tells what parts them."""
    text = read_text(path)
    if "\0" in text:
        raise DataError(f"{path}: no text but binary; save it as CSV in UTF-8")
    header = text.split("\n", 1)[0]
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=max(",;\t", key=header.count))
    count = 0
    for cells in reader:
        if not cells:
            continue
        count = count or len(cells)
        if len(cells) != count:
            raise DataError(
                f"{path}, line {reader.line_num}: {len(cells)} fields, the first line has {count}; {AGAIN}"
            )
        yield reader.line_num, [cell.strip() for cell in cells]
    if not count:
        raise DataError(f"{path}: the file is empty; {AGAIN}")


def _columns(path: Path, header: list[str], named: Mapping[str, str | None]) -> dict[str, int]:
    """Return the place of each meaning's column."""
    found = {
        meaning: place for meaning in USUAL if (place := _place(header, meaning, named[meaning])) is not None
    }
    if "image" not in found:
        raise ConfigError(
            f"{WHERE}.image: no usual name among the columns {shown(header)} of {path}; name the column"
        )
    if {"mask", "rle"} <= found.keys():
        kept = [meaning for meaning in ("mask", "rle") if named[meaning]]
        if len(kept) != 1:
            raise ConfigError(
                f"{WHERE}: {path} has masks as files and as run lengths; set one of mask and rle"
            )
        found.pop("rle" if kept == ["mask"] else "mask")
    elif not {"mask", "rle"} & found.keys():
        raise ConfigError(
            f"{WHERE}.mask: no usual name among the columns {shown(header)} of {path}; set mask or rle"
        )
    return found | {side: header.index(side) for side in BOX if set(BOX) <= set(header)}


def _place(header: list[str], meaning: str, name: str | None) -> int | None:
    if name is not None:
        if name not in header:
            near = nearest(name, header)
            raise ConfigError(
                f"{WHERE}.{meaning}: there is no column {name!r}{near}; there: {', '.join(header)}"
            )
        return header.index(name)
    lower = [column.casefold() for column in header]
    return next(
        (lower.index(usual.casefold()) for usual in USUAL[meaning] if usual.casefold() in lower), None
    )


def _entry(path: Path, number: int, line: list[str], columns: Mapping[str, int], *, boxed: bool) -> Entry:
    where = f"{path}, line {number}"
    cells = {meaning: "" if line[n].casefold() in BLANK else line[n] for meaning, n in columns.items()}
    cells["rle"] = "" if cells.get("rle") == NO_RUN else cells.get("rle", "")
    for meaning in ("image", "group", "scale"):
        if not cells.get(meaning, "filled") or not cells.get(meaning, "").isprintable():
            raise DataError(f"{where}: its {meaning} is blank, or no text of one line; fill it in every row")
    source: Row = {meaning: cells[meaning] for meaning in ("group", "scale") if meaning in cells}
    return Entry(where, cells, source | (_box(where, cells) if boxed else {}))


def _box(where: str, cells: Mapping[str, str]) -> Row:
    """Return the crop's box in its photograph, which is that of its group."""
    sides = {side: cells[side] for side in BOX if cells[side]}
    if not sides:
        return {}
    if "group" not in cells:
        raise ConfigError(
            f"{WHERE}.group: boxes x0, y0, w, h lie in a photograph; name the column that says which"
        )
    wrong = [
        s
        for s in BOX
        if not re.fullmatch(r"\d{1,9}(\.0*)?", sides.get(s, "")) or (s in "wh" and float(sides[s]) < 1)
    ]
    if wrong:
        raise DataError(
            f"{where}, {wrong[0]}: {shown(sides.get(wrong[0], ''))} is no side of a box; fill all four or none"
        )
    return {side: int(float(value)) for side, value in sides.items()} | {"photo": cells["group"]}
