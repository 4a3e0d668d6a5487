import numpy as np
import pytest

from harness.data.audit.groups import group_ids, group_overlap, one_fold_each
from harness.data.audit.sides import HELD_OUT


def test_a_group_split_passes_all_three(samples, deal):
    split = deal(samples, held_out=["g00", "g01"])
    shuffled = samples.sample(frac=1, random_state=1)
    for check in (group_overlap, group_ids, one_fold_each):
        assert check(samples, split).status == check(shuffled, split).status == "pass"


def test_a_split_by_rows_is_a_leak_in_every_fold(samples, split, row_split):
    careless = row_split(tuple(np.arange(len(samples)) % 3), split.folds)
    found = group_overlap(samples, careless)
    assert (found.status, found.affected, found.share_of_validation) == ("fail", 36, 1.0)
    assert {item["fold"] for item in found.items} == {0, 1, 2}
    assert "Group 'g00' trains fold 0" in found.summary
    assert "(and 35 more cases)" in found.summary


def test_one_row_on_the_wrong_side_is_found_and_its_share_is_exact(samples, split, row_split):
    rows = split.of(samples)
    rows[2] = 1  # the third image of g00, whose others are in fold 0
    found = group_overlap(samples, row_split(tuple(rows), split.folds))
    assert [(item["group"], item["fold"], item["samples"]) for item in found.items] == [
        ("g00", 0, 2),
        ("g00", 1, 1),
    ]
    assert found.affected == 3
    assert found.share_of_validation == 3 / 36


def test_a_group_that_trains_and_is_held_out_is_found(samples, split, row_split):
    rows = split.of(samples)
    rows[0] = HELD_OUT
    found = group_overlap(samples, row_split(tuple(rows), split.folds))
    assert {item["side"] for item in found.items} == {"held out"}
    assert found.affected == 1


@pytest.mark.parametrize("blank", ["", "   "])
def test_a_blank_id_fails_with_its_image(samples, deal, blank):
    samples.loc[[4, 7], "group"] = blank
    found = group_ids(samples, deal(samples))
    assert found.status == "fail"
    assert (
        found.summary
        == "'g01/1.png' has a blank group (source_image_id or data.group); name what it shows (and 1 more image)."
    )


@pytest.mark.parametrize("like", ["G00", " g00", "g00 ", "g 00", "ｇ00"])
def test_ids_that_differ_only_in_case_blanks_or_unicode_form_are_shown(samples, deal, like):
    samples.loc[1, "group"] = like
    found = group_ids(samples, deal(samples))
    assert found.status == "warn"
    assert {item["id or image"] for item in found.items} == {"g00", like}


def test_ids_that_differ_in_a_digit_are_two_ids(samples, deal):
    samples.loc[1, "group"] = "g000"
    assert group_ids(samples, deal(samples)).status == "pass"


def test_one_image_a_group_cannot_show_a_leak_and_is_a_warning(samples, deal):
    alone = samples.drop_duplicates("group")
    found = group_ids(alone, deal(alone))
    assert (found.status, found.affected) == ("warn", 12)
    assert "Each of 12 images is its own group" in found.summary


def test_index_labels_taken_for_positions_are_found_on_a_shuffled_table(samples, split, label_split):
    shuffled = samples.sample(frac=1, random_state=2)
    careless = label_split(tuple(split.of(shuffled)), split.folds)
    assert one_fold_each(samples, label_split(tuple(split.of(samples)), split.folds)).status == "pass"
    found = one_fold_each(shuffled, careless)
    assert found.status == "fail"
    assert "never index labels" in found.summary


def test_labels_beyond_the_table_are_found_too(samples, split, label_split):
    filtered = samples[samples["group"] > "g05"]
    found = one_fold_each(filtered, label_split(tuple(split.of(filtered)), split.folds))
    assert found.status == "fail"


def test_a_row_named_twice_is_found_beside_the_one_it_hides(samples, split, label_split):
    repeated = samples.set_index(np.array([0, 0, *range(2, len(samples))]))  # as after pd.concat
    found = one_fold_each(repeated, label_split(tuple(split.of(repeated)), split.folds))
    assert [(item["row"], item["times"]) for item in found.items] == [(0, 2), (1, 0)]
    assert found.affected == 2


def test_a_row_in_no_fold_or_in_anothers_is_named_once_each(samples, split, row_split):
    rows = split.of(samples)
    rows[4], rows[9] = 7, 2
    found = one_fold_each(samples, row_split(tuple(rows), split.folds))
    assert [(item["row"], item["times"]) for item in found.items] == [(4, 0), (9, 1)]
    assert found.items[0]["fold of the group"] == "fold 0"
    assert found.share_of_validation == 2 / 36
