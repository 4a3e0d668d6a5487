"""Which split a study gets: frozen, child or new, and with which groups joined."""

import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from harness.config import Study
from harness.prepare import prepare, write_report
from tests.conftest import Tiny
from tests.test_prepare import changed, ran


def test_new_pictures_make_a_child_split_that_moves_nobody(tiny: Tiny, tmp_path: Path) -> None:
    root = tmp_path / "data"
    shutil.copytree(str(tiny.study.data.dataset.settings["root"]), root)
    study = changed(tiny, data={"dataset": {"instances": {"root": str(root)}}})
    first, again = ran(study, tmp_path), ran(study, tmp_path)
    assert again.split == first.split
    assert again.key == first.key
    known = cv2.imread(str(root / "images/5.png"))
    noise = np.random.default_rng(5).integers(0, 255, known.shape, dtype=np.uint8)
    for name, picture in (("new", cv2.GaussianBlur(noise, (0, 0), 1.5)), ("mirrored", known[::-1])):
        cv2.imwrite(str(root / f"images/{name}.png"), picture)
        shutil.copy(root / "masks/14.png", root / f"masks/{name}.png")
        with (root / "instances.csv").open("a") as file:
            file.write(f"images/{name}.png,masks/{name}.png,source-{name},spot,full\n")
    child = ran(study, tmp_path)
    of_known = (
        pd.read_csv(root / "instances.csv").set_index("sample_path").loc["images/5.png", "source_image_id"]
    )
    assert child.split.repairs == {"source-mirrored": of_known}
    assert child.split.parent == first.split.id
    assert {group: child.split.folds[group] for group in first.split.folds} == dict(first.split.folds)
    assert "source-new" in child.split.folds
    assert child.key != first.key
    assert len(list((tmp_path / "folds").glob("*.json"))) == 2


def own_data(tiny: Tiny, folder: Path, **data: Any) -> tuple[Path, Study]:
    """Return a copy of the tiny data set and a study of it."""
    root = folder / "data"
    shutil.copytree(str(tiny.study.data.dataset.settings["root"]), root)
    return root, changed(tiny, data={"dataset": {"instances": {"root": str(root)}}} | data)


def groups_of(root: Path) -> dict[str, str]:
    return dict(pd.read_csv(root / "instances.csv")[["sample_path", "source_image_id"]].to_numpy().tolist())


def join_by_pixels(root: Path, one: str, other: str) -> None:
    """Let one picture be another one, mirrored."""
    cv2.imwrite(str(root / one), cv2.imread(str(root / other))[::-1])


def two_folds(prepared: Any, root: Path) -> list[str]:
    """Return two pictures whose groups are in two folds and have no other picture."""
    folds, groups = prepared.split.folds, groups_of(root)
    single = [name for name in groups if list(groups.values()).count(groups[name]) == 1]
    return [next(name for name in single if folds[groups[name]] == fold) for fold in (0, 1)]


def found(prepared: Any, id: str) -> Any:
    return next(finding for finding in prepared.report.findings if finding.id == id)


def test_what_joins_two_frozen_folds_is_reported_with_its_pictures_and_a_new_version_ends_it(
    tiny: Tiny, tmp_path: Path
) -> None:
    root, study = own_data(tiny, tmp_path)
    one, other = two_folds(ran(study, tmp_path), root)
    join_by_pixels(root, one, other)
    torn = prepare(study, base=tmp_path, home=tmp_path, caches=tmp_path / "cache")
    assert torn.report.verdict == "fail"
    summary = found(torn, "G6").summary
    assert f"{one!r} (fold 0)" in summary
    assert f"{other!r} (fold 1)" in summary
    page = write_report(torn, tmp_path / "report").read_text()
    assert f"{one} (group {groups_of(root)[one]}, fold 0)" in page
    anew = study.with_settings({"folds.version": 2})
    again = prepare(anew, base=tmp_path, home=tmp_path, caches=tmp_path / "cache")
    assert "fail" not in {finding.status for finding in again.report.findings}
    assert set(again.split.repairs) < {groups_of(root)[one], groups_of(root)[other]}


