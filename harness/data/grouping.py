"""Which pictures show one thing, as a rule of the study file: `data.group`.

A rule reads names, folders or the times that cameras note. What pictures themselves show is found by the search for
copies, which joins further groups (`data.groups: repair`).
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from PIL import Image

from harness.choices import choose
from harness.config import Choice
from harness.data.pictures import FORMATS
from harness.data.rows import BOX, Row, and_others
from harness.errors import ConfigError, DataError

WHERE = "data.group"
TURNED = range(5, 9)  # EXIF orientations that swap width and height
ORIENTATION, EXIF, TAKEN, FRACTION, PLAIN_TIME = 0x0112, 0x8769, 0x9003, 0x9291, 0x0132


class Source(NamedTuple):
    """The source image that a picture shows, and the box of it where the name says so: x0, y0, w, h in px."""

    group: str
    box: tuple[int, int, int, int] | None = None


def grouped(rows: Sequence[Row], root: Path, rule: Choice) -> list[Row]:
    """Return the rows with their groups by a rule. Raises ConfigError for a wrong rule, DataError where it fits not."""
    sources = choose(GROUPS, WHERE, rule.name, rule.settings)([str(row["sample"]) for row in rows], root)
    return [row | _told(row, source) for row, source in zip(rows, sources, strict=True)]


def _told(row: Row, source: Source) -> Row:
    if source.box is None:
        return {"group": source.group}
    return {"group": source.group, "photo": source.group} | dict(zip(BOX, source.box, strict=True))


def image(names: Sequence[str], root: Path) -> list[Source]:
    """Each picture shows a thing of its own."""
    return [Source(name) for name in names]


def regex(names: Sequence[str], root: Path, *, id: str) -> list[Source]:
    """The source is what `id` captures in a picture's path: by its one group, or the one named `group`.

    Groups named `x0` and `y0` are where a crop lies in its source, in px of it; `w` and `h`, where they are not
    captured, are the file's own size.
    """
    pattern = _pattern(id, f"{WHERE}.regex.id")
    return [_captured(pattern, name, root) for name in names]


def folder(names: Sequence[str], root: Path, *, depth: int = 1) -> list[Source]:
    """The source is the picture's first `depth` folders below that of all pictures."""
    if depth < 1:
        raise ConfigError(
            f"{WHERE}.folder.depth: {depth} is below 1; count folders from that of all pictures"
        )
    flat = [name for name in names if len(PurePosixPath(name).parts) <= depth]
    if flat:
        raise DataError(
            f"{root / flat[0]}{and_others(flat)}: lies in no {'folder' if depth == 1 else f'{depth} folders'} below "
            f"{root}; lower {WHERE}.folder.depth, or choose another rule"
        )
    return [Source("/".join(PurePosixPath(name).parts[:depth])) for name in names]


def runs(
    names: Sequence[str], root: Path, *, number: str, gap: int, within: str | None = None
) -> list[Source]:
    """Pictures whose numbers follow each other at most `gap` apart show one thing.

    `number` captures a whole number in the picture's path, such as that of a frame; `within` captures what keeps
    such rows apart, such as a camera's name.
    """
    if gap < 1:
        raise ConfigError(f"{WHERE}.runs.gap: {gap} is below 1; give the largest step inside a run")
    counted = _pattern(number, f"{WHERE}.runs.number")
    apart = None if within is None else _pattern(within, f"{WHERE}.runs.within")
    rows = [_within(apart, name) for name in names]
    numbers = [_number(counted, name) for name in names]
    return [
        Source(f"{row}|{first}" if row else f"{first}")
        for row, first in zip(rows, run_starts(rows, numbers, gap), strict=True)
    ]


def time(names: Sequence[str], root: Path, *, seconds: float) -> list[Source]:
    """Pictures of one folder that a camera took at most `seconds` after each other show one thing (EXIF)."""
    if seconds < 0:
        raise ConfigError(
            f"{WHERE}.time.seconds: {seconds:g} is below 0; give the longest pause inside a run"
        )
    taken = [taken_at(root / name) for name in names]
    without = [name for name, at in zip(names, taken, strict=True) if at is None]
    if without:
        raise DataError(
            f"{root / without[0]}{and_others(without)}: its EXIF data do not say when it was taken; "
            "choose another rule for data.group"
        )
    folders = [str(PurePosixPath(name).parent) for name in names]
    starts = run_starts(folders, [at.timestamp() for at in taken if at], seconds)
    marks = [datetime.fromtimestamp(start).isoformat(timespec="seconds") for start in starts]
    return [Source(f"{place}|{mark}") for place, mark in zip(folders, marks, strict=True)]


