"""A fold trained again: it is what was committed, or the command says by how much and why not."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.study import main
from harness.train.checkpoint import MANIFEST, WEIGHTS, drop
from tests.conftest import Tiny
from tests.test_study import Done, called, data_of, settings, write


@pytest.fixture(scope="module")
def done(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Done:
    folder = tmp_path_factory.mktemp("reproduced")
    file, home = write(folder, settings(data_of(tiny))), folder / "home"
    return Done(folder, file, home, called(folder, "run", str(file), "--home", str(home)))


def again(done: Done, *which: str, home: Path | None = None) -> dict[str, Any]:
    return called(done.folder, "reproduce", str(done.file), "--home", str(home or done.home), *which)


def content_of(folder: Path) -> dict[str, str]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_a_fold_is_trained_again_to_the_bit_also_without_the_cache_and_the_study_stays_as_it_is(
    done: Done, capfd: pytest.CaptureFixture[str]
) -> None:
    before = content_of(done.home / "work")
    for path in (done.folder / ".cache").iterdir():  # decoded pictures, and what was found out about them
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    said = again(done, "--trial", "1", "--fold", "1")
    assert (said["matches"], said["equal"], said["reasons"]) == (True, True, [])
    assert (said["pictures_differ"], said["weights_differ"], said["same_pictures"]) == (0, 0.0, True)
    row = next(row for row in done.said["trials"] if row["trial"] == 1)
    assert said["iou"] == {"then": row["iou_fold_1"], "now": row["iou_fold_1"]}
    assert {"best_iou", "epochs", "coverage"} < set(said["numbers"])
    assert content_of(done.home / "work") == before
    assert not (done.home / "reproduce").exists()
    shown = " ".join(capfd.readouterr().err.split())
    assert "trial 1 fold 1 of" in shown
    assert "is trained again: 12 epochs" in shown
    assert "is reproduced: IoU" in shown
    assert "equal to the bit" in shown


def test_a_fold_is_also_named_by_its_run_or_by_the_champion_and_no_other_run_is_taken(
    done: Done, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = {run.data.tags["harness.fold_run"].split("/", 1)[1]: run.info.run_id for run in done.runs("fold")}
    of_run = again(done, "--run", runs["0/1"])
    assert (of_run["trial"], of_run["fold"], of_run["equal"]) == (0, 1, True)
    monkeypatch.chdir(done.folder)

    def complaint(*which: str) -> str:
        capfd.readouterr()
        assert main(["reproduce", str(done.file), "--home", str(done.home), *which]) == 2
        (line,) = capfd.readouterr().err.strip().splitlines()
        return line

    assert "tiny: has no champion" in complaint("--model")
    promoted = called(done.folder, "promote", str(done.file), "--home", str(done.home))
    of_model = again(done, "--model")
    assert (of_model["trial"], of_model["fold"], of_model["equal"]) == (promoted["trial"], 0, True)
    assert "is a run of a trial" in complaint("--run", done.runs("trial")[0].info.run_id)
    assert "has no run 'x'" in complaint("--run", "x")
    assert "a run is of one fold already" in complaint("--run", runs["0/1"], "--fold", "1")
    assert "has no finished trial 7; it has 0, 1" in complaint("--trial", "7")
    assert "has no fold 2 (complete)" in complaint("--trial", "0", "--fold", "2")


def alter(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change a fold's result so that it is what its manifest says was committed."""
    result = json.loads((folder / "result.json").read_bytes())
    change(result)
    (folder / "result.json").write_text(json.dumps(result))
    hashes = json.loads((folder / MANIFEST).read_bytes())
    hashes["result.json"] = hashlib.sha256((folder / "result.json").read_bytes()).hexdigest()
    (folder / MANIFEST).write_text(json.dumps(hashes))


@pytest.mark.parametrize(("by", "code"), [(2e-6, 4), (5e-7, 0)])
def test_another_number_than_the_training_has_is_not_reproduced(
    done: Done,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    by: float,
    code: int,
) -> None:
    monkeypatch.chdir(done.folder)
    home = tmp_path / "home"
    shutil.copytree(done.home, home)
    (folder,) = home.glob("work/*/0/0")
    alter(folder, lambda result: result.update(iou=result["iou"] + by))
    if code == 0:
        drop(folder, WEIGHTS)
    asked = ["reproduce", str(done.file), "--home", str(home), "--trial", "0", "--json"]
    assert main(asked) == code
    shown = capfd.readouterr()
    said, line = json.loads(shown.out), shown.err.strip().splitlines()[-1]
    assert (said["matches"], said["equal"]) == (code == 0, False)
    assert said["weights_differ"] == (0.0 if code else None)
    assert said["iou"]["then"] - said["iou"]["now"] == pytest.approx(by, rel=1e-3)
    if code:
        assert line.startswith("error: trial 0 fold 0 of ")
        assert "is not reproduced" in line
        assert f"iou {by:.3g} apart (1e-06 is allowed)" in line
        assert "on another kind of processor, or its files were changed" in line
    assert ("the weights of then were dropped" in line) == (code == 0)


def test_other_code_and_packages_are_named(done: Done, tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(done.home, home)
    (path,) = home.glob("work/*/ledger/study.json")
    facts = json.loads(path.read_bytes())
    facts["code"], facts["versions"]["torch"] = "c0de" * 16, "1.0"
    path.write_text(json.dumps(facts))
    said = again(done, "--trial", "0", home=home)
    assert said["matches"]
    code, torch = said["reasons"]
    assert code.startswith("other code (digest ")
    assert code.endswith("then c0dec0dec0de)")
    assert torch.startswith("other torch (")
    assert torch.endswith("then 1.0)")


@pytest.mark.parametrize("verb", [["reproduce", "--trial", "0"], ["promote"]])
def test_results_of_another_version_are_one_line(
    done: Done,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    verb: list[str],
) -> None:
    monkeypatch.chdir(done.folder)
    home = tmp_path / "home"
    shutil.copytree(done.home, home)
    (path,) = home.glob("work/*/ledger/study.json")
    facts = json.loads(path.read_bytes())
    facts["settings"]["later"] = {}
    path.write_text(json.dumps(facts))
    assert main([verb[0], str(done.file), "--home", str(home), *verb[1:]]) == 2
    assert "its settings cannot be read by this version of the code (later)" in capfd.readouterr().err


def test_data_that_are_no_longer_what_they_were_are_told_before_anything_is_trained(
    done: Done, tiny: Tiny, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(done.folder)
    root = tmp_path / "data"
    shutil.copytree(data_of(tiny), root)
    file = write(tmp_path, settings(root))
    (root / "images/4.png").write_bytes((root / "images/5.png").read_bytes())
    assert main(["reproduce", str(file), "--home", str(done.home), "--trial", "0"]) == 3
    (line,) = capfd.readouterr().err.strip().splitlines()
    assert line.startswith(f"error: the data are not those {done.said['key']} was trained on (manifest ")
    assert not (done.home / "reproduce").exists()
