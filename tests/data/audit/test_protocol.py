import numpy as np
import pytest

from harness.data.audit import CHECKS
from harness.data.audit.protocol import copies_before_split, fitted_on_training_rows, looks_at_held_out


def test_the_coverage_of_each_fold_is_that_of_its_training_rows(samples, deal):
    split = deal(samples, held_out=["g10"])
    found = fitted_on_training_rows(samples, split)
    assert found.status == "pass"
    for item in found.items:
        rows = samples.iloc[split.train(samples, item["fold"])]
        assert item["coverage"] == pytest.approx(rows["positive"].sum() / rows["valid"].sum(), abs=1e-6)
        assert item["rows"] == len(rows)
    assert len({item["sha256"] for item in found.items}) == 3


def test_what_is_validated_or_held_out_does_not_move_a_folds_coverage(samples, deal):
    split = deal(samples, held_out=["g10"])
    before = fitted_on_training_rows(samples, split).items
    outside = np.concatenate([split.validation(samples, 1), split.held_out(samples)])
    samples.loc[outside, "positive"] = 999
    after = fitted_on_training_rows(samples, split).items
    assert after[1] == before[1]
    assert after[0] != before[0]


def test_a_row_that_trains_and_is_validated_fails(samples, split, row_split):
    class Torn(row_split):
        def train(self, samples, fold):
            return np.arange(len(samples))

    found = fitted_on_training_rows(samples, Torn(tuple(split.of(samples)), split.folds))
    assert (found.status, found.affected) == ("fail", 36)


def test_originals_pass_and_a_copy_in_its_own_group_is_named(samples, split):
    assert copies_before_split(samples, split).status == "pass"
    for column in ("pixels_sha256", "mask_sha256"):
        samples.loc[2, column] = samples.loc[1, column]
    found = copies_before_split(samples, split)
    assert (found.status, found.affected) == ("warn", 2)
    assert "'g00/1.png' stands several times in its group" in found.summary


@pytest.mark.parametrize("name", ["a/img_aug_3", "a/x-hflip", "a/7_rot90", "a/Flipped_2", "a/x_copy"])
def test_names_that_speak_of_copies_are_shown(samples, split, name):
    samples.loc[4, "sample"] = f"{name}.png"
    assert f"'{name}.png' says so" in copies_before_split(samples, split).summary


@pytest.mark.parametrize("name", ["rotor_1", "august/3", "carrot", "copyright", "flipper2", "aug/3"])
def test_words_that_only_hold_such_a_word_are_not(samples, split, name):
    samples.loc[4, "sample"] = f"{name}.png"
    assert copies_before_split(samples, split).status == "pass"


@pytest.mark.parametrize("id", ["P3", "P4", "P5", "E1"])
def test_what_cannot_be_known_is_never_green_and_never_decides(samples, split, id):
    found = CHECKS[id](samples, split)
    assert found.status in ("not run", "unverifiable")
    assert found.severity == "info"


def test_held_out_groups_are_counted(samples, deal):
    assert looks_at_held_out(samples, deal(samples, held_out=["g10", "g11"])).summary.startswith(
        "2 groups are held"
    )
    assert looks_at_held_out(samples, deal(samples)).summary.startswith("No group is held out")
