"""Pictures and masks as files of the same names, in two folders or in one."""

import os
from collections.abc import Iterable
from pathlib import Path

from harness.data.pictures import SUFFIXES
from harness.data.rows import Row, Rows, and_others, existing, whole
from harness.errors import ConfigError, DataError


def folders(
    cache: Path,
    *,
    images: str,
    masks: str,
    mask_suffix: str = "",
    missing_masks: str = "error",
) -> Rows:
    """Pair the pictures of two folders, subfolders included; a mask has its image's name plus `mask_suffix`.

    `missing_masks` is error or clean.
    """
    where = "data.dataset.folders"
    if missing_masks not in ("error", "clean"):
        raise ConfigError(f"{where}.missing_masks: {missing_masks!r} is not known; known: clean, error")
    image_folder, mask_folder = existing(images, f"{where}.images"), existing(masks, f"{where}.masks")
    if image_folder == mask_folder and not mask_suffix:
        raise ConfigError(f"{where}.mask_suffix: images and masks share a folder; say what masks end in")
    found, drawn = _pictures_of(image_folder, mask_folder, mask_suffix)
    _refuse_unpaired(found, drawn, mask_folder, clean=missing_masks == "clean")
    rows: list[Row] = []
    for key, image in found.items():
        mask = os.path.relpath(drawn[key], image_folder) if key in drawn else ""
        rows.append(whole(image.relative_to(image_folder).as_posix(), mask))
    return Rows(image_folder, rows)


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
            f"{bare[0]}{and_others(bare)}: no mask of that name in {masks}; add it, set mask_suffix, "
            "or set missing_masks: clean if such images show no target"
        )
    orphans = [path for key, path in drawn.items() if key not in found]
    if orphans:
        raise DataError(f"{orphans[0]}{and_others(orphans)}: a mask without its image; add or remove it")
