import pytest

from harness.config import Folds
from harness.data.audit.duplicates import same_bytes, same_mask, same_pixels, two_masks
from harness.data.split import new_split

EXACT = (same_bytes, same_pixels)


def copy(samples, source, target, *columns):
    """Make row `target` equal to row `source` in some of its hashes."""
    for column in columns:
        samples.loc[target, f"{column}_sha256"] = samples.loc[source, f"{column}_sha256"]


@pytest.mark.parametrize("check", [same_bytes, same_pixels, same_mask, two_masks])
def test_pictures_that_all_differ_pass(samples, split, check):
    assert check(samples, split).status == "pass"


def test_a_file_in_two_groups_fails_and_both_sides_are_named(samples, split):
    copy(samples, 0, 8, "file", "pixels")
    found = same_bytes(samples, split)
    assert found.status == "fail"
    assert found.summary == (
        "'g00/0.png' (group 'g00', fold 0) and 'g02/2.png' (group 'g02', fold 1) are the same file; "
        "give both one group (source_image_id or data.group), or remove one."
    )
    assert found.items == (
        {
            "first": "g00/0.png",
            "first group": "g00",
            "first fold": "fold 0",
            "second": "g02/2.png",
            "second group": "g02",
            "second fold": "fold 1",
        },
    )
    assert (found.affected, found.share_of_validation) == (2, 2 / 36)
    assert same_pixels(samples, split).status == "pass", "the same file is reported once"


def test_the_same_pixels_in_another_file_fail(samples, split):
    copy(samples, 0, 8, "pixels")
    assert same_bytes(samples, split).status == "pass"
    found = same_pixels(samples, split)
    assert (found.status, found.affected) == ("fail", 2)
    assert "same pixels in different files" in found.summary


@pytest.mark.parametrize("check", EXACT)
def test_blank_pictures_in_two_groups_warn_and_are_listed_and_are_no_leak(samples, split, check):
    blank = [0, 8, 20]
    for row in blank[1:]:
        copy(samples, 0, row, *(["file", "pixels"] if check is same_bytes else ["pixels"]))
    samples.loc[blank, "constant"] = True
    found = check(samples, split)
    assert (found.status, found.affected, found.share_of_validation) == ("warn", 3, 0)
    assert [item["second"] for item in found.items] == ["g02/2.png", "g06/2.png"]
    assert "blank: nothing tells whether they show one thing" in found.summary


def test_beside_a_copy_that_leaks_blank_ones_are_told_of_too(samples, split):
    copy(samples, 0, 8, "file", "pixels")
    copy(samples, 3, 20, "file", "pixels")
    samples.loc[[3, 20], "constant"] = True
    found = same_bytes(samples, split)
    assert (found.status, found.affected, len(found.items)) == ("fail", 2, 2)
    assert found.summary.endswith("1 pairs are blank and tell nothing.")


@pytest.mark.parametrize("check", EXACT)
def test_a_copy_within_a_group_is_no_leak(samples, split, check):
    copy(samples, 0, 1, "file", "pixels")
    copy(samples, 3, 4, "pixels")
    assert check(samples, split).status == "pass"


@pytest.mark.parametrize("check", EXACT)
def test_a_copy_across_groups_of_one_fold_fails_although_nothing_leaked_yet(samples, split, check):
    copy(samples, 0, 3, *(["file", "pixels"] if check is same_bytes else ["pixels"]))  # g00 and g01: fold 0
    found = check(samples, split)
    assert (found.status, found.affected, found.share_of_validation) == ("fail", 2, 0.0)


@pytest.mark.parametrize("check", EXACT)
def test_a_leak_of_a_later_repeat_is_told_with_the_folds_that_it_leaks_between(samples, split, check):
    copy(samples, 0, 3, *(["file", "pixels"] if check is same_bytes else ["pixels"]))  # g00 and g01: fold 0
    other = {group: 3 + (fold + (group == "g01")) % 3 for group, fold in split.folds.items()}
    settings = Folds(count=3, scheme="repeated", repeats=2)
    found = check(samples, new_split("m", settings, split.folds, other, notes=[], parent=None))
    assert (found.items[0]["first fold"], found.items[0]["second fold"]) == ("fold 3", "fold 4")
    assert found.share_of_validation == 2 / 36


def test_a_held_out_copy_leaks_into_its_own_test_only(samples, deal):
    copy(samples, 0, 8, "file", "pixels")
    found = same_bytes(samples, deal(samples, held_out=["g00", "g01"]))
    assert found.items[0]["first fold"] == "held out"
    assert found.share_of_validation == 1 / 36


def test_many_copies_of_one_file_make_few_pairs_and_a_count(samples, split):
    for row in range(3, 36, 3):
        copy(samples, 0, row, "file", "pixels")
    found = same_bytes(samples, split)
    assert len(found.items) == 11
    assert found.affected == 12
    assert "(and 10 more pairs)" in found.summary
    assert found.share_of_validation == 12 / 36


def test_a_mixed_cluster_is_reported_by_the_check_that_it_belongs_to(samples, split):
    copy(samples, 0, 8, "file", "pixels")  # the same file
    copy(samples, 0, 12, "pixels")  # the same pixels in another file
    assert [item["second"] for item in same_bytes(samples, split).items] == ["g02/2.png"]
    assert [item["second"] for item in same_pixels(samples, split).items] == ["g04/0.png"]


def test_the_order_of_rows_does_not_change_the_evidence(samples, split):
    copy(samples, 0, 8, "file", "pixels")
    copy(samples, 5, 20, "file", "pixels")
    copy(samples, 0, 30, "pixels")
    shuffled = samples.sample(frac=1, random_state=5)
    for check in EXACT:
        assert check(shuffled, split) == check(samples, split)


def test_one_mask_under_pictures_of_two_groups_is_a_warning_that_names_the_masks(samples, split):
    copy(samples, 0, 6, "mask")
    found = same_mask(samples, split)
    assert (found.status, found.severity, found.affected) == ("warn", "warn", 2)
    assert (found.items[0]["first"], found.items[0]["second"]) == ("g00/0_mask.png", "g02/0_mask.png")


def test_empty_masks_and_masks_of_one_group_may_be_equal(samples, split):
    samples.loc[1, ["positive", "mask_sha256"]] = [20, samples.loc[0, "mask_sha256"]]
    assert (samples["mask_sha256"] == "mask empty").sum() > 20
    assert same_mask(samples, split).status == "pass"


def test_a_mask_that_follows_its_copied_picture_is_not_reported_twice(samples, split):
    copy(samples, 0, 6, "file", "pixels", "mask")
    assert same_mask(samples, split).status == "pass"


def test_two_masks_of_one_picture_are_counted_within_and_across_groups(samples, split):
    copy(samples, 0, 1, "pixels")
    copy(samples, 6, 12, "pixels")
    found = two_masks(samples, split)
    assert (found.status, found.affected) == ("warn", 4)
    assert "(2 pictures: 1 within a group, 1 across groups)" in found.summary
    assert found.share_of_validation == 2 / 36, "within a group nothing leaks"


def test_a_copied_picture_with_its_mask_is_no_conflict(samples, split):
    copy(samples, 0, 1, "pixels", "mask")
    assert two_masks(samples, split).status == "pass"
