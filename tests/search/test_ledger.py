import json
import math
import os
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from harness.errors import ConfigError
from harness.search import ledger
from harness.search.ledger import Ledger, find_ledger, read_facts, read_ledger
from harness.search.trial import TrialResult
from harness.train.checkpoint import write_synced
from tests.search.formula import Formula, Home, study

BASELINES = pd.DataFrame({"constant": [0.1, 0.2], "classical": [0.3, 0.4]})


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[TrialResult]:
    home = Home(tmp_path_factory.mktemp("home"), study(trials=3))
    return home.run(Formula(rule=lambda job: "collapsed" if (job.trial, job.fold) == (1, 2) else "committed"))


def opened(work: Path, key: str, name: str = "formula") -> Ledger:
    ledger = Ledger(work / key / "ledger", {})
    ledger.open_study({"name": name, "key": key}, BASELINES)
    return ledger


def test_what_was_closed_is_read_back(tmp_path: Path, results: list[TrialResult]) -> None:
    ledger = opened(tmp_path, "formula-1")
    for result in reversed(results):
        ledger.close_trial(result)
    facts, trials, baselines = read_ledger(ledger.folder)
    assert facts == {"name": "formula", "key": "formula-1"}
    pd.testing.assert_frame_equal(baselines, BASELINES)
    assert trials["trial"].tolist() == [0, 1, 2]
    assert trials["state"].tolist() == ["complete", "pruned", "complete"]
    assert trials["kind"].tolist() == ["baseline", "baseline", "searched"]
    assert trials["reason"].tolist() == ["", "fold 2: collapsed", ""]
    assert [json.loads(p) for p in trials["params"]] == [dict(r.plan.params) for r in results]
    assert trials["iou_mean"][0] == results[0].iou_mean
    assert math.isnan(trials["iou_mean"][1])
    assert trials["iou_fold_1"][1] == results[1].folds[1].iou
    assert trials["seconds"].tolist() == [3.0, 2.0, 3.0]


class Killed(Exception):
    """Stands for the end of the process."""


@pytest.mark.parametrize("writes", range(3))
def test_killed_between_any_two_files_a_ledger_is_whole_or_not_there(
    tmp_path: Path, writes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = iter(range(writes))

    def write_until_killed(path: Path, content: bytes) -> None:
        if next(left, None) is None:
            raise Killed
        write_synced(path, content)

    monkeypatch.setattr(ledger, "write_synced", write_until_killed)
    with pytest.raises(Killed):
        opened(tmp_path, "a-1", "a")
    with pytest.raises(ConfigError, match="no results of study"):
        find_ledger(tmp_path, "a")
    monkeypatch.undo()
    opened(tmp_path, "a-1", "a")
    assert len(read_ledger(find_ledger(tmp_path, "a"))[1]) == 0


def test_the_facts_can_be_read_whatever_else_was_lost(tmp_path: Path) -> None:
    folder = opened(tmp_path, "a-1", "a").folder
    (folder / "trials.parquet").unlink()
    assert read_facts(folder) == {"name": "a", "key": "a-1"}


def test_an_interrupted_trial_is_no_result(tmp_path: Path, results: list[TrialResult]) -> None:
    ledger = opened(tmp_path, "formula-1")
    ledger.close_trial(replace(results[0], state="interrupted"))
    assert len(read_ledger(ledger.folder)[1]) == 0


def test_the_last_opened_ledger_of_a_name_is_found(tmp_path: Path) -> None:
    for key, name, age in (("a-1", "a", 30), ("a-2", "a", 20), ("b-1", "b", 10), ("a-3", "a", 40)):
        ledger = opened(tmp_path, key, name)
        os.utime(ledger.folder / "study.json", (1e9 - age, 1e9 - age))
    assert find_ledger(tmp_path, "a") == tmp_path / "a-2" / "ledger"
    assert find_ledger(tmp_path, "b") == tmp_path / "b-1" / "ledger"


def test_a_study_without_results_is_an_error_that_says_how_to_get_some(tmp_path: Path) -> None:
    opened(tmp_path, "a-1", "a")
    with pytest.raises(ConfigError, match=r"no results of study 'c'; `python -m harness\.study run c`"):
        find_ledger(tmp_path, "c")
