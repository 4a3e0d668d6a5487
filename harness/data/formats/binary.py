"""Sets that come as folders of pictures and binary masks: MVTec AD, KolektorSDD and KolektorSDD2."""

import os
from collections.abc import Iterator
from pathlib import Path

from harness.data.formats.documents import inside, pictures_in, source
from harness.data.formats.drawn import CLEAN, Left
from harness.data.rows import Row, Rows, whole
from harness.errors import DataError

GOOD, MASK, LABEL, TRUTH = "good", "_mask", "_label", "_GT"


def mvtec(cache: Path, *, path: str) -> Rows:
    """Read MVTec AD (Bergmann et al. 2019): a category's folder, or one of several; test and training pictures.

    The class is the kind of defect, with its category where there are several. Good pictures are clean.
    """
    where = "data.dataset.mvtec"
    root = source(path, where)
    categories = (
        [root] if (root / "test").is_dir() else sorted(p.parent for p in root.glob("*/test") if p.is_dir())
    )
    if not categories:
        raise DataError(
            f"{where}.path: {root} holds no test/ as a category of MVTec AD does; name the category"
        )
    left, rows = Left(), list[Row]()
    for category in categories:
        prefix = "" if category == root else f"{category.name}/"
        for picture in pictures_in(category):
            parts = picture.relative_to(category).parts
            if len(parts) == 3 and parts[0] in ("train", "test"):
                rows += _of_mvtec(picture, category, root, (prefix, left))
    return _rows(root, rows, left, grouped=False)


def _of_mvtec(picture: Path, category: Path, root: Path, named: tuple[str, Left]) -> Iterator[Row]:
    prefix, left = named
    kind, name = picture.parent.name, picture.relative_to(root).as_posix()
    inside(root, name, "data.dataset.mvtec")
    if kind == GOOD:
        yield whole(name, "", CLEAN)
        return
    mask = category / "ground_truth" / kind / f"{picture.stem}{MASK}.png"
    if mask.is_file():
        inside(root, mask.relative_to(root).as_posix(), "data.dataset.mvtec")
        yield whole(name, os.path.relpath(mask, root), f"{prefix}{kind}")
    else:
        left.add(f"no mask in ground_truth/{kind}", picture.name)


def kolektor(cache: Path, *, path: str) -> Rows:
    """Read KolektorSDD (Tabernik et al. 2019; an item a folder, its group) or KolektorSDD2 (Bozic et al. 2021)."""
    where = "data.dataset.kolektor"
    root = source(path, where)
    found = pictures_in(root)
    masks = {picture for picture in found if picture.stem.endswith((LABEL, TRUTH))}
    if not masks:
        raise DataError(
            f"{where}.path: {root} holds no picture named *{LABEL}.* or *{TRUTH}.*; name the set's folder"
        )
    items = any(mask.stem.endswith(LABEL) for mask in masks)
    by_name = {mask.with_name(mask.stem.removesuffix(LABEL).removesuffix(TRUTH)): mask for mask in masks}
    left, rows = Left(), list[Row]()
    for picture in found:
        if picture in masks:
            continue
        name, mask = picture.relative_to(root).as_posix(), by_name.get(picture.with_suffix(""))
        inside(root, name, where)
        if mask is None:
            left.add("no mask of its name", name)
            continue
        inside(root, mask.relative_to(root).as_posix(), where)
        row = whole(name, os.path.relpath(mask, root), "defect")
        rows.append(row | ({"group": picture.parent.relative_to(root).as_posix()} if items else {}))
    return _rows(root, rows, left, grouped=items)


def _rows(root: Path, rows: list[Row], left: Left, *, grouped: bool) -> Rows:
    if not rows:
        raise DataError(
            f"{root}: no picture can be taken from it: {next(iter(left.notes()), 'there is none')}"
        )
    clean = sum(not row["mask"] for row in rows)
    read = f"{len(rows)} pictures read{f', {clean} of them without a mask' if clean else ''}"
    return Rows(root, rows, grouped, notes=(read, *left.notes()))
