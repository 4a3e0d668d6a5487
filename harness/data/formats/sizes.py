"""The size that an annotation says against the size that its picture has."""

import os
import struct
from pathlib import Path
from typing import BinaryIO

from harness.data.formats.shapes import Size
from harness.data.grouping import upright_size
from harness.data.pictures import PIXEL_LIMIT
from harness.errors import DataError

SIDE_LIMIT = 100_000  # px
PNG_START = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
PNG_HEAD = struct.Struct(">16sII")  # start, width, height
TELLING = frozenset({b"eXIf", b"acTL"})  # chunks that may hold a turn, or tell of more pictures
TEXTS = frozenset({b"tEXt", b"zTXt", b"iTXt"})


def picture_size(path: Path) -> Size:
    """Return width and height of a picture, upright, from its head. Raises DataError also for too large ones."""
    size = _plain_png(path) or upright_size(path)
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


def _plain_png(path: Path) -> Size | None:
    """Return the size of a whole PNG that says nothing of a turn; Pillow would decode all of it to look for that."""
    try:
        with path.open("rb") as file:
            head = file.read(PNG_HEAD.size)
            if len(head) == PNG_HEAD.size and head.startswith(PNG_START):
                _, width, height = PNG_HEAD.unpack(head)
                return (width, height) if _is_plain(file) else None
    except OSError:  # which is told when it is read
        pass
    return None


def _is_plain(file: BinaryIO) -> bool:
    """Tell whether a PNG, read from its second chunk on, is whole and holds neither a turn nor more pictures."""
    file.seek(33)
    while len(chunk := file.read(8)) == 8 and chunk[4:] not in TELLING:
        if chunk[4:] == b"IEND":
            return True
        if chunk[4:] in TEXTS and file.read(4) in (b"Raw ", b"XML:"):  # profiles may hold a turn
            return False
        file.seek(int.from_bytes(chunk[:4], "big") + 4 - (4 if chunk[4:] in TEXTS else 0), os.SEEK_CUR)
    return False
