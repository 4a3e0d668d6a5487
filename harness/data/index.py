"""The table of samples, one row a picture with its mask: from a CSV, folder pairs or the built-in demo."""

import csv as csv_files
import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from harness.choices import choose, nearest
from harness.config import Choice
from harness.data.demo import DEMO_VERSION, write_demo
from harness.data.pictures import SUFFIXES
from harness.errors import ConfigError, DataError

RENAMED = {"sample_path": "sample", "mask_path": "mask", "source_image_id": "group"}
REQUIRED = (*RENAMED, "class_id", "scale")
OPTIONAL = ("photo_id", "instance_id", "fold")
BOX = ("x0", "y0", "w", "h")
COLUMNS = ("sample", "mask", "group", "photo", "instance", "class_id", "scale", *BOX, "fold")
BLANK = frozenset({"", "nan", "<na>", "null"})  # "none" and "na" may be names of classes

Row = dict[str, Any]


@dataclass(frozen=True)
class Index:
    """Samples and the folder that their paths are relative to.

    Rows are sorted by (group, photo, sample), `sample` is unique. An empty `mask` is a picture declared clean.
    """

    root: Path
    samples: pd.DataFrame


def index_samples(choice: Choice, *, base: Path, cache: Path) -> Index:
    """Return the samples of `data.dataset`; relative paths start at `base`, the demo is drawn into `cache`.

    `base` is the study file's folder. Raises ConfigError for wrong settings, DataError for unusable data.
    """
    where = f"data.dataset.{choice.name}"
    settings = dict(choice.settings)
    for name in sorted(settings.keys() & {"root", "images", "masks"}):
        if isinstance(settings[name], str):
            settings[name] = _resolved(settings[name], f"{where}.{name}", base)
    return choose(DATASETS, "data.dataset", choice.name, settings)(cache)


def demo(cache: Path, *, sources: int = 60, seed: int = 1) -> Index:
    """Draw the built-in data set once; see harness/data/demo.py."""
    root = cache / f"demo-{DEMO_VERSION}-{sources}-{seed}"
    write_demo(root, sources=sources, seed=seed)
    return instances(cache, root=str(root))


def instances(cache: Path, *, root: str, csv: str = "instances.csv") -> Index:
    """Read a table of samples; its paths are relative to `root`, as is `csv`.

    Required columns: sample_path, mask_path, source_image_id, class_id, scale. Optional: photo_id,
    instance_id, fold (0, 1, ..., -1 for held-out), the crop box x0, y0, w, h in pixels of the photo.
    """
    folder = _folder(root, "data.dataset.instances.root")
    path = folder / csv
    rows = _parsed(path)
    _refuse_repeats(path, rows)
    _refuse_missing_files(path, rows, folder)
    for column, kind in (("photo", "photo_id"), ("instance", "instance_id")):
        _refuse_shared(path, rows, column, kind)
    return Index(folder, _table(rows))


def folders(
    cache: Path,
    *,
    images: str,
    masks: str,
    group: str | None = None,
    mask_suffix: str = "",
    missing_masks: str = "error",
) -> Index:
    """Pair the pictures of two folders, subfolders included; a mask has its image's name plus `mask_suffix`.

    `group` is a regular expression with one capture group, searched in the image path relative to `images`:
    it captures the source image's id; without it every image is a source. `missing_masks` is error or clean.
    """
    where = "data.dataset.folders"
    if missing_masks not in ("error", "clean"):
        raise ConfigError(f"{where}.missing_masks: {missing_masks!r} is not known; known: clean, error")
    pattern = None if group is None else _pattern(group, f"{where}.group")
    image_folder, mask_folder = _folder(images, f"{where}.images"), _folder(masks, f"{where}.masks")
    if image_folder == mask_folder and not mask_suffix:
        raise ConfigError(f"{where}.mask_suffix: images and masks share a folder; say what masks end in")
    found, drawn = _pictures_of(image_folder, mask_folder, mask_suffix)
    _refuse_unpaired(found, drawn, mask_folder, clean=missing_masks == "clean")
    rows: list[Row] = []
    for key, image in found.items():
        sample = image.relative_to(image_folder).as_posix()
        mask = os.path.relpath(drawn[key], image_folder) if key in drawn else ""
        source = _captured(pattern, sample) if pattern else sample
        rows.append({"sample": sample, "mask": mask, "group": source, "photo": sample})
    return Index(image_folder, _table([row | {"class_id": "target", "scale": "full"} for row in rows]))


