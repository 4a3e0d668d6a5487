"""Read pictures and masks of every usual kind, upright and at full depth, or say why not; resize them.

Pillow decodes: it notices a file that is cut off, where OpenCV returns a picture with a gray half.
"""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from PIL.ImageFile import ImageFile

from harness.config import MaskValues
from harness.errors import DataError

Pixels = NDArray[np.uint8]
Stored = NDArray[Any]  # uint8 or uint16 as in the file; int32 in masks with 32 bits

PIXEL_LIMIT = 400_000_000  # pixels; a file that claims more is refused before anything is allocated
Image.MAX_IMAGE_PIXELS = PIXEL_LIMIT  # Pillow's own limit is lower and only warns

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
SUFFIXES = frozenset(
    {".bmp", ".gif", ".jpg", ".jpeg", ".png", ".pbm", ".pgm", ".pnm", ".ppm", ".tif", ".tiff", ".webp"}
)
SAVE_PLAIN = "save it as an 8- or 16-bit gray or RGB PNG"

TURNS: dict[int, Callable[[Stored], Stored]] = {  # EXIF orientation: what brings the stored pixels upright
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: x.swapaxes(0, 1),
    6: lambda x: np.rot90(x, -1),
    7: lambda x: x[::-1, ::-1].swapaxes(0, 1),
    8: lambda x: np.rot90(x),
}


def read_image(path: Path, *, white: int | None = None) -> Pixels:
    """Return (H, W) gray or (H, W, 3) RGB, upright, no alpha; `white` as in `to_8_bits`. Raises DataError."""
    return to_8_bits(image_pixels(read_file(path), path), path, white=white)


def read_mask(path: Path, values: MaskValues) -> Pixels:
    """Return (H, W) with 0 background, 1 target, 255 ignore, upright. Raises DataError.

    Compared with `values` are the stored gray values, those below 8 bits as every viewer shows them (1 bit: 0
    and 255). In palette pictures it is the index, or the gray level where the whole palette is gray: writers
    order such palettes as they like. Color masks pass if their channels agree, alpha if it is opaque.
    """
    return mask_pixels(read_file(path), path, values)


def read_file(path: Path) -> bytes:
    """Return the file's bytes. Raises DataError if it is missing, unreadable or empty."""
    try:
        file = path.read_bytes()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise DataError(f"{path}: cannot be read ({reason}); check the path and its permissions") from error
    if not file:
        raise DataError(f"{path}: the file is empty; copy it again or remove its row")
    return file


def image_pixels(file: bytes, path: Path) -> Stored:
    """Return the picture at its stored depth, uint8 or uint16, (H, W) or (H, W, 3); `path` is for errors."""
    with _decoding(path):
        picture, deep = _load(file, path)
        return _without_alpha(_upright(_viewed(picture, path) if deep is None else deep, picture))


def mask_pixels(file: bytes, path: Path, values: MaskValues) -> Pixels:
    """Return the canonical mask of a file's bytes, as `read_mask`."""
    return _canonical(stored_labels(file, path), path, values)


def stored_labels(file: bytes, path: Path) -> Stored:
    """Return the values (H, W) of a mask as `read_mask` sees them, whatever they mean. Raises DataError."""
    with _decoding(path):
        picture, deep = _load(file, path)
        return _one_channel(_upright(_labels(picture, path) if deep is None else deep, picture), path)


def to_8_bits(pixels: Stored, path: Path, *, white: int | None = None) -> Pixels:
    """Return round(255 x / white), at most 255; `white` is by default the largest value, 255 or 65535."""
    top = int(np.iinfo(pixels.dtype).max)
    white = top if white is None else white
    if white > top:
        raise DataError(
            f"{path}: data.white is {white}, but this file's values end at {top}; "
            "lower data.white, or bring all files to one depth"
        )
    if white == top == 255:
        return pixels
    shown = (2 * 255 * np.arange(top + 1) + white) // (2 * white)
    table: Pixels = np.minimum(shown, 255).astype(np.uint8)
    return table[pixels]


