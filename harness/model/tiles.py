"""Where tiles lie in a picture of any size, and how they are blended: by windows whose sum is 1 at every pixel."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import ConfigError

MULTIPLE = (
    32  # px; encoders halve a picture five times, and a tile that began elsewhere would be pooled otherwise
)
SCALES = (1 / 64, 8.0)
MOST_TILE = 2**24  # px of picture in a tile: more is held at once than memory is promised for
LONGEST_TILE = 4096


@dataclass(frozen=True)
class Tiling:
    """Sides of tiles and how far they overlap, in px of the model; `scale`: px of the model a px of the picture.

    No scale: pictures are resized as in training. Raises ConfigError.
    """

    tile: int = 1024
    overlap: int = 128
    scale: float | None = None

    def __post_init__(self) -> None:
        if self.tile % MULTIPLE or not 2 * MULTIPLE <= self.tile <= LONGEST_TILE:
            raise ConfigError(
                f"--tile {self.tile}: give a multiple of {MULTIPLE} from {2 * MULTIPLE} to {LONGEST_TILE}"
            )
        if self.overlap % MULTIPLE or not 0 <= self.overlap <= self.tile // 2:
            raise ConfigError(
                f"--overlap {self.overlap}: give a multiple of {MULTIPLE} from 0 to {self.tile // 2}, half a tile"
            )
        if self.scale is not None and not SCALES[0] <= self.scale <= SCALES[1]:
            raise ConfigError(f"--scale {self.scale:g}: give a number from {SCALES[0]:g} to {SCALES[1]:g}")
        if self.side**2 > MOST_TILE:
            most = int(MOST_TILE**0.5 / self.unit) * MULTIPLE
            raise ConfigError(
                f"--scale {self.scale:g}: a tile would be {self.side:,} px of the picture wide, more than "
                f"{int(MOST_TILE**0.5):,}; give --tile {most}{' or less' if most > 2 * MULTIPLE else ''}"
            )

    @property
    def unit(self) -> int:
        """Return how many px of the picture become at most 32 of the model; tiles begin at multiples of it."""
        return max(1, int(MULTIPLE / (self.scale or 1) + 1e-9))

    @property
    def side(self) -> int:
        """Return the side of a tile in px of the picture."""
        return self.tile // MULTIPLE * self.unit

    @property
    def shared(self) -> int:
        """Return how many px of the picture neighbors have in common, at least."""
        return self.overlap // MULTIPLE * self.unit

    def as_dict(self) -> dict[str, Any]:
        """Return the settings by name."""
        return asdict(self)


@dataclass(frozen=True)
class Span:
    """A tile along one axis, in px of the picture, and its share of the result at each of them."""

    start: int
    stop: int
    weight: NDArray[np.float32]


def spans(length: int, tiling: Tiling) -> list[Span]:
    """Return the tiles along an axis of so many px; their weights sum to 1 everywhere.

    All begin at multiples of 32 px of the model, and the last one ends where the padded picture ends: it is padded by
    reflection as the whole picture would be, and no other tile is. A tile counts for nothing within a quarter of the
    overlap from an edge that it shares, then for more and more over half of it: what a network makes up beyond its edge
    stays out.
    """
    padded = -(-length // tiling.unit) * tiling.unit
    last = padded - tiling.side
    if last <= 0:
        return [Span(0, length, np.ones(length, np.float32))]
    starts = [*range(0, last, tiling.side - tiling.shared), last]
    raw = [_window(tiling, start > 0, start < last) for start in starts]
    total = np.zeros(padded)
    for start, window in zip(starts, raw, strict=True):
        total[start : start + tiling.side] += window
    return [
        Span(start, stop, (window[: stop - start] / total[start:stop]).astype(np.float32))
        for start, window in zip(starts, raw, strict=True)
        for stop in [min(start + tiling.side, length)]
    ]


def _window(tiling: Tiling, before: bool, after: bool) -> NDArray[np.float64]:
    """Return weights from 0 to 1 of a tile with a neighbor before it, and after it."""
    left_out, ramp = tiling.shared / 4, max(1.0, tiling.shared / 2)
    depth = np.arange(tiling.side) + 0.5  # from the edge of the tile
    rising = np.sin(np.clip((depth - left_out) / ramp, 0, 1) * np.pi / 2) ** 2
    return np.asarray((rising if before else 1.0) * (rising[::-1] if after else 1.0) * np.ones(tiling.side))
