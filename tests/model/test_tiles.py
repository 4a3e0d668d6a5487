"""Tiles have weights that sum to 1 at every pixel, begin where pooling agrees, and count for nothing at an edge."""

from itertools import pairwise

import numpy as np
import pytest

from harness.errors import ConfigError
from harness.model.tiles import MOST_TILE, Tiling, spans

TILINGS = [
    Tiling(64, 32),
    Tiling(256, 128),
    Tiling(256, 64),
    Tiling(256, 0),
    Tiling(128, 32, scale=0.5),
    Tiling(96, 32, scale=0.3),
]


@pytest.mark.parametrize("tiling", TILINGS, ids=str)
@pytest.mark.parametrize("length", [1, 31, 64, 65, 256, 257, 300, 513, 1000, 1024])
def test_weights_sum_to_one_at_every_pixel(length: int, tiling: Tiling) -> None:
    total = np.zeros(length)
    for span in spans(length, tiling):
        assert len(span.weight) == span.stop - span.start
        assert span.weight.min() >= 0
        total[span.start : span.stop] += span.weight
    assert total == pytest.approx(np.ones(length), abs=1e-6)


@pytest.mark.parametrize("tiling", TILINGS, ids=str)
@pytest.mark.parametrize("length", [257, 300, 513, 1000])
def test_tiles_begin_where_pooling_agrees_and_only_the_last_is_padded(length: int, tiling: Tiling) -> None:
    found = spans(length, tiling)
    assert found[-1].stop == length
    assert all(span.start % tiling.unit == 0 for span in found)
    assert all(span.stop - span.start == tiling.side for span in found[:-1])
    assert all(after.start - before.start <= tiling.side - tiling.shared for before, after in pairwise(found))


def test_a_tile_counts_for_nothing_near_an_edge_that_it_shares() -> None:
    first, second, *_ = spans(1000, Tiling(256, 128))
    assert first.weight[0] == 1
    assert (first.weight[-32:] == 0).all()
    assert (second.weight[:32] == 0).all()
    rising = second.weight[32:96]
    assert (np.diff(rising) > 0).all(), "blended softly, over half of what they share"


def test_what_fits_in_a_tile_is_one() -> None:
    (only,) = spans(256, Tiling(256, 64))
    assert (only.start, only.stop) == (0, 256)
    assert len(spans(257, Tiling(256, 64))) == 2


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"tile": 1000}, "--tile 1000"),
        ({"tile": 32}, "--tile 32"),
        ({"tile": 8192}, "--tile 8192"),
        ({"overlap": 100}, "--overlap 100"),
        ({"tile": 256, "overlap": 160}, "0 to 128"),
        ({"overlap": -32}, "--overlap -32"),
        ({"scale": 0.0}, "--scale 0"),
        ({"scale": float("nan")}, "--scale nan"),
        ({"scale": 9.0}, "--scale 9"),
        ({"scale": 0.05}, "--tile 192"),
    ],
)
def test_wrong_settings_are_refused_in_a_line(settings: dict[str, float], said: str) -> None:
    with pytest.raises(ConfigError, match=said) as error:
        Tiling(**settings)  # type: ignore[arg-type]
    assert "\n" not in str(error.value)


def test_the_tile_that_is_advised_is_taken() -> None:
    for scale in (0.017, 0.05, 0.1, 0.24):
        with pytest.raises(ConfigError) as error:
            Tiling(1024, 0, scale)
        advised = int(str(error.value).split("--tile ")[1].split()[0])
        assert Tiling(advised, 0, scale).side ** 2 <= MOST_TILE