def _table(rows: Sequence[Row]) -> pd.DataFrame:
    """Return the sorted table; by default the k-th row of each scale of a photo and class is one instance."""
    table = pd.DataFrame(rows, columns=COLUMNS, dtype=object)
    table = table.sort_values(["group", "photo", "sample"], ignore_index=True)
    turn = table.groupby(["photo", "class_id", "scale"]).cumcount().astype(str)
    table["instance"] = table["instance"].fillna(table["photo"] + "|" + table["class_id"] + "|" + turn)
    return table.astype(dict.fromkeys(COLUMNS[:7], "str") | dict.fromkeys(COLUMNS[7:], "Int64"))


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
        raise DataError(f"{missing[0]}{_and_others(missing)}; add it or remove its row")


def _refuse_shared(path: Path, rows: Sequence[Row], column: str, written: str) -> None:
    """Refuse a photo or an instance that stands in two groups: a fold could then hold a part of it."""
    owner: dict[str, str] = {}
    for name, group in ((row[column], row["group"]) for row in rows if row[column] is not None):
        if owner.setdefault(name, group) != group:
            both = f"{owner[name]!r} and {group!r}; give each its own, or join the two"
            raise DataError(f"{path}, {written}: {name!r} stands in the source images {both}")


def _pictures_of(images: Path, masks: Path, ending: str) -> tuple[dict[str, Path], dict[str, Path]]:
    """Return images and masks by subfolder and stem, masks without their `ending`."""
    drawn = _by_stem((p for p in _pictures(masks, images) if p.stem.endswith(ending)), masks, ending)
    mask_paths = set(drawn.values())
    return _by_stem((p for p in _pictures(images, masks) if p not in mask_paths), images, ""), drawn


def _pictures(folder: Path, other: Path) -> list[Path]:
    """Return the pictures below `folder`, except those below `other` where that lies inside it."""
    nested = other != folder and other.is_relative_to(folder)
    shown = (p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))
    return sorted(p for p in shown if p.is_file() and not (nested and p.is_relative_to(other)))


def _by_stem(paths: Iterable[Path], folder: Path, ending: str) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in paths:
        key = path.relative_to(folder).with_suffix("").as_posix().removesuffix(ending)
        if key in found:
            raise DataError(f"{path}: {found[key].name} has the same name; keep or rename one of the two")
        found[key] = path
    if not found:
        raise DataError(f"{folder}: holds no picture named *{ending}.*; check data.dataset")
    return found


def _refuse_unpaired(found: dict[str, Path], drawn: dict[str, Path], masks: Path, *, clean: bool) -> None:
    bare = [path for key, path in found.items() if key not in drawn]
    if bare and not clean:
        raise DataError(
            f"{bare[0]}{_and_others(bare)}: no mask of that name in {masks}; add it, set mask_suffix, "
            "or set missing_masks: clean if such images show no target"
        )
    orphans = [path for key, path in drawn.items() if key not in found]
    if orphans:
        raise DataError(f"{orphans[0]}{_and_others(orphans)}: a mask without its image; add or remove it")


def _pattern(group: str, where: str) -> re.Pattern[str]:
    try:
        pattern = re.compile(group)
    except re.error as error:
        raise ConfigError(f"{where}: {group!r} is no regular expression ({error}); correct it") from error
    if "group" not in pattern.groupindex and pattern.groups != 1:
        raise ConfigError(f"{where}: {group!r} has {pattern.groups} capture groups; put (...) around the id")
    return pattern


def _captured(pattern: re.Pattern[str], sample: str) -> str:
    match = pattern.search(sample)
    source = match["group" if "group" in pattern.groupindex else 1] if match else None
    if not source:
        raise DataError(f"{sample}: data.dataset.folders.group {pattern.pattern!r} finds no id; widen it")
    return source


def _resolved(text: str, where: str, base: Path) -> str:
    """Return an absolute path; `~` and `${NAME}` are expanded."""

    def value(match: re.Match[str]) -> str:
        if not (found := os.environ.get(match[1])):
            unset = f"the environment variable {match[1]} in {text!r} is not set"
            raise ConfigError(f"{where}: {unset}; export {match[1]}=/path/to/the/folder")
        return found

    return str(base / Path(re.sub(r"\$\{(\w+)\}", value, text)).expanduser())


def _folder(text: str, where: str) -> Path:
    folder = Path(text).resolve()
    if not folder.is_dir():
        raise DataError(f"{where}: there is no folder {folder}; correct the path")
    return folder


def _and_others(found: Sequence[object]) -> str:
    return f" (and {len(found) - 1} more)" if len(found) > 1 else ""


DATASETS: dict[str, Callable[..., Index]] = {"demo": demo, "instances": instances, "folders": folders}
