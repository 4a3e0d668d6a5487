import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.errors import Interrupted
from harness.train.checkpoint import WEIGHTS
from harness.train.foldrun import FoldJob, FoldResult, committed_result, run_fold
from tests.conftest import SHORT, Tiny
from tests.train.test_foldrun import assert_same_work


class Home:
    """Two studies' work folders and the index that they share."""

    def __init__(self, tiny: Tiny, folder: Path) -> None:
        self.tiny, self.folder = tiny, folder

    def job(self, study: str, trial: int = 0, fold: int = 0, **settings: Any) -> FoldJob:
        job = self.tiny.job(self.folder / "work" / study, fold, trial, **SHORT | settings)
        return replace(job, shared=str(self.folder / "shared"))


@pytest.fixture(scope="module")
def trained(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = Home(tiny, tmp_path_factory.mktemp("trained"))
    run_fold(home.job("one"))
    return home


@pytest.fixture
def home(trained: Home, tmp_path: Path) -> Home:
    """A home in which study `one` has committed a fold; moved since."""
    shutil.copytree(trained.folder, tmp_path / "home")
    return Home(trained.tiny, tmp_path / "home")


def taken(job: FoldJob) -> FoldResult:
    """Return a fold run's result, which comes without a step: at the first one it would stop."""
    return run_fold(job, lambda: True)


def test_a_study_takes_what_another_has_trained_with_the_same_settings_and_says_from_where(
    home: Home,
) -> None:
    job = home.job("two", trial=3, name="two", search__trials=9, train__loader_workers=2)
    result = taken(job)
    first = committed_result(home.job("one").final)
    assert_same_work(result, first)
    assert (first.shared_from, result.shared_from) == ("", "one/0/0")
    assert result.weights.stat().st_ino == first.weights.stat().st_ino  # no room is used twice
    assert taken(job) == result
    assert [p.name for p in job.final.parent.iterdir()] == ["0"]
    shutil.rmtree(home.folder / "work" / "one")
    assert_same_work(taken(home.job("three")), result)
    assert taken(home.job("three")).shared_from == "one/0/0"


@pytest.mark.parametrize(
    "change",
    [{"train__epochs": 6}, {"seed": 18}, {"train__lr": 2e-2}, {"augment__strength": 0.2}, {"loss": {"name": "dice"}},
     {"fold": 1}],
    ids=str,
)  # fmt: skip
def test_what_was_trained_with_other_settings_is_not_taken(home: Home, change: dict[str, Any]) -> None:
    with pytest.raises(Interrupted):
        taken(home.job("two", **change))


@contextlib.contextmanager
def threads(number: int) -> Iterator[None]:
    torch.set_num_threads(number)
    yield
    torch.set_num_threads(1)


def test_another_repeat_other_threads_or_no_index_take_nothing(home: Home) -> None:
    with threads(2), pytest.raises(Interrupted):
        taken(home.job("two"))
    for change in ({"repeat": 1}, {"shared": ""}):
        with pytest.raises(Interrupted):
            taken(replace(home.job("two"), **change))


def test_what_was_computed_in_parts_is_not_taken(tiny: Tiny, tmp_path: Path) -> None:
    home = Home(tiny, tmp_path)
    large = {"train__crop": 64}  # a part holds one crop, which is too little for batch norms at 32 px
    assert run_fold(replace(home.job("one", **large), parts=2)).parts == 2
    with pytest.raises(Interrupted):
        taken(home.job("two", **large))


def test_what_was_damaged_since_is_not_taken_and_trained_anew_to_the_same_bits(home: Home) -> None:
    first = committed_result(home.job("one").final)
    (Path(first.folder) / WEIGHTS).write_bytes(b"x")
    result = run_fold(home.job("two"))
    assert result.shared_from == ""
    again = run_fold(home.job("one"))  # which was damaged, and finds the other one
    assert again.shared_from == "two/0/0"
    assert_same_work(again, result)
