"""Pictures and masks as files in two folders or in one, paired by their names."""

import os
import re
from collections.abc import Iterable
from pathlib import Path

from harness.data.pictures import SUFFIXES
from harness.data.rows import Row, Rows, and_others, existing, is_hidden, whole
from harness.errors import ConfigError, DataError

WHERE = "data.dataset.folders"
WHOLE = "(.*)"  # a file's path below its folder, without its ending
Files = dict[str, Path]  # by what pairs them


def folders(
    cache: Path,
    *,
    images: str,
    masks: str,
    image_id: str = WHOLE,
    mask_id: str = WHOLE,
    missing_masks: str = "error",
) -> Rows:
    """Pair the pictures of two folders, subfolders included, by their paths without the ending.

    `image_id` and `mask_id` are regular expressions for that path; what their (...) capture pairs the two, in any
    case and with or without leading zeros. A file in which nothing is found is no picture, or no mask.
    `missing_masks` is error or clean.
    """
    if missing_masks not in ("error", "clean"):
        raise ConfigError(f"{WHERE}.missing_masks: {missing_masks!r} is not known; known: clean, error")
    image_folder, mask_folder = existing(images, f"{WHERE}.images"), existing(masks, f"{WHERE}.masks")
    if image_folder == mask_folder and mask_id == WHOLE:
        raise ConfigError(
            f"{WHERE}.mask_id: images and masks share a folder; say what a mask's name looks like"
        )
    drawn = _by_id(pictures_below(mask_folder, image_folder), mask_folder, mask_id, "mask_id")
    taken = set(drawn.values())
    others = [path for path in pictures_below(image_folder, mask_folder) if path not in taken]
    found = _by_id(others, image_folder, image_id, "image_id")
    _refuse_unpaired(found, drawn, mask_folder, clean=missing_masks == "clean")
    return Rows(image_folder, _rows(found, drawn, image_folder), notes=_left(others, found))


def pictures_below(folder: Path, other: Path | None = None) -> list[Path]:
    """Return the pictures below `folder`, except those below `other` where that lies inside it."""
    nested = other is not None and other != folder and other.is_relative_to(folder)
    shown = (p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and not is_hidden(p, folder))
    return sorted(
        p for p in shown if p.is_file() and not (nested and other is not None and p.is_relative_to(other))
    )


def id_of(path: Path, folder: Path, pattern: re.Pattern[str]) -> str | None:
    """Return what pairs a file: all that the pattern captures; None where it finds nothing."""
    name = path.relative_to(folder).with_suffix("").as_posix()
    if pattern.pattern == WHOLE:
        return name
    match = pattern.search(name)
    found = "|".join(part for part in match.groups() if part) if match else ""
    parts = found.casefold().replace("/|", "/").split("/")
    return "/".join(re.sub(r"^0+(?=\d+$)", "", part) for part in parts) or None


def _by_id(paths: Iterable[Path], folder: Path, text: str, setting: str) -> Files:
    pattern, found = _pattern(text, f"{WHERE}.{setting}"), Files()
    for path in paths:
        key = id_of(path, folder, pattern)
        if key is None:
            continue
        if key in found:
            raise DataError(f"{path}: {found[key].name} has the same name; keep or rename one of the two")
        found[key] = path
    if not found:
        raise DataError(f"{folder}: holds no picture that {setting} {text!r} fits; check data.dataset")
    return found


def _pattern(text: str, where: str) -> re.Pattern[str]:
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise ConfigError(f"{where}: {text!r} is no regular expression ({error}); correct it") from error
    if not pattern.groups:
        raise ConfigError(f"{where}: {text!r} captures nothing; put (...) around what pairs image and mask")
    return pattern


def _rows(found: Files, drawn: Files, folder: Path) -> list[Row]:
    masks = {key: os.path.relpath(mask, folder) for key, mask in drawn.items()}
    return [whole(path.relative_to(folder).as_posix(), masks.get(key, "")) for key, path in found.items()]


def _left(pictures: Iterable[Path], found: Files) -> tuple[str, ...]:
    taken = set(found.values())
    left = [path for path in pictures if path not in taken]
    if not left:
        return ()
    return (
        f"{len(left)} pictures not taken, as image_id finds nothing in their names (first: {left[0].name})",
    )


def _refuse_unpaired(found: Files, drawn: Files, masks: Path, *, clean: bool) -> None:
    bare = [path for key, path in found.items() if key not in drawn]
    if bare and not clean:
        raise DataError(
            f"{bare[0]}{and_others(bare)}: no mask of that name in {masks}; add it, set image_id and mask_id, "
            "or set missing_masks: clean if such images show no target"
        )
    orphans = [path for key, path in drawn.items() if key not in found]
    if orphans:
        raise DataError(f"{orphans[0]}{and_others(orphans)}: a mask without its image; add or remove it")
