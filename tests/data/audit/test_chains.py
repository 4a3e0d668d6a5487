import cv2
import numpy as np
import pytest

from harness.data.audit.chains import LONGEST, chain_figures
from harness.data.audit.drawing import GAP, SHOWN
from harness.data.audit.joins import Joins, frozen_folds, runaway_joins
from tests.data.audit.conftest import chain_of


@pytest.fixture
def level(samples):
    """Return what reads a picture, all of one gray that tells its row in the table."""
    grays = {name: 10 + 6 * row for row, name in enumerate(samples["sample"])}
    return lambda name: np.full((40, 40), grays[name], np.uint8)


def panels(figure):
    """Return the gray in the middle of each panel of a figure."""
    shown = cv2.imdecode(np.frombuffer(figure.file, np.uint8), cv2.IMREAD_GRAYSCALE)
    return [int(shown[SHOWN // 2, at + SHOWN // 2]) for at in range(0, shown.shape[1], SHOWN + GAP)]


def test_a_chain_is_shown_in_its_order_with_groups_and_frozen_folds(samples, level):
    torn = Joins(torn=(chain_of(samples, (0, 30, 6), ("fold 0", "", "held out")),), parent=True)
    (figure,) = chain_figures([frozen_folds(torn)], level)
    assert figure.check == "G6"
    np.testing.assert_allclose(panels(figure), [10, 190, 46], atol=2)
    assert (
        "g00/0.png (group g00, fold 0); g10/0.png (group g10); g02/0.png (group g02, held out)."
        in figure.caption
    )


def test_of_a_long_chain_the_ends_are_shown_and_of_many_chains_two(samples, level):
    chains = tuple(chain_of(samples, tuple(range(first, 36, 3))) for first in range(3))
    figures = list(chain_figures([runaway_joins(Joins("tried", chains))], level))
    assert [figure.check for figure in figures] == ["D10", "D10"]
    assert len(panels(figures[0])) == LONGEST
    assert "A chain of 12 pictures" in figures[0].caption
    assert "6 pictures between them are left out" in figures[0].caption


def test_nothing_is_shown_where_nothing_is_wrong(level):
    assert not list(chain_figures([runaway_joins(Joins("tried")), frozen_folds(None)], level))
