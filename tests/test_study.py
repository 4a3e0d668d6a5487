"""The whole way: a study file in, a leaderboard, MLflow and a promoted model out; and every wrong input at the door."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import mlflow
import numpy as np
import pandas as pd
import pytest
import yaml
from mlflow import MlflowClient
from sqlalchemy import Engine, event

from harness.search.database import optuna_url
from harness.search.lock import only_driver
from harness.search.slots import Slots
from harness.study import main
from harness.train.prune import Finished, prune
from tests.conftest import NETWORK, Tiny
from tests.report.reading import read_page

ROOT = Path(__file__).parents[1]


def settings(root: Path, groups: str = "repair", **changes: Any) -> dict[str, Any]:
    """Return a study file's content: two small trials over the tiny data set."""
    return {
        "name": "tiny",
        "data": {"dataset": {"instances": {"root": str(root)}}, "groups": groups},
        "folds": {"count": 2},
        "network": {"unet": NETWORK},
        "train": {"epochs": 12, "batch_size": 4, "lr": 8e-3, "crop": 32, "validate_every": 4},
        "execute": "inline",
        "promote": {"graphs": []},
        "search": {
            "trials": 2,
            "baselines": [{"loss": "dice_bce"}],
            "loss": {
                "choice": {"dice_bce": {}, "tversky": {"fn_weight": [0.5, 0.9], "fp_weight": "1 - fn_weight"}}
            },
            "augment.strength": [0, 1],
        },
    } | changes


def write(folder: Path, content: dict[str, Any]) -> Path:
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def data_of(tiny: Tiny) -> Path:
    return Path(tiny.study.data.dataset.settings["root"])


@dataclass(frozen=True)
class Done:
    """A study that ran: its folder, file, home and what `run --json` printed."""

    folder: Path
    file: Path
    home: Path
    said: dict[str, Any]

    @property
    def client(self) -> MlflowClient:
        return MlflowClient(f"sqlite:///{self.home / 'mlflow.db'}")

    def runs(self, level: str) -> list[Any]:
        return list(self.client.search_runs(["1"], f"tags.\"harness.level\" = '{level}'"))


