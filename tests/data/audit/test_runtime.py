import numpy as np
import pytest

from harness.data.audit.runtime import verify_indices
from harness.errors import LeakageError


@pytest.fixture
def split(samples, deal):
    return deal(samples, held_out=["g10", "g11"])


def read(samples, split, fold=1, train=None, validation=None):
    train = split.train(samples, fold) if train is None else train
    validation = split.validation(samples, fold) if validation is None else validation
    return verify_indices(list(samples["group"]), train, validation, split, fold)


def test_what_the_split_says_is_accepted_in_every_fold_with_its_own_digest(samples, split):
    digests = {read(samples, split, fold) for fold in range(3)}
    assert len(digests) == 3
    assert all(len(digest) == 64 for digest in digests)


def test_training_may_repeat_rows_leave_some_out_and_come_in_any_order(samples, split):
    train = split.train(samples, 1)
    again = np.concatenate([train[::-1], train[:5]])
    assert read(samples, split, train=again) == read(samples, split)
    assert read(samples, split, train=train[1:]) != read(samples, split)
    assert read(samples, split, validation=split.validation(samples, 1)[::-1].tolist()) == read(
        samples, split
    )


def test_one_row_of_the_validation_fold_in_training_is_a_leak_that_names_it(samples, split):
    row = split.validation(samples, 1)[0]
    with pytest.raises(
        LeakageError, match=rf"fold 1: training read row {row} of group 'g02', which is in the valid"
    ):
        read(samples, split, train=[*split.train(samples, 1), row])


def test_one_held_out_row_in_training_is_a_leak(samples, split):
    with pytest.raises(LeakageError, match="row 30 of group 'g10', which is held out"):
        read(samples, split, train=[*split.train(samples, 1), 30])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda v: v[1:], "left out 1 of 12 rows, the first is row 6"),
        (lambda v: [*v, 0], "validation read row 0, which is in fold 0"),
        (lambda v: [*v, 33], "validation read row 33, which is in held out"),
        (lambda v: [*v, v[0]], "read 13 rows for 12; each counts once"),
        (lambda v: [*v[1:], -30], "position -30 is outside the table of 36 rows"),
        (lambda v: [*v, 36], "position 36 is outside"),
        (lambda v: [], "no rows were read"),
        (lambda v: v.astype(float), "float64 .* are no positions"),
        (lambda v: v.reshape(2, -1), r"\(2, 6\) are no positions"),
        (lambda v: v > 0, "bool .* are no positions"),
    ],
)
def test_validation_that_is_not_exactly_the_fold_is_refused(samples, split, change, words):
    with pytest.raises(LeakageError, match=words) as caught:
        read(samples, split, validation=change(split.validation(samples, 1)))
    assert "\n" not in str(caught.value)


def test_training_positions_are_held_to_the_same_rules(samples, split):
    for train, words in (
        ([], "training: no rows"),
        ([-1], "position -1"),
        ([99], "position 99"),
        ([0.5], "float64"),
    ):
        with pytest.raises(LeakageError, match=words):
            read(samples, split, train=train)


def test_labels_taken_for_positions_on_a_shuffled_table_are_caught(samples, split):
    shuffled = samples.sample(frac=1, random_state=0)
    labels = shuffled.index.to_numpy()
    with pytest.raises(LeakageError):
        read(
            shuffled,
            split,
            train=labels[split.train(shuffled, 1)],
            validation=labels[split.validation(shuffled, 1)],
        )


def test_another_split_gives_another_digest(samples, split, deal):
    other = deal(samples, held_out=["g10", "g11"], positive_floor=2)
    assert read(samples, split) != read(samples, other)