def fit(image: Pixels, size: int | None) -> Pixels:
    """Return the picture with its longest side at `size` px, aspect kept; None keeps it."""
    shrinks = size is not None and size < max(image.shape[:2])
    return _resized(image, size, cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def fit_mask(mask: Pixels, size: int | None) -> Pixels:
    """Return the mask in the geometry of `fit`, values kept."""
    # cv2.INTER_NEAREST takes a cell's corner, which moves objects by half a pixel; EXACT takes its center
    return _resized(mask, size, cv2.INTER_NEAREST_EXACT)


def _resized(pixels: Pixels, size: int | None, interpolation: int) -> Pixels:
    height, width = pixels.shape[:2]
    longest = max(height, width)
    if size is None or size == longest:
        return pixels
    sides = [max(1, round(side * size / longest)) for side in (width, height)]
    resized: Pixels = np.asarray(cv2.resize(pixels, sides, interpolation=interpolation), dtype=np.uint8)
    return resized


@contextmanager
def _decoding(path: Path) -> Iterator[None]:
    again = "copy it again or remove its row"
    try:
        yield
    except DataError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DataError(_too_large(path)) from error
    except UnidentifiedImageError as error:
        kinds = ", ".join(FORMATS)
        raise DataError(f"{path}: no picture of a known kind ({kinds}), or cut off; {again}") from error
    except Exception as error:  # decoders raise whatever they like on broken bytes
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{path}: broken or cut off ({reason}); {again}") from error


def _load(file: bytes, path: Path) -> tuple[ImageFile, Stored | None]:
    """Return the decoded picture, and its pixels where Pillow would lose depth."""
    picture = Image.open(io.BytesIO(file), formats=FORMATS)
    _refuse_unreadable(picture, path)
    deep_color = _bits(picture) == 16 and picture.mode in ("RGB", "RGBA")
    gray_alpha = deep_color and str(picture.tile[0].args).startswith("LA")
    picture.load()
    if not deep_color:
        return picture, None
    decoded = cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_UNCHANGED)
    if decoded is None or decoded.dtype != np.uint16 or decoded.ndim != 3:
        raise DataError(f"{path}: 16-bit color of an unusual kind; {SAVE_PLAIN}")
    order = [0, 3] if gray_alpha else [2, 1, 0, 3][: decoded.shape[2]]  # OpenCV has blue first
    return picture, decoded[:, :, order]


def _refuse_unreadable(picture: ImageFile, path: Path) -> None:
    if picture.width * picture.height > PIXEL_LIMIT:
        raise DataError(_too_large(path))
    pages = getattr(picture, "n_frames", 1)
    if pages > 1 and picture.format != "MPO":  # a phone's JPEG with a preview behind it
        raise DataError(f"{path}: holds {pages} pages; save the one that is meant as a file of its own")
    if picture.mode == "F":
        raise DataError(f"{path}: floating-point pixels have no fixed white; scale them and {SAVE_PLAIN}")
    if _bits(picture) == 16 and (_is_odd_tiff(picture) or picture.format == "PPM"):
        raise DataError(f"{path}: 16 bits a channel, stored in a way that is not read reliably; {SAVE_PLAIN}")


def _bits(picture: ImageFile) -> int:
    """Return 16 if a channel is stored with more than 8 bits, else 8."""
    if picture.format == "TIFF":
        deep = max(picture.tag_v2.get(258, (1,))) > 8  # type: ignore[attr-defined]  # BitsPerSample
    elif picture.format == "PPM":
        deep = picture.mode == "I" or max(_numbers(picture.tile[0].args), default=0) > 255
    else:
        deep = picture.mode.startswith("I;16") or any(";16" in str(tile.args) for tile in picture.tile)
    return 16 if deep else 8


def _numbers(args: Any) -> list[int]:
    return [value for value in args if isinstance(value, int)] if isinstance(args, tuple) else []


def _is_odd_tiff(picture: ImageFile) -> bool:
    """Tell planes of their own, or 0 as white, which both decoders get wrong at 16 bits."""
    if picture.format != "TIFF":
        return False
    tags = picture.tag_v2  # type: ignore[attr-defined]
    several_planes = tags.get(284) == 2 and tags.get(277, 1) > 1
    return bool(several_planes or tags.get(262) == 0)


def _viewed(picture: ImageFile, path: Path) -> Stored:
    if picture.mode == "I":
        raise DataError(f"{path}: 32-bit or signed pixels; {SAVE_PLAIN}")
    if picture.mode.startswith("I;16"):
        return np.array(picture).astype(np.uint16)
    if picture.mode == "1":
        return np.array(picture.convert("L"))
    if picture.mode not in ("L", "LA", "RGB", "RGBA"):
        picture.info.pop("transparency", None)  # dropped as alpha is; Pillow warns about it
        return np.array(picture.convert("RGB"))
    return np.array(picture)


