"""Decode every file once: sizes, content hashes and object counts of each sample, and the digest of the data."""

import hashlib
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.config import Data
from harness.data.copies.recognize import recognize
from harness.data.copies.search import keep_mark
from harness.data.index import Index
from harness.data.kept import Kept
from harness.data.measures import Measures, Numbers, count_sizes, measure, objects_of
from harness.data.pictures import PIXEL_LIMIT, image_pixels, mask_pixels, read_file, to_8_bits
from harness.errors import DataError

CONTENT_VERSION = 2  # part of what is kept on disk; raise it when a number of Content or Measures changes
DARK_16_BIT = 65535 / 4  # a set whose 16-bit files stay below it hardly uses their range
RATIO_TOLERANCE = 0.02  # of a box's w/h against its file's
DIGESTED = (
    *("group", "photo", "instance", "class_id", "scale", "x0", "y0", "w", "h", "fold"),
    *("pixels_sha256", "mask_sha256", "sample"),
)


@dataclass(frozen=True)
class Manifest:
    """The samples with what is in their files; `digest` (SHA-256) depends on neither row order nor root."""

    samples: pd.DataFrame
    digest: str


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
class _Read:
    """What was learned from one sample's two files."""

    content: Content
    measures: Measures
    areas: Numbers  # px of each object
    brightest: int | None  # of a 16-bit picture


def read_manifest(index: Index, data: Data, *, kept: Kept | None = None, threads: int = 2) -> Manifest:
    """Return the samples with the columns of `Content`, `Measures` and SIZES, every file decoded and checked.

    With `kept`, files that were read before are not decoded again, and fingerprints are taken on the way.
    Raises DataError for crop boxes too far apart, files that cannot be read, masks that do not fit, undeclared mask
    values, 16-bit pictures that need `data.white`, and data without any target pixel. The first bad row in table
    order is named.
    """
    _refuse_vast_photos(index.samples)
    rows = index.samples.to_dict("records")
    with ThreadPoolExecutor(threads) as pool:
        results = list(pool.map(partial(_read, root=index.root, data=data, kept=kept), rows))
    errors = [result for result in results if isinstance(result, DataError)]
    if errors:
        others = f" (and {len(errors) - 1} more cannot be used)" if len(errors) > 1 else ""
        raise DataError(f"{errors[0]}{others}") from errors[0]
    read = [result for result in results if not isinstance(result, DataError)]
    _refuse_dark_16_bit([one.brightest for one in read if one.brightest is not None], data)
    contents = pd.DataFrame([vars(one.content) | vars(one.measures) for one in read])
    found = pd.concat([contents, count_sizes([one.areas for one in read])], axis=1)
    samples = pd.concat([index.samples, found.set_axis(index.samples.index)], axis=1)
    _refuse_without_target(samples, data)
    return Manifest(samples, _digest(samples))


