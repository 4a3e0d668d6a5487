"""`monitor` on a real study with a champion: what is no drift is not called so, and drift is named for what it is."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import pandas as pd
import pytest

from harness.config import Promote
from harness.doctor import Examination
from tests.monitor.conftest import NEW, Change, Shop, arrive

Capture = pytest.CaptureFixture[str]


def alarms(found: dict[str, Any]) -> list[str]:
    return [one["name"] for one in found["differences"] if one["alarm"]]


def test_pictures_of_the_same_kind_are_no_drift(shop: Shop, tmp_path: Path, capsys: Capture) -> None:
    code, found, said = shop.monitor(capsys, arrive(tmp_path / "new"))
    assert (code, found["drift"], alarms(found)) == (0, False, [])
    assert "No drift seen" in said
    assert "a smaller one may be there" in said
    assert (found["used"], found["units"], found["copies"]) == (NEW, NEW, [])
    assert found["trained_on"] == len(shop.names(held_out=False))  # held-out groups were not trained on


@pytest.mark.parametrize("model", ["refit", "best_fold"])
def test_a_champion_of_one_model_is_watched_by_the_fold_models_that_it_was_made_beside(
    shop: Shop, tmp_path: Path, capsys: Capture, model: Literal["refit", "best_fold"]
) -> None:
    new = arrive(tmp_path / "new", 30)
    _, ensemble, _ = shop.monitor(capsys, new)
    shutil.copytree(shop.ran.home, tmp_path / "home")
    other = replace(shop, ran=replace(shop.ran, home=tmp_path / "home"))
    other.ran.promote(0, "to be watched", wanted=Promote(model=model, graphs=()))
    capsys.readouterr()
    code, found, _ = other.monitor(capsys, new)
    assert (code, found["version"], ensemble["version"]) == (0, "2", "1")
    assert found["differences"] == ensemble["differences"]
    assert {"share", "score"} & {one["name"] for one in found["differences"]}


@pytest.mark.parametrize(
    ("change", "wanted", "word"),
    [
        (lambda x, rng: x * 1.25, "brightness", "brighter"),
        (lambda x, rng: cv2.GaussianBlur(x, (0, 0), 1), "sharpness", "blurred"),
        (lambda x, rng: x + rng.normal(0, 6, x.shape), "noise", "noisier"),
        (lambda x, rng: _as_jpeg(x, 30), "blocks", "with stronger JPEG blocks"),
        (
            lambda x, rng: cv2.blur(x, (9, 1)) + rng.normal(0, 3, x.shape),
            "direction",
            "of more directed texture",
        ),
    ],
    ids=["light", "blur", "noise", "jpeg", "streaks"],
)
def test_drift_is_named_for_what_it_is(
    shop: Shop, tmp_path: Path, capsys: Capture, change: Change, wanted: str, word: str
) -> None:
    code, found, said = shop.monitor(capsys, arrive(tmp_path / "new", change=change))
    assert (code, found["drift"]) == (0, True)
    assert wanted in alarms(found)
    assert word in said.splitlines()[1]


def test_other_answers_are_drift(shop: Shop, tmp_path: Path, capsys: Capture) -> None:
    def without_square(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return np.where(image > 120, 70 + rng.normal(0, 12, image.shape), image)

    _, found, _ = shop.monitor(capsys, arrive(tmp_path / "new", change=without_square))
    assert "share" in alarms(found)
    assert "with fewer predicted pixels" in found["sentence"]


def test_pictures_of_the_study_are_named_and_left_out(shop: Shop, tmp_path: Path, capsys: Capture) -> None:
    folder = arrive(tmp_path / "new", 20)
    root = shop.ran.folder / "data"
    trained, held = shop.names(held_out=False), shop.names(held_out=True)
    shutil.copy(root / trained[0], folder / "same.png")
    shutil.copy(root / held[0], folder / "held.png")
    cv2.imwrite(
        str(folder / "stored-again.jpg"), cv2.imread(str(root / trained[1])), [cv2.IMWRITE_JPEG_QUALITY, 85]
    )
    shown = cv2.imread(str(root / trained[2]), cv2.IMREAD_GRAYSCALE)
    cv2.imwrite(str(folder / "mirrored.png"), np.ascontiguousarray(shown[:, ::-1]))
    _, found, said = shop.monitor(capsys, folder)
    copies = {Path(row["image"]).name: row for row in found["copies"]}
    wanted = {
        "same.png": trained[0],
        "held.png": held[0],
        "stored-again.jpg": trained[1],
        "mirrored.png": trained[2],
    }
    assert {name: row["original"] for name, row in copies.items()} == wanted
    assert [name for name, row in copies.items() if row["held_out"]] == ["held.png"]
    assert f"shows training picture {trained[0]} (the same pixels)" in said
    assert "mirrored" in copies["mirrored.png"]["how"]
    assert (found["used"], found["drift"]) == (20, False)


def test_nothing_but_pictures_of_the_study_says_nothing(shop: Shop, capsys: Capture) -> None:
    code, found, said = shop.monitor(capsys, shop.ran.folder / "data" / "images")
    assert (code, found["drift"], found["used"], found["strangest"]) == (0, None, 0, [])
    assert len(found["copies"]) == found["images"] == len(shop.samples())
    assert "Too few to say: 0 to compare" in said
    assert f"and {found['images'] - 10} more" in said


def test_pictures_of_the_study_are_shown_to_no_model(shop: Shop, tmp_path: Path, capsys: Capture) -> None:
    looks = shop.ran.looks()
    folder = arrive(tmp_path / "new", 8)
    shutil.copy(shop.ran.folder / "data" / shop.names(held_out=True)[0], folder / "held.png")
    shop.monitor(capsys, folder)
    table = _table(shop, tmp_path)
    held = table["image"].str.endswith("held.png")
    assert table.loc[held, ["score", "share", "objects"]].isna().all(axis=None)
    assert table.loc[~held, ["score", "share", "objects"]].notna().all(axis=None)
    assert shop.ran.looks() == looks


@pytest.mark.parametrize("count", [1, 5])
def test_a_few_pictures_are_too_few(shop: Shop, tmp_path: Path, capsys: Capture, count: int) -> None:
    strange = arrive(tmp_path / "new", count, change=lambda x, rng: x * 0 + rng.normal(200, 20, x.shape))
    code, found, said = shop.monitor(capsys, strange)
    assert (code, found["drift"], found["differences"]) == (0, None, [])
    assert f"Too few to say: {count} to compare" in said
    assert len(found["strangest"]) == count
    assert "drift" not in shop.runs()[0].data.metrics


def test_many_shots_of_one_thing_are_one(shop: Shop, tmp_path: Path, capsys: Capture) -> None:
    folder = arrive(tmp_path / "new", 1)
    one = cv2.imread(str(folder / "new-000.png"), cv2.IMREAD_GRAYSCALE)
    for level in range(1, 12):
        cv2.imwrite(
            str(folder / f"shot-{level}.png"), np.clip(one.astype(int) + 3 * level, 0, 255).astype(np.uint8)
        )
    _, found, _ = shop.monitor(capsys, folder)
    assert (found["used"], found["units"], found["drift"]) == (12, 1, None)


def test_a_strange_picture_is_named_with_what_is_strange(shop: Shop, tmp_path: Path, capsys: Capture) -> None:
    folder = arrive(tmp_path / "new", 12)
    arrive(folder / "odd", 1, seed=9, change=lambda x, rng: x + rng.normal(0, 40, x.shape))
    _, found, said = shop.monitor(capsys, folder)
    first = found["strangest"][0]
    assert "odd" in first["image"]
    assert (first["measure"], first["strangeness"]) == ("noise", 1.0)
    assert first["nearest"] in shop.names(held_out=False)
    assert "mostly by noise" in said


def test_a_bad_file_stops_nothing(shop: Shop, tmp_path: Path, capsys: Capture) -> None:
    folder = arrive(tmp_path / "new", 8)
    whole = (folder / "new-000.png").read_bytes()
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.png").touch()
    (folder / "notes.txt").write_text("no picture, and not asked for")
    code, found, said = shop.monitor(capsys, folder)
    assert (code, found["images"], found["used"]) == (0, 10, 8)
    assert sorted(Path(name).name for name in found["unreadable"]) == ["cut.png", "empty.png"]
    assert "10 pictures, 2 cannot be read" in said


def test_what_cannot_be_monitored_is_one_line(shop: Shop, tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad.png").write_text("no picture")
    before = len(shop.runs())
    for place, code, word in (
        ("empty", 2, "no picture there"),
        ("bad.png", 3, "none of 1"),
        ("gone", 2, "there is no such file"),
    ):
        got, _, said = shop.monitor(capsys, tmp_path / place)
        assert (got, len(said.strip().splitlines())) == (code, 1), said
        assert word in said
    assert len(shop.runs()) == before


def test_the_run_holds_every_number_and_is_nobody_elses(shop: Shop, tmp_path: Path, capsys: Capture) -> None:
    _, found, _ = shop.monitor(capsys, arrive(tmp_path / "new", change=lambda x, rng: x * 1.3))
    run = shop.runs()[0]
    assert run.info.run_id == found["run"]
    assert (run.info.status, run.data.tags["harness.monitored"]) == ("FINISHED", shop.ran.key)
    assert "harness.fold_run" not in run.data.tags
    assert run.data.tags["mlflow.note.content"].startswith("**Drift: the new pictures are")
    assert (run.data.params["version"], run.data.metrics["drift"], run.data.metrics["brightness_alarm"]) == (
        "1",
        1,
        1,
    )
    table = _table(shop, tmp_path)
    assert len(table) == NEW
    assert table[["brightness", "noise", "score", "share", "objects", "distance"]].notna().all(axis=None)
    assert not [
        one for one in Examination(shop.ran.home, shop.ran.store, print).of("tiny") if "run" in one.what
    ]
    assert shop.runs()[0].info.status == "FINISHED"
    assert len(shop.ran.board.trials) == 1


def test_training_pictures_are_read_once_and_missed_only_where_nothing_is_kept(
    shop: Shop, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = arrive(tmp_path / "new", 12)
    first = shop.monitor(capsys, new)[1]
    data, away = shop.ran.folder / "data", shop.ran.folder / "away"
    data.rename(away)
    try:
        code, again, _ = shop.monitor(capsys, new)
        assert (code, again | {"run": ""}) == (0, first | {"run": ""})
        monkeypatch.chdir(tmp_path)
        code, _, said = shop.monitor(capsys, new)
        assert (code, len(said.strip().splitlines())) == (3, 1)
        assert str(data) in said
    finally:
        away.rename(data)


def _table(shop: Shop, folder: Path) -> pd.DataFrame:
    place = folder / "artifacts"
    place.mkdir(exist_ok=True)
    run = shop.runs()[0].info.run_id
    return pd.read_csv(shop.ran.client.download_artifacts(run, "monitor/images.csv", str(place)))


def _as_jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    pixels = np.clip(image, 0, 255).astype(np.uint8)
    file = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(file, cv2.IMREAD_GRAYSCALE), float)
