"""Rows of pictures whose masks are drawn from annotations, into the cache; the originals stay as they are."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from harness.data.formats.keep import DRAWING_VERSION, kept, mask_name, write_mask
from harness.data.formats.limits import new_digest, refuse_repeats, refuse_too_many, update
from harness.data.formats.masks import IGNORE, TARGET, mask_of
from harness.data.formats.places import is_there
from harness.data.formats.polygons import outside
from harness.data.formats.shapes import BOX, Listed, Object, Rings, Runs, Size
from harness.data.formats.sizes import agreed_size
from harness.data.formats.told import Left, taken
from harness.data.formats.wanted import Wanted
from harness.data.rows import Row, Rows, whole
from harness.errors import DataError

VALUES = f"{{background: 0, target: {TARGET}, ignore: {IGNORE}}}"
IGNORED = f"are drawn as {IGNORE}, which counts for nothing: declare data.masks: {VALUES}"


@dataclass(frozen=True)
class Listing:
    """What the annotations of a data set list; `known` are the classes that they declare."""

    root: Path
    pictures: Sequence[Listed]
    files: int
    known: Iterable[str] = ()
    left: Left = field(default_factory=Left)
    notes: tuple[str, ...] = ()


class Drawing(NamedTuple):
    """A picture, its size, the objects to draw, and the file name of its mask; none for no object."""

    name: str
    size: Size
    objects: list[Object]
    mask: str


def rows_of(cache: Path, listing: Listing, wanted: Wanted) -> Rows:
    """Return the rows of a data set, masks drawn. Raises ConfigError for unknown classes, DataError."""
    wanted.refuse_unknown([*listing.known, *(o.label for p in listing.pictures for o in p.objects)])
    refuse_too_many(listing.pictures)
    refuse_repeats(listing.pictures)
    ordered = sorted(listing.pictures, key=lambda picture: picture.name)
    drawings = [d for n, p in enumerate(ordered) if (d := _drawing(n, p, listing, wanted))]
    listing.left.refuse_nothing(len(drawings), listing.root)
    _refuse_crowds_alone(drawings, listing.root)
    masks = os.path.relpath(_drawn(cache, wanted.form, drawings), listing.root)
    rows = [_row(drawing, masks, wanted) for drawing in drawings]
    return Rows(listing.root, rows, notes=_notes(listing, drawings))


def _refuse_crowds_alone(drawings: Sequence[Drawing], root: Path) -> None:
    """Raise DataError where nothing but crowd regions is drawn, as in what CVAT exports of brush masks."""
    objects = [o for drawing in drawings for o in drawing.objects]
    if objects and all(o.ignored for o in objects):
        raise DataError(
            f"{root}: all {len(objects):,} objects are crowd regions (or void), which count for nothing; where they "
            "are the targets (CVAT's COCO export calls every brush mask a crowd), set crowds: fill"
        )


def _drawing(number: int, picture: Listed, listing: Listing, wanted: Wanted) -> Drawing | None:
    """Return what to draw of a picture, or None where it is left out, which is counted."""
    objects = [o for o in picture.objects if wanted.takes(o.label)]
    flaw = next((o.flaw for o in objects if o.flaw and not (wanted.fill and o.flaw == BOX)), "")
    if not flaw and not is_there(listing.root, picture.name, picture.where):
        flaw = "the file is not there"
    if flaw:
        listing.left.add(flaw, picture.name)
        return None
    size = agreed_size(listing.root / picture.name, picture.size, picture.where)
    inside = _inside(objects, size, picture.name, listing.left)
    return Drawing(picture.name, size, inside, mask_name(number, picture.name) if inside else "")


def _inside(objects: list[Object], size: Size, name: str, left: Left) -> list[Object]:
    """Return the objects that cover something of their picture."""
    rings = [area for o in objects for area in o.areas if isinstance(area, Rings)]
    off = {id(area) for area, out in zip(rings, outside(rings, size), strict=True) if out}
    off |= {id(area) for o in objects for area in o.areas if isinstance(area, Runs) and not len(area.starts)}
    found = [o for o in objects if any(id(area) not in off for area in o.areas)]
    for _ in range(len(objects) - len(found)):
        left.add("outside of its picture, or of no pixel", f"in {name}", what="object")
    return found


def _drawn(cache: Path, form: str, drawings: Sequence[Drawing]) -> Path:
    """Return the folder of the masks, drawn now unless the same were drawn before."""

    def write(folder: Path) -> None:
        for drawing in drawings:
            if drawing.mask:
                write_mask(folder / drawing.mask, mask_of(drawing.objects, drawing.size, drawing.name))

    if not any(drawing.mask for drawing in drawings):
        return cache
    digest = new_digest(form, DRAWING_VERSION)
    for drawing in drawings:
        update(digest, drawing.name, drawing.size, drawing.objects)
    return kept(cache, f"{form}-{digest.hexdigest()[:16]}", write)


def _row(drawing: Drawing, masks: str, wanted: Wanted) -> Row:
    mask = Path(masks, drawing.mask).as_posix() if drawing.mask else ""
    return whole(drawing.name, mask, wanted.class_id(o.label for o in drawing.objects if not o.ignored))


def _notes(listing: Listing, drawings: Sequence[Drawing]) -> tuple[str, ...]:
    objects = [o for drawing in drawings for o in drawing.objects]
    clean = sum(all(o.ignored for o in drawing.objects) for drawing in drawings)
    ignored = sum(o.ignored for o in objects)
    return (
        taken(len(drawings), clean, len(objects), listing.files),
        *((f"{ignored:,} crowd regions {IGNORED}",) if ignored else ()),
        *listing.notes,
        *listing.left.notes(),
    )