def drop_rare_classes(
    samples: pd.DataFrame, *, below: int, action: Literal["report", "drop"]
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Return the samples to use, and the classes with fewer than `below` source images, with that number.

    Only samples with target pixels count and are dropped; a sample without any is a negative whatever its class
    is called, and stays. Dropped samples are gone, never relabeled background. Raises DataError if no positive
    sample is left.
    """
    positive = samples["positive"] > 0
    sources = samples[positive].groupby("class_id")["group"].nunique()
    rare = {str(name): int(count) for name, count in sources.items() if count < below}
    if action == "report" or not rare:
        return samples, rare
    kept = samples[~(positive & samples["class_id"].isin(list(rare)))].reset_index(drop=True)
    if not (kept["positive"] > 0).any():
        counts = ", ".join(f"{name}: {count}" for name, count in rare.items())
        raise DataError(
            f"data.rare_classes: drop leaves no sample with a target: every class has fewer than {below} source "
            f"images ({counts}); set report, or lower data.rare_below"
        )
    return kept, rare


def _read(row: dict[str, Any], *, root: Path, data: Data, kept: Kept | None) -> _Read | DataError:
    """Return what the files hold, or the error, for the caller to count."""
    try:
        path = root / row["sample"]
        file = read_file(path)
        mask = read_file(root / row["mask"]) if row["mask"] else b""
        key = _key(file, mask, data)
        known = kept.get(key) if kept else None
        if known is not None:
            read = _from_json(known)
            _refuse_other_ratio(path, row, (read.content.height, read.content.width))
            return read
        pixels = image_pixels(file, path)
        read = _content(row, root, data, file, pixels, mask)
        _refuse_other_ratio(path, row, (read.content.height, read.content.width))
        if kept:
            mark = recognize(pixels).to_bytes()
            kept.put({key: _to_json(read), keep_mark(read.content.pixels_sha256): mark})
        return read
    except DataError as error:
        return error


def _content(
    row: dict[str, Any], root: Path, data: Data, file: bytes, pixels: NDArray[Any], mask_file: bytes
) -> _Read:
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
    return _Read(content, measure(image, mask, objects, data.size), objects.areas, brightest)


def _key(file: bytes, mask: bytes, data: Data) -> str:
    """Return the key of what is kept of two files: their contents, and the settings that they are read with."""
    settings = json.dumps([CONTENT_VERSION, data.masks.model_dump(), data.white, data.size])
    digest = hashlib.sha256(settings.encode() + hashlib.sha256(file).digest() + hashlib.sha256(mask).digest())
    return f"content {digest.hexdigest()}"


def _to_json(read: _Read) -> bytes:
    document = vars(read) | {"content": vars(read.content), "measures": vars(read.measures)}
    return json.dumps(document | {"areas": read.areas.tolist()}).encode()


def _from_json(kept: bytes) -> _Read:
    document = json.loads(kept)
    content, measures = Content(**document["content"]), Measures(**document["measures"])
    return _Read(content, measures, np.array(document["areas"], np.intp), document["brightest"])


def _refuse_other_shape(
    path: Path, row: dict[str, Any], image: tuple[int, ...], mask: tuple[int, ...]
) -> None:
    if image != mask:
        raise DataError(
            f"{path}: {image[1]} x {image[0]} px upright, but its mask {row['mask']} has {mask[1]} x {mask[0]}; "
            "export both at one size and orientation"
        )


def _refuse_other_ratio(path: Path, row: dict[str, Any], shape: tuple[int, ...]) -> None:
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


def _refuse_dark_16_bit(brightest: Sequence[int], data: Data) -> None:
    if brightest and data.white is None and max(brightest) < DARK_16_BIT:
        raise DataError(
            f"data.white: the {len(brightest)} 16-bit pictures hold no value above {max(brightest)}, so they would "
            f"be nearly black; declare the value that is white, as data.white: {_next_full(max(brightest))}"
        )


def _next_full(value: int) -> int:
    """Return the largest value of the bits that `value` needs, such as 4095 for 3012."""
    return int(2 ** max(8, value.bit_length()) - 1)


def _refuse_without_target(samples: pd.DataFrame, data: Data) -> None:
    if (samples["positive"] > 0).any():
        return
    masks = int((samples["mask"] != "").sum())
    ignored = bool((samples["valid"] < samples["height"] * samples["width"]).any())
    found = [str(data.masks.background)] + ([str(data.masks.ignore)] if ignored else [])
    raise DataError(
        f"data.masks: the target value {data.masks.target} is in none of the {masks} masks, which hold only "
        f"{' and '.join(found)}; declare the values as stored, or add samples with a target"
    )


def _refuse_vast_photos(samples: pd.DataFrame) -> None:
    """Crops of one photo are merged on the area that they span, so that area must fit into memory."""
    boxes = samples[samples["w"].notna()]
    ends = boxes.assign(right=boxes["x0"] + boxes["w"], bottom=boxes["y0"] + boxes["h"]).groupby("photo")
    span = ends.agg(left=("x0", "min"), top=("y0", "min"), right=("right", "max"), bottom=("bottom", "max"))
    for photo, left, top, right, bottom in span.itertuples():
        width, height = right - left, bottom - top
        if width * height > PIXEL_LIMIT:
            raise DataError(
                f"photo {photo!r}: its crop boxes span {width} x {height} px, more than {PIXEL_LIMIT:,} pixels; "
                "correct x0, y0, w, h, or give crops that lie so far apart a photo_id each"
            )


def _digest(samples: pd.DataFrame) -> str:
    columns = samples[list(DIGESTED)].astype(object)
    rows = sorted(json.dumps(row) for row in columns.where(columns.notna(), None).to_numpy().tolist())
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()


def picture_sha256(pixels: NDArray[Any]) -> str:
    """Return the hash of a picture's content at stored depth; gray saved as RGB has that of gray."""
    gray = pixels.ndim == 3 and (pixels == pixels[:, :, :1]).all()
    return array_sha256(pixels[:, :, 0] if gray else pixels)


def array_sha256(array: NDArray[Any]) -> str:
    """Return the hash of an array's type, shape and values."""
    head = f"{array.dtype.str} {array.shape} ".encode()
    return hashlib.sha256(head + np.ascontiguousarray(array).tobytes()).hexdigest()
