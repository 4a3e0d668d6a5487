import cv2
import numpy as np
import pytest

from harness.data.proof.planted import BRIGHT, DARK, SIDE, SIZES, Planted, plant


@pytest.fixture(params=[False, True])
def planted(request: pytest.FixtureRequest) -> Planted:
    return plant(request.param)


def test_objects_are_as_small_and_rare_as_those_of_studies(planted: Planted) -> None:
    count, _, stats, _ = cv2.connectedComponentsWithStats(
        (planted.mask == 1).astype(np.uint8), connectivity=8
    )
    assert count - 1 == planted.count == planted.numbers.max() == 15
    assert set(stats[1:, cv2.CC_STAT_WIDTH]) <= set(SIZES)
    assert 0.001 < (planted.mask == 1).mean() < 0.05
    assert set(np.unique(planted.mask)) == {0, 1, 255}


def test_an_object_shows_where_its_label_is_and_nowhere_else(planted: Planted) -> None:
    differs = planted.image != planted.ground
    shown = differs.any(axis=2) if differs.ndim == 3 else differs
    np.testing.assert_array_equal(shown, planted.mask == 1)
    np.testing.assert_array_equal(planted.numbers > 0, planted.mask == 1)
    assert planted.contrast[0] == 0
    assert 30 < planted.contrast[1:].min() < 40
    assert 60 < planted.contrast[1:].max() < 75


def test_the_other_pictures_are_unlike_the_ground_everywhere(planted: Planted) -> None:
    for picture, level in ((planted.bright, BRIGHT), (planted.dark, DARK)):
        assert picture.shape == planted.ground.shape
        assert abs(float(picture.max()) - level) < 20
        assert (np.abs(picture.astype(int) - planted.ground) > 40).all()


def test_rows_and_columns_say_where_a_pixel_is(planted: Planted) -> None:
    assert (planted.rows[5] == planted.rows[5, 0]).all()
    assert planted.rows[9, 0] - planted.rows[4, 0] == 5
    np.testing.assert_array_equal(planted.columns, planted.rows.T)
    assert not set(np.unique(planted.rows)) & {0, 1, 255}
    assert len(np.unique(planted.rows)) == SIDE
