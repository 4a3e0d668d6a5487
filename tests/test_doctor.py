"""What a look at disk, Optuna and MLflow finds and mends, each planted once; the second look finds nothing to mend."""

import contextlib
import io
import shutil
import sqlite3
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from rich.console import Console

from harness.doctor import Examination, Finding
from harness.drive import drive
from harness.errors import ConfigError, TrackingError
from harness.model.outoffold import FILES
from harness.prepare import Prepared, prepare
from harness.report.leaderboard import read_leaderboard
from harness.search.database import optuna_url
from harness.search.lock import only_driver
from harness.search.second import write_second
from harness.search.trial import SecondLook
from harness.tracking.home import home_id
from harness.tracking.outbox import Outbox
from harness.tracking.store import Store, open_store
from harness.train.foldrun import committed_result, fold_folder
from tests.conftest import SHORT, Tiny
from tests.test_drive import started
from tests.test_drive_killed import live
from tests.tracking.test_recorder import recorder_of


@pytest.fixture(scope="module")
def prepared(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    home = tmp_path_factory.mktemp("prepared")
    study = tiny.with_settings(**SHORT, search__trials=2)
    return prepare(study, base=home, home=home, caches=tiny.caches)


def go_on(prepared: Prepared, home: Path, tiny: Tiny) -> str:
    console = Console(file=io.StringIO(), width=400)
    drive(
        prepared,
        open_store(home),
        home=home,
        caches=tiny.caches,
        console=console,
        watch=lambda: lambda: False,
    )
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


@pytest.fixture(scope="module")
def finished(
    prepared: Prepared, tiny: Tiny, tmp_path_factory: pytest.TempPathFactory, empty_mlflow: Path
) -> Path:
    home = started(tmp_path_factory.mktemp("finished") / "home", empty_mlflow)
    go_on(prepared, home, tiny)
    return home


@pytest.fixture
def home(finished: Path, tmp_path: Path) -> Path:
    """A home with a study that is finished and in order, for a test to spoil."""
    shutil.copytree(finished, tmp_path / "home")
    return tmp_path / "home"


def client_of(home: Path) -> MlflowClient:
    return MlflowClient(f"sqlite:///{home / 'mlflow.db'}")


def looked_at(home: Path, store: Store | None = None) -> tuple[list[str], list[str]]:
    """Return what is mended and what is left."""
    found = Examination(home, store or open_store(home), print).of_all()
    return [one.what for one in found if one.mended], [one.what for one in found if not one.mended]


def test_a_study_in_order_has_nothing_to_mend(home: Path) -> None:
    assert looked_at(home) == ([], [])


def test_what_a_killed_driver_left_is_mended_and_the_study_goes_on(
    prepared: Prepared, tiny: Tiny, tmp_path: Path, empty_mlflow: Path
) -> None:
    home = started(tmp_path / "home", empty_mlflow)
    assert live(prepared, home, tiny.caches, writes=60) == 0
    (home / "work" / prepared.key / "0" / "9.working").mkdir(parents=True)
    (home / "work" / prepared.key / "0" / "9.cancelled").touch()
    mended, left = looked_at(home)
    said = "\n".join(mended)
    assert "open in MLflow and its driver is gone: marked as killed" in said
    assert "leftovers of fold runs that were killed" in said
    assert left == ["trials begun and not finished (0): the next run goes on with them"]
    found = client_of(home).search_runs(["1"])
    assert {run.info.status for run in found} <= {"KILLED", "FINISHED"}
    assert f"{prepared.key}/0" in {run.data.tags["harness.fold_run"] for run in found}
    assert looked_at(home) == ([], left)
    go_on(prepared, home, tiny)
    assert {run.info.status for run in client_of(home).search_runs(["1"])} == {"FINISHED"}
    assert looked_at(home) == ([], [])


def test_a_lost_ledger_is_rebuilt_to_the_same_table(home: Path, prepared: Prepared) -> None:
    ledger = home / "work" / prepared.key / "ledger"
    before = read_leaderboard(ledger)
    shutil.rmtree(ledger)
    mended, _ = looked_at(home)
    assert [what.partition(" ")[0] for what in mended[:2]] == ["baselines.parquet", "study.json"]
    assert "the table of its trials was lost" in mended[2]
    assert read_leaderboard(ledger) == before
    assert looked_at(home) == ([], [])
    (ledger / "trials.parquet").write_bytes(b"PAR1")
    assert looked_at(home)[0] == ["the table of its trials was lost or not that of Optuna: rebuilt"]
    assert read_leaderboard(ledger) == before


def test_pages_of_trials_that_are_gone_are_written_again_and_stand_on_runs_that_are_made_again(
    home: Path, prepared: Prepared
) -> None:
    client, work = client_of(home), home / "work" / prepared.key
    before = {path: path.read_bytes() for path in sorted(work.glob("*/page.html"))}
    assert len(before) == 2
    for path in before:
        path.unlink()
    run = runs_of(home)[f"{prepared.key}/1"]
    client._tracking_client.store._hard_delete_run(run.info.run_id)
    mended, left = looked_at(home)
    assert "the pages of trials 0, 1 were lost: written again" in mended
    assert not left
    assert {path: path.read_bytes() for path in before} == before
    again = runs_of(home)[f"{prepared.key}/1"]
    assert [file.path for file in client.list_artifacts(again.info.run_id)] == ["maps", "page.html"]
    assert "harness.lost_files" not in again.data.tags
    assert looked_at(home) == ([], [])


@pytest.mark.parametrize("name", ["study.json", "baselines.parquet"])
@pytest.mark.parametrize("for_good", [False, True])
def test_a_damaged_file_of_a_ledger_is_never_attached(
    home: Path, prepared: Prepared, name: str, for_good: bool
) -> None:
    """The only good one is on the run that was deleted, or nowhere."""
    path, client = home / "work" / prepared.key / "ledger" / name, client_of(home)
    good, run = path.read_bytes(), runs_of(home)[prepared.key].info.run_id
    path.write_bytes(b"{")
    client.delete_run(run)
    if for_good:
        client._tracking_client.store._hard_delete_run(run)
    mended, left = looked_at(home)
    shown = runs_of(home)[prepared.key]
    files = {item.path for item in client.list_artifacts(shown.info.run_id, "study")}
    if for_good:
        assert f"MLflow has no study/{name} of it" in left[0]
        assert path.read_bytes() == b"{"
        assert f"study/{name}" not in files
        assert shown.data.tags["harness.lost_files"] == name
        return
    assert mended == [
        f"{name} of its ledger was lost: fetched from MLflow",
        f"run {prepared.key} had been deleted in MLflow: restored",
    ]
    assert path.read_bytes() == good
    again = client.download_artifacts(shown.info.run_id, f"study/{name}")
    assert (Path(again).read_bytes(), "harness.lost_files" in shown.data.tags) == (good, False)
    assert looked_at(home) == ([], [])


@pytest.mark.parametrize("other", [b"{", b"another study's"])
def test_what_mlflow_has_of_a_ledger_is_looked_at_before_it_is_called_mended(
    home: Path, prepared: Prepared, tiny: Tiny, tmp_path: Path, other: bytes
) -> None:
    path, client = home / "work" / prepared.key / "ledger" / "study.json", client_of(home)
    content = path.read_bytes().replace(prepared.key.encode(), b"tiny-01234567")
    (tmp_path / "study.json").write_bytes(other if other == b"{" else content)
    client.log_artifact(runs_of(home)[prepared.key].info.run_id, str(tmp_path / "study.json"), "study")
    path.write_bytes(b"{")
    mended, (left,) = looked_at(home)
    assert mended == []
    assert "the next run writes it anew (study.json on its run in MLflow is damaged too" in left
    assert path.read_bytes() == b"{"
    go_on(prepared, home, tiny)
    assert looked_at(home) == ([], [])


def runs_of(home: Path, store: Store | None = None) -> dict[str, Run]:
    """Return the runs in MLflow by key; no key is there twice."""
    client = (store or open_store(home)).client()
    found = client.search_runs(["1"])
    keys = [run.data.tags["harness.fold_run"] for run in found]
    assert len(set(keys)) == len(keys)
    return dict(zip(keys, found, strict=True))


def ends(home: Path, store: Store | None = None) -> dict[str, object]:
    """Return what the runs in MLflow ended as, with every number and setting, by key."""
    runs = runs_of(home, store)
    return {key: (run.info.status, run.data.metrics, run.data.params) for key, run in runs.items()}


def rows(database: Path) -> int:
    """Return how many points of metrics there are."""
    with contextlib.closing(sqlite3.connect(database)) as connection:
        return int(connection.execute("SELECT count(*) FROM metrics").fetchone()[0])


@pytest.mark.parametrize("gone", [(), ("/1", "/1/0"), ("", "/0", "/0/0", "/0/1", "/1", "/1/0", "/1/1")])
def test_where_the_outbox_was_lost_mlflow_is_told_anew_what_optuna_and_the_folds_know(
    home: Path, prepared: Prepared, gone: tuple[str, ...]
) -> None:
    client, before, points = client_of(home), ends(home), rows(home / "mlflow.db")
    shutil.rmtree(home / "work" / prepared.key / "tracking")
    runs = runs_of(home)
    for below in gone:
        client._tracking_client.store._hard_delete_run(runs[f"{prepared.key}{below}"].info.run_id)
    if not gone:
        client.set_terminated(runs[f"{prepared.key}/0"].info.run_id, "FAILED")
    mended, left = looked_at(home)
    assert left == []
    assert mended[0] == "what MLflow is to be told of trials 0, 1 was lost: told anew from Optuna"
    assert (ends(home), rows(home / "mlflow.db")) == (before, points)
    assert looked_at(home) == ([], [])
    assert len(client.list_artifacts(runs_of(home)[f"{prepared.key}/1/0"].info.run_id)) == 2 + len(FILES)


def damage(home: Path, key: str, kind: str, below: str) -> None:
    """Let the messages of a kind that tell of one run be damaged where they stand."""
    path = home / "work" / key / "tracking" / "messages.jsonl"
    lines, told = path.read_bytes().splitlines(), [m for _, m in Outbox(home / "work" / key).messages()]
    at = [i for i, m in enumerate(told) if (m["kind"], m["key"]) == (kind, f"{key}{below}")]
    assert at
    for number in at:
        lines[number] = b"x" * len(lines[number])
    path.write_bytes(b"\n".join(lines) + b"\n")


@pytest.mark.parametrize(
    ("kind", "below", "gone"),
    [
        *(("study", "", False), ("end", "", False), ("open", "/1", False), ("end", "/1", False)),
        *(("open", "/1/0", False), ("log", "/1/0", False), ("end", "/1/0", False)),
        *(("study", "", True), ("open", "/1/0", True), ("log", "/1/0", True), ("end", "", True)),
    ],
)
def test_each_kind_of_message_that_was_damaged_is_told_anew_and_nothing_is_there_twice(
    home: Path, prepared: Prepared, kind: str, below: str, gone: bool
) -> None:
    """Those of one run, which MLflow has had, or has no more."""
    client, before, points = client_of(home), ends(home), rows(home / "mlflow.db")
    damage(home, prepared.key, kind, below)
    for run in runs_of(home).values() if gone else ():
        client._tracking_client.store._hard_delete_run(run.info.run_id)
    count = len(list(Outbox(home / "work" / prepared.key).messages()))
    mended, left = looked_at(home)
    what = "trials 1" if below else "the study itself"
    assert mended[0] == f"what MLflow is to be told of {what} was lost: told anew from Optuna"
    assert left == []
    assert not [line for line in mended if "corrected" in line]
    told = [m for _, m in Outbox(home / "work" / prepared.key).messages()][count:]
    again = {(m["kind"], m["key"].removeprefix(prepared.key)) for m in told}
    ended = {(kind, below), ("end", below)}
    assert {(kind, below)} <= again <= (ended | {("log", below)} if kind == "open" else ended)
    assert (ends(home), rows(home / "mlflow.db")) == (before, points)
    assert looked_at(home) == ([], [])


@pytest.mark.parametrize("for_good", [False, True])
def test_runs_that_are_gone_from_mlflow_are_back_with_every_number(
    home: Path, prepared: Prepared, for_good: bool
) -> None:
    client, before, points = client_of(home), ends(home), rows(home / "mlflow.db")
    for key, run in runs_of(home).items():
        if key in (f"{prepared.key}/1", f"{prepared.key}/1/0"):
            client.delete_run(run.info.run_id)
            if for_good:  # as `mlflow gc` does
                client._tracking_client.store._hard_delete_run(run.info.run_id)
    done = "was gone from MLflow: made again" if for_good else "had been deleted in MLflow: restored"
    assert looked_at(home) == ([f"run {prepared.key}/1{below} {done}" for below in ("", "/0")], [])
    assert (ends(home), rows(home / "mlflow.db")) == (before, points)
    runs = runs_of(home)
    for fold in range(2):
        parent = runs[f"{prepared.key}/1/{fold}"].data.tags["mlflow.parentRunId"]
        assert parent == runs[f"{prepared.key}/1"].info.run_id
    assert looked_at(home) == ([], [])


def test_runs_that_stand_otherwise_in_mlflow_than_they_ended_are_corrected(
    home: Path, prepared: Prepared
) -> None:
    client, before = client_of(home), ends(home)
    runs = runs_of(home)
    for below, status in (("/0", "RUNNING"), ("/1", "FAILED"), ("/1/1", "KILLED"), ("", "RUNNING")):
        client.set_terminated(runs[f"{prepared.key}{below}"].info.run_id, status)
    client.set_tag(runs[f"{prepared.key}/0/0"].info.run_id, "harness.state", "pruned")
    done = "stood otherwise in MLflow than it ended here: corrected"
    wrong = ("", "/0", "/0/0", "/1", "/1/1")
    assert looked_at(home) == ([f"run {prepared.key}{below} {done}" for below in wrong], [])
    assert ends(home) == before
    assert looked_at(home) == ([], [])


def test_what_mlflow_refused_is_sent_again_once_it_may_be_taken(home: Path, prepared: Prepared) -> None:
    outbox = Outbox(home / "work" / prepared.key)
    outbox.append({"kind": "log", "key": f"{prepared.key}/7", "metrics": [["loss", 1.0, 1, 5]]})
    mended, left = looked_at(home)
    assert mended == []
    assert left == [f"messages that MLflow refuses: 1, kept in {outbox.refused}"]
    assert looked_at(home) == ([], left)
    client = client_of(home)
    tags = {"harness.fold_run": f"{prepared.key}/7", "harness.home": home_id(home, open_store(home), print)}
    client.create_run("1", tags=tags)
    mended, left = looked_at(home)
    assert mended[-1] == "messages that MLflow had refused, 1 of them: delivered"
    assert left == []
    assert looked_at(home) == ([], [])


def test_a_damaged_fold_is_left_to_the_next_run_which_trains_it_anew(
    home: Path, prepared: Prepared, tiny: Tiny
) -> None:
    (home / "work" / prepared.key / "1" / "0" / "weights.safetensors").write_bytes(b"x")
    mended, (left,) = looked_at(home)
    assert mended == []
    assert "1/0 is not what was committed: the next run trains it anew" in left
    assert "trial 1 fold 0 is trained anew" in go_on(prepared, home, tiny)
    assert looked_at(home) == ([], [])


def test_a_study_that_only_mlflow_has_is_marked_and_those_of_other_homes_are_not(home: Path) -> None:
    client = client_of(home)
    own = {"harness.home": home_id(home, open_store(home), print)}
    study, key = {"harness.level": "study"}, {"harness.fold_run": "tiny-ffffffff"}
    ours = client.create_run("1", tags=study | own | key)
    trial = client.create_run("1", tags=own | {"harness.fold_run": "tiny-ffffffff/0"})
    other = client.create_run("1", tags=study | key | {"harness.home": "another"})
    assert looked_at(home) == (["MLflow has it and the disk does not: marked as an orphan"], [])
    states = [client.get_run(run.info.run_id) for run in (ours, trial, other)]
    assert [run.info.status for run in states] == ["KILLED", "KILLED", "RUNNING"]
    assert states[0].data.tags["harness.orphan"] == "no work on disk"
    assert looked_at(home) == ([], [])


def test_a_study_that_is_being_run_is_refused_by_name_and_left_alone_among_all(
    home: Path, prepared: Prepared
) -> None:
    (home / "work" / prepared.key / "0" / "9.working").mkdir()
    with only_driver(optuna_url(home), prepared.key):
        said = f"{prepared.key}: this study is being run by process"
        by_name, among_all = (Examination(home, open_store(home), print) for _ in range(2))
        for found in (by_name.of("tiny"), among_all.of_all()):
            assert [one.mended for one in found] == [False]
            assert found[0].what.startswith(f"left alone: {said}")
        assert [(type(one), str(one)[: len(said)]) for one in by_name.failures] == [(ConfigError, said)]
        assert among_all.failures == []
    assert Examination(home, open_store(home), print).of("another") == []
    assert Examination(home, open_store(home), print).of("tiny") == [
        Finding(prepared.key, "leftovers of fold runs that were killed, 1 of them: removed", mended=True)
    ]


def test_without_mlflow_the_rest_is_mended_and_what_waits_is_said(home: Path, prepared: Prepared) -> None:
    (home / "work" / prepared.key / "0" / "9.working").mkdir()
    away = Store("http://127.0.0.1:9", None)
    home_id(home, away, print)  # it is a copy, and so is told from its first message on
    count = len(list(Outbox(home / "work" / prepared.key).messages()))
    mended, left = looked_at(home, away)
    assert mended == ["leftovers of fold runs that were killed, 1 of them: removed"]
    assert left[0].startswith("MLflow does not answer: ")
    assert left[0].endswith(f"; messages that wait for it: {count}")
    assert left[1].endswith("; studies that only MLflow has were not looked for")


def test_where_nothing_was_ever_run_nothing_is_made(tmp_path: Path) -> None:
    assert looked_at(tmp_path / "home") == ([], [])
    assert not (tmp_path / "home").exists()


def test_of_several_studies_each_is_examined_whatever_fails_of_another(
    home: Path, prepared: Prepared
) -> None:
    other, last = "aaa-01234567", "zzz-01234567"
    for key in (other, last):
        recorder_of(home / "work" / key, key).open_study([])
    client = client_of(home)
    client.delete_experiment(client.create_experiment("aaa"))
    (home / "work" / last / "tracking" / "delivered.json").mkdir()
    (home / "work" / prepared.key / "0" / "9.working").mkdir()
    examined = Examination(home, open_store(home), print, room=0)
    found = [(one.study, one.mended, one.what) for one in examined.of_all()]
    assert found[0][:2] == (other, False)
    assert "its ledger is lost: the next run writes it anew (" in found[0][2]
    assert found[1][:2] == (other, False)
    assert "the experiment 'aaa' was deleted in MLflow" in found[1][2]
    assert found[2] == (prepared.key, True, "leftovers of fold runs that were killed, 1 of them: removed")
    assert found[3][:2] == (last, False)
    assert "Is a directory" in found[3][2]
    assert len(found) == 4
    assert [type(failure) for failure in examined.failures] == [TrackingError, IsADirectoryError]


def test_weights_are_not_dropped_where_nobody_knows_what_an_alias_means(
    home: Path, prepared: Prepared
) -> None:
    away = Store("http://127.0.0.1:9", None)
    home_id(home, away, print)
    outbox = Outbox(home / "work" / prepared.key)
    *_, (end, _) = outbox.messages()
    outbox.note(end, 19)
    examined = Examination(home, away, print, room=0)
    examined.of_all()
    assert ["MLflow does not answer" in str(failure) for failure in examined.failures] == [True] * 3
    assert with_weights(home) == {0, 1}


def test_weights_that_another_study_has_too_are_said_to_free_nothing(
    home: Path, prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.doctor.BEST", 0)
    weights = home / "work" / prepared.key / "0" / "0" / "weights.safetensors"
    (tmp_path / "other").hardlink_to(weights)
    size = weights.stat().st_size / 1e6
    (found,) = Examination(home, open_store(home), print, room=0).of("tiny")
    assert found.what == (
        "weights of 4 fold runs of pruned and bettered trials: dropped, 1 of them of files that are linked elsewhere "
        f"too and stay there; {3 * size:.1f} MB freed, their results stay"
    )


def with_weights(home: Path) -> set[int]:
    return {int(path.parts[-3]) for path in home.glob("work/*/*/*/weights.safetensors")}


def test_weights_of_a_trial_that_had_a_second_look_are_kept_since_it_may_be_promoted(
    home: Path, prepared: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = home / "work" / prepared.key
    board = read_leaderboard(work / "ledger")
    other = int(board.trials[1]["trial"])
    folds = [committed_result(fold_folder(work, other, fold)) for fold in (0, 1)]
    write_second(work, other, SecondLook("complete", folds))
    monkeypatch.setattr("harness.doctor.BEST", 1)
    before = with_weights(home)
    Examination(home, open_store(home), print, room=0).of("tiny")
    assert with_weights(home) == before == {int(row["trial"]) for row in board.trials}


def test_weights_of_bettered_trials_are_dropped_when_asked_and_results_stay(
    home: Path, prepared: Prepared, tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = home / "work" / prepared.key / "ledger"
    before = read_leaderboard(ledger)
    assert before.best is not None
    best = int(before.best["trial"])
    assert Examination(home, open_store(home), print, room=0).of("tiny") == [], (
        "both are among the best three"
    )
    monkeypatch.setattr("harness.doctor.BEST", 1)
    assert Examination(home, open_store(home), print, room=10**9).of("tiny") == [], "there is room for all"
    (found,) = Examination(home, open_store(home), print, room=0).of("tiny")
    assert found.mended
    assert found.what.startswith("weights of 2 fold runs of pruned and bettered trials: dropped; ")
    assert with_weights(home) == {best}
    assert looked_at(home) == ([], [])
    go_on(prepared, home, tiny)
    assert read_leaderboard(ledger) == before
    assert with_weights(home) == {best}


def test_weights_that_an_alias_means_or_mlflow_waits_for_are_kept(
    home: Path, prepared: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.doctor.BEST", 0)
    client = client_of(home)
    client.create_registered_model("tiny")
    tags = {"harness.study": prepared.key, "harness.trial": "1"}
    version = client.create_model_version("tiny", "file:///nowhere", tags=tags).version
    client.set_registered_model_alias("tiny", "challenger", version)
    outbox = Outbox(home / "work" / prepared.key)
    outbox.append({"kind": "damaged"})
    (left,) = Examination(home, Store("http://127.0.0.1:9", None), print, room=0).of("tiny")[1:2]
    assert left.what == "its weights, all of them: MLflow has not got them yet"
    assert with_weights(home) == {0, 1}
    Examination(home, open_store(home), print, room=0).of("tiny")
    assert with_weights(home) == {1}
