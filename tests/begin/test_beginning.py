import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml

from harness.data.demo import write_demo
from harness.study import main
from harness.studyfile import read_study

SOURCES = 20


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with somebody's pictures and masks, without any table."""
    root = tmp_path_factory.mktemp("own")
    write_demo(root / "demo", sources=SOURCES)
    shutil.copytree(root / "demo" / "images", root / "pictures")
    (root / "labels").mkdir()
    for path in (root / "demo" / "masks").iterdir():
        shutil.copy(path, root / "labels" / f"{path.stem}_mask.png")
    return root


def test_a_study_file_is_written_that_check_takes(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(own)
    before = {
        path: path.read_bytes() for folder in ("pictures", "labels") for path in (own / folder).iterdir()
    }
    assert main(["new", "mine", "--images", "pictures", "--masks", "labels", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    file = own / "studies" / "mine.yaml"
    study = read_study(file, cuda=False)
    assert study.data.dataset.settings["images"] == "../pictures"
    assert study.data.dataset.settings["mask_id"] == "^(.*)_mask$"
    assert study.data.group is not None
    assert study.data.group.model_dump() == made["rule"]
    (best, *_) = made["rules"]
    assert (best["groups"], best["cut"]) == (SOURCES, 0)
    assert study.search.trials == made["budget"]["trials"]
    text = file.read_text()
    assert "# Other rules:" in text
    assert "once more with fresh seeds and folds, are about" in text
    assert {path: path.read_bytes() for path in before} == before
    assert main(["check", "mine", "--home", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["groups"] == SOURCES
    for profile in yaml.safe_load(text)["profiles"]:
        assert read_study(file, cuda=profile == "gpu").profile == profile
    assert main(["new", "mine", "--images", "pictures", "--masks", "labels"]) == 2
    assert file.read_text() == text
    assert "is there already" in capsys.readouterr().err


def test_a_table_with_sources_keeps_them(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(own)
    table = pd.read_csv(own / "demo" / "instances.csv")
    bare = table["mask_path"].str.removeprefix("masks/")
    table.assign(mask_path=bare).to_csv(own / "demo" / "mine.csv", index=False)
    assert main(["new", "table", "--from", "csv", "demo/mine.csv", "--masks", "demo/masks"]) == 0
    study = read_study(own / "studies" / "table.yaml", cuda=False)
    assert study.data.group is None
    assert study.data.dataset.settings == {"path": "../demo/mine.csv", "masks": "../demo/masks"}


WRONG = [
    (["new", "n"], 2, "say where the data are"),
    (["new", "n", "--images", "pictures"], 2, "say where the data are"),
    (["new", "../n m", "--images", "pictures", "--masks", "labels"], 2, "is no name for a study"),
    (["new", "n", "--from", "cocoo", "demo"], 2, "'cocoo' is not known, did you mean 'coco'?"),
    (["new", "n", "--from", "coco", "demo", "--masks", "labels"], 2, "--masks: does not go with --from coco"),
    (
        ["new", "n", "--from", "csv", "t.csv", "--missing", "clean"],
        2,
        "--missing: does not go with --from csv",
    ),
    (
        ["new", "n", "--images", "pictures", "--masks", "labels", "--classes", "a"],
        2,
        "--classes: goes with --from",
    ),
    (["new", "n", "--images", "pictures", "--masks", "gone"], 3, "--masks: there is no folder"),
    (["new", "n", "--images", "pictures", "--masks", "demo/images"], 3, "demo/images/s000-e0-c0.png: "),
]


@pytest.mark.parametrize(("words", "code", "says"), WRONG)
def test_what_is_wrong_is_one_line_and_nothing_is_written(
    words: list[str],
    code: int,
    says: str,
    own: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(own)
    before = {path for path in own.rglob("*") if ".cache" not in path.parts}
    assert main(words) == code
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert says in line
    assert {path for path in own.rglob("*") if ".cache" not in path.parts} == before


def test_in_a_terminal_the_rule_is_asked_for(
    own: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Terminal:
        answers = iter(["nonsense\n", "2\n"])

        def isatty(self) -> bool:
            return True

        def readline(self) -> str:
            return next(self.answers)

    monkeypatch.chdir(own)
    monkeypatch.setattr("sys.stdin", Terminal())
    assert main(["new", "asked", "--images", "pictures", "--masks", "labels", "--json"]) == 0
    captured = capsys.readouterr()
    assert captured.err.count("which one? [1 to") == 2
    rules = json.loads(captured.out)["rules"]
    assert rules[0]["groups"] != SOURCES  # not the safest
    assert "taken: 2" in captured.err


def test_a_set_of_few_things_gets_as_many_folds_or_is_refused(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    table = pd.read_csv(own / "demo" / "instances.csv")
    few = table[table["source_image_id"].isin(["s000", "s001", "s002", "s004"])]
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
        for path in few[{"images": "sample_path", "masks": "mask_path"}[folder]]:
            shutil.copy(own / "demo" / path, tmp_path / folder / Path(path).name)
    assert main(["new", "few", "--images", "images", "--masks", "masks"]) == 0
    assert read_study(tmp_path / "studies" / "few.yaml", cuda=False).folds.count == 3
    assert main(["check", "few"]) == 0
    for path in (*tmp_path.glob("images/s00[124]*"), *tmp_path.glob("masks/s00[124]*")):
        path.unlink()
    capsys.readouterr()
    assert main(["new", "one", "--images", "images", "--masks", "masks"]) == 3
    assert "1 group of pictures shows a target, and folds need 2" in capsys.readouterr().err
    assert not (tmp_path / "studies" / "one.yaml").exists()


def test_a_folder_name_cannot_write_settings(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = tmp_path / "q\u2028folds: {count: 2}\u2028#"
    shutil.copytree(own / "pictures", odd / "p")
    shutil.copytree(own / "labels", odd / "l")
    monkeypatch.chdir(tmp_path)
    words = ["new", "odd", "--images", str(odd / "p"), "--masks", str(odd / "l")]
    monkeypatch.setattr("sys.argv", ["study", *words])
    assert main(words) == 0
    study = read_study(tmp_path / "studies" / "odd.yaml", cuda=False)
    assert study.folds.count == 5
    assert (tmp_path / "studies" / study.data.dataset.settings["images"]).resolve() == odd / "p"
