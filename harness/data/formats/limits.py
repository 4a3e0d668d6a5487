"""How much annotations may hold, and the digest of what is drawn from them."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.data.formats.shapes import Area, Bitmap, Listed, Object, Rings, Runs, Size
from harness.errors import DataError

if TYPE_CHECKING:
    from hashlib import _Hash

OBJECT_LIMIT = 1_000_000  # areas of one picture
POINT_LIMIT = 10_000_000  # points and runs of one annotation file


def refuse_too_many(pictures: Sequence[Listed]) -> None:
    """Raise DataError for more areas in a picture, or points in a file, than are drawn in reasonable time."""
    points: Counter[Path] = Counter()
    for picture in pictures:
        areas = [area for found in picture.objects for area in found.areas]
        points[picture.file] += sum(map(_points, areas))
        if len(areas) > OBJECT_LIMIT:
            raise DataError(
                f"{picture.where}: more than {OBJECT_LIMIT:,} outlines in one picture; simplify them"
            )
    for file, count in points.items():
        if count > POINT_LIMIT:
            raise DataError(
                f"{file}: {count:,} points, above {POINT_LIMIT:,} in one file; split it by pictures"
            )


def _points(area: Area) -> int:
    if isinstance(area, Rings):
        return sum(map(len, area.rings))
    return len(area.starts) if isinstance(area, Runs) else 1


def refuse_repeats(pictures: Sequence[Listed]) -> None:
    """Raise DataError for a picture that is listed twice: each could miss what the other draws."""
    seen: dict[str, str] = {}
    for picture in pictures:
        if picture.name in seen:
            first = seen[picture.name]
            raise DataError(
                f"{picture.where}: {picture.name!r} stands in {first} already; keep one, or name one file as path"
            )
        seen[picture.name] = picture.where


def update(digest: "_Hash", name: str, size: Size, objects: Iterable[Object]) -> None:
    """Add to a digest all that decides the pixels of a picture's mask, and its name."""
    digest.update(f"\n{name!r} {size}".encode())
    for found in objects:
        digest.update(b"ignored" if found.ignored else b"target")
        for area in found.areas:
            _add(digest, area)


def _add(digest: "_Hash", area: Area) -> None:
    if isinstance(area, Bitmap):
        digest.update(
            f"{area.x} {area.y} {area.zipped} {len(area.png)} {area.png}".encode("utf-8", "replace")
        )
        return
    arrays = area.rings if isinstance(area, Rings) else (area.starts, area.ends)
    by_columns = isinstance(area, Runs) and area.by_columns
    digest.update(f"{type(area).__name__} {by_columns} {[len(array) for array in arrays]}".encode())
    for array in arrays:
        digest.update(array.tobytes())


def new_digest(*parts: object) -> "_Hash":
    """Return a digest that begins with these."""
    return hashlib.sha256(repr(parts).encode())
