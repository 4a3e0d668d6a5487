"""New pictures, read and measured; one that cannot be is named, and the others go on."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from harness.data.content import picture_sha256
from harness.data.copies.fingerprint import Fingerprint
from harness.data.copies.recognize import recognize
from harness.data.copies.search import keep_mark
from harness.data.kept import Kept
from harness.data.pictures import image_pixels, read_file, to_8_bits
from harness.errors import DataError
from harness.monitor.traits import light_of, traits_of


@dataclass(frozen=True)
class Arrival:
    """A new picture; `constant` where all its pixels are equal, so that it may equal another one by chance."""

    path: Path
    digest: str  # of its pixels
    height: int
    width: int
    channels: int
    constant: bool
    measures: dict[str, float]
    mark: Fingerprint


def read_arrivals(
    paths: Sequence[Path], white: int | None, kept: Kept, threads: int = 2
) -> tuple[list[Arrival], dict[str, str]]:
    """Return the pictures that could be read, and of each other one why not."""

    def read(path: Path) -> Arrival | DataError:
        try:
            return _read(path, white, kept)
        except DataError as error:
            return error

    with ThreadPoolExecutor(threads) as pool:
        found = list(pool.map(read, paths))
    bad = {str(path): str(one) for path, one in zip(paths, found, strict=True) if isinstance(one, DataError)}
    return [one for one in found if isinstance(one, Arrival)], bad


def _read(path: Path, white: int | None, kept: Kept) -> Arrival:
    pixels = image_pixels(read_file(path), path)
    image = to_8_bits(pixels, path, white=white)
    digest = picture_sha256(pixels)
    known = kept.get(keep_mark(digest))
    mark = recognize(pixels) if known is None else Fingerprint.from_bytes(known)
    if known is None:
        kept.put({keep_mark(digest): mark.to_bytes()})
    return Arrival(
        path,
        digest,
        pixels.shape[0],
        pixels.shape[1],
        1 if pixels.ndim == 2 else pixels.shape[2],
        bool((pixels == pixels[0, 0]).all()),
        light_of(image) | vars(traits_of(image)),
        mark,
    )
