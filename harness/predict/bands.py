"""The mean probability of a picture, in bands of rows from top to bottom: whole, or tile by tile and blended."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from harness.errors import DataError
from harness.model.tiles import MULTIPLE, Span, Tiling, spans
from harness.predict.sources import MOST_DECODED, Pixels, Source, in_color
from harness.tracking.served_model import Segmenter, fit

ROWS = 1024  # of a picture that went through whole, in a band
EDGE = MULTIPLE  # bands begin at multiples of it

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Band:
    """Rows of a picture from `top` on, as the model sees them, and their probability (rows, W)."""

    top: int
    picture: Pixels
    probability: Floats


def goes_whole(source: Source, size: int | None, tiling: Tiling) -> bool:
    """Tell whether a picture goes through the networks in one piece, as `Segmenter.probability` has it.

    Raises DataError for one that must, since the model was trained on whole ones, and is too large.
    """
    if tiling.scale is not None:
        return False
    height, width = source.shape
    if size is not None and height * width > MOST_DECODED:
        raise DataError(
            f"{source.where}: {width:,} x {height:,} px; the model saw whole pictures of {size} px, for which up to "
            f"{MOST_DECODED:,} px are held at once; give --scale {size / max(height, width):.2g} to go by tiles of "
            "that scale"
        )
    return size is not None or max(height, width) <= tiling.tile


def whole_probabilities(segmenter: Segmenter, pictures: Sequence[Pixels]) -> Floats:
    """Return (B, H, W) of pictures of one shape that go through the networks together."""
    small = [in_color(fit(picture, segmenter.settings["size"])) for picture in pictures]
    height, width = pictures[0].shape[:2]
    return segmenter.mean_probability(np.stack(small), (height, width))


def whole_bands(picture: Pixels, probability: Floats) -> Iterator[Band]:
    """Yield a picture that went through whole."""
    for top in range(0, len(picture), ROWS):
        yield Band(top, picture[top : top + ROWS], probability[top : top + ROWS])


def tiled_bands(segmenter: Segmenter, source: Source, tiling: Tiling, together: int) -> Iterator[Band]:
    """Yield a picture of any size: a row of tiles is read, predicted and added; what no later one reaches is given out.

    `together` tiles go through the networks at once. No more is held than the rows of one row of tiles.
    """
    height, width = source.shape
    down, across = spans(height, tiling), spans(width, tiling)
    groups = _of_one_width(across, together)
    predict = partial(_predicted, segmenter=segmenter, scale=tiling.scale)
    top, total = 0, np.zeros((0, width), np.float32)
    picture = source.rows(0, 0)
    for place, row in enumerate(down):
        picture = np.concatenate([picture, source.rows(top + len(picture), row.stop)])
        total = np.concatenate([total, np.zeros((row.stop - top - len(total), width), np.float32)])
        first = row.start - top
        _add(predict, picture[first:], total[first:], row, groups)
        last = place + 1 == len(down)
        end = height if last else down[place + 1].start // EDGE * EDGE
        yield Band(top, picture[: end - top], total[: end - top])
        picture, total, top = picture[end - top :].copy(), total[end - top :].copy(), end


def _add(
    predict: Callable[[list[Pixels]], Floats],
    picture: Pixels,
    total: Floats,
    row: Span,
    groups: Iterable[Sequence[Span]],
) -> None:
    """Add what each tile of a row says, by its weight, to `total`, (rows of the tiles, W)."""
    for group in groups:
        found = predict([picture[:, span.start : span.stop] for span in group])
        for span, probability in zip(group, found, strict=True):
            total[:, span.start : span.stop] += probability * row.weight[:, None] * span.weight


def _predicted(tiles: list[Pixels], *, segmenter: Segmenter, scale: float | None) -> Floats:
    height, width = tiles[0].shape[:2]
    longest = None if scale is None else max(1, round(scale * max(height, width)))
    small = np.stack([in_color(fit(tile, longest)) for tile in tiles])
    return segmenter.mean_probability(small, (height, width))


def _of_one_width(across: Sequence[Span], most: int) -> list[Sequence[Span]]:
    """Return runs of tiles of one width, so many at most; only the last tile may be narrower."""
    full = [span for span in across if span.stop - span.start == across[0].stop - across[0].start]
    groups: list[Sequence[Span]] = [full[first : first + most] for first in range(0, len(full), most)]
    return groups if len(full) == len(across) else [*groups, across[len(full) :]]
