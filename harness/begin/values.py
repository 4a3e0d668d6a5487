"""What the stored values of masks mean, from all of them: background is what most pixels have."""

from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from harness.data.pictures import image_pixels, read_file, stored_labels
from harness.errors import DataError

MOST_CLASSES = 16  # more values are gray edges
FAINT = 0.25  # share of pixels between the two ends, above which values are no gray edges
ENDS = 0.2  # of the range, counted as an end
LOOKED_AT = 50  # pictures whose depth is looked at
DARK = 65535 / 4  # 16-bit pictures that stay below it are declared a white of their own


class Meant(NamedTuple):
    """The setting `data.masks`, and in words why, where it is not plain."""

    setting: dict[str, int]
    why: str


def meant_by(paths: Sequence[Path], *, threads: int = 2) -> Meant:
    """Return what the masks' values mean. Raises DataError."""
    counts: Counter[int] = Counter()
    with ThreadPoolExecutor(threads) as pool:
        for found in pool.map(_counted, paths):
            counts.update(found)
    return _meant(counts, paths[0])


def white_of(paths: Sequence[Path]) -> int | None:
    """Return the value that is white in 16-bit pictures which do not use their range; None where none is needed."""
    if not any(_pixels(path).dtype == np.uint16 for path in paths[:LOOKED_AT]):
        return None
    brightest = max(int(_pixels(path).max()) for path in paths)
    return None if brightest >= DARK else int(2 ** max(8, brightest.bit_length()) - 1)


def _pixels(path: Path) -> "np.ndarray[tuple[int, ...], np.dtype[np.generic]]":
    return image_pixels(read_file(path), path)


def _counted(path: Path) -> dict[int, int]:
    values, counts = np.unique(stored_labels(read_file(path), path), return_counts=True)
    return dict(zip(values.tolist(), counts.tolist(), strict=True))


def _meant(counts: Counter[int], first: Path) -> Meant:
    values = sorted(counts)
    if values == [0, 1, 255]:
        why = "0, 1 and 255 are taken as background, target and ignore; if 255 is target, declare 1 as ignore"
        return Meant({"background": 0, "target": 1, "ignore": 255}, why)
    if len(values) == 1:
        return Meant({"background": 0, "target": values[0] or 255}, "")
    if len(values) == 2:
        return _of_two(counts, values)
    if len(values) > MOST_CLASSES and _share_between(counts, values) <= FAINT:
        middle = (values[0] + values[-1]) // 2
        return Meant(
            {"above": middle},
            f"Masks have gray edges ({len(values)} values): what is above {middle} is target.",
        )
    shown = ", ".join(map(str, values[:MOST_CLASSES])) + (", ..." if len(values) > MOST_CLASSES else "")
    raise DataError(
        f"{first}: masks hold the values {shown}, so they may be classes; "
        "save masks of two values, or bring JPEGImages and SegmentationClass by --from voc, which takes classes"
    )


def _of_two(counts: Counter[int], values: Sequence[int]) -> Meant:
    """The target is small: where most pixels have the larger value, masks are taken as inverted."""
    low, high = values
    if counts[high] <= counts[low]:
        return Meant({"background": low, "target": high}, "")
    share = counts[high] / counts.total()
    why = f"{share:.0%} of the masks' pixels are {high}, so it is taken as background; if not, swap the two"
    return Meant({"background": high, "target": low}, why)


def _share_between(counts: Counter[int], values: Sequence[int]) -> float:
    low, high = values[0], values[-1]
    margin = ENDS * (high - low)
    return _total(counts[v] for v in values if low + margin < v < high - margin) / counts.total()


def _total(numbers: Iterable[int]) -> int:
    return sum(numbers)
