"""What can be read of pictures without a look makes the next look a later one."""

import shutil
from pathlib import Path

import pandas as pd
import pytest

from benchmarks.promoted import Ran
from harness.promotion.readable import FOLDER
from tests.promotion.searched import look_at, note, refused


def without_one(ran: Ran, number: int, name: str = "other") -> Path:
    """Leave another study on the same pictures that was not nested; return its work folder."""
    other = ran.work.parent / f"{name}-{number:08x}"
    shutil.copytree(ran.work / "ledger", other / "ledger", ignore=shutil.ignore_patterns("nested.json"))
    shutil.copy(ran.work / "samples.parquet", other)
    return other


def test_each_result_on_these_pictures_but_the_champions_is_worth_a_look(both: tuple[Ran, Ran]) -> None:
    _, strong = both
    note(strong, {"tp": [1]})
    note(strong, {"tp": [2]})
    note(strong, {"tp": [2]})  # the same counts again
    told: list[str] = []
    assert look_at(strong, told.append) == 3
    assert strong.looks()[0]["level"] == 0.002
    assert told[0].startswith(
        "groups of the folds: the next look is number 3 (on their pictures 3 results of nested searches beside the "
        "champion's and 0 studies without one can be read)"
    )


def test_a_result_that_the_champions_search_had_before_is_one_too(both: tuple[Ran, Ran]) -> None:
    weak, strong = both
    note(strong, {"tp": [1]}, weak.key)
    assert look_at(strong) == 2


@pytest.mark.parametrize(("studies", "expected"), [(1, 2), (20, 2), (21, 3)])
def test_studies_that_were_not_nested_are_worth_a_look_for_each_twenty_begun(
    both: tuple[Ran, Ran], studies: int, expected: int
) -> None:
    _, strong = both
    for number in range(studies):
        without_one(strong, number)
    without_one(strong, 1, "tiny.outer0")  # a part of a nested search
    assert look_at(strong) == expected


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
    other = without_one(strong, 1) / "samples.parquet"
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
        "not provable on these data: groups of the folds: look 5 (on their pictures 5 results"
    )
    assert said.endswith("spent after 4; hold out new groups to prove more; version 1 stays the champion")
