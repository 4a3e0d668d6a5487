import json
from dataclasses import replace

import numpy as np
import pytest

from harness.data.audit.ceiling import MOST_PX, label_agreement
from tests.data.audit.conftest import STILL


@pytest.fixture
def compare(samples, split, searched):
    """Return the finding where rows 0 and 6 (groups g00, g02) and 1 and 7 are copies, with these masks."""
    samples["height"], samples["width"] = 60, 80

    def check(masks, *more_pairs, pixels=None):
        read = []
        for row, mask in masks.items():
            samples.loc[row, ["positive", "mask_sha256"]] = [
                int((mask == 1).sum()),
                f"mask {mask.sum()} {row}",
            ]
        for row, name in (pixels or {}).items():
            samples.loc[row, "pixels_sha256"] = name
        copies = searched(samples, (0, 6, True, STILL), (1, 7, True, STILL), *more_pairs).copies

        def mask_of(row):
            read.append(row)
            return masks.get(row, label())

        return label_agreement(samples, split, copies, mask_of), read

    return check


def label(*boxes):
    mask = np.zeros((60, 80), np.uint8)
    for x, y in boxes:
        mask[y : y + 8, x : x + 10] = 1
    return mask


def test_labels_that_agree_pass_and_their_mean_is_told(compare):
    found, _ = compare({0: label((20, 20)), 6: label((20, 20)), 1: label(), 7: label()})
    assert (found.id, found.status, found.affected) == ("D12", "pass", 0)
    assert "The labels of 1 pair of pictures of one thing have a mean IoU of 1.00" in found.summary
    assert found.items[0]["iou forgiven"] == 1


def test_labels_that_differ_warn_with_the_worst_pair_first_and_the_mean_as_ceiling(compare):
    masks = {0: label((20, 20)), 6: label((20, 20), (60, 30)), 1: label((5, 5)), 7: label((50, 40))}
    found, _ = compare(masks)
    assert (found.status, found.severity, found.affected) == ("warn", "warn", 4)
    assert [item["first"] for item in found.items] == ["g00/1.png", "g00/0.png"]
    assert [item["iou"] for item in found.items] == [0, 0.5]
    assert (found.items[1]["only in first"], found.items[1]["only in second"]) == (0, 1)
    assert (found.items[1]["first fold"], found.items[1]["second fold"]) == ("fold 0", "fold 1")
    assert "'g00/1.png' and 'g02/1.png' show one thing and their labels agree in 0%" in found.summary
    assert "a mean IoU of 0.25" in found.summary
    assert [bar["pairs"] for bar in found.bars] == [1, 0, 0, 0, 0, 1, 0, 0, 0, 0]


def test_a_small_object_that_one_label_misses_is_a_contradiction_beside_a_large_one(compare):
    large = np.zeros((60, 80), np.uint8)
    large[5:45, 5:60] = 1
    both = large.copy()
    both[50:53, 70:73] = 1
    found, _ = compare({0: large, 6: both, 1: label(), 7: label()}, pixels={0: "same", 6: "same"})
    assert found.status == "warn"
    assert found.items[0]["iou forgiven"] > 0.99
    assert "(objects: 1 only in the second)" in found.summary


def test_a_copy_with_its_mask_is_no_second_label_and_is_not_read(compare, samples):
    samples.loc[[0, 6], "mask_sha256"] = "one"
    samples.loc[[1, 7], "positive"] = 0
    pixels = {0: "same", 6: "same"}
    found, read = compare({}, pixels=pixels)
    assert (found.status, found.severity, read) == ("not run", "info", [])


def test_suspected_pairs_are_not_compared(compare, samples):
    samples.loc[[0, 1, 6, 7], "positive"] = 0
    found, read = compare({3: label((9, 9)), 9: label((40, 9))}, (3, 9, False, STILL))
    assert (found.status, read) == ("not run", [])


def test_large_pictures_are_compared_in_part_and_the_sentence_says_so(samples, split, searched):
    samples["positive"], samples["height"], samples["width"] = 80, MOST_PX, 1
    pairs = [(row, row + 1, True, STILL) for row in range(0, 35)]
    found = label_agreement(samples, split, searched(samples, *pairs).copies, lambda row: label((20, 20)))
    assert "The labels of 20 of 35 pairs" in found.summary


def test_pictures_that_share_no_label_are_not_green(samples, split, searched):
    copies = searched(samples, (0, 6, True, STILL)).copies
    away = replace(copies.found.pairs[0].alignment, movement=np.array([[1.0, 0, 500], [0, 1, 0]]))
    pair = replace(copies.found.pairs[0], alignment=away)
    apart = replace(copies, found=replace(copies.found, pairs=(pair,)))
    assert label_agreement(samples, split, apart, lambda row: label((20, 20))).status == "not run"


def test_evidence_is_plain_values(compare):
    found, _ = compare({0: label((20, 20)), 6: label((40, 20))})
    assert json.loads(json.dumps(found.items)) == list(found.items)
    assert found.summary.endswith(".")
