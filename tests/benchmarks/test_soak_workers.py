from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.soak_workers import wrong
from benchmarks.study_ending import Ending, read_ending
from harness.model.outoffold import FILES
from tests.conftest import Tiny
from tests.test_drive import driven, started


@pytest.fixture(scope="module")
def endings(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory, empty_mlflow: Path) -> list[Ending]:
    """What the same two trials of two folds end as with one worker process and with two."""
    found = []
    for workers in (1, 2):
        home = started(tmp_path_factory.mktemp("workers") / "home", empty_mlflow)
        driven(tiny, home, execute={"name": "local", "settings": {"workers": workers}})
        found.append(read_ending(home))
    return found


def test_one_worker_and_two_give_the_same_study(endings: list[Ending]) -> None:
    one, two = endings
    assert wrong(two, one, 2) == []
    assert len(one.files) == 4 * (1 + len(FILES))
    assert [state for _, state, *_ in one.trials] == ["COMPLETE", "COMPLETE"]


def test_a_bit_that_differs_and_a_trial_too_many_are_told(endings: list[Ending]) -> None:
    one, two = endings
    number, state, value, parameters, reports = two.trials[1]
    bit = replace(two, trials=[two.trials[0], (number, state, value + 2**-53, parameters, reports)])
    assert [line.partition(":")[0] for line in wrong(bit, one, 2)] == ["trials"]
    more = replace(two, trials=[*two.trials, two.trials[1]])
    assert wrong(more, more, 2) == ["the budget is 2, the trials are [0, 1, 1]"]
