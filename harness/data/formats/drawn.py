"""Pictures with the shapes that somebody drew, made into rows: masks in the cache, keyed by all that is drawn."""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from harness.choices import nearest
from harness.data.formats.documents import refuse_size
from harness.data.formats.polygons import Outline, Shape, paint
from harness.data.grouping import upright_size
from harness.data.pictures import PIXEL_LIMIT
from harness.data.rows import Row, Rows, whole
from harness.errors import ConfigError, DataError

DRAWING_VERSION = 1  # part of every key: raise it when a pixel of a mask changes
BACKGROUND, TARGET, IGNORE = 0, 255, 128
CLEAN = "clean"
MOST_SHAPES = 100_000  # of a picture
MOST_POINTS = 10_000_000  # of a set

Size = tuple[int, int]  # W, H


@dataclass
class Drawn:
    """A picture (its path lies below the root), the size that its shapes were drawn on, and what is target on it."""

    path: Path
    size: Size
    targets: list[Shape] = field(default_factory=list)
    ignored: list[Shape] = field(default_factory=list)
    classes: set[str] = field(default_factory=set)


@dataclass
class Left:
    """What was not taken: for each reason how often, and the first example."""

    reasons: dict[str, tuple[int, str]] = field(default_factory=dict)

    def add(self, reason: str, example: str) -> None:
        count, first = self.reasons.get(reason, (0, example))
        self.reasons[reason] = (count + 1, first)

    def notes(self) -> list[str]:
        """Return a sentence each."""
        return [
            f"{count} {'picture' if count == 1 else 'pictures'} skipped: {reason} (first: {first})"
            for reason, (count, first) in self.reasons.items()
        ]


def wanted_classes(classes: Sequence[str] | None, known: Iterable[str], where: str) -> frozenset[str]:
    """Return the classes that are targets: all, or those asked for. Raises ConfigError for one that does not exist."""
    there = frozenset(known)
    for name in classes or ():
        if name not in there:
            shown = ", ".join(sorted(there)[:20]) or "none"
            raise ConfigError(
                f"{where}.classes: {name!r} is no class of it{nearest(name, there)}; known: {shown}"
            )
    return frozenset(classes) if classes else there


def drawn_rows(
    cache: Path, form: str, root: Path, pictures: Sequence[Drawn], notes: Sequence[str], left: Left
) -> Rows:
    """Return a row a picture, its mask drawn in the cache: 0 background, 255 target, 128 ignored.

    A target covers what is ignored below it. A picture on which nothing is drawn is clean. Masks are drawn once for
    the same pictures and shapes; all of them appear at once, or none. Raises DataError, and then nothing is written.
    """
    if not pictures:
        first = next(iter(left.notes()), "it lists none")
        raise DataError(f"{root}: no picture can be taken from it: {first}")
    for picture in pictures:
        _refuse_other_size(picture)
    _refuse_too_many(pictures, root)
    shown = [picture for picture in pictures if picture.targets or picture.ignored]
    folder = cache / f"masks-{form}-{_digest(shown, root)}"
    if shown and not folder.is_dir():
        _draw(shown, root, folder)
    masks = {id(picture): os.path.relpath(_mask_of(picture, root, folder), root) for picture in shown}
    rows = [_row(picture, masks.get(id(picture), ""), root) for picture in pictures]
    clean = sum(row["class_id"] == CLEAN for row in rows)
    return Rows(
        root,
        rows,
        notes=(*notes, f"{len(rows)} pictures read, {clean} of them without a target", *left.notes()),
    )


def _row(picture: Drawn, mask: str, root: Path) -> Row:
    name = picture.path.relative_to(root).as_posix()
    return whole(name, mask, "+".join(sorted(picture.classes)) if picture.targets else CLEAN)


def _refuse_other_size(picture: Drawn) -> None:
    """Shapes of another size would lie elsewhere; tools show a picture upright, as it is read here."""
    found, drawn = upright_size(picture.path), picture.size
    refuse_size(drawn, str(picture.path))
    if found == drawn:
        return
    turned = " (turned by its EXIF orientation)" if found == drawn[::-1] else ""
    raise DataError(
        f"{picture.path}: {found[0]} x {found[1]} px upright, but annotated at {drawn[0]} x {drawn[1]}{turned}; "
        "export both at one size and orientation"
    )


def _refuse_too_many(pictures: Sequence[Drawn], root: Path) -> None:
    points = 0
    for picture in pictures:
        shapes = [*picture.targets, *picture.ignored]
        if len(shapes) > MOST_SHAPES:
            raise DataError(
                f"{picture.path}: {len(shapes):,} shapes on one picture, more than {MOST_SHAPES:,}; export masks"
            )
        points += sum(len(points) for shape in shapes if isinstance(shape, Outline) for points in shape.rings)
    if points > MOST_POINTS:
        raise DataError(
            f"{root}: outlines of {points:,} points, more than {MOST_POINTS:,}; export masks instead"
        )


def _digest(pictures: Sequence[Drawn], root: Path) -> str:
    """Return the key of all masks together."""
    digest = hashlib.sha256(json.dumps([DRAWING_VERSION, TARGET, IGNORE]).encode())
    for picture in pictures:
        digest.update(json.dumps([picture.path.relative_to(root).as_posix(), picture.size]).encode())
        for part in _parts(picture):
            digest.update(part)
    return digest.hexdigest()[:24]


def _parts(picture: Drawn) -> Iterator[bytes]:
    for kind, shapes in (("target", picture.targets), ("ignored", picture.ignored)):
        for shape in shapes:
            if isinstance(shape, Outline):
                yield json.dumps([kind, [len(points) for points in shape.rings]]).encode()
                yield from (points.tobytes() for points in shape.rings)
            else:
                yield json.dumps([kind, shape.x, shape.y, shape.pixels.shape]).encode()
                yield np.packbits(shape.pixels).tobytes()


def _draw(pictures: Sequence[Drawn], root: Path, folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".masks-", dir=folder.parent) as workshop:
        made = Path(workshop, "masks")
        for picture in pictures:
            path = _mask_of(picture, root, made)
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(mask_of(picture)).save(path)
        try:
            os.replace(made, folder)
        except OSError:
            if not folder.is_dir():  # else another one was first, with the same pixels
                raise


def mask_of(picture: Drawn) -> "np.ndarray[tuple[int, int], np.dtype[np.uint8]]":
    """Return the mask (H, W) of what is drawn on a picture."""
    width, height = picture.size
    assert width * height <= PIXEL_LIMIT
    mask = np.full((height, width), BACKGROUND, np.uint8)
    for shape in picture.ignored:
        paint(mask, shape, IGNORE)
    for shape in picture.targets:
        paint(mask, shape, TARGET)
    return mask


def _mask_of(picture: Drawn, root: Path, folder: Path) -> Path:
    return folder / f"{picture.path.relative_to(root).as_posix()}.png"
