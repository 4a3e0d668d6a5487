"""The four tables of a fold: they agree with the pixels, with each other, and from one day to the next."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from harness.errors import DataError
from harness.model.histogram import COARSE, FINE, THRESHOLDS, bins_of, histogram_of
from harness.model.metrics import count_row
from harness.model.outoffold import FILES, WHOLE_GROUP, Collector, OutOfFold, read_out_of_fold
from tests.model.test_objects import drawn

Picture = tuple[str, str, NDArray[np.float32], NDArray[np.uint8]]


def pictures(count: int = 6) -> list[Picture]:
    """Return photographs of two groups each; the last one has another's name, and nothing to find or to count."""
    made = [(f"p{n}", f"g{n // 2}", *drawn(n, 100 + 5 * n)) for n in range(count - 1)]
    return [*made, ("p0", "g0", np.full((8, 8), -9, np.float32), np.full((8, 8), 255, np.uint8))]


def collected(shown: list[Picture]) -> OutOfFold:
    collector = Collector(fold=3)
    for picture in shown:
        collector.add(*picture)
    return collector.tables()


@pytest.fixture(scope="module")
def kept() -> OutOfFold:
    return collected(pictures())


def dense(table: pd.DataFrame, bins: int) -> NDArray[np.int64]:
    both = np.zeros((2, bins), np.int64)
    np.add.at(both, (slice(None), table["bin"].to_numpy()), table[["positive", "negative"]].to_numpy().T)
    return both


def test_rows_are_the_counts_at_logit_zero_under_the_names_that_reports_use(kept: OutOfFold) -> None:
    for row, (photo, group, logits, truth) in zip(kept.rows.to_dict("records"), pictures(), strict=True):
        assert row == {"photo": photo, "group": group, "fold": 3} | count_row(logits > 0, truth)


def test_pixels_hold_the_counts_above_every_threshold(kept: OutOfFold) -> None:
    zero = THRESHOLDS.tolist().index(0.0)
    for number, (_, _, logits, truth) in enumerate(pictures()):
        row = kept.pixels.iloc[number]
        for value, name in ((1, "tp"), (0, "fp")):
            assert row[name].tolist() == [int(((logits > t) & (truth == value)).sum()) for t in THRESHOLDS]
            assert row[name][zero] == kept.rows[name].iloc[number]
        assert row["positive"] + row["negative"] == kept.rows["valid"].iloc[number]


def test_a_photograph_has_coarse_bins_and_a_group_the_sum_of_its_own_in_fine_ones(kept: OutOfFold) -> None:
    table, shown = kept.histograms, pictures()
    for group in ("g0", "g1", "g2"):
        own = [histogram_of(bins_of(p[2]), p[3]) for p in shown if p[1] == group]
        rows = table[(table["picture"] == WHOLE_GROUP) & (table["group"] == group)]
        np.testing.assert_array_equal(dense(rows, FINE), np.sum(own, axis=0))
    for number, (_, group, logits, truth) in enumerate(shown):
        rows = table[table["picture"] == number]
        assert set(rows["group"]) <= {group}
        fine = np.stack(histogram_of(bins_of(logits), truth))
        np.testing.assert_array_equal(dense(rows, COARSE), fine.reshape(2, COARSE, -1).sum(axis=2))
    assert (table[["positive", "negative"]].sum(axis=1) > 0).all()


def test_objects_are_as_many_as_the_rows_count(kept: OutOfFold) -> None:
    counted = kept.objects.pivot_table(
        index="picture", columns="kind", values="count", aggfunc="sum", fill_value=0
    )
    counted = counted.reindex(kept.rows.index, fill_value=0)
    assert counted["matched"].tolist() == kept.rows["found"].tolist()
    assert (counted["matched"] + counted["missed"]).tolist() == kept.rows["objects"].tolist()
    assert counted["false"].tolist() == kept.rows["false"].tolist()
    assert kept.rows[["found", "false", "objects"]].to_numpy().sum(axis=0).min() > 0


def test_equal_predictions_make_equal_bytes_and_are_read_back(kept: OutOfFold, tmp_path: Path) -> None:
    files = kept.files()
    assert files == collected(pictures()).files()
    assert tuple(files) == FILES
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    back = read_out_of_fold(tmp_path)
    assert back is not None
    for name in ("rows", "pixels", "histograms", "objects"):
        pd.testing.assert_frame_equal(getattr(back, name), getattr(kept, name), check_dtype=False)


def test_rows_alone_are_of_an_older_fold_and_other_parts_are_damage(kept: OutOfFold, tmp_path: Path) -> None:
    for name, content in kept.files().items():
        (tmp_path / name).write_bytes(content)
    for gone in FILES[1:]:
        content = (tmp_path / gone).read_bytes()
        (tmp_path / gone).unlink()
        with pytest.raises(DataError, match=f"{gone} is gone"):
            read_out_of_fold(tmp_path)
        (tmp_path / gone).write_bytes(content)
    for gone in FILES[1:]:
        (tmp_path / gone).unlink()
    assert read_out_of_fold(tmp_path) is None


def test_a_fold_without_any_object_is_written_and_read_too(tmp_path: Path) -> None:
    empty = np.zeros((5, 5), np.uint8)
    for name, content in collected([("p", "g", np.full((5, 5), -1, np.float32), empty)]).files().items():
        (tmp_path / name).write_bytes(content)
    back = read_out_of_fold(tmp_path)
    assert back is not None
    assert len(back.objects) == 0
    assert back.histograms["negative"].sum() == 50  # the photograph's and the group's


def test_one_pixel_of_another_logit_makes_other_tables(kept: OutOfFold) -> None:
    shown = pictures()
    shown[2][2][50, 50] += 0.02
    assert collected(shown).files()["histograms.parquet"] != kept.files()["histograms.parquet"]
