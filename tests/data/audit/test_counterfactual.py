import numpy as np
import pytest

from harness.data.audit.counterfactual import crop_level_leak, leaked_shares
from harness.data.audit.sides import HELD_OUT


def test_the_share_is_what_counting_by_hand_gives(samples, split):
    fold = split.of(samples)
    assert set(leaked_shares(samples, fold).values()) == {0.0}
    fold[0] = 1  # image 0 of g00, an object on it; images 0 and 1 are one photograph, image 2 another
    shares = leaked_shares(samples, fold)
    assert shares["group"] == 3 / 36
    assert shares["photo"] == 2 / 36
    assert shares["positive_group"] == shares["positive_photo"] == 1 / 6


def test_a_held_out_row_leaks_and_a_held_out_source_leaks_into_nobody(samples, split):
    fold = split.of(samples)
    fold[0] = HELD_OUT
    assert leaked_shares(samples, fold)["group"] == 1 / 36
    fold[:3] = HELD_OUT
    assert leaked_shares(samples, fold)["group"] == 0


def test_photographs_of_two_groups_with_one_name_are_two(samples, split):
    samples["photo"] = "front"
    fold = split.of(samples)
    assert leaked_shares(samples, fold)["photo"] == 0


@pytest.mark.parametrize(("images", "share"), [(1, 0.0), (2, 2 / 3), (3, 8 / 9), (8, 1.0)])
def test_a_split_by_images_leaks_as_probability_says(make_table, images, share):
    samples = make_table(groups=1000, images=images)
    leak = crop_level_leak(samples, 3, seed=0)
    assert leak["group"] == pytest.approx(share, abs=0.02)  # 1 - (1 - 2/3)^(images - 1)
    assert leak["photo"] <= leak["group"]
    assert leak["repeats"] == 5


def test_the_seed_decides_and_any_seed_will_do(samples):
    assert crop_level_leak(samples, 3, seed=1) == crop_level_leak(samples, 3, seed=1)
    assert crop_level_leak(samples, 3, seed=1) != crop_level_leak(samples, 3, seed=2**32 - 3)


def test_without_any_object_the_positive_share_is_zero_and_no_nan(samples):
    samples["positive"] = 0
    assert crop_level_leak(samples, 3, seed=0)["positive_group"] == 0


def test_labels_do_not_matter(samples):
    shuffled = samples.set_index(np.arange(len(samples))[::-1])
    assert crop_level_leak(shuffled, 3, seed=0) == crop_level_leak(samples, 3, seed=0)