def _labels(picture: ImageFile, path: Path) -> Stored:
    if picture.mode == "P":
        colors = np.array(picture.getpalette("RGB"), dtype=np.uint8).reshape(-1, 3)
        indices = np.array(picture)
        return colors[indices, 0] if (colors == colors[:, :1]).all() else indices
    if picture.mode == "1":
        return np.array(picture.convert("L"))
    if picture.mode not in ("L", "LA", "RGB", "RGBA", "I") and not picture.mode.startswith("I;16"):
        raise DataError(f"{path}: a mask is gray or indexed, this is {picture.mode}; save it as a gray PNG")
    return np.array(picture)


def _upright(pixels: Stored, picture: ImageFile) -> Stored:
    # TIFF is turned while it is decoded, by Pillow, which then forgets the tag, and by OpenCV
    turn = TURNS.get(picture.getexif().get(0x0112, 1))
    return np.ascontiguousarray(turn(pixels) if turn else pixels)


def _without_alpha(pixels: Stored) -> Stored:
    if pixels.ndim == 2:
        return pixels
    return np.ascontiguousarray(pixels[:, :, 0] if pixels.shape[2] == 2 else pixels[:, :, :3])


def _one_channel(pixels: Stored, path: Path) -> Stored:
    if pixels.ndim == 2:
        return pixels
    if pixels.shape[2] in (2, 4) and (pixels[:, :, -1] != np.iinfo(pixels.dtype).max).any():
        raise DataError(f"{path}: the mask has transparent pixels; save it without alpha")
    colors = _without_alpha(pixels)
    if colors.ndim == 3 and (colors != colors[:, :, :1]).any():
        raise DataError(f"{path}: the mask is colored; save it as a gray PNG with one value a meaning")
    return colors if colors.ndim == 2 else colors[:, :, 0]


def _canonical(labels: Stored, path: Path, values: MaskValues) -> Pixels:
    if values.above is not None:
        cut = (labels > values.above).astype(np.uint8)
        return cut if values.ignore is None else np.where(labels == values.ignore, np.uint8(255), cut)
    meanings = {values.background: 0, values.target: 1}
    if values.ignore is not None:
        meanings[values.ignore] = 255
    mask = np.zeros(labels.shape, dtype=np.uint8)
    known = np.zeros(labels.shape, dtype=bool)
    for stored, meaning in meanings.items():
        here = labels == stored
        mask[here] = meaning
        known |= here
    if not known.all():
        raise DataError(_undeclared(path, [int(v) for v in np.unique(labels)], values))
    return mask


def _undeclared(path: Path, found: list[int], values: MaskValues) -> str:
    shown = ", ".join(map(str, found[:5])) + (f" and {len(found) - 5} more" if len(found) > 5 else "")
    declared = _written(values.model_dump(exclude_none=True))
    return (
        f"{path}: holds the values {shown}; data.masks declares {declared}; {_likely(found, values.ignore)}"
    )


def _likely(found: list[int], ignore: int | None) -> str:
    """Return what to do, with the declaration that the values found suggest."""
    if found == [0, 1, 255]:
        return f"declare data.masks: {_written({'background': 0, 'target': 1, 'ignore': 255})}"
    meant = [value for value in found if value != ignore]
    if len(meant) > 2:
        return (
            "save masks of two values (no JPEG, no smooth edges), declare data.masks.above to cut such edges, or the "
            "third value as data.masks.ignore"
        )
    low, high = (meant[0], meant[1]) if len(meant) == 2 else (0, meant[0] or 255)
    likely = {"background": low, "target": high}
    if ignore is not None and ignore not in (low, high):
        likely["ignore"] = ignore
    return f"declare data.masks: {_written(likely)}"


def _written(declaration: dict[str, int]) -> str:
    parts = ", ".join(f"{meaning}: {value}" for meaning, value in declaration.items())
    return f"{{{parts}}}"


def _too_large(path: Path) -> str:
    return f"{path}: claims more than {PIXEL_LIMIT:,} pixels; cut it into tiles, or remove its row"
