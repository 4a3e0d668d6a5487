"""The size that an annotation says against the size that its picture has."""

from pathlib import Path

from harness.data.formats.shapes import Size
from harness.data.grouping import upright_size
from harness.data.pictures import PIXEL_LIMIT
from harness.errors import DataError

SIDE_LIMIT = 100_000  # px


def picture_size(path: Path) -> Size:
    """Return width and height of a picture, upright, from its head. Raises DataError also for too large ones."""
    size = upright_size(path)
    refuse_too_large(size, f"{path}")
    return size


def refuse_too_large(size: Size, where: str) -> None:
    """Raise DataError for sides and areas that no picture here may have, before anything is allocated."""
    if max(size) > SIDE_LIMIT or size[0] * size[1] > PIXEL_LIMIT:
        raise DataError(
            f"{where}: {size[0]:,} x {size[1]:,} px, above {SIDE_LIMIT:,} a side or {PIXEL_LIMIT:,} in all; "
            "cut it into tiles"
        )


def agreed_size(path: Path, declared: Size | None, where: str) -> Size:
    """Return a picture's size, which is that of its annotation if that says one. Raises DataError."""
    if declared is not None:
        refuse_too_large(declared, where)
    size = picture_size(path)
    if declared is None or declared == size:
        return size
    said, real = f"{declared[0]} x {declared[1]} px", f"{size[0]} x {size[1]}"
    if declared == size[::-1]:
        raise DataError(
            f"{where}: drawn on {said}, but {path.name} is {real} upright, the sides swapped; it was annotated "
            "before its camera's turn (EXIF) was applied, or its size is written as height, width: export it again"
        )
    raise DataError(
        f"{where}: drawn on {said}, but {path.name} is {real}; give the picture that was annotated"
    )


def refuse_other_size(image: Path, mask: Path) -> None:
    """Raise DataError where a picture and its mask differ in size."""
    size, drawn = picture_size(image), picture_size(mask)
    if size != drawn:
        raise DataError(
            f"{image}: {size[0]} x {size[1]} px upright, but its mask {mask.name} has {drawn[0]} x {drawn[1]}; "
            "export both at one size and orientation"
        )
