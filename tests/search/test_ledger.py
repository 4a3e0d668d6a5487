import json
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from harness.errors import ConfigError, DataError
from harness.search import groups, ledger
from harness.search.groups import read_groups
from harness.search.ledger import (
    FACTS,
    Ledger,
    find_ledger,
    kept_baselines,
    lost_parts,
    read_facts,
    read_ledger,
)
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
    ledger.open_study(facts(name, key), BASELINES)
    return ledger


def facts(name: str, key: str) -> dict[str, Any]:
    return {fact: None for fact in FACTS} | {"name": name, "key": key}


def test_what_was_closed_is_read_back(tmp_path: Path, results: list[TrialResult]) -> None:
    ledger = opened(tmp_path, "formula-1")
    for result in reversed(results):
        ledger.close_trial(result)
    found, trials, baselines = read_ledger(ledger.folder)
    assert found == facts("formula", "formula-1")
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
    assert read_facts(folder) == facts("a", "a-1")


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


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[content.find(b"PAR1") + 30] ^= 255
    path.write_bytes(content)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def other(path: Path) -> None:
    if path.suffix == ".json":
        path.write_text('{"name": "a"}')
    else:
        pd.DataFrame({"x": [1]}).to_parquet(path)


def a_list(path: Path) -> None:
    path.write_text("[1]")


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.fixture
def away(results: list[TrialResult]) -> Iterator[None]:
    """Take the folds' files away: whoever needs them now fails."""
    folders = [Path(fold.folder) for result in results for fold in result.folds]
    for folder in folders:
        folder.rename(f"{folder}.away")
    yield
    for folder in folders:
        Path(f"{folder}.away").rename(folder)


def kept(tmp_path: Path, results: list[TrialResult]) -> Ledger:
    ledger = opened(tmp_path, "a-1", "a")
    for result in results:
        ledger.close_trial(result)
    return ledger


def afresh(results: list[TrialResult]) -> dict[int, TrialResult]:
    """Return the trials as a driver finds them at its start, nothing computed of them."""
    return {result.plan.number: replace(result) for result in results}


@pytest.fixture
def whole(tmp_path: Path, results: list[TrialResult]) -> Ledger:
    return kept(tmp_path, results)


def test_scores_that_are_written_are_not_computed_again(
    whole: Ledger, away: None, results: list[TrialResult]
) -> None:
    before = read_ledger(whole.folder)[1]
    Ledger(whole.folder, afresh(results)).write_trials()
    pd.testing.assert_frame_equal(read_ledger(whole.folder)[1], before)
    assert set(read_groups(whole.folder)["trial"]) == {0, 2}


@pytest.mark.parametrize("change", ["scored_by", "iou_fold_0", "reason", "params"])
def test_scores_of_other_code_or_other_folds_are_computed_again(
    whole: Ledger, results: list[TrialResult], change: str
) -> None:
    before = read_ledger(whole.folder)[1]
    altered = before.copy()
    altered[change] = 0.5 if change == "iou_fold_0" else "other"
    altered["pr_auc"] = 0.123
    altered.to_parquet(whole.folder / "trials.parquet")
    Ledger(whole.folder, afresh(results)).write_trials()
    pd.testing.assert_frame_equal(read_ledger(whole.folder)[1], before)


def test_counts_by_group_are_kept_of_complete_trials_and_made_again_where_they_are_lost(
    whole: Ledger, results: list[TrialResult]
) -> None:
    before = read_groups(whole.folder)
    assert set(before["trial"]) == {0, 2}
    pd.testing.assert_frame_equal(
        before[before["trial"] == 2].drop(columns="trial").reset_index(drop=True),
        results[2].group_counts()[[name for name in before if name != "trial"]],
    )
    (path,) = (whole.folder / "groups").iterdir()
    for spoil in (cut, empty, Path.unlink):
        spoil(path)
        assert lost_parts(whole.folder, dict(enumerate(results))) == ["groups"]
        Ledger(whole.folder, afresh(results)).write_trials()
        pd.testing.assert_frame_equal(read_groups(whole.folder), before)
    assert lost_parts(whole.folder, dict(enumerate(results))) == []


def test_trials_of_several_files_stay_when_one_is_added(
    tmp_path: Path, results: list[TrialResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(groups, "PART", 2)
    ledger = kept(tmp_path, results)
    assert sorted(path.name for path in (ledger.folder / "groups").iterdir()) == [
        "0000.parquet",
        "0001.parquet",
    ]
    assert read_groups(ledger.folder)["trial"].unique().tolist() == [0, 2]


@pytest.mark.parametrize("file", ["study.json", "trials.parquet", "baselines.parquet"])
@pytest.mark.parametrize("spoil", [cut, flip, empty, other, a_list, a_folder, Path.unlink])
def test_a_damaged_file_is_one_line_that_names_it_and_what_to_do_and_is_written_again(
    spoil: Callable[[Path], object], file: str, tmp_path: Path, results: list[TrialResult]
) -> None:
    ledger = opened(tmp_path, "a-1", "a")
    for result in results:
        ledger.close_trial(result)
    whole = read_ledger(ledger.folder)
    spoil(ledger.folder / file)
    with pytest.raises(DataError) as caught:
        read_ledger(ledger.folder)
    assert str(caught.value).startswith(f"{ledger.folder / file}: cannot be read (")
    assert str(caught.value).endswith(
        "`python -m harness.study run a` writes it again, and so does `doctor a`"
    )
    assert "\n" not in str(caught.value)
    assert lost_parts(ledger.folder, dict(enumerate(results))) == [file]
    assert (kept_baselines(ledger.folder) is None) == (file == "baselines.parquet")
    if spoil is a_folder:
        (ledger.folder / file).rmdir()
    again = Ledger(ledger.folder, ledger.results)
    again.open_study(facts("a", "a-1"), BASELINES)
    for one, two in zip(read_ledger(ledger.folder)[1:], whole[1:], strict=True):
        pd.testing.assert_frame_equal(one, two)
    assert lost_parts(ledger.folder, dict(enumerate(results))) == []


def test_one_damaged_study_leaves_the_others_usable_and_is_said_for_its_own_name(tmp_path: Path) -> None:
    for key, name, age in (("a-1", "a", 30), ("b-1", "b", 20), ("b-2", "b", 10)):
        os.utime(opened(tmp_path, key, name).folder / "study.json", (1e9 - age, 1e9 - age))
    damaged = tmp_path / "b-2/ledger/study.json"
    damaged.write_text("{")
    assert find_ledger(tmp_path, "a") == tmp_path / "a-1/ledger"
    with pytest.raises(DataError, match=r"b-2/ledger/study\.json: cannot be read"):
        find_ledger(tmp_path, "b")
    os.utime(damaged, (1, 1))  # not the one that ran last
    assert find_ledger(tmp_path, "b") == tmp_path / "b-1/ledger"
