"""Pictures decoded and resized once, in memory-mapped files that all folds, trials and processes share."""

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.config import Data
from harness.data.content import array_sha256, picture_sha256
from harness.data.pictures import fit, fit_mask, image_pixels, read_file, read_mask, to_8_bits
from harness.errors import DataError

CACHE_VERSION = 3  # part of every key: raise it when the stored form changes
ROWS, LOCK = "rows.parquet", "lock"

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Cache:
    """Samples by position: image and mask as resized, and the mask at the file's own size.

    Each is held to its checksum when this process reads it for the first time. Raises DataError then.
    """

    folder: Path
    rows: pd.DataFrame = field(repr=False)
    _checked: set[tuple[str, int]] = field(default_factory=set, init=False, repr=False, compare=False)

    def image(self, position: int) -> Pixels:
        """Return (H, W) gray or (H, W, 3) RGB, resized; read-only."""
        row = self.rows.iloc[position]
        shape = (row.height, row.width, row.channels) if row.channels > 1 else (row.height, row.width)
        return self._slice("images.bin", row.image_at, shape, row.image_crc)

    def mask(self, position: int) -> Pixels:
        """Return (H, W) in {0, 1, 255}, resized as the image; read-only."""
        row = self.rows.iloc[position]
        return self._slice("masks.bin", row.mask_at, (row.height, row.width), row.mask_crc)

    def truth(self, position: int) -> Pixels:
        """Return the mask at the file's own size, in {0, 1, 255}."""
        row = self.rows.iloc[position]
        packed = self._slice("truth.bin", row.truth_at, (row.truth_bytes,), row.truth_crc)
        plain = np.frombuffer(zlib.decompress(packed.tobytes()), dtype=np.uint8)
        return plain.reshape(row.truth_height, row.truth_width)

    def _slice(self, name: str, start: int, shape: tuple[int, ...], checksum: int) -> Pixels:
        length = int(np.prod(shape))
        # np.memmap keeps no file handle of its own; mapping per access costs microseconds
        flat = np.memmap(self.folder / name, dtype=np.uint8, mode="r", offset=int(start), shape=(length,))
        if (name, start) not in self._checked:
            if zlib.crc32(flat.data) != checksum:
                raise DataError(
                    f"{self.folder / name}: damaged at byte {start}; run the study again, it decodes the pictures anew"
                )
            self._checked.add((name, start))
        return flat.reshape(shape)


def open_cache(folder: Path) -> Cache:
    """Open a finished cache. Raises DataError when it is not there, or not whole."""
    rows = _whole_rows(folder)
    if rows is None:
        raise DataError(f"{folder}: no decoded pictures here; run the study again, it builds them")
    return Cache(folder, rows)


def build_cache(samples: pd.DataFrame, root: Path, data: Data, caches: Path) -> Cache:
    """Return the cache of these samples under `caches`, building it when it is not there.

    Keyed by content and settings. Built in a folder of its own and renamed when whole, so a killed builder leaves
    no half cache, and of two builders at once the first one wins. What killed builders left is removed, and a damaged
    cache is built anew. Raises DataError for a file that is no longer what the table says.
    """
    final = caches / cache_key(samples, data)
    if not _is_sound(final):
        caches.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(caches)
        _refuse_full_disk(samples, data, caches)
        building = Path(tempfile.mkdtemp(prefix="building-", dir=caches))
        try:
            with _locked(building):
                _write(samples, root, data, building)
            _move_unless_there(building, final)
        finally:
            shutil.rmtree(building, ignore_errors=True)
    return open_cache(final)


def cache_key(samples: pd.DataFrame, data: Data) -> str:
    """Return the name of the cache: SHA-256 (24 digits) over contents in order and all settings that change pixels."""
    # gray pixels have one hash as gray and as RGB files, but are stored as they are read
    contents = samples[["pixels_sha256", "channels", "mask_sha256"]].to_numpy().tolist()
    text = json.dumps([CACHE_VERSION, data.size, data.white, contents])
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _write(samples: pd.DataFrame, root: Path, data: Data, folder: Path) -> None:
    with (
        (folder / "images.bin").open("wb") as images,
        (folder / "masks.bin").open("wb") as masks,
        (folder / "truth.bin").open("wb") as truths,
    ):
        rows = [
            _write_sample(image, mask, data.size, (images, masks, truths))
            for image, mask in _decoded(samples, root, data)
        ]
        for file in (images, masks, truths):
            file.flush()
            os.fsync(file.fileno())
    pd.DataFrame(rows).to_parquet(folder / ROWS)


