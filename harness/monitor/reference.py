"""The pictures of a study as it was trained on them: measures and fingerprints, kept by content, so mostly not read."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.data.audit.sides import HELD_OUT
from harness.data.content import picture_sha256
from harness.data.copies.fingerprint import Fingerprint
from harness.data.copies.recognize import recognize
from harness.data.copies.search import keep_mark
from harness.data.kept import Kept
from harness.data.pictures import image_pixels, read_file, to_8_bits
from harness.data.split import read_split
from harness.errors import DataError
from harness.monitor.traits import Traits, keep_traits, traits_of

AT_ONCE = 64  # pictures that are read, and then kept

COLUMNS = {"gray_mean": "brightness", "gray_spread": "contrast", "focus": "sharpness"}  # of the audit


@dataclass(frozen=True)
class Reference:
    """All pictures of a study, a row each in `samples`; `seen` are those of its folds, which it was trained on."""

    samples: pd.DataFrame
    seen: NDArray[np.bool_]
    marks: Sequence[Fingerprint]
    traits: Sequence[Traits]
    white: int | None

    @cached_property
    def measures(self) -> pd.DataFrame:
        """Return a row of measures of each picture that was trained on."""
        light = self.samples[list(COLUMNS)].rename(columns=COLUMNS)
        rest = pd.DataFrame([vars(one) for one in self.traits], index=light.index)
        return pd.concat([light, rest], axis=1)[self.seen].astype(float).reset_index(drop=True)

    @cached_property
    def trained(self) -> pd.DataFrame:
        """Return the samples that were trained on, in the order of `measures`."""
        return self.samples[self.seen].reset_index(drop=True)

    @cached_property
    def group(self) -> NDArray[np.intp]:
        """Return the number of the group of each picture that was trained on."""
        return np.asarray(pd.factorize(self.trained["group"])[0], np.intp)

    @property
    def groups(self) -> int:
        return int(self.trained["group"].nunique())


def read_reference(
    work: Path, split: Path, white: int | None, kept: Kept, root: Callable[[], Path]
) -> Reference:
    """Return what a study with this work folder and frozen split was trained on.

    Its files, below `root`, are read only where what was measured of them is not kept. Raises DataError where they are
    gone then, or hold other pictures.
    """
    path = work / "samples.parquet"
    if not path.is_file():
        raise DataError(
            f"{path}: is gone, so what the champion was trained on is not known here; name the home that it was "
            "trained in by --home"
        )
    samples = pd.read_parquet(path).reset_index(drop=True)
    _keep_lost(samples, white, kept, root)
    digests = samples["pixels_sha256"].tolist()
    marks, traits = (
        kept.get_all(keys) for keys in ([keep_mark(one) for one in digests], _trait_keys(digests, white))
    )
    return Reference(
        samples,
        np.asarray(read_split(split).of(samples) != HELD_OUT),
        [Fingerprint.from_bytes(marks[keep_mark(one)]) for one in digests],
        [Traits.from_bytes(traits[key]) for key in _trait_keys(digests, white)],
        white,
    )


def _trait_keys(digests: Sequence[str], white: int | None) -> list[str]:
    return [keep_traits(one, white) for one in digests]


def _keep_lost(samples: pd.DataFrame, white: int | None, kept: Kept, root: Callable[[], Path]) -> None:
    """Measure the pictures of which not all is kept."""
    digests = samples["pixels_sha256"].tolist()
    keys = [keep_mark(one) for one in digests] + _trait_keys(digests, white)
    known = kept.get_all(keys).keys()
    lost = samples[[not {keep_mark(one), keep_traits(one, white)} <= known for one in digests]]
    if lost.empty:
        return
    folder = root()

    def measured(row: tuple[str, str]) -> dict[str, bytes]:
        return _measured(folder / row[0], row[1], white)

    rows = list(zip(lost["sample"], lost["pixels_sha256"], strict=True))
    with ThreadPoolExecutor(2) as pool:
        for start in range(0, len(rows), AT_ONCE):
            found: dict[str, bytes] = {}
            for one in pool.map(measured, rows[start : start + AT_ONCE]):
                found |= one
            kept.put(found)


def _measured(path: Path, digest: str, white: int | None) -> dict[str, bytes]:
    pixels = image_pixels(read_file(path), path)
    if picture_sha256(pixels) != digest:
        raise DataError(
            f"{path}: is not the picture that was trained on; restore it, or run the study on the data of today"
        )
    traits = traits_of(to_8_bits(pixels, path, white=white))
    return {keep_mark(digest): recognize(pixels).to_bytes(), keep_traits(digest, white): traits.to_bytes()}
