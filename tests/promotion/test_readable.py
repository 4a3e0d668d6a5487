"""What can be read of pictures without a look makes the next look a later one."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from benchmarks.promoted import Ran
from harness.promotion.readable import FOLDER
from tests.promotion.searched import change, look_at, note, refused


def other_study(ran: Ran, trials: int, name: str = "other-00000001") -> Path:
    """Leave a study on the same pictures that was not nested, without its ledger; return its work folder."""
    work = ran.work.parent / name
    for trial in range(trials):
        (work / str(trial)).mkdir(parents=True)
    shutil.copy(ran.work / "samples.parquet", work)
    return work


def test_each_result_on_these_pictures_but_the_champions_is_worth_a_look(both: tuple[Ran, Ran]) -> None:
    _, strong = both
    note(strong, {"tp": [1]})
    note(strong, {"tp": [2]})
    note(strong, {"tp": [2]})  # the same counts again
    told: list[str] = []
    assert look_at(strong, told.append) == 3
    assert strong.looks()[0]["level"] == 0.002
    assert told[0].startswith(
        "groups of the folds: the next look is number 3 (of their pictures can be read, beside the champion's result: "
        "of nested searches 3, of other trials 0)"
    )


def test_a_result_that_the_champions_search_had_before_is_one_too(both: tuple[Ran, Ran]) -> None:
    weak, strong = both
    note(strong, {"tp": [1]}, weak.key)
    assert look_at(strong) == 2


@pytest.mark.parametrize(("trials", "expected"), [(1, 2), (20, 2), (21, 3), (401, 4)])
def test_trials_of_other_studies_are_worth_looks_whatever_became_of_their_ledgers(
    both: tuple[Ran, Ran], trials: int, expected: int
) -> None:
    _, strong = both
    other_study(strong, trials)
    assert look_at(strong) == expected


def test_searches_within_a_nested_one_count_by_its_result_and_those_of_an_unfinished_one_by_themselves(
    both: tuple[Ran, Ran],
) -> None:
    _, strong = both
    inner = [path.name for path in strong.work.parent.iterdir() if ".outer" in path.name]
    assert len(inner) == 6
    stopped = other_study(strong, 2, "other.outer0-00000001")
    note(strong, {"tp": [1]}, parts=[stopped.name])
    assert look_at(strong) == 2, "of the other result alone"
    for path in (strong.home / FOLDER).iterdir():
        if json.loads(path.read_text())["study"] == "other-1":
            path.unlink()
    for looks in (strong.home / FOLDER).parent.glob("*.jsonl"):
        looks.unlink()
    assert look_at(strong) == 2, "of its trials"


def test_a_result_that_nobody_wrote_down_counts_where_its_study_is(both: tuple[Ran, Ran]) -> None:
    _, strong = both
    work = other_study(strong, 1)
    shutil.copytree(strong.work / "ledger", work / "ledger")
    change(Ran(strong.folder, strong.home, work.name), lambda nested: nested["counts"]["tp"].reverse())
    shutil.rmtree(strong.home / FOLDER)
    told: list[str] = []
    assert look_at(strong, told.append) == 2
    assert "of nested searches 2, of other trials 0" in told[0]


@pytest.mark.parametrize(
    ("left", "expected"), [("of other pictures", 1), ("damaged", 3), ("without samples", 2)]
)
def test_what_can_be_read_counts_by_its_pictures_and_where_those_are_lost_too(
    both: tuple[Ran, Ran], left: str, expected: int
) -> None:
    _, strong = both
    if left == "damaged":  # that of the candidate and another one; the champion's is known by its name
        note(strong, {"tp": [1]})
        for path in (strong.home / FOLDER).iterdir():
            path.write_text("{")
        note(strong, {"tp": [2]})
    other = other_study(strong, 1) / "samples.parquet"
    table = pd.read_parquet(other)
    table.assign(pixels_sha256=[f"{n:064x}" for n in range(len(table))]).to_parquet(other)
    if left == "without samples":
        other.unlink()
    assert look_at(strong) == expected


def test_where_more_can_be_read_than_there_are_looks_nothing_can_be_proven(both: tuple[Ran, Ran]) -> None:
    _, strong = both
    for number in range(4):
        note(strong, {"tp": [number]})
    said = refused(strong)
    assert said.startswith(
        "not provable on these data: groups of the folds: look 5, and they are spent after 4 (of their pictures"
    )
    assert said.endswith(
        "of other trials 0); hold out new groups to prove more; version 1 stays the champion"
    )
