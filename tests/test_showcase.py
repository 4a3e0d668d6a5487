"""The gallery of the best trial: pictures a person would ask for, at a readable size, said in words too."""

import json
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from harness.search.trial import TrialPlan, TrialResult
from harness.showcase import KINDS, keep_maps, show_best, spread
from harness.train.foldrun import run_fold
from tests.conftest import SHORT, Tiny

ROWS = pd.DataFrame(
    {
        "photo": ["a", "b", "c", "d"],
        "objects": [2, 2, 1, 0],
        "found": [0, 1, 1, 0],
        "false": [0, 1, 0, 2],
        "tp": [0, 30, 50, 0],
        "fp": [0, 20, 5, 90],
        "fn": [70, 40, 0, 0],
        "peak": [-np.inf, 1.0, -np.inf, 4.0],
    }
)


@pytest.fixture(scope="module")
def result(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> TrialResult:
    work = tmp_path_factory.mktemp("work")
    folds = [run_fold(tiny.job(work, fold=fold, **SHORT)) for fold in (0, 1)]
    return TrialResult(TrialPlan(0, {}, tiny.with_settings(**SHORT), False), "complete", folds)


def work_of(result: TrialResult) -> Path:
    return Path(result.folds[0].folder).parents[1]


@pytest.mark.parametrize(
    ("kind", "photos"),
    [
        ("worst misses", ["a", "b"]),
        ("worst false alarms", ["d", "b"]),
        ("label or model", ["d"]),
        ("best", ["c", "b"]),
    ],
)
def test_each_kind_has_what_it_says_worst_first(kind: str, photos: list[str]) -> None:
    (found,) = (one for one in KINDS if one.name == kind)
    assert found.choose(ROWS)["photo"].tolist() == photos


def test_each_thing_is_shown_once_before_any_is_shown_again() -> None:
    rows = pd.DataFrame({"group": ["g", "g", "h", "g", "i"], "photo": ["a", "b", "c", "d", "e"]})
    assert spread(rows)["photo"].tolist() == ["a", "c", "e", "b", "d"]


def test_pictures_are_readable_named_and_said_in_words(tiny: Tiny, result: TrialResult) -> None:
    folder = show_best(work_of(result), result, tiny.data(), 3)
    assert folder is not None
    index = json.loads((folder / "index.json").read_text())
    assert index["trial"] == 0
    assert "best" in [kind["kind"] for kind in index["kinds"]]
    for kind in index["kinds"]:
        assert 1 <= len(kind["pictures"]) <= 3
        for picture in kind["pictures"]:
            shown = cv2.imread(str(folder / picture["file"]))
            assert shown.shape[0] >= 320
            assert shown.shape[1] >= 640
            assert picture["photo"] in picture["alt"]
            assert "objects found" in picture["caption"]
    assert {path.name for path in folder.iterdir()} == {
        "index.json",
        *(picture["file"] for kind in index["kinds"] for picture in kind["pictures"]),
    }


def test_label_and_prediction_are_outlined_on_the_right_alone(tiny: Tiny, result: TrialResult) -> None:
    folder = show_best(work_of(result), result, tiny.data(), 3)
    assert folder is not None
    best = next(
        kind for kind in json.loads((folder / "index.json").read_text())["kinds"] if kind["kind"] == "best"
    )
    shown = cv2.imread(str(folder / best["pictures"][0]["file"])).astype(int)
    colored = np.ptp(shown, axis=2) > 60  # the pictures are gray
    middle = shown.shape[1] // 2
    assert not colored[:, : middle - 3].any()
    assert colored[:, middle + 3 :].sum() > 100


def test_the_gallery_is_made_anew_for_another_trial_and_not_for_the_same(
    tiny: Tiny, result: TrialResult
) -> None:
    folder = show_best(work_of(result), result, tiny.data(), 2)
    assert folder is not None
    index = folder / "index.json"
    before = index.stat().st_mtime_ns
    show_best(work_of(result), result, tiny.data(), 2)
    assert index.stat().st_mtime_ns == before
    index.write_text(json.dumps({"trial": 7, "each": 2, "kinds": []}))
    show_best(work_of(result), result, tiny.data(), 2)
    assert json.loads(index.read_text())["trial"] == 0


def test_no_pictures_are_asked_for(tiny: Tiny, result: TrialResult, tmp_path: Path) -> None:
    assert show_best(tmp_path, result, tiny.data(), 0) is None
    assert not list(tmp_path.iterdir())


def test_maps_are_kept_a_fold_each_and_written_once(tiny: Tiny, result: TrialResult) -> None:
    maps = work_of(result) / "0" / "maps"
    told: list[str] = []
    keep_maps(work_of(result), result, tiny.data(), lambda: False, told.append)
    assert [line.partition(":")[0] for line in told] == ["trial 0 fold 0", "trial 0 fold 1"]
    written = {path.name: path.stat().st_mtime_ns for path in maps.iterdir()}
    assert sorted(written) == ["fold_0.zip", "fold_1.zip"]
    (maps / "fold_1.zip").unlink()
    keep_maps(work_of(result), result, tiny.data(), lambda: False)
    assert (maps / "fold_0.zip").stat().st_mtime_ns == written["fold_0.zip"]
    assert (maps / "fold_1.zip").is_file()


def test_another_number_of_pictures_makes_the_gallery_anew_and_none_removes_it(
    tiny: Tiny, result: TrialResult
) -> None:
    def shown(each: int) -> int:
        folder = show_best(work_of(result), result, tiny.data(), each)
        return len(list(folder.glob("best_*.jpg"))) if folder else 0

    assert [shown(2), shown(1), shown(2), shown(0)] == [2, 1, 2, 0]
    assert not (work_of(result) / "report" / "gallery").exists()