def run_starts(rows: Sequence[str], numbers: Sequence[float], gap: float) -> list[float]:
    """Return for each number the first one of its run: of the same row, and no step inside above `gap`."""
    firsts: dict[str, list[float]] = {}
    for row, values in _by_row(rows, numbers):
        firsts[row] = [
            now
            for before, now in zip([-gap * 2 - 1 + values[0], *values], values, strict=False)
            if now - before > gap
        ]
    return [
        firsts[row][bisect_right(firsts[row], value) - 1] for row, value in zip(rows, numbers, strict=True)
    ]


def _by_row(rows: Sequence[str], numbers: Sequence[float]) -> Iterator[tuple[str, list[float]]]:
    held: dict[str, list[float]] = {}
    for row, value in zip(rows, numbers, strict=True):
        held.setdefault(row, []).append(value)
    yield from ((row, sorted(values)) for row, values in held.items())


def taken_at(path: Path) -> datetime | None:
    """Return when a camera says that it took a picture, in its own time; None where it does not say."""
    try:
        with Image.open(path, formats=FORMATS) as picture:
            exif = picture.getexif()
        details = exif.get_ifd(EXIF)
        text = str(details.get(TAKEN) or exif.get(PLAIN_TIME) or "").strip("\0 ")
        fraction = str(details.get(FRACTION) or "").strip("\0 ")
        at = datetime.strptime(text, "%Y:%m:%d %H:%M:%S")
        return at.replace(microsecond=int(f"{fraction:0<6.6}")) if fraction.isdigit() else at
    except Exception:  # of broken pictures, which are told when they are read, and of odd dates
        return None


def _pattern(text: str, where: str) -> re.Pattern[str]:
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise ConfigError(f"{where}: {text!r} is no regular expression ({error}); correct it") from error
    if "group" not in pattern.groupindex and pattern.groups != 1:
        raise ConfigError(f"{where}: {text!r} has {pattern.groups} capture groups; put (...) around the id")
    return pattern


def _captured(pattern: re.Pattern[str], name: str, root: Path) -> Source:
    match = pattern.search(name)
    source = _id(match)
    if not match or not source:
        raise DataError(f"{root / name}: data.group.regex.id {pattern.pattern!r} finds no id; widen it")
    sides = {side: match[side] for side in BOX if side in pattern.groupindex}
    if not {"x0", "y0"} <= sides.keys() or None in sides.values():
        return Source(source)
    try:
        x0, y0 = int(sides["x0"]), int(sides["y0"])
        width, height = upright_size(root / name)
        return Source(source, (x0, y0, int(sides.get("w", width)), int(sides.get("h", height))))
    except ValueError:
        raise DataError(
            f"{root / name}: data.group.regex.id {pattern.pattern!r} captures {sides}, no whole numbers; correct it"
        ) from None


def _id(match: re.Match[str] | None) -> str | None:
    return match["group" if "group" in match.re.groupindex else 1] if match else None


def _within(pattern: re.Pattern[str] | None, name: str) -> str:
    if pattern is None:
        return ""
    found = _id(pattern.search(name))
    if found is None:
        raise DataError(f"{name}: data.group.runs.within {pattern.pattern!r} finds nothing; widen it")
    return found


def _number(pattern: re.Pattern[str], name: str) -> int:
    found = _id(pattern.search(name))
    if found is None or not re.fullmatch(r"\d{1,18}", found):
        raise DataError(
            f"{name}: data.group.runs.number {pattern.pattern!r} finds no whole number; correct it"
        )
    return int(found)


def upright_size(path: Path) -> tuple[int, int]:
    """Return width and height of a picture as it is read, from its head. Raises DataError."""
    try:
        with Image.open(path, formats=FORMATS) as picture:
            size, turned = picture.size, picture.getexif().get(ORIENTATION, 1) in TURNED
            turned = turned and picture.format != "TIFF"  # of which Pillow gives the upright size
    except Exception as error:  # decoders raise whatever they like on broken bytes
        raise DataError(f"{path}: no picture of a known kind, or cut off ({type(error).__name__})") from error
    return (size[1], size[0]) if turned else size


GROUPS: dict[str, Callable[..., list[Source]]] = {
    "image": image,
    "regex": regex,
    "folder": folder,
    "runs": runs,
    "time": time,
}
