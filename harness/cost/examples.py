"""Pictures of a leak: what the split by pictures validated, beside what it trained on of the same thing."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from harness.cost.answer import Answer
from harness.cost.question import Question
from harness.data.audit.drawing import Figure, beside, outlined, to_jpeg
from harness.data.audit.masks import images_of, masks_of
from harness.prepare import Prepared

Row = Mapping[Any, Any]

SHOWN = 4  # of them, each of another group


def examples(question: Question, found: Answer, prepared: Prepared) -> Iterator[Figure]:
    """Yield pictures with an object whose score gained most by the leak, those of the largest gain first."""
    samples = question.samples
    fold = question.splits[0].of(question.tables[0])
    table = samples.assign(fold=fold, position=range(len(samples)))
    rows: dict[str, Row] = {str(row["sample"]): row for row in table.to_dict("records")}
    image = images_of(samples, prepared.root, prepared.study.data)
    mask = masks_of(samples, prepared.root, prepared.study.data)
    names = prepared.samples["sample"].tolist()
    alike = {frozenset((names[pair.first], names[pair.second])) for pair in prepared.copies.sure()}
    for row, twin, crop, group in _chosen(found, rows, alike):
        panels = [outlined(image(one["position"]), mask(one["position"])) for one in (row, twin)]
        text = (
            f"Left, validated in fold {row['fold']}: {row['sample']}. Right, trained on for it: {twin['sample']}, of "
            f"the same group {row['group']}. IoU of the left one {crop:.2f} where the right one was trained on, "
            f"{group:.2f} by a model that never saw this group. Labels are outlined."
        )
        yield Figure(text, to_jpeg(beside(panels)))


def _chosen(
    found: Answer, rows: Mapping[str, Row], alike: Collection[frozenset[str]]
) -> Iterator[tuple[Row, Row, float, float]]:
    """Yield a picture, one that was trained on for it, and its IoU under both splits; each of another group.

    `alike` are pictures of which it is sure that they show the same.
    """
    by_group: dict[str, list[Row]] = {}
    for row in rows.values():
        by_group.setdefault(row["group"], []).append(row)
    shown: set[str] = set()
    for name, crop, group in _gains(found).itertuples():
        row = rows[str(name)]
        twin = _trained_on(row, by_group[row["group"]], alike)
        if len(shown) < SHOWN and row["group"] not in shown and twin is not None:
            shown.add(row["group"])
            yield row, twin, crop, group


def _gains(found: Answer) -> pd.DataFrame:
    """Return IoU under both splits of each picture with an object, by its name, the largest gain first."""
    crop, group = (rows[rows["objects"] > 0].set_index("photo")["iou"] for rows in found.rows)
    both = pd.DataFrame({"crop": crop, "group": group})
    order = (both["group"] - both["crop"]).sort_index().sort_values(kind="stable").index
    return both.loc[order]


def _trained_on(row: Row, group: Sequence[Row], alike: Collection[frozenset[str]]) -> Row | None:
    """Return a picture of the group in another fold: one that shows the same, or has an object, before others."""

    def rank(one: Row) -> tuple[bool, bool, bool, str]:
        apart = frozenset((one["sample"], row["sample"])) not in alike
        return apart, one["photographed"] != row["photographed"], one["positive"] == 0, one["sample"]

    return min((one for one in group if one["fold"] != row["fold"]), key=rank, default=None)
