from itertools import combinations

import numpy as np
import pytest

from benchmarks.textures import PICTURE, SURFACE, TEXTURES, Place, picture, surface


@pytest.mark.parametrize("texture", TEXTURES)
def test_a_surface_is_the_same_each_time_and_no_other(texture: str) -> None:
    drawn = [surface(texture, 1, number) for number in range(3)]
    assert drawn[0].shape == (SURFACE, SURFACE)
    np.testing.assert_array_equal(drawn[0], surface(texture, 1, 0))
    drawn.append(surface(texture, 2, 0))
    pictures = [picture(one, Place(40, 40)).astype(float) for one in drawn]
    for one, other in combinations(pictures, 2):
        assert np.abs(one - other).mean() > 2  # gray levels


@pytest.mark.parametrize("texture", TEXTURES)
def test_a_picture_has_contrast_and_is_seldom_clipped(texture: str) -> None:
    pixels = picture(surface(texture, 1, 0), Place(0, 0))
    assert pixels.shape == (PICTURE, PICTURE)
    assert pixels.std() > 4
    assert ((pixels == 0) | (pixels == 255)).mean() < 0.001
