"""What is compared: the same samples, and nothing but the split differs."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from harness.cost.question import Question, ask, blind, used_samples, why_none
from harness.data.audit.sides import HELD_OUT
from harness.data.split import new_split
from harness.prepare import Prepared, prepare
from harness.studyfile import read_study
from tests.cost.conftest import EXPOSURES, THINGS, settings, write_study


@pytest.fixture(scope="module")
def prepared(planted: Path, place: Path) -> Prepared:
    study = read_study(write_study(place, settings(planted) | {"name": "question"}), cuda=False)
    return prepare(study, base=place, home=place / "question", caches=place / ".cache")


@pytest.fixture(scope="module")
def question(prepared: Prepared) -> Question:
    return ask(prepared, used_samples(prepared))


def test_every_picture_is_validated_once_under_both_splits_in_folds_of_nearly_equal_size(
    question: Question,
) -> None:
    for table, split in zip(question.tables, question.splits, strict=True):
        rows = [split.validation(table, fold) for fold in range(question.folds)]
        assert sorted(np.concatenate(rows)) == list(range(THINGS * EXPOSURES))
        assert {len(of_fold) for of_fold in rows} == {24}
    assert question.tables[0].drop(columns="group").equals(question.tables[1].drop(columns="group"))


def test_pictures_are_trained_on_and_scored_as_they_came(prepared: Prepared) -> None:
    merged = used_samples(prepared).assign(photo="one", instance="one", x0=0, y0=0, w=64, h=64)
    samples = ask(prepared, merged).samples
    assert samples["instance"].is_unique  # else one of them would train in an epoch
    assert (
        samples["photo"].tolist() == samples["sample"].tolist()
    )  # else crops would be merged, in one fold only
    assert samples[["x0", "y0", "w", "h", "fold"]].isna().all(axis=None)
    assert set(samples["photographed"]) == {"one"}


def test_one_split_tears_groups_apart_and_the_other_does_not(question: Question) -> None:
    samples = question.samples
    folds = [split.of(table) for table, split in zip(question.tables, question.splits, strict=True)]
    torn = [samples.assign(fold=fold).groupby("group")["fold"].nunique().max() for fold in folds]
    assert torn[0] > 1
    assert torn[1] == 1
    assert samples["group"].nunique() == THINGS  # as joined by their pixels
    assert question.leaked > 0.9


def test_it_is_the_same_question_for_the_same_seed_and_another_for_another(
    prepared: Prepared, question: Question
) -> None:
    again = ask(prepared, used_samples(prepared))
    assert (again.digest, again.splits) == (question.digest, question.splits)
    other = replace(prepared, study=prepared.study.with_settings({"seed": 18}))
    assert ask(other, used_samples(other)).digest != question.digest
    longer = replace(prepared, study=prepared.study.with_settings({"train.epochs": 9}))
    assert ask(longer, used_samples(longer)).digest != question.digest


def test_held_out_groups_stay_out(prepared: Prepared) -> None:
    folds = dict(prepared.split.folds)
    kept_out = sorted(folds)[:2]
    split = new_split(
        prepared.manifest,
        prepared.split.settings,
        folds | dict.fromkeys(kept_out, HELD_OUT),
        notes=[],
        parent=None,
    )
    found = used_samples(replace(prepared, split=split))
    assert len(found) == (THINGS - 2) * EXPOSURES
    assert not set(found["group"]) & set(kept_out)


def test_groups_that_were_trusted_are_joined_here_or_this_side_would_leak_too(prepared: Prepared) -> None:
    trusting = prepared.samples.assign(group=prepared.samples["declared"])
    folds = dict.fromkeys(trusting["group"], 0)
    split = new_split(prepared.manifest, prepared.split.settings, folds, notes=[], parent=None)
    found = used_samples(replace(prepared, samples=trusting, split=split))
    assert found["group"].nunique() == THINGS


def test_pictures_of_their_own_groups_leave_nothing_to_compare() -> None:
    samples = pd.DataFrame({"sample": ["a", "b"], "group": ["x", "y"], "positive": [1, 1]})
    assert "nothing can leak, and nothing was trained" in why_none(samples)
    together = pd.concat([samples, samples.assign(sample=["c", "d"])])
    assert why_none(together) == ""
    assert "1 groups have an object" in why_none(together.assign(positive=[1, 0, 1, 0]))


def test_a_blind_split_takes_each_picture_for_a_group(question: Question) -> None:
    assert blind(question.samples)["group"].is_unique
