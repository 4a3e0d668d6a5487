from collections.abc import Callable

import numpy as np
import pytest

from harness.data.formats.rle import coco_counts, coco_text, cvat, kaggle
from harness.data.formats.shapes import Runs
from harness.data.formats.spans import joined, painted
from harness.errors import DataError
from tests.data.formats.examples import lines

# The texts are what pycocotools 2.0.11 writes for these masks.
SMALL = "....# .###. .###. ....#"
LARGE = np.zeros((40, 30), bool)
LARGE[3:38, 2:29] = True
LARGE[10:20, 10:20] = False
LARGE_TEXT = "c2S1500000000000000TO5;KE5;KE5;KE5;KE5;KE5;KE5;KE5;KE5;KE5;Ka00000000000000000U1"


def shown(runs: Runs, size: tuple[int, int]) -> str:
    pixels = painted(runs.starts, runs.ends, size[0] * size[1])
    grid = pixels.reshape(size).T if runs.by_columns else pixels.reshape(size[::-1])
    return "\n".join("".join(".#"[int(v)] for v in line) for line in grid)


def test_coco_text_and_counts_are_decoded_as_pycocotools_does() -> None:
    assert shown(coco_text("522000OO10", (5, 4), "here"), (5, 4)) == lines(SMALL)
    assert shown(coco_counts([5, 2, 2, 2, 2, 2, 1, 1, 2, 1], (5, 4), "here"), (5, 4)) == lines(SMALL)
    large = coco_text(LARGE_TEXT, (30, 40), "here")
    assert (painted(large.starts, large.ends, 1200).reshape(30, 40).T == LARGE).all()
    assert coco_counts([20], (5, 4), "here").starts.size == 0
    assert shown(coco_counts([0, 20], (5, 4), "here"), (5, 4)) == lines("##### ##### ##### #####")


def test_kaggle_counts_from_one_down_the_columns() -> None:
    assert shown(kaggle("6 2 10 2 14 2 17 1 20 1", (5, 4), "here"), (5, 4)) == lines(SMALL)
    assert shown(kaggle("1 20", (5, 4), "here"), (5, 4)) == lines("##### ##### ##### #####")


def test_cvat_counts_along_the_rows_of_a_box_in_its_picture() -> None:
    runs = cvat("1, 4, 1", (2, 1), (3, 2), (8, 4), "here")
    assert shown(runs, (8, 4)) == lines("........ ...##... ..##.... ........")
    assert shown(cvat("0,6", (5, 2), (3, 2), (8, 4), "here"), (8, 4)) == lines(
        "........ ........ .....### .....###"
    )


def test_stretches_are_joined_where_they_touch_or_overlap() -> None:
    starts, ends = joined(np.array([7, 1, 3, 2, 9, 4]), np.array([8, 3, 5, 3, 9, 5]))
    assert (starts.tolist(), ends.tolist()) == ([1, 7], [5, 8])
    assert painted(np.array([0, 2]), np.array([1, 4]), 5).tolist() == [True, False, True, True, False]
    assert not painted(np.zeros(0, np.int64), np.zeros(0, np.int64), 3).any()


WRONG: dict[str, tuple[Callable[[], Runs], str]] = {
    "too few": (lambda: coco_counts([5, 2], (5, 4), "here"), "run lengths of 7 pixels in all, of 20 in the picture"),
    "too many": (lambda: coco_counts([5, 16], (5, 4), "here"), "run lengths of 21 pixels in all"),
    "a negative run": (lambda: coco_counts([25, -5], (5, 4), "here"), "a run of -5 pixels"),
    "a half": (lambda: coco_counts([5, 15.0], (5, 4), "here"), "no list of run lengths"),
    "a word": (lambda: coco_counts([5, "15"], (5, 4), "here"), "no list of run lengths"),
    "true": (lambda: coco_counts([19, True], (5, 4), "here"), "no list of run lengths"),
    "huge": (lambda: coco_counts([10**30], (5, 4), "here"), "no list of run lengths"),
    "long": (lambda: coco_counts([2**62, 2**62, 2**62, 2**62, 20], (5, 4), "here"), "a run longer than any picture"),
    "no text": (lambda: coco_text("", (5, 4), "here"), "no compressed run lengths"),
    "signs below": (lambda: coco_text("5 2", (5, 4), "here"), "no compressed run lengths"),
    "signs above": (lambda: coco_text("5é", (5, 4), "here"), "no compressed run lengths"),
    "a cut text": (lambda: coco_text("522000OO1`", (5, 4), "here"), "no compressed run lengths, or cut off"),
    "a short text": (lambda: coco_text("522000OO1", (5, 4), "here"), "run lengths of 19 pixels"),
    "an endless number": (lambda: coco_text("ooooooooo0", (5, 4), "here"), "a run longer than any picture"),
    "no pairs": (lambda: kaggle("1 2 3", (5, 4), "here"), "3 numbers, not pairs"),
    "from zero": (lambda: kaggle("0 2", (5, 4), "here"), r"the run 0 2 leaves a picture of 5 x 4 px"),
    "past the end": (lambda: kaggle("20 2", (5, 4), "here"), "the run 20 2 leaves"),
    "no length": (lambda: kaggle("2 0", (5, 4), "here"), "the run 2 0 leaves"),
    "words": (lambda: kaggle("one 2", (5, 4), "here"), "'one 2' is no list of run lengths"),
    "a mask beyond": (lambda: cvat("0,6", (6, 1), (3, 2), (8, 4), "here"), "3 x 2 px at 6, 1 leaves its picture of"),
    "a mask of less": (lambda: cvat("0,5", (2, 1), (3, 2), (8, 4), "here"), "run lengths of 5 pixels in all, of 6"),
    "no runs": (lambda: cvat("", (2, 1), (3, 2), (8, 4), "here"), "no list of run lengths"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_wrong_run_lengths_are_one_line(case: str) -> None:
    call, message = WRONG[case]
    with pytest.raises(DataError, match=f"^here: .*{message}") as caught:
        call()
    assert "\n" not in str(caught.value)
