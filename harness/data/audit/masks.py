"""Read the masks and pictures of a sample table again, by row."""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from harness.config import Data
from harness.data.pictures import Pixels, read_image, read_mask

Read = Callable[[int], Pixels]


def masks_of(samples: pd.DataFrame, root: Path, data: Data) -> Read:
    """Return what reads a row's mask in 0, 1 and 255; a picture declared clean has an empty one."""

    @lru_cache(maxsize=8)
    def read(row: int) -> Pixels:
        sample = samples.iloc[row]
        if not sample["mask"]:
            return np.zeros((int(sample["height"]), int(sample["width"])), np.uint8)
        return read_mask(root / sample["mask"], data.masks)

    return read


def images_of(samples: pd.DataFrame, root: Path, data: Data) -> Read:
    """Return what reads a row's picture, 8 bits, gray or RGB."""
    return lambda row: read_image(root / samples["sample"].iloc[row], white=data.white)
