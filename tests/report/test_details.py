"""The best trial in tables: counts that add up, the worst first, and a true count of what is left out."""

import pandas as pd
import pytest

from benchmarks.drawn_study import draw_study
from harness.evaluate.thresholds import cross_fit, fold_counts
from harness.report.details import MOST_GROUPS, details
from harness.report.foldfiles import TrialFiles, read_trial
from tests.report.reading import Page, read_page

GROUPS = 60


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> TrialFiles:
    work = tmp_path_factory.mktemp("home") / "small-12345678"
    draw_study(work, trials=3, groups=GROUPS)
    return read_trial(work, 1, range(5))


@pytest.fixture(scope="module")
def page(files: TrialFiles, tmp_path_factory: pytest.TempPathFactory) -> Page:
    samples = tmp_path_factory.mktemp("samples") / "samples.parquet"
    rows = files.rows[["photo", "objects"]]
    classes = rows.assign(class_id=rows["objects"].map(lambda n: "spot" if n else "clean"))
    both = classes.iloc[:1].assign(class_id="crack")  # one photograph with two classes
    pd.concat([classes, both])[["photo", "class_id"]].to_parquet(samples)
    return read_page(details({f"iou_fold_{fold}": 0.1 * fold for fold in range(5)}, files, samples))


def test_each_fold_has_the_score_of_the_ledger_and_its_threshold(files: TrialFiles, page: Page) -> None:
    rows = page.table("fold")
    assert [row["IoU"] for row in rows] == ["0.0000", "0.1000", "0.2000", "0.3000", "0.4000"]
    assert sum(int(row["photographs"]) for row in rows) == 2 * GROUPS
    found = cross_fit([fold_counts(kept.pixels) for _, kept in files.kept])
    assert [row["IoU at it"] for row in rows] == [f"{score:.4f}" for score in found.at_chosen]
    assert rows[0]["best epoch would have"].endswith("(epoch 12 of 12)")


def test_groups_are_the_worst_first_and_counted(files: TrialFiles, page: Page) -> None:
    rows = page.table("group")
    assert len(rows) == MOST_GROUPS
    scores = [float(row["IoU"]) for row in rows]
    assert scores == sorted(scores)
    one = rows[-1]
    own = files.rows[files.rows["group"] == one["group"]][["tp", "fp", "fn"]].sum()
    assert one["IoU"] == f"{own['tp'] / own.sum():.4f}"
    assert (one["TP"], one["FP"], one["FN"]) == tuple(f"{own[name]:,}" for name in ("tp", "fp", "fn"))
    assert f"The worst {MOST_GROUPS} of {GROUPS} groups." in page.text


def test_a_photograph_counts_in_each_of_its_classes(files: TrialFiles, page: Page) -> None:
    rows = {row["class"]: row for row in page.table("class")}
    assert int(rows["spot"]["objects"]) == files.rows["objects"].sum()
    assert rows["clean"]["IoU, pooled"] == rows["clean"]["recall"] == ""
    first = files.rows.iloc[0]
    assert rows["crack"]["photographs"] == "1"
    assert rows["crack"]["objects"] == str(first["objects"])


def test_sizes_hold_every_object(files: TrialFiles, page: Page) -> None:
    rows = page.table("size")
    assert len(rows) == 4
    for name, column in (("objects", "objects"), ("found", "found"), ("false objects", "false")):
        assert sum(int(row[name].replace(",", "")) for row in rows) == files.rows[column].sum()
