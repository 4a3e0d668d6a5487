import numpy as np
import pytest

from harness.data.formats.polygons import Outline, Patch, Points, box_outline, paint

SIDE = 24


def painted(*rings: Points, side: int = SIDE) -> "np.ndarray[tuple[int, int], np.dtype[np.uint8]]":
    mask = np.zeros((side, side), np.uint8)
    paint(mask, Outline(rings), 1)
    return mask


def inside(x: float, y: float, rings: tuple[Points, ...]) -> bool:
    """Tell by counting crossings to the left of a point."""
    count = 0
    for points in rings:
        for (x0, y0), (x1, y1) in zip(points, np.roll(points, -1, axis=0), strict=True):
            if (y0 <= y) != (y1 <= y):
                count += x0 + (y - y0) / (y1 - y0) * (x1 - x0) < x
    return bool(count % 2)


@pytest.mark.parametrize("seed", range(20))
def test_a_pixel_counts_when_its_center_lies_inside_by_even_odd(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rings = tuple(rng.uniform(-4, SIDE + 4, (rng.integers(3, 9), 2)) for _ in range(rng.integers(1, 4)))
    wanted = [[inside(x + 0.5, y + 0.5, rings) for x in range(SIDE)] for y in range(SIDE)]
    assert (painted(*rings) == np.array(wanted)).all()


def test_a_ring_inside_another_one_is_a_hole_whatever_its_direction() -> None:
    outer, inner = box_outline(2, 2, 12, 10).rings[0], box_outline(4, 4, 5, 3).rings[0]
    mask = painted(outer, inner)
    assert mask.sum() == 12 * 10 - 5 * 3
    assert (painted(outer, inner[::-1]) == mask).all()


@pytest.mark.parametrize(
    "points",
    [
        [[3.2, 3.2], [3.4, 3.2], [3.4, 3.4]],
        [[5.0, 2.6], [12.0, 2.6], [12.0, 2.9]],
        [[4.0, 4.0], [9.0, 9.0]],
        [[7.3, 8.1]],
    ],
    ids=["a speck", "a sliver", "a line", "a point"],
)
def test_what_covers_no_center_does_not_vanish(points: list[list[float]]) -> None:
    mask = painted(np.array(points))
    assert mask.any()
    for x, y in points:
        assert mask[min(int(y), SIDE - 1), min(int(x), SIDE - 1)] == 1


def test_what_lies_outside_is_left_out() -> None:
    assert painted(box_outline(-5, -5, 8, 8).rings[0]).sum() == 9
    assert painted(box_outline(30, 30, 8, 8).rings[0]).sum() == 0
    mask = np.zeros((SIDE, SIDE), np.uint8)
    paint(mask, Patch(-1, -2, np.ones((4, 4), bool)), 1)
    paint(mask, Patch(SIDE - 1, SIDE - 1, np.ones((4, 4), bool)), 1)
    paint(mask, Patch(SIDE + 3, 0, np.ones((4, 4), bool)), 1)
    paint(mask, Patch(-9, 0, np.ones((4, 4), bool)), 1)
    assert mask.sum() == 2 * 3 + 1
    assert mask[:2, :3].all()
