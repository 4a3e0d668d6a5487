import numpy as np
import pytest
from numpy.typing import NDArray

from harness.data.formats import polygons
from harness.data.formats.polygons import filled, outside
from harness.data.formats.shapes import Rings, oval
from harness.data.formats.spans import painted
from harness.errors import DataError
from tests.data.formats.examples import lines

SIZE = (8, 6)


def rings(*outlines: list[tuple[float, float]]) -> Rings:
    return Rings(tuple(np.array(outline, float) for outline in outlines))


def shown(*areas: Rings, size: tuple[int, int] = SIZE) -> str:
    pixels = painted(*filled(areas, size, "here"), size[0] * size[1]).reshape(size[::-1])
    return "\n".join("".join(".#"[int(v)] for v in line) for line in pixels)


def box(x0: float, y0: float, x1: float, y1: float) -> list[tuple[float, float]]:
    return [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]


def by_hand(area: Rings, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the even-odd rule pixel by pixel: how many edges lie left of each center."""
    y, x = np.mgrid[: size[1], : size[0]] + 0.5
    inside = np.zeros(size[::-1], bool)
    for ring in area.rings:
        for (x0, y0), (x1, y1) in zip(ring.tolist(), np.roll(ring, -1, 0).tolist(), strict=True):
            if y0 != y1:
                inside ^= ((y0 <= y) != (y1 <= y)) & (x0 + (y - y0) * (x1 - x0) / (y1 - y0) <= x)
    return inside


DRAWN = {
    "a triangle": (rings([(1, 1), (7, 1), (1, 5)]), "........ .#####.. .####... .##..... .#...... ........"),
    "a hole": (
        rings(box(1, 0, 7, 5), box(3, 1, 5, 3)),
        ".######. .##..##. .##..##. .######. .######. ........",
    ),
    "a bow tie": (
        rings([(1, 1), (7, 5), (7, 1), (1, 5)]),
        "........ .#....#. .##..##. .##..##. .#....#. ........",
    ),
    "upper left sides": (
        rings(box(1.5, 1.5, 3.5, 3.5)),
        "........ .##..... .##..... ........ ........ ........",
    ),
    "beyond the border": (rings(box(-9, 4, 3, 99)), "........ ........ ........ ........ ###..... ###....."),
    "around the picture": (
        rings(box(-9, -9, 99, 99)),
        "######## ######## ######## ######## ######## ########",
    ),
    "a thin line": (
        rings([(1.1, 2.6), (4.9, 2.7), (4.9, 2.8)]),
        "........ ........ .####... ........ ........ ........",
    ),
    "a thin slope": (
        rings([(0.1, 0.2), (3.3, 3.4), (3.3, 3.41)]),
        "#....... .#...... .##..... ...#.... ........ ........",
    ),
    "a point": (
        rings([(5.2, 4.2), (5.2, 4.2), (5.2, 4.2)]),
        "........ ........ ........ ........ .....#.. ........",
    ),
    "a thin ring at the border": (
        rings(box(7.6, 1.1, 8, 1.4)),
        "........ .......# ........ ........ ........ ........",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", DRAWN)
def test_a_pixel_counts_when_its_center_lies_inside_and_nothing_vanishes(case: str) -> None:
    area, art = DRAWN[case]
    assert shown(area) == lines(art)


def test_objects_are_united_and_each_thin_one_is_kept() -> None:
    two = [rings(box(1, 1, 4, 3)), rings(box(3, 2, 6, 4)), rings([(7.1, 5.1), (7.2, 5.1), (7.2, 5.2)])]
    assert shown(*two) == lines("........ .###.... .#####.. ...###.. ........ .......#")
    assert shown(*two[::-1]) == shown(*two)


def test_areas_with_a_common_border_share_no_pixel_and_leave_none() -> None:
    parts = [rings([(0, 0), (8, 0), (3.3, 2.5)]), rings([(0, 0), (3.3, 2.5), (8, 0), (8, 6), (0, 6)])]
    pixels = [painted(*filled([part], SIZE, "here"), 48) for part in parts]
    assert (pixels[0] ^ pixels[1]).all()


def test_many_outlines_at_once_are_each_as_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    size = (40, 30)
    areas = [Rings((rng.uniform(-5, 45, (int(rng.integers(3, 9)), 2)),)) for _ in range(60)]
    areas = [area for area in areas if by_hand(area, size).any()]
    expected = np.logical_or.reduce([by_hand(area, size) for area in areas])
    one_by_one = [painted(*filled([area], size, "here"), 1200).reshape(30, 40) for area in areas]
    assert all((found == by_hand(area, size)).all() for found, area in zip(one_by_one, areas, strict=True))
    for at_once, points in ((10**6, 10**6), (50, 20)):
        monkeypatch.setattr(polygons, "AT_ONCE", at_once)
        monkeypatch.setattr(polygons, "POINTS_AT_ONCE", points)
        assert (painted(*filled(areas, size, "here"), 1200).reshape(30, 40) == expected).all()


# What frPyObjects of pycocotools 2.0.11 makes of OUTLINE; it rounds outlines to a fifth of a pixel.
OUTLINE = [(2.3, 1.2), (11.7, 3.4), (9.1, 9.8), (3.3, 8.6)]
THEIRS = """
.............. ..##.......... ...#####...... ...#########.. ...########... ...########... ...########...
...#######.... ...#######.... ........#..... .............. ..............
"""


def test_an_outline_is_that_of_pycocotools_up_to_its_border() -> None:
    ours, theirs = shown(rings(OUTLINE), size=(14, 12)), lines(THEIRS)
    differ = [n for n, (a, b) in enumerate(zip(ours, theirs, strict=True)) if a != b]
    assert [(n // 15, n % 15, ours[n]) for n in differ] == [(2, 2, "#"), (6, 10, ".")]


def test_a_circle_has_its_area_and_an_ellipse_turns_clockwise() -> None:
    circle = Rings((oval(50.0, 50.0, (30.0, 30.0), "here"),))
    assert painted(*filled([circle], (100, 100), "here"), 10_000).sum() == pytest.approx(
        np.pi * 900, rel=2e-3
    )
    turned = Rings((oval(5.0, 5.0, (4.0, 1.0), "here", turned=45.0),))
    pixels = painted(*filled([turned], (10, 10), "here"), 100).reshape(10, 10)
    assert pixels[[7, 2, 2], [7, 2, 7]].tolist() == [True, True, False], (
        "x right, y down: it falls to the right"
    )


def test_what_lies_outside_is_told() -> None:
    areas = [rings(box(9, 1, 12, 3)), rings(box(-4, 1, 0, 3)), rings(box(7, 5, 9, 9)), rings(box(1, 6, 2, 7))]
    assert outside(areas, SIZE).tolist() == [True, True, False, True]
    assert outside([], SIZE).tolist() == []


def test_too_fine_outlines_are_refused_before_they_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polygons, "CROSSINGS_LIMIT", 20)
    assert shown(rings(box(1, 1, 4, 3)))
    with pytest.raises(DataError, match="here: its outlines cross more than 20 rows of pixels; simplify"):
        filled([rings(box(0, 0, 8, 6)), rings(box(0, 0, 8, 6))], SIZE, "here")
    with pytest.raises(DataError, match="cross more than 20 rows"):
        filled([rings([(0.1, 0.2), (90.3, 0.2), (90.3, 0.3)])], SIZE, "here")