@pytest.fixture(scope="module")
def done(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Done:
    folder = tmp_path_factory.mktemp("done")
    file, home = write(folder, settings(data_of(tiny))), folder / "home"
    return Done(folder, file, home, called(folder, "run", str(file), "--home", str(home)))


def called(folder: Path, *arguments: str) -> dict[str, Any]:
    """Call a verb with --json in `folder`; return what it printed on standard output."""
    before, output = Path.cwd(), folder / "stdout"
    stdout = os.dup(1)
    os.chdir(folder)
    try:
        with output.open("w") as file:
            os.dup2(file.fileno(), 1)
            sys.stdout.flush()
            with pytest.MonkeyPatch.context() as patch, output.open("w") as shown:
                patch.setattr(sys, "stdout", shown)
                assert main([*arguments, "--json"]) == 0
    finally:
        os.dup2(stdout, 1)
        os.close(stdout)
        os.chdir(before)
    answer: dict[str, Any] = json.loads(output.read_text())
    return answer


def test_printed_scores_are_those_in_mlflow_to_the_digit(done: Done) -> None:
    in_mlflow = {int(run.data.tags["harness.trial"]): run.data.metrics for run in done.runs("trial")}
    assert len(done.said["trials"]) == 2
    for row in done.said["trials"]:
        metrics = in_mlflow[row["trial"]]
        assert (metrics["iou_mean"], metrics["iou_std"]) == (row["iou_mean"], row["iou_std"])
        assert [metrics[f"iou_fold_{fold}"] for fold in range(2)] == [
            row[f"iou_fold_{fold}"] for fold in range(2)
        ]
        assert metrics == {name: row[name] for name in metrics}
        assert {"pr_auc", "recall_at_1", "threshold", "iou_cross_fitted"} <= set(metrics)
        assert metrics["iou_cross_fitted"] - metrics["cross_fitted_gain"] == pytest.approx(row["iou_mean"])
        assert row["iou_mean"] == pytest.approx(np.mean([row["iou_fold_0"], row["iou_fold_1"]]), abs=1e-15)
        assert row["iou_std"] == pytest.approx(
            np.std([row["iou_fold_0"], row["iou_fold_1"]], ddof=1), abs=1e-15
        )


def test_the_fold_score_is_that_of_its_out_of_fold_counts(done: Done) -> None:
    for path in (done.home / "work").glob("*/0/*/out_of_fold.parquet"):
        rows = pd.read_parquet(path)
        score = rows["tp"].sum() / (rows["tp"] + rows["fp"] + rows["fn"]).sum()
        assert json.loads(path.with_name("result.json").read_text())["iou"] == pytest.approx(score, abs=1e-15)


def test_mlflow_holds_study_trials_and_folds_with_the_leakage_report(done: Done) -> None:
    (study,), trials, folds = done.runs("study"), done.runs("trial"), done.runs("fold")
    assert (len(trials), len(folds)) == (2, 4)
    assert {run.info.status for run in [study, *trials, *folds]} == {"FINISHED"}
    assert {run.data.tags["mlflow.parentRunId"] for run in trials} == {study.info.run_id}
    assert {run.data.tags["mlflow.parentRunId"] for run in folds} == {run.info.run_id for run in trials}
    report = Path(
        done.client.download_artifacts(study.info.run_id, "leakage/leakage_report.json", done.folder)
    )
    assert json.loads(report.read_text())["verdict"] != "fail"
    digests = {run.data.tags["harness.leakage_sha256"] for run in [study, *trials]}
    assert digests == {done.said["leakage_sha256"]}
    assert {run.inputs.dataset_inputs[0].dataset.digest for run in trials} == {done.said["data"][:36]}
    assert all(run.data.params["seed"] == "17" for run in trials)
    assert "Best: trial" in study.data.tags["mlflow.note.content"]


def test_the_pages_on_the_runs_have_the_numbers_that_were_printed(done: Done, tmp_path: Path) -> None:
    (study,) = done.runs("study")
    report = done.client.download_artifacts(study.info.run_id, "report", str(tmp_path))
    rows = {
        row["trial"]: row for row in read_page(Path(report, "report.html").read_text()).table("95 % interval")
    }
    assert json.loads(Path(report, "report.json").read_bytes()) == done.said
    for row in done.said["trials"]:
        told = f"{row['iou_mean']:.4f} ± {row['iou_std']:.4f}"
        assert rows[str(row["trial"])]["IoU mean ± std"] == told
    for run in done.runs("trial"):
        path = done.client.download_artifacts(run.info.run_id, "page.html", str(tmp_path / run.info.run_id))
        page, metrics = read_page(Path(path).read_text()), run.data.metrics
        assert f"IoU {metrics['iou_mean']:.4f} ± {metrics['iou_std']:.4f}" in page.text
        assert run.data.tags["harness.leakage_sha256"] in page.text


def test_the_first_trial_is_the_baseline_with_the_study_own_settings(done: Done) -> None:
    first = next(row for row in done.said["trials"] if row["trial"] == 0)
    assert first["kind"] == "baseline"
    assert first["params"] == {"loss": "dice_bce", "augment.strength": 0.5}
    assert set(done.said["baselines"]) == {"constant", "classical"}


def test_the_same_study_gives_the_same_numbers_whatever_the_loader_workers(
    done: Done, tiny: Tiny, tmp_path: Path
) -> None:
    content = settings(data_of(tiny))
    content["train"] = content["train"] | {"loader_workers": 2}
    content["search"] = content["search"] | {"trials": 1}  # each worker process costs seconds to start
    again = called(tmp_path, "run", str(write(tmp_path, content)), "--home", str(tmp_path / "home"))
    assert again["key"] == done.said["key"]
    assert scores_of(again) == scores_of(done.said)[:1]


def test_stopped_by_ctrl_c_it_exits_75_and_goes_on_to_the_same_numbers(
    done: Done, tiny: Tiny, tmp_path: Path
) -> None:
    content = settings(data_of(tiny), execute={"local": {"workers": 1}})
    file, home = write(tmp_path, content), tmp_path / "home"
    process = subprocess.Popen(
        [sys.executable, "-m", "harness.study", "run", str(file), "--home", str(home)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    wait_until(lambda: any(home.glob("work/*/0/0/manifest.json")) or process.poll() is not None)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 75, said
    assert "the same command goes on from here" in said
    client = MlflowClient(f"sqlite:///{home / 'mlflow.db'}")
    assert not client.search_runs(["1"], "attributes.status = 'RUNNING'")
    again = called(tmp_path, "run", str(file), "--home", str(home))
    assert scores_of(again) == scores_of(done.said)
    assert {run.info.status for run in client.search_runs(["1"])} == {"FINISHED"}


@pytest.mark.parametrize("unwritable", ["home", "cache"])
def test_a_place_that_cannot_be_written_to_is_told_in_one_line_before_anything_is_read(
    tiny: Tiny,
    tmp_path: Path,
    unwritable: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "file").touch()
    place = tmp_path / "file" / unwritable
    home = place if unwritable == "home" else tmp_path / "home"
    if unwritable == "cache":
        monkeypatch.setattr("harness.study.CACHES", place)
    assert main(["run", str(write(tmp_path, settings(data_of(tiny)))), "--home", str(home)]) == 2
    assert capfd.readouterr().err.startswith(f"error: {place}: cannot be written to (Not a directory)")
    assert {p.name for p in tmp_path.iterdir()} == {"file", "tiny.yaml"}


@pytest.mark.slow
def test_a_user_without_a_writable_home_directory_can_run_a_study(
    done: Done, tiny: Tiny, tmp_path: Path
) -> None:
    file = write(tmp_path, settings(data_of(tiny), execute={"local": {"workers": 1}}))
    process = subprocess.run(
        [sys.executable, "-m", "harness.study", "run", str(file), "--home", str(tmp_path / "home"), "--json"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "HOME": "/dev/null/nowhere"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert scores_of(json.loads(process.stdout)) == scores_of(done.said)


def test_a_larger_budget_goes_on_and_keeps_what_is_there(done: Done) -> None:
    more = called(done.folder, "run", str(done.file), "--home", str(done.home), "--trials", "3")
    assert scores_of(more)[:2] == scores_of(done.said)
    assert len(more["trials"]) == 3
    assert len(done.runs("trial")) == 3


def test_report_says_the_same_again(done: Done) -> None:
    said = called(done.folder, "report", str(done.file), "--home", str(done.home))
    assert scores_of(said)[:2] == scores_of(done.said)
    for name in ("report.md", "report.html"):
        (page,) = (done.home / "work").glob(f"*/report/{name}")
        assert "top-hat + Otsu" in page.read_text()


def test_results_of_a_file_that_changed_since_are_said_to_be_of_the_file_as_it_was(
    done: Done, tiny: Tiny, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    content = settings(data_of(tiny))
    content["train"] = content["train"] | {"lr": 1e-3, "loader_workers": 3}
    assert main(["report", str(write(tmp_path, content)), "--home", str(done.home)]) == 0
    assert "tiny.yaml has changed since this run (train.lr: 0.008 -> 0.001): " in capfd.readouterr().err
    assert main(["report", str(done.file), "--home", str(done.home)]) == 0
    assert "has changed" not in capfd.readouterr().err


def test_an_edited_file_begins_a_new_study_with_a_word_and_names_and_budget_do_not(
    done: Done, tiny: Tiny, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(done.folder)  # where its cache is
    home = tmp_path / "home"
    shutil.copytree(done.home, home)

    def said(**changes: Any) -> tuple[str, str]:
        """Run the file with changes and one trial; return what is said of them, and the study's key."""
        content = settings(data_of(tiny)) | changes
        content["search"] = content["search"] | {"trials": 2}
        capfd.readouterr()
        assert main(["run", str(write(tmp_path, content)), "--home", str(home), "--json"]) == 0
        shown = capfd.readouterr()
        lines = [line for line in shown.err.splitlines() if " changed since " in line]
        return "".join(lines), str(json.loads(shown.out)["key"])

    first = done.said["key"]
    assert said(description="other words", execute={"local": {"workers": 1}}) == ("", first)
    brief = settings(data_of(tiny))["train"] | {"epochs": 8, "lr": 1e-2}
    line, second = said(train=brief)
    assert second != first
    assert line == (
        f"{tmp_path}/tiny.yaml has changed since the run before this one (train.epochs: 12 -> 8, "
        f"train.lr: 0.008 -> 0.01): this begins a new study {second}; the other one stays at "
        f"{home}/work/{first}"
    )
    assert said(train=brief) == ("", second)
    line, third = said()
    assert third == first
    assert "(train.epochs: 8 -> 12, train.lr: 0.01 -> 0.008): this goes on with the study tiny-" in line


def test_a_full_database_stops_the_run_in_one_line_and_it_goes_on_to_the_same_numbers(
    done: Done, tiny: Tiny, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(done.folder)
    home = tmp_path / "home"
    home.mkdir()
    slots = Slots(tiny.study, "0" * 16, optuna_url(home), home)
    with only_driver(
        optuna_url(home), "another-1"
    ):  # all tables are there, one of them nearly fills its page
        slots.ask(0).stored.set_user_attr("filling", "x" * 3000)
    slots.close()
    pages = (home / "optuna.db").stat().st_size // 4096

    def limit(connection: sqlite3.Connection, record: object) -> None:
        if connection.execute("PRAGMA database_list").fetchone()[2].endswith("optuna.db"):
            connection.execute(f"PRAGMA max_page_count = {pages}")

    event.listen(Engine, "connect", limit)
    try:
        assert main(["run", str(done.file), "--home", str(home)]) == 75
    finally:
        event.remove(Engine, "connect", limit)
    (line,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("error: ")]
    assert line.endswith("cannot be written: database or disk is full; free room on its disk")
    assert list(home.glob("work/*/0/0")), "the fault came while trials were trained"
    assert scores_of(called(done.folder, "run", str(done.file), "--home", str(home))) == scores_of(done.said)
    client = MlflowClient(f"sqlite:///{home / 'mlflow.db'}")
    assert {run.info.status for run in client.search_runs(["1"])} == {"FINISHED"}


def test_a_damaged_ledger_is_one_line_and_the_next_run_writes_it_again(
    done: Done, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(done.folder)
    home = tmp_path / "home"
    shutil.copytree(done.home, home)
    (ledger,) = home.glob("work/*/ledger")
    for path in [ledger / name for name in ("study.json", "trials.parquet", "baselines.parquet")]:
        path.write_bytes(path.read_bytes()[:50])
        for verb in ("report", "promote"):
            capfd.readouterr()
            assert main([verb, str(done.file), "--home", str(home)]) == 3
            (line,) = capfd.readouterr().err.strip().splitlines()
            assert line.startswith(f"error: {path}: cannot be read (")
        if path.name == "study.json":
            assert main(["report", str(done.file), "--home", str(done.home)]) == 0
        budget = ["--trials", str(len(done.said["trials"]))]
        assert main(["run", str(done.file), "--home", str(home), *budget]) == 0
        assert main(["report", str(done.file), "--home", str(home)]) == 0


def test_a_wrong_address_of_the_trials_is_one_line_before_data_are_read_and_no_password_is_shown(
    done: Done, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HARNESS_OPTUNA_URL", "postgresql://me:s3cret@host:port/x")
    assert main(["run", str(done.file), "--home", "home"]) == 2
    (line,) = capfd.readouterr().err.strip().splitlines()
    assert line.startswith("error: HARNESS_OPTUNA_URL: postgresql://me:***@host:port/x names no database")
    assert list(tmp_path.iterdir()) == []


def test_promoted_the_best_trial_loads_by_its_alias_and_segments(
    done: Done, capfd: pytest.CaptureFixture[str]
) -> None:
    said = called(done.folder, "promote", str(done.file), "--home", str(done.home))
    shown = capfd.readouterr().err
    assert said["claim"].startswith("not provable on these data: no groups are held out")
    assert said["claim"] in shown
    assert f"(logit {said['threshold']:g}): the best of single fold models on all folds" in shown
    board = called(done.folder, "report", str(done.file), "--home", str(done.home))
    assert (said["trial"], said["uri"]) == (board["best_trial"], "models:/tiny@champion")
    assert (said["iou_mean"], said["threshold"]) == (
        board["trials"][0]["iou_mean"],
        board["trials"][0]["threshold"],
    )
    mlflow.set_tracking_uri(said["tracking_uri"])
    model = mlflow.pyfunc.load_model(said["uri"])
    images = [np.zeros((50, 70), np.uint8), np.full((33, 20, 3), 200, np.uint8)]
    assert [mask.shape for mask in model.predict({"image": images})["mask"]] == [(50, 70), (33, 20)]
    assert (
        called(done.folder, "promote", str(done.file), "--home", str(done.home))["version"] == said["version"]
    )
    (move,) = called(done.folder, "history", str(done.file), "--home", str(done.home))
    told = {name: move[name] for name in ("action", "before", "version", "why", "state")}
    assert told == {
        "action": "promote",
        "before": "",
        "version": said["version"],
        "why": said["claim"],
        "state": "done",
    }
    assert main(["rollback", str(done.file), "--home", str(done.home), "--why", "a try"]) == 4
    assert "tiny: no champion before version 1 is there; nothing is moved" in capfd.readouterr().err


def refused(done: Done, file: Path, capfd: pytest.CaptureFixture[str]) -> str:
    """Promote with exit code 4 and no new version; return the one line that says why."""
    versions = [str(version.version) for version in done.client.search_model_versions("name='tiny'")]
    capfd.readouterr()
    assert main(["promote", str(file), "--home", str(done.home)]) == 4
    assert [str(v.version) for v in done.client.search_model_versions("name='tiny'")] == versions
    (line,) = capfd.readouterr().err.strip().splitlines()
    return line


def test_promotion_audits_the_data_of_today_wherever_they_are_and_refuses_others(
    done: Done, tiny: Tiny, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(done.folder)  # where its cache is
    root = tmp_path / "moved"
    shutil.copytree(data_of(tiny), root)
    file = write(tmp_path, settings(root))
    assert main(["promote", str(file), "--home", str(done.home)]) == 0
    path = root / "images/4.png"
    cv2.imwrite(str(path), cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) // 2)
    assert f"the data are not those {done.said['key']} was trained on (manifest " in refused(
        done, file, capfd
    )
    shutil.rmtree(root)
    line = refused(done, file, capfd)
    assert "its data cannot be audited again" in line
    assert str(root) in line


def test_promotion_refuses_a_leakage_report_that_was_changed_and_running_again_mends_it(
    done: Done, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(done.folder)
    (own,) = (run for run in done.runs("study") if run.info.run_name == done.said["key"])
    folder = done.home / "artifacts/tiny" / own.info.run_id / "artifacts/leakage"
    report = folder / "leakage_report.json"
    said = report.read_text()
    report.write_text(said.replace('"verdict": "', '"verdict": "p'))
    assert "the leakage report on its run has SHA-256 " in refused(done, done.file, capfd)
    for name in ("leakage_report.html", "pairs.parquet"):
        shown = folder / name
        whole = shown.read_bytes()
        shown.write_bytes(whole + b" ")
        report.write_text(said)
        assert f"leakage/{name} on its run is not what was attached" in refused(done, done.file, capfd)
        shown.write_bytes(whole)
    report.unlink()
    assert "no leakage report is attached to its run" in refused(done, done.file, capfd)
    for run in done.runs("trial"):
        done.client.set_tag(run.info.run_id, "harness.leakage_sha256", "0" * 64)
    budget = ["--trials", str(len(done.runs("trial")))]
    assert main(["run", str(done.file), "--home", str(done.home), *budget]) == 0
    assert main(["promote", str(done.file), "--home", str(done.home)]) == 0


def test_a_study_is_never_run_or_mended_with_another_database_of_trials_than_its_own(
    done: Done, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(done.folder)
    monkeypatch.setenv("HARNESS_OPTUNA_URL", f"sqlite:///{tmp_path}/other.db")
    for verb in ("run", "doctor"):
        assert main([verb, str(done.file), "--home", str(done.home)]) == 2
        said = " ".join(capfd.readouterr().err.split())
        assert "its trials are in optuna.db under --home, and HARNESS_OPTUNA_URL now says sqlite:///" in said
    assert not (tmp_path / "other.db").exists()


def test_promote_without_results_is_said(
    tiny: Tiny, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = write(tmp_path, settings(data_of(tiny)))
    assert main(["promote", str(file), "--home", str(tmp_path / "home")]) == 2
    assert "no results of study 'tiny'" in capfd.readouterr().err


TRUST = {"groups": "trust"}


def edit_csv(old: str, new: str) -> Callable[[Path], None]:
    def edit(root: Path) -> None:
        text = (root / "instances.csv").read_text()
        assert old in text
        (root / "instances.csv").write_text(text.replace(old, new, 1))

    return edit


def split_a_group(root: Path) -> None:
    table = pd.read_csv(root / "instances.csv")
    table["fold"] = np.arange(len(table)) % 2
    table.loc[table["source_image_id"] == "source-0", "fold"] = [0, 1]
    table.to_csv(root / "instances.csv", index=False)


def copy_a_picture(root: Path) -> None:
    shutil.copy(root / "images/2.png", root / "images/3.png")


def write_ones(root: Path) -> None:
    for path in (root / "masks").glob("*.png"):
        cv2.imwrite(str(path), cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) // 255)


def truncate(root: Path) -> None:
    path = root / "images/4.png"
    path.write_bytes(path.read_bytes()[:900])


def nothing(root: Path) -> None:
    pass


@pytest.mark.parametrize(
    ("spoil", "changes", "code", "said"),
    [
        (split_a_group, {}, 3, ["source-0", "fold"]),
        (copy_a_picture, TRUST, 3, ["images/2.png", "images/3.png", "source-1", "source-2"]),
        (write_ones, {}, 3, ["masks/", "0, 1", "target: 1"]),
        (lambda root: (root / "images/4.png").unlink(), {}, 3, ["images/4.png"]),
        (truncate, {}, 3, ["images/4.png", "truncated"]),
        (edit_csv("source-3", ""), {}, 3, ["instances.csv", "source_image_id"]),
        (nothing, {"loss": "tversk"}, 2, ["tiny.yaml: loss: 'tversk' is not known, did you mean 'tversky'?"]),
        (nothing, {"folds": {"count": 13}}, 3, ["12", "13"]),
        (nothing, {"train": {"lr": -1}}, 2, ["train.lr: -1"]),
        (nothing, {"network": {"unet": {"activation": "sigmoid"}}}, 2, ["network.unet", "activation"]),
        (nothing, {"network": {"unet": {"classes": 2}}}, 2, ["network.unet", "classes"]),
        (nothing, {"network": {"unet": NETWORK | {"weights": "nowhere.pth"}}}, 2, ["network.unet.weights"]),
        (nothing, {"search": {"trials": 2, "augment.strength": [0, 2]}}, 2, ["augment.strength", "2"]),
        (
            nothing,
            {"search": {"trials": 2, "loss": {"choice": {"tverski": {}}}}},
            2,
            ["tiny.yaml: search.loss: 'tverski' is not known, did you mean 'tversky'?"],
        ),
        (
            nothing,
            {"search": {"trials": 2, "train.lr": [-1, 0.1]}},
            2,
            ["tiny.yaml: search.train.lr: -1.0: input should be greater than 0"],
        ),
        (nothing, {"augment": {"recipe": {"reference": {"fill_mask": 0}}}}, 2, ["fill_mask"]),
        (nothing, {"loss": {"weighted_bce": {"positive_weight": 2.5}}}, 2, ["positive_weight", "2.5"]),
        (nothing, {"data": {"dataset": {"instances": {"root": "${NO_SUCH_PLACE}/x"}}}}, 2, ["NO_SUCH_PLACE"]),
    ],
    ids=lambda value: getattr(value, "__name__", None) or (str(value) if isinstance(value, dict) else ""),
)
def test_wrong_input_is_one_line_before_any_training_and_leaves_nothing(
    spoil: Callable[[Path], None],
    changes: dict[str, Any],
    code: int,
    said: list[str],
    tiny: Tiny,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root = tmp_path / "data"
    shutil.copytree(data_of(tiny), root)
    spoil(root)
    monkeypatch.chdir(tmp_path)
    file = write(tmp_path, settings(root, **changes))
    assert main(["run", str(file), "--home", "home"]) == code
    lines = capfd.readouterr().err.strip().splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("error: ")
    for part in said:
        assert part in lines[0]
    assert not (tmp_path / "home").exists()
    assert {path.suffix for path in (tmp_path / ".cache").glob("*")} <= {
        ".sqlite",
        ".sqlite-wal",
        ".sqlite-shm",
    }


def test_check_writes_the_report_of_data_that_may_not_be_used(
    tiny: Tiny, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "data"
    shutil.copytree(data_of(tiny), root)
    monkeypatch.chdir(tmp_path)
    file = write(tmp_path, settings(root))
    assert main(["check", str(file), "--home", "home", "--json"]) == 0
    clean = json.loads(capfd.readouterr().out)
    assert clean["verdict"] == clean["leakage"] != "fail"
    assert "fail" not in {finding["status"] for finding in clean["findings"]}
    copy_a_picture(root)
    write(tmp_path, settings(root, **TRUST))
    assert main(["check", str(file), "--home", "home", "--json"]) == 3
    shown = capfd.readouterr()
    leaking = json.loads(shown.out)
    assert leaking["verdict"] == "fail"
    assert any("images/2.png" in finding["summary"] for finding in leaking["findings"])
    report = json.loads((tmp_path / "home/audit/tiny/leakage_report.json").read_text())
    assert report["verdict"] == "fail"
    assert "images/2.png" in shown.err


def test_a_copy_under_two_ids_is_joined_and_reported_and_the_study_runs_on(
    tiny: Tiny, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "data"
    shutil.copytree(data_of(tiny), root)
    copy_a_picture(root)
    monkeypatch.chdir(tmp_path)
    file = write(tmp_path, settings(root))
    assert main(["check", str(file), "--home", "home", "--json"]) == 0
    said = json.loads(capfd.readouterr().out)
    copies = next(finding for finding in said["findings"] if finding["id"] == "D3")
    assert copies["status"] == "warn"
    assert "joined" in copies["summary"]
    assert said["groups"] == 11
    pairs = pd.read_parquet(tmp_path / "home/audit/tiny/pairs.parquet")
    assert ("images/2.png", "images/3.png") in set(zip(pairs["first"], pairs["second"], strict=True))


@pytest.mark.parametrize("arguments", [["run", "no_such_study"], ["frobnicate"], ["run"]])
def test_a_wrong_command_exits_2(arguments: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    try:
        code: Any = main(arguments)
    except SystemExit as ended:
        code = ended.code
    assert code == 2
    assert capfd.readouterr().err


def scores_of(said: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Return trial, parameters and every number, by trial."""
    rows = sorted(said["trials"], key=lambda row: row["trial"])
    return [
        (row["trial"], row["params"], *(row[k] for k in sorted(row) if "iou" in k or "object" in k))
        for row in rows
    ]


def wait_until(reached: Callable[[], bool], seconds: float = 240) -> None:
    until = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < until, "waited too long"
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("trials", "said"), [("0", "--trials: 0: input should be"), ("1", "--trials: 1 is below the 2 baselines")]
)
def test_a_wrong_budget_is_said_of_the_option(
    trials: str, said: str, tiny: Tiny, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    content = settings(data_of(tiny))
    content["search"] = content["search"] | {"baselines": [{"loss": "dice_bce"}, {"augment.strength": 1}]}
    file = write(tmp_path, content)
    assert main(["run", str(file), "--home", str(tmp_path / "home"), "--trials", trials]) == 2
    assert capfd.readouterr().err.startswith(f"error: {said}")


def test_a_home_that_cannot_be_written_is_one_line(
    tiny: Tiny, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = write(tmp_path, settings(data_of(tiny)))
    assert main(["run", str(file), "--home", str(file)]) == 2
    (line,) = capfd.readouterr().err.strip().splitlines()
    assert line.startswith(f"error: {file}")
    assert "check the path" in line


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="looks into /proc")
def test_ctrl_c_while_the_command_starts_is_one_line(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "harness.study", "report", "no_such_study"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )

    def caught() -> int:
        return int(Path(f"/proc/{process.pid}/status").read_text().split("SigCgt:")[1].split()[0], base=16)

    wait_until(lambda: bool(caught() >> (signal.SIGTERM - 1) & 1))
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (75, "stopped before anything began\n")


@pytest.mark.parametrize(
    ("verb", "said"),
    [
        ("run", "stopped at once; the same command goes on from what is committed\n"),
        ("check", "stopped at once\n"),
    ],
)
def test_ctrl_c_while_the_data_are_read_is_one_line_at_once_and_leaves_nothing(
    verb: str,
    said: str,
    tiny: Tiny,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "data"
    shutil.copytree(data_of(tiny), root)
    (root / "instances.csv").unlink()
    os.mkfifo(root / "instances.csv")  # nobody writes into it: reading it takes for ever
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Timer(3.0, os.kill, (os.getpid(), signal.SIGINT)).start()
    try:
        assert main([verb, str(write(tmp_path, settings(root))), "--home", "home"]) == 75
    finally:
        signal.signal(signal.SIGINT, before)
    assert capfd.readouterr().err == said
    assert not (tmp_path / "home").exists()


def test_a_server_that_never_answers_costs_a_study_nothing_and_doctor_delivers_it_later(
    tiny: Tiny, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://user:secret@127.0.0.1:9")
    content = settings(data_of(tiny))
    content["search"] = content["search"] | {"trials": 1}
    file = write(tmp_path, content)
    assert main(["run", str(file), "--home", "home", "--json"]) == 0
    shown = capfd.readouterr()
    assert json.loads(shown.out)["best_trial"] == 0
    assert shown.err.count("MLflow takes no messages now: they wait, the study goes on") == 1
    assert "wait for it in home/work/tiny-" in shown.err
    assert "secret" not in shown.err
    assert main(["doctor", "--home", "home", "--json"]) == 1
    shown = capfd.readouterr()
    assert ["MLflow does not answer" in one["what"] for one in json.loads(shown.out)["left"]] == [True, True]
    assert "secret" not in shown.err + shown.out
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert main(["doctor", str(file), "--home", "home", "--json"]) == 0
    said = json.loads(capfd.readouterr().out)
    assert ["messages that waited for MLflow" in one["what"] for one in said["mended"]] == [True]
    client = MlflowClient(f"sqlite:///{tmp_path / 'home' / 'mlflow.db'}")
    assert [run.info.status for run in client.search_runs(["1"])] == ["FINISHED"] * 4
    assert main(["doctor", "--home", "home", "--json"]) == 0
    assert json.loads(capfd.readouterr().out) == {"mended": [], "left": []}


def test_a_server_that_does_not_answer_is_one_line_at_once_where_its_answer_is_needed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://user:secret@127.0.0.1:9")
    assert main(["ui", "--home", "home"]) == 2
    (line,) = capfd.readouterr().err.strip().splitlines()
    assert "MLFLOW_TRACKING_URI: 127.0.0.1:9 does not answer" in line
    assert "secret" not in line
    assert not (tmp_path / "home").exists()


def test_without_the_weights_of_bettered_trials_the_study_is_read_and_run_and_its_best_is_promoted(
    done: Done, capfd: pytest.CaptureFixture[str]
) -> None:
    """The last test with this study."""
    board = called(done.folder, "report", str(done.file), "--home", str(done.home))
    (work,) = (done.home / "work").iterdir()
    trials = [
        Finished(
            row["trial"],
            row.get("iou_mean"),
            (work / str(row["trial"]) / "0", work / str(row["trial"]) / "1"),
        )
        for row in board["trials"]
    ]
    freed = prune(trials, best=1)
    assert len(freed) == 2 * (len(trials) - 1)
    assert called(done.folder, "report", str(done.file), "--home", str(done.home)) == board
    assert (
        called(done.folder, "promote", str(done.file), "--home", str(done.home))["trial"]
        == board["best_trial"]
    )
    arguments = ("run", str(done.file), "--home", str(done.home), "--trials", str(len(trials)))
    assert scores_of(called(done.folder, *arguments)) == scores_of(board)
    assert "trained anew" not in capfd.readouterr().err
