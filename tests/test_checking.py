"""What `check` ends with, and what is told of pictures that were not taken."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from harness.config import Study
from harness.data.index import DATASETS, instances
from harness.data.rows import Rows
from harness.study import main
from tests.conftest import Tiny
from tests.test_study import copy_a_picture, data_of, settings, write

NOTE = "3 of 17 pictures were not taken: no mask of their name"


def checked(file: Path, capfd: pytest.CaptureFixture[str], verb: str = "check") -> tuple[int, Any, str]:
    code = main([verb, str(file), "--home", "home", "--json"])
    shown = capfd.readouterr()
    return code, json.loads(shown.out), shown.err


@pytest.fixture
def noted(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> str:
    """Have a data set that leaves pictures out and says so; return its name."""

    def noting(cache: Path, *, root: str) -> Rows:
        found = instances(cache, root=root)
        return Rows(found.root, found.rows, grouped=True, notes=(NOTE,))

    monkeypatch.setitem(DATASETS, "noting", noting)
    return "noting"


def test_the_last_step_of_a_study_that_may_run_is_to_run_it(
    tiny: Tiny, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = write(tmp_path, settings(data_of(tiny)))
    code, said, err = checked(file, capfd)
    assert code == 0
    *_, cost, run = said["next"]
    assert cost["see"].endswith(f"-m harness.study check {file} --home home --cost")
    assert run["see"].endswith(f"-m harness.study run {file} --home home")
    assert f"{len(said['next'])}. run the study: {run['see']}" in " ".join(err.split())
    assert any(step["kind"] == "classes" and "'spot' (11, below 30)" in step["do"] for step in said["next"])


def test_a_leak_comes_first_and_nothing_tells_to_run(
    tiny: Tiny, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "data"
    shutil.copytree(data_of(tiny), root)
    copy_a_picture(root)
    file = write(tmp_path, settings(root, groups="trust"))
    code, said, err = checked(file, capfd)
    assert code == 3
    assert said["next"][0]["kind"] == "leak"
    assert said["next"][-1]["do"] == "then check again"
    assert not any("harness.study run" in step["see"] for step in said["next"])
    assert err.index("next, the most harmful first") < err.index("error: audit ")


def test_notes_of_a_data_set_are_told_by_check_and_run_and_stand_on_the_page(
    noted: str, tiny: Tiny, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    content = settings(data_of(tiny))
    content["data"] = content["data"] | {"dataset": {noted: {"root": str(data_of(tiny))}}}
    content["search"] = content["search"] | {"trials": 1}
    content["train"] = content["train"] | {"epochs": 4}
    file = write(tmp_path, content)
    for verb in ("check", "run"):
        _, said, err = checked(file, capfd, verb)
        assert said["notes"] == [NOTE]
        assert f"note: {NOTE}" in err
    for page in Path("home").glob("**/leakage_report.html"):
        assert NOTE in page.read_text()
    assert len(list(Path("home").glob("**/leakage_report.html"))) >= 2


def test_notes_are_no_part_of_a_study(noted: str, tiny: Tiny, tmp_path: Path) -> None:
    from harness.prepare import prepare

    other = tiny.study.model_dump()
    other["data"]["dataset"] = {"name": noted, "settings": tiny.study.data.dataset.settings}
    found = [
        prepare(study, base=tmp_path, home=tmp_path / "home", caches=tmp_path / "cache")
        for study in (tiny.study, Study.model_validate(other))
    ]
    assert [one.notes for one in found] == [(), (NOTE,)]
    assert found[0].identity == found[1].identity
    assert found[0].report.digest == found[1].report.digest