def _decoded(samples: pd.DataFrame, root: Path, data: Data) -> Iterator[tuple[Pixels, Pixels]]:
    for row in samples.itertuples():
        path = root / str(row.sample)
        pixels = image_pixels(read_file(path), path)
        _refuse_changed(path, picture_sha256(pixels), str(row.pixels_sha256))
        mask = np.zeros(pixels.shape[:2], np.uint8)
        if row.mask:  # else the picture is declared clean
            mask = read_mask(root / str(row.mask), data.masks)
            _refuse_changed(root / str(row.mask), array_sha256(mask), str(row.mask_sha256))
        yield to_8_bits(pixels, path, white=data.white), mask


def _refuse_changed(path: Path, found: str, audited: str) -> None:
    if found != audited:
        raise DataError(
            f"{path}: its pixels changed ({found[:12]}) since they were audited ({audited[:12]}); "
            "restore it, or run the study again to audit the data as they are now"
        )


def _write_sample(
    image: Pixels, mask: Pixels, size: int | None, files: tuple[BinaryIO, BinaryIO, BinaryIO]
) -> dict[str, int]:
    images, masks, truths = files
    small, small_mask, packed = fit(image, size), fit_mask(mask, size), zlib.compress(mask.tobytes(), 1)
    row = {
        "height": small.shape[0],
        "width": small.shape[1],
        "channels": small.shape[2] if small.ndim == 3 else 1,
        "image_at": images.tell(),
        "mask_at": masks.tell(),
        "truth_at": truths.tell(),
        "truth_bytes": len(packed),
        "truth_height": mask.shape[0],
        "truth_width": mask.shape[1],
        "image_crc": zlib.crc32(small.tobytes()),
        "mask_crc": zlib.crc32(small_mask.tobytes()),
        "truth_crc": zlib.crc32(packed),
    }
    images.write(small.tobytes())
    masks.write(small_mask.tobytes())
    truths.write(packed)
    return row


def _whole_rows(folder: Path) -> pd.DataFrame | None:
    """Return the rows of a cache whose files all have their length; None where a part is missing."""
    try:
        rows = pd.read_parquet(folder / ROWS)
        last = rows.iloc[-1]
        lengths = {
            "images.bin": last.image_at + last.height * last.width * last.channels,
            "masks.bin": last.mask_at + last.height * last.width,
            "truth.bin": last.truth_at + last.truth_bytes,
        }
        whole = all((folder / name).stat().st_size == length for name, length in lengths.items())
    except (OSError, ValueError):  # missing, or cut off by a power failure
        return None
    return rows if whole else None


def _is_sound(folder: Path) -> bool:
    """Tell whether a whole cache is here that still holds what was written, every byte of it."""
    rows = _whole_rows(folder)
    if rows is None:
        return False
    cache = Cache(folder, rows)
    try:
        for position in range(len(rows)):
            for read in (cache.image, cache.mask, cache.truth):
                read(position)
    except (DataError, AttributeError, zlib.error, ValueError):
        return False
    return True


def _move_unless_there(building: Path, final: Path) -> None:
    try:
        building.rename(final)
    except OSError:
        if _is_sound(final):  # another builder was first, with the same content
            return
        broken = building.with_name(f"{building.name}-broken")
        final.rename(broken)
        shutil.rmtree(broken)
        building.rename(final)


@contextmanager
def _locked(building: Path) -> Iterator[None]:
    """Hold a lock in the folder, which ends with this process however that ends."""
    with (building / LOCK).open("wb") as lock:
        with suppress(OSError):  # a file system without locks: nothing is ever taken for abandoned there
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
        (building / LOCK).unlink()


def _remove_abandoned(caches: Path) -> None:
    for folder in caches.glob("building-*"):
        if _is_abandoned(folder):
            shutil.rmtree(folder, ignore_errors=True)


def _is_abandoned(folder: Path) -> bool:
    try:
        with (folder / LOCK).open("r+b") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except OSError:  # locked by its builder, or about to be, or just finished
        return False


def _refuse_full_disk(samples: pd.DataFrame, data: Data, caches: Path) -> None:
    longest = samples[["height", "width"]].max(axis=1)
    shrink = (data.size / longest) if data.size else 1.0
    area = samples["height"] * samples["width"] * shrink**2
    needed = int((area * (samples["channels"] + 1)).sum())
    free = shutil.disk_usage(caches).free
    if needed > 0.95 * free:
        raise DataError(
            f"{caches}: the decoded pictures need {needed / 1e9:.1f} GB and {free / 1e9:.1f} GB are free; "
            "free some space, or lower data.size"
        )
