import pandas as pd
import pytest

from harness.data.audit.boxes import overlapping_crops


def boxed(samples, **boxes):
    """Return the samples as crops far apart on photos of their group; rows named r<number> get a box on photo p."""
    table = samples.assign(
        photo=samples["group"], x0=[1000 * n for n in range(len(samples))], y0=0, w=100, h=100
    )
    for row, box in boxes.items():
        table.loc[int(row[1:]), ["photo", "x0", "y0", "w", "h"]] = ["p", *box]
    return table.astype(dict.fromkeys(["x0", "y0", "w", "h"], "Int64"))


def test_without_boxes_it_is_not_run(samples, split):
    found = overlapping_crops(samples, split)
    assert (found.severity, found.status) == ("info", "not run")
    empty = samples.assign(
        **dict.fromkeys(["x0", "y0", "w", "h"], pd.array([pd.NA] * len(samples), dtype="Int64"))
    )
    assert overlapping_crops(empty, split).status == "not run"


def test_crops_apart_or_only_touching_pass(samples, split):
    table = boxed(samples, r0=(0, 0, 100, 100), r7=(100, 0, 100, 100), r20=(0, 100, 100, 100))
    assert overlapping_crops(table, split).status == "pass"


@pytest.mark.parametrize(
    ("box", "shared"),
    [((0, 0, 100, 100), 1), ((50, 0, 100, 100), 0.5), ((75, 75, 50, 50), 0.25), ((99, 99, 9, 9), 1 / 81)],
)
def test_an_overlap_across_groups_fails_with_its_share(samples, split, box, shared):
    found = overlapping_crops(boxed(samples, r0=(0, 0, 100, 100), r8=box), split)
    assert (found.status, found.affected) == ("fail", 2)
    assert found.items[0]["shared"] == round(shared, 3)
    assert "'g00/0.png' and 'g02/2.png'" in found.summary
    assert found.share_of_validation == 2 / 36


def test_an_overlap_in_one_group_is_no_leak(samples, split):
    assert overlapping_crops(boxed(samples, r0=(0, 0, 9, 9), r1=(0, 0, 9, 9)), split).status == "pass"


def test_every_pair_of_a_crowd_is_found(samples, split):
    table = boxed(
        samples, r0=(0, 0, 400, 50), r8=(10, 0, 20, 20), r15=(200, 10, 50, 50), r21=(390, 49, 50, 50)
    )
    assert len(overlapping_crops(table, split).items) == 3
