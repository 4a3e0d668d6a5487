"""What each sample's two files hold: decoded once, then known again by their bytes."""

import hashlib
import json
import os
from collections.abc import Hashable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.config import Data
from harness.data.copies.recognize import recognize
from harness.data.copies.search import keep_mark
from harness.data.kept import Kept
from harness.data.measures import Measures, Numbers, measure, objects_of
from harness.data.pictures import image_pixels, mask_pixels, read_file, to_8_bits
from harness.errors import DataError

CONTENT_VERSION = 2  # part of what is kept on disk; raise it when a number of Content or Measures changes
RATIO_TOLERANCE = 0.02  # of a box's w/h against its file's
MOST_AT_ONCE, BYTES_AT_ONCE = 32, 16_000_000  # samples, and bytes of their files, that a thread holds

Row = dict[Hashable, Any]


@dataclass(frozen=True)
class Content:
    """What one sample's two files hold; counts in pixels of the file, upright."""

    height: int
    width: int
    channels: int
    file_bytes: int
    file_sha256: str
    pixels_sha256: str  # at stored depth; gray saved as RGB counts as gray
    constant: bool  # all pixels are equal, so that equal pictures need not show one thing
    mask_sha256: str  # of the mask in 0, 1, 255
    positive: int  # target pixels
    valid: int  # pixels that are not ignored
    objects: int  # 8-connected parts of the target


@dataclass(frozen=True)
class Read:
    """What was learned of one sample's two files; `areas` are the px of each object."""

    content: Content
    measures: Measures
    areas: Numbers
    brightest: int | None  # of a 16-bit picture


def read_all(
    rows: Sequence[Row], root: Path, data: Data, *, kept: Kept | None = None, threads: int = 2
) -> Iterator[Read | DataError]:
    """Yield in the rows' order what the files of each hold, or the error, for the caller to count.

    With `kept`, files that were read before are not decoded again, and fingerprints are taken on the way.
    """
    with ThreadPoolExecutor(threads) as pool:
        read_part = partial(_read_part, root=root, data=data, kept=kept, settings=_settings(data))
        for part in pool.map(read_part, _parts(rows, root)):
            yield from part


def _parts(rows: Sequence[Row], root: Path) -> Iterator[list[Row]]:
    """Yield a few rows at a time, whose files take little memory; what is kept of them is asked for at once."""
    part: list[Row] = []
    held = 0
    for row in rows:
        size = sum(_file_size(root / row[kind]) for kind in ("sample", "mask") if row[kind])
        if part and (len(part) == MOST_AT_ONCE or held + size > BYTES_AT_ONCE):
            yield part
            part, held = [], 0
        part.append(row)
        held += size
    if part:
        yield part


def _file_size(path: Path) -> int:
    try:
        return os.stat(path).st_size
    except OSError:  # which is told when it is read
        return 0


def _read_part(
    rows: Sequence[Row], *, root: Path, data: Data, kept: Kept | None, settings: bytes
) -> list[Read | DataError]:
    files = [_files(row, root) for row in rows]
    keys = ["" if isinstance(pair, DataError) else _key(settings, *pair) for pair in files]
    known = kept.get_all([key for key in keys if key]) if kept else {}
    new: dict[str, bytes] = {}
    read: list[Read | DataError] = []
    for row, pair, key in zip(rows, files, keys, strict=True):
        try:
            if isinstance(pair, DataError):
                raise pair
            one, pixels = _read(row, root, data, pair, known.get(key))
            if kept and pixels is not None:
                mark = recognize(pixels).to_bytes()
                new |= {key: _to_json(one), keep_mark(one.content.pixels_sha256): mark}
            read.append(one)
        except DataError as error:
            read.append(error)
    if kept and new:
        kept.put(new)
    return read


def _files(row: Row, root: Path) -> tuple[bytes, bytes] | DataError:
    try:
        return read_file(root / row["sample"]), read_file(root / row["mask"]) if row["mask"] else b""
    except DataError as error:
        return error


def _settings(data: Data) -> bytes:
    """Return the settings that files are read with."""
    return json.dumps([CONTENT_VERSION, data.masks.model_dump(), data.white, data.size]).encode()