def test_a_study_that_goes_on_has_the_same_report_to_the_byte(tiny: Tiny, tmp_path: Path) -> None:
    root, study = own_data(tiny, tmp_path)
    join_by_pixels(root, "images/5.png", "images/7.png")
    first, again = ran(study, tmp_path), ran(study, tmp_path)
    assert first.split.repairs
    assert again.report.to_json() == first.report.to_json()
    assert found(again, "D10").status == "pass"


def test_where_nothing_was_to_be_joined_the_report_says_so(tiny: Tiny, tmp_path: Path) -> None:
    root, study = own_data(tiny, tmp_path, groups="trust")
    for _ in range(2):
        assert found(ran(study, tmp_path), "D10").status == "not run"
    table = pd.read_csv(root / "instances.csv")
    table["fold"] = table["source_image_id"].str.removeprefix("source-").astype(int) % 2
    table.to_csv(root / "instances.csv", index=False)
    assert "the column fold" in found(ran(study, tmp_path), "D10").summary


def test_sources_of_a_class_are_counted_after_groups_were_joined(tiny: Tiny, tmp_path: Path) -> None:
    rare: dict[str, Any] = {"rare_classes": "drop", "rare_below": 2}
    root, study = own_data(tiny, tmp_path, **rare)
    rows = pd.read_csv(root / "instances.csv").set_index("sample_path")
    rows.loc[["images/5.png", "images/7.png"], "class_id"] = "scratch"
    rows.to_csv(root / "instances.csv")
    assert ran(study, tmp_path).rare == {}
    join_by_pixels(root, "images/5.png", "images/7.png")
    fresh = tmp_path / "fresh"
    first, again = ran(study, fresh), ran(study, fresh)
    for prepared in (first, again):
        assert prepared.rare == {"scratch": 1}
        assert len(prepared.samples) == len(rows) - 2
        assert len(prepared.copies.found.verifiable) == len(prepared.samples)
    assert (again.split, again.report.digest) == (first.split, first.report.digest)


def test_a_split_of_a_version_that_joined_no_groups_is_kept(tiny: Tiny, tmp_path: Path) -> None:
    root, study = own_data(tiny, tmp_path)
    first = ran(study, tmp_path)
    (path,) = (tmp_path / "work").glob("*/ledger/study.json")
    known = json.loads(path.read_text())
    del known["settings"]["data"]["groups"]
    path.write_text(json.dumps(known))
    path.with_name("trials.parquet").unlink()  # of no use for the split
    with (root / "instances.csv").open("a") as file:
        file.write("images/new.png,masks/new.png,source-new,spot,full\n")
    cv2.imwrite(str(root / "images/new.png"), np.random.default_rng(5).integers(0, 255, (64, 64), np.uint8))
    shutil.copy(root / "masks/14.png", root / "masks/new.png")
    child = prepare(study, base=tmp_path, home=tmp_path, caches=tmp_path / "cache")
    assert child.split.parent == first.split.id
    assert {group: child.split.folds[group] for group in first.split.folds} == dict(first.split.folds)


def test_a_fold_column_that_comes_or_changes_later_makes_a_new_split(tiny: Tiny, tmp_path: Path) -> None:
    root = tmp_path / "data"
    shutil.copytree(str(tiny.study.data.dataset.settings["root"]), root)
    study = changed(tiny, data={"dataset": {"instances": {"root": str(root)}}})
    splits = [ran(study, tmp_path).split]
    for shift in (0, 1):
        table = pd.read_csv(root / "instances.csv")
        table["fold"] = (table["source_image_id"].str.removeprefix("source-").astype(int) + shift) % 2
        table.to_csv(root / "instances.csv", index=False)
        splits.append(ran(study, tmp_path).split)
        assert splits[-1].folds["source-3"] == (3 + shift) % 2
        assert splits[-1].parent is None
    assert len({split.id for split in splits}) == 3


def test_a_changed_picture_of_an_old_group_makes_a_child_split_too(tiny: Tiny, tmp_path: Path) -> None:
    root = tmp_path / "data"
    shutil.copytree(str(tiny.study.data.dataset.settings["root"]), root)
    study = changed(tiny, data={"dataset": {"instances": {"root": str(root)}}})
    first = ran(study, tmp_path)
    path = root / "images/5.png"
    cv2.imwrite(str(path), cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) // 2)
    child = ran(study, tmp_path)
    assert child.split.manifest != first.split.manifest
    assert child.split.parent == first.split.id
    assert child.split.folds == first.split.folds
