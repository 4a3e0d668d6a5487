import cv2
import numpy as np
import pytest

from harness.data.proof.pictures import IGNORED, LABEL, MARK, SCALE, STRIP, below, beside, panel, to_png


def drawn(marks: bool = False) -> np.ndarray:
    image, mask = np.full((40, 40), 100, np.uint8), np.zeros((40, 40), np.uint8)
    mask[10:15, 10:15], mask[30:, :20] = 1, 255
    flags = np.zeros((40, 40), bool)
    flags[2:5, 20:25] = marks
    return panel(image, mask, "title", flags)[STRIP:]


def colored(picture: np.ndarray, color: tuple[int, int, int]) -> np.ndarray:
    return np.argwhere((picture == color).all(axis=2)) // SCALE


def test_labels_are_outlined_and_what_is_ignored_is_hatched() -> None:
    picture = drawn()
    outline, hatched = colored(picture, LABEL), colored(picture, IGNORED)
    assert outline.min() >= 10
    assert outline.max() < 15
    assert hatched[:, 0].min() >= 30
    assert hatched[:, 1].max() < 20
    assert (picture[SCALE * 20, SCALE * 30] == 100).all()


def test_marks_are_filled() -> None:
    reddish = drawn(marks=True)[SCALE * 3, SCALE * 22].astype(int)
    assert abs(reddish - np.array(MARK)).max() < 60
    assert (drawn()[SCALE * 3, SCALE * 22] == 100).all()


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        (np.random.default_rng(0).normal(size=(20, 20, 3)), np.zeros((20, 20), np.uint8)),
        (np.zeros((20, 20), np.float32), np.zeros((20, 20), np.int64)),
        (np.zeros((3, 20, 20), np.uint8), np.zeros((1, 20, 20), np.uint8)),
        (np.zeros((20, 20, 1), np.uint8), np.ones((10, 10), np.float64)),
    ],
)
def test_whatever_a_pipeline_makes_can_be_shown(image: np.ndarray, mask: np.ndarray) -> None:
    assert panel(image, mask, "").shape == (STRIP + 20 * SCALE, 20 * SCALE, 3)


def test_panels_of_any_size_make_one_png() -> None:
    small, large = (panel(np.zeros((n, n), np.uint8), np.zeros((n, n), np.uint8), "x") for n in (20, 30))
    row = beside([small, large])
    picture = below([row, beside([small])], "title")
    read = cv2.imdecode(np.frombuffer(to_png(picture), np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(read, picture)
