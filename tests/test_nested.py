"""Nested cross-validation: inner searches never see the fold that scores what they find."""

import io
import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from rich.console import Console

from harness.data.audit import HELD_OUT
from harness.drive import drive
from harness.errors import ConfigError, Interrupted, TrainingError
from harness.nested import nest, outer, refuse_unnestable
from harness.prepare import Prepared, prepare
from harness.promotion.readable import FOLDER, result_digest
from harness.report.leaderboard import NOT_SHOWN, Leaderboard, read_leaderboard, study_metrics
from harness.report.words import verdict
from harness.search.nested import SERVED
from harness.tracking.store import open_store
from tests.conftest import SHORT, Tiny
from tests.test_drive import started


def prepared_of(tiny: Tiny, home: Path, **settings: object) -> Prepared:
    fixed = {"search__trials": 2, "folds__count": 3, "protocol__nested": True}
    study = tiny.with_settings(**{**SHORT, **fixed} | settings)
    return prepare(study, base=home, home=home, caches=tiny.caches)


def driver(tiny: Tiny, home: Path, stop: bool = False):  # type: ignore[no-untyped-def]
    def run(prepared: Prepared) -> Leaderboard:
        return drive(
            prepared,
            open_store(home),
            home=home,
            caches=tiny.caches,
            console=Console(file=io.StringIO()),
            watch=lambda: lambda: stop,
        )[0]

    return run


def test_the_groups_of_the_fold_are_held_out_of_its_inner_search_and_all_others_keep_theirs(
    tiny: Tiny, tmp_path: Path
) -> None:
    prepared = prepared_of(tiny, tmp_path)
    for fold in range(3):
        inner = outer(prepared, fold)
        before, after = prepared.split.of(prepared.samples), inner.split.of(prepared.samples)
        assert ((after == HELD_OUT) == np.isin(before, [fold, HELD_OUT])).all()
        assert inner.split.count == 2
        rest = before[after != HELD_OUT]
        assert len(set(zip(rest.tolist(), after[after != HELD_OUT].tolist(), strict=True))) == 2
        assert inner.study.name == f"tiny.outer{fold}"
        assert inner.key != prepared.key


@pytest.mark.parametrize(
    "settings", [{"folds__count": 2}, {"folds__scheme": "repeated", "folds__repeats": 2, "folds__count": 3}]
)
def test_what_cannot_be_nested_is_one_line(tiny: Tiny, tmp_path: Path, settings: dict[str, object]) -> None:
    study = tiny.study.model_dump()
    folds = {name.removeprefix("folds__"): value for name, value in settings.items()}
    changed = type(tiny.study).model_validate(study | {"folds": study["folds"] | folds})
    prepared = prepare(changed, base=tmp_path, home=tmp_path, caches=tiny.caches)
    with pytest.raises(ConfigError, match=r"^protocol\.nested: needs one repeat of 3 folds or more"):
        refuse_unnestable(prepared)


def test_the_nested_score_is_of_every_group_once_and_is_shown_wherever_results_are(
    tiny: Tiny, tmp_path: Path, empty_mlflow: Path
) -> None:
    home = started(tmp_path / "home", empty_mlflow)
    prepared = prepared_of(tiny, home, search__second_look=1)
    found = nest(prepared, home, tiny.caches, driver(tiny, home))
    assert len(found["iou_folds"]) == 3
    for one in found["chosen"]:
        inner = read_leaderboard(home / "work" / one["study"] / "ledger")
        assert inner.chosen is not None
        assert (inner.chosen["trial"], inner.chosen["second_look"]) == (one["trial"], "complete")
    assert found["iou_mean"] == pytest.approx(np.mean(found["iou_folds"]))
    assert found["low"] <= found["iou_mean"] <= found["high"]
    assert [one["study"].split("-")[0] for one in found["chosen"]] == [f"tiny.outer{n}" for n in range(3)]
    board = driver(tiny, home)(prepared)
    shown = {name: value for name, value in found.items() if name not in NOT_SHOWN}
    assert board.nested == shown
    assert json.loads(json.dumps(board.as_dict()))["nested"] == shown
    assert study_metrics(board)["nested_iou_mean"] == found["iou_mean"]
    assert f"such a search finds {found['iou_mean']:.4f}" in verdict(board)[1]
    client = MlflowClient(f"sqlite:///{home.resolve() / 'mlflow.db'}")
    names = {experiment.name for experiment in client.search_experiments()}
    assert {"tiny", "tiny.outer0", "tiny.outer1", "tiny.outer2"} <= names
    ledger = home / "work" / prepared.key / "ledger"
    assert read_leaderboard(ledger).nested == shown
    facts = json.loads((ledger / "study.json").read_text())
    for changed in ({"protocol": {"nested": False}}, {"search": facts["settings"]["search"] | {"trials": 3}}):
        told = facts | {"settings": facts["settings"] | changed}
        (ledger / "study.json").write_text(json.dumps(told))
        assert read_leaderboard(ledger).nested is None


