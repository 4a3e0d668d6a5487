import numpy as np
import pytest

from benchmarks.planted import FILES, FORMS, INSET, KINDS, MOVES, copy_of, scene, tilted
from benchmarks.textures import PICTURE, SURFACE, Place

CORNERS = [Place(top, left) for top in (INSET, 216) for left in (INSET, 216)]
SHARED = {  # least and most share of a picture that both show
    "shifted": (0.81, 0.999),
    "half overlap": (0.5, 0.53),
    "quarter overlap, corner": (0.25, 0.28),
    "quarter overlap, strip": (0.25, 0.28),
}


def shared(place: Place, moved: Place) -> float:
    down, right = abs(moved.top - place.top), abs(moved.left - place.left)
    return (PICTURE - down) * (PICTURE - right) / PICTURE**2


@pytest.mark.parametrize("kind", MOVES)
def test_pictures_overlap_as_their_kind_says_and_lie_on_the_surface(kind: str) -> None:
    least, most = SHARED[kind]
    for number in range(200):
        place = CORNERS[number % 4]
        moved = MOVES[kind](place, np.random.default_rng(number))
        assert least <= shared(place, moved) <= most
        assert min(moved.top, moved.left) >= 0
        assert max(moved.top, moved.left) <= SURFACE - PICTURE


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_copy_is_the_same_each_time_and_only_the_exact_one_has_the_same_pixels(
    kind: str, form: str
) -> None:
    origin = scene("grain", 1, 3, form)
    made, again = (copy_of(origin, kind, form, np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(made, again)
    assert np.array_equal(made, origin.stored) == (kind == "exact")


def test_a_tilted_picture_shows_the_same_middle_and_no_border() -> None:
    for number in range(4):
        origin = scene("grain", 1, number, "PNG")
        seen = tilted(origin, np.random.default_rng(number)).astype(float)
        middle = slice(PICTURE // 2 - 4, PICTURE // 2 + 4)
        pair = [pixels[middle, middle].ravel() for pixels in (seen, origin.stored.astype(float))]
        assert np.corrcoef(pair)[0, 1] > 0.8
        assert seen.min() > 0


def test_files_are_kinds() -> None:
    assert set(FILES) <= set(KINDS)
