"""Decode every file once: sizes, content hashes and object counts of each sample, and the digest of the data."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from harness.config import Data
from harness.data.content import read_all
from harness.data.kept import Kept
from harness.data.measures import count_sizes
from harness.data.pictures import PIXEL_LIMIT
from harness.data.rows import Index
from harness.errors import DataError

DARK_16_BIT = 65535 / 4  # a set whose 16-bit files stay below it hardly uses their range
DIGESTED = (
    *("group", "photo", "instance", "class_id", "scale", "x0", "y0", "w", "h", "fold"),
    *("pixels_sha256", "mask_sha256", "sample"),
)


@dataclass(frozen=True)
class Manifest:
    """The samples with what is in their files; `digest` (SHA-256) depends on neither row order nor root."""

    samples: pd.DataFrame
    digest: str


def read_manifest(index: Index, data: Data, *, kept: Kept | None = None, threads: int = 2) -> Manifest:
    """Return the samples with the columns of `Content`, `Measures` and SIZES, every file decoded and checked.

    With `kept`, files that were read before are not decoded again, and fingerprints are taken on the way.
    Raises DataError for crop boxes too far apart, files that cannot be read, masks that do not fit, undeclared mask
    values, 16-bit pictures that need `data.white`, and data without any target pixel. The first bad row in table
    order is named.
    """
    _refuse_vast_photos(index.samples)
    rows = index.samples.to_dict("records")
    results = list(read_all(rows, index.root, data, kept=kept, threads=threads))
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
    target, held = f"the target value {data.masks.target}", " and ".join(found)
    if data.masks.above is not None:
        target, held = f"a value above {data.masks.above}, which is target,", "what is background"
    raise DataError(
        f"data.masks: {target} is in none of the {masks} masks, which hold only {held}; declare the values as "
        "stored, or add samples with a target"
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