def test_each_inner_search_has_a_seed_of_its_own_so_that_no_luck_of_a_seed_is_in_all_folds(
    tiny: Tiny, tmp_path: Path
) -> None:
    prepared = prepared_of(tiny, tmp_path)
    seeds = [outer(prepared, fold).study.seed for fold in range(3)]
    assert len({prepared.study.seed, *seeds}) == 4
    assert seeds == [outer(prepared, fold).study.seed for fold in range(3)]


def test_counts_are_kept_at_the_threshold_of_each_search_and_counted_again_by_other_code(
    tiny: Tiny, tmp_path: Path, empty_mlflow: Path
) -> None:
    home = started(tmp_path / "home", empty_mlflow)
    prepared = prepared_of(tiny, home, search__trials=1)
    found = nest(prepared, home, tiny.caches, driver(tiny, home))
    rows, positive = pd.DataFrame(found["counts"]), prepared.samples.groupby("group")["positive"].sum()
    assert dict(zip(rows["group"], rows["fold"], strict=True)) == dict(prepared.split.folds)
    for prefix in ("", SERVED):
        truth = rows[f"{prefix}tp"] + rows[f"{prefix}fn"]
        assert truth.tolist() == positive[rows["group"]].tolist()
    cuts = [
        read_leaderboard(home / "work" / one["study"] / "ledger").best["threshold"]  # type: ignore[index]
        for one in found["chosen"]
    ]
    called = rows.groupby("fold")[["tp", "fp", f"{SERVED}tp", f"{SERVED}fp"]].sum()
    more = (called[f"{SERVED}tp"] + called[f"{SERVED}fp"] - called["tp"] - called["fp"]).tolist()
    assert any(more), "none of these thresholds makes a difference"
    assert all(change * cut <= 0 for change, cut in zip(more, cuts, strict=True)), (
        "less is called at a higher one"
    )

    path = home / "work" / prepared.key / "ledger" / "nested.json"
    path.write_text(json.dumps(found | {"code": "older", "iou_mean": 0.0}))

    def as_it_is(inner: Prepared) -> Leaderboard:
        return read_leaderboard(home / "work" / inner.key / "ledger")  # nothing is trained

    assert nest(prepared, home, tiny.caches, as_it_is) == found
    path.write_text("{")
    assert nest(prepared, home, tiny.caches, as_it_is) == found, "a damaged one is made anew"
    (noted,) = (home / FOLDER).iterdir()
    assert noted.stem == result_digest(found["counts"]), "the same counts are one result"
    noted.unlink()
    nest(prepared, home, tiny.caches, as_it_is)
    assert noted.is_file(), "a note that was lost is written again"
    stopped = partial(nest, home=home, caches=tiny.caches, drive=driver(tiny, home, stop=True))
    with pytest.raises(Interrupted):  # a result without second looks is another one
        stopped(replace(prepared, study=prepared.study.with_settings({"search.second_look": 1})))
    rows = pd.read_parquet(next((home / "work").glob("tiny.outer0-*/ledger/trials.parquet")))
    assert len(rows) == 1
    (path.parent / "trials.parquet").write_bytes(pd.concat([rows, rows]).to_parquet())
    with pytest.raises(Interrupted):  # two trials are there, and the searches have one
        stopped(prepared)
    (path.parent / "trials.parquet").write_bytes(rows.assign(second_look="complete").to_parquet())
    with pytest.raises(Interrupted):  # nor had they second looks
        stopped(prepared)


def test_a_result_is_written_down_before_it_can_be_read(
    tiny: Tiny, tmp_path: Path, empty_mlflow: Path
) -> None:
    home = started(tmp_path / "home", empty_mlflow)
    prepared = prepared_of(tiny, home, search__trials=1)
    place = home / "work" / prepared.key / "ledger" / "nested.json"
    place.mkdir(parents=True)  # so that the result cannot be written
    with pytest.raises(OSError, match=r"nested\.json"):
        nest(prepared, home, tiny.caches, driver(tiny, home))
    assert len(list((home / FOLDER).iterdir())) == 1


def test_stopped_in_an_inner_search_it_goes_on_and_ends_with_the_same_numbers(
    tiny: Tiny, tmp_path: Path, empty_mlflow: Path
) -> None:
    home = started(tmp_path / "home", empty_mlflow)
    prepared = prepared_of(tiny, home)
    with pytest.raises(Interrupted):
        nest(prepared, home, tiny.caches, driver(tiny, home, stop=True))
    first = nest(prepared, home, tiny.caches, driver(tiny, home))
    assert nest(prepared, home, tiny.caches, driver(tiny, home)) == first
    rows = pd.read_parquet(next((home / "work").glob("tiny.outer0-*/ledger/trials.parquet")))
    assert len(rows) == 2


def test_an_inner_search_without_a_result_is_one_line_that_names_the_fold(tiny: Tiny, tmp_path: Path) -> None:
    def fail(prepared: Prepared) -> Leaderboard:
        raise TrainingError("none of 2 trials ran all its folds")

    with pytest.raises(TrainingError, match=r"^nested search without fold 0: none of 2 trials"):
        nest(prepared_of(tiny, tmp_path), tmp_path, tiny.caches, fail)