def _key(settings: bytes, file: bytes, mask: bytes) -> str:
    """Return the key of what is kept of two files: their contents, and the settings that they are read with."""
    digest = hashlib.sha256(settings + hashlib.sha256(file).digest() + hashlib.sha256(mask).digest())
    return f"content {digest.hexdigest()}"


def _read(
    row: Row, root: Path, data: Data, files: tuple[bytes, bytes], known: bytes | None
) -> tuple[Read, NDArray[Any] | None]:
    """Return what the files hold, and the picture where it was not `known` and had to be decoded."""
    path, pixels = root / row["sample"], None
    if known is None:
        pixels = image_pixels(files[0], path)
        read = _content(row, root, data, pixels, *files)
    else:
        read = _from_json(known)
    _refuse_other_ratio(path, row, (read.content.height, read.content.width))
    return read, pixels


def _content(row: Row, root: Path, data: Data, pixels: NDArray[Any], file: bytes, mask_file: bytes) -> Read:
    path = root / row["sample"]
    image = to_8_bits(pixels, path, white=data.white)
    mask = np.zeros(pixels.shape[:2], dtype=np.uint8)
    if row["mask"]:
        mask = mask_pixels(mask_file, root / row["mask"], data.masks)
    _refuse_other_shape(path, row, pixels.shape[:2], mask.shape)
    objects = objects_of(mask)
    content = Content(
        height=pixels.shape[0],
        width=pixels.shape[1],
        channels=1 if pixels.ndim == 2 else pixels.shape[2],
        file_bytes=len(file),
        file_sha256=hashlib.sha256(file).hexdigest(),
        pixels_sha256=picture_sha256(pixels),
        constant=bool((pixels == pixels[0, 0]).all()),
        mask_sha256=array_sha256(mask),
        positive=len(objects.rows),
        valid=int((mask != 255).sum()),
        objects=len(objects.areas),
    )
    brightest = int(pixels.max()) if pixels.dtype == np.uint16 else None
    return Read(content, measure(image, mask, objects, data.size), objects.areas, brightest)


def _to_json(read: Read) -> bytes:
    document = vars(read) | {"content": vars(read.content), "measures": vars(read.measures)}
    return json.dumps(document | {"areas": read.areas.tolist()}).encode()


def _from_json(kept: bytes) -> Read:
    document = json.loads(kept)
    content, measures = Content(**document["content"]), Measures(**document["measures"])
    return Read(content, measures, np.array(document["areas"], np.intp), document["brightest"])


def _refuse_other_shape(path: Path, row: Row, image: tuple[int, ...], mask: tuple[int, ...]) -> None:
    if image != mask:
        raise DataError(
            f"{path}: {image[1]} x {image[0]} px upright, but its mask {row['mask']} has {mask[1]} x {mask[0]}; "
            "export both at one size and orientation"
        )


def _refuse_other_ratio(path: Path, row: Row, shape: tuple[int, ...]) -> None:
    """The file shows its box of the photo, perhaps resized and then rounded to whole pixels."""
    if pd.isna(row["w"]):
        return
    (height, width), box_width, box_height = shape, int(row["w"]), int(row["h"])
    off = [abs(height - box_height * width / box_width), abs(width - box_width * height / box_height)]
    ratio = (width * box_height) / (height * box_width)
    if min(off) > 1 and abs(ratio - 1) > RATIO_TOLERANCE:
        raise DataError(
            f"{path}: {width} x {height} px, but its box is {box_width} x {box_height}; "
            "a file shows its whole box, perhaps resized: correct x0, y0, w, h"
        )


def picture_sha256(pixels: NDArray[Any]) -> str:
    """Return the hash of a picture's content at stored depth; gray saved as RGB has that of gray."""
    gray = pixels.ndim == 3 and (pixels == pixels[:, :, :1]).all()
    return array_sha256(pixels[:, :, 0] if gray else pixels)


def array_sha256(array: NDArray[Any]) -> str:
    """Return the hash of an array's type, shape and values."""
    head = f"{array.dtype.str} {array.shape} ".encode()
    return hashlib.sha256(head + np.ascontiguousarray(array).tobytes()).hexdigest()
