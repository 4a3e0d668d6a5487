import numpy as np
import pytest

from harness.data.formats.rle import counts_of, from_counts, from_starts
from harness.errors import DataError


def test_the_compressed_form_is_read_as_pycocotools_2_writes_it() -> None:
    """The text is that of `pycocotools.mask.encode` for this mask."""
    mask = np.zeros((6, 8), bool)
    mask[1:4, 2:7] = True
    mask[2, 4] = False
    counts = counts_of("=3300NN022005", "x")
    assert (from_counts(counts, 6, 8, "x", by_column=True) == mask).all()


def test_counts_go_by_column_or_by_row() -> None:
    assert from_counts([1, 2, 3], 2, 3, "x", by_column=True).tolist() == [
        [False, True, False],
        [True, False, False],
    ]
    assert from_counts([1, 2, 3], 2, 3, "x", by_column=False).tolist() == [
        [False, True, True],
        [False, False, False],
    ]
    assert from_counts([0, 6], 2, 3, "x", by_column=True).all()


def test_starts_count_from_one_by_column() -> None:
    assert from_starts("2 2 6 1", 2, 3, "x").tolist() == [[False, True, False], [True, False, True]]
    assert not from_starts("", 2, 3, "x").any()


@pytest.mark.parametrize("text", ["\x20", "o", "ooooooooooooooo0"])
def test_a_compressed_form_that_is_cut_or_none_is_refused(text: str) -> None:
    with pytest.raises(DataError, match="x: "):
        counts_of(text, "x")
