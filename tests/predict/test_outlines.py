"""Outlines are exact: rings enclose the object's area, and COCO's run lengths are its pixels."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import label

from harness.predict.outlines import as_wkt, drawn, rings_of, run_lengths

EVERY_SIDE = np.ones((3, 3))


def area(ring: list[int]) -> float:
    x, y = np.array(ring[::2]), np.array(ring[1::2])
    return abs(float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum())) / 2


def filled(rings: list[list[int]], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Return pixels whose center lies inside an odd number of rings, by counting edges to their left."""
    inside = np.zeros(shape, int)
    for ring in rings:
        points = list(zip(ring[::2], ring[1::2], strict=True))
        for (x0, y0), (x1, y1) in zip(points, points[1:] + points[:1], strict=True):
            assert (x0 == x1) != (y0 == y1), "an edge follows the pixels"
            if x0 == x1:
                inside[min(y0, y1) : max(y0, y1), x0:] += 1
    return inside % 2 == 1


def objects(seed: int, density: float) -> list[NDArray[np.uint8]]:
    drawn_mask = np.random.default_rng(seed).random((24, 31)) < density
    labels, count = label(drawn_mask, EVERY_SIDE)
    return [(labels == number).astype(np.uint8) for number in range(1, count + 1)]


@pytest.mark.parametrize("density", [0.1, 0.3, 0.5, 0.7, 0.95])
def test_rings_enclose_exactly_the_pixels_of_an_object(density: float) -> None:
    for seed in range(6):
        for mask in objects(seed, density):
            rings = rings_of(mask, 0, 0)
            assert area(rings[0]) - sum(map(area, rings[1:])) == mask.sum()
            assert (filled(rings, mask.shape) == mask).all()


@pytest.mark.parametrize(
    ("pixels", "corners"), [([[1]], 4), ([[1, 1, 1]], 4), ([[1, 0], [1, 1]], 6), ([[1, 0], [0, 1]], 8)]
)
def test_a_ring_has_the_corners_that_one_would_draw(pixels: list[list[int]], corners: int) -> None:
    (ring,) = rings_of(np.array(pixels, np.uint8), 5, 7)
    assert len(ring) == 2 * corners
    assert min(ring[::2]) == 5
    assert min(ring[1::2]) == 7


def test_run_lengths_are_the_pixels_of_the_object_in_the_whole_picture() -> None:
    for seed in range(4):
        for mask in objects(seed, 0.4):
            rows, columns = np.nonzero(mask)
            top, bottom, left, right = rows.min(), rows.max() + 1, columns.min(), columns.max() + 1
            counts = run_lengths(mask[top:bottom, left:right], int(left), int(top), mask.shape)
            values = np.repeat(np.arange(len(counts)) % 2, counts)
            assert (mask == values.reshape(mask.shape[::-1]).T).all()


def test_an_object_is_drawn_from_its_runs() -> None:
    runs = np.array([[3, 2, 4], [4, 2, 3], [4, 5, 6]], np.int32)
    assert drawn(runs, (2, 3, 6, 5)).tolist() == [[1, 1, 0, 0], [1, 0, 0, 1]]


def test_well_known_text_closes_each_ring() -> None:
    rings = rings_of(np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], np.uint8), 0, 0)
    text = as_wkt(rings)
    assert text.startswith("POLYGON ((0 0, ")
    assert text.count("), (") == 1
    assert all(ring.split(", ")[0] == ring.split(", ")[-1] for ring in text[10:-2].split("), ("))
    assert as_wkt([]) == ""
