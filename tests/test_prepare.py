"""What is done before the first trial."""

import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from harness.config import Study
from harness.prepare import code_digest, facts, other_code, prepare, run_tags, write_files
from harness.search.ledger import Ledger
from tests.conftest import Tiny


def changed(tiny: Tiny, **changes: Any) -> Study:
    return Study.model_validate(tiny.study.model_dump() | changes)


def ran(study: Study, home: Path) -> Any:
    """Prepare and write the ledger's facts, as a run does."""
    prepared = prepare(study, base=home, home=home, caches=home / "cache")
    files = write_files(prepared, home=home, caches=home / "cache")
    Ledger(files.work / "ledger", {}).open_study(facts(prepared), pd.DataFrame({"constant": [0.0]}))
    return prepared


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


def test_facts_and_tags_name_data_split_leakage_code_and_versions(tiny: Tiny, tmp_path: Path) -> None:
    prepared = ran(tiny.study, tmp_path)
    known, tags = facts(prepared), run_tags(prepared)
    assert (known["samples"], known["groups"], known["positive_groups"]) == (14, 12, 11)
    assert known["rare_classes"] == {"spot": 11}
    assert tags["harness.leakage_sha256"] == prepared.report.digest
    assert tags["harness.code"] == code_digest()
    assert tags["version.torch"].startswith("2.")
    written = prepared.report.to_json()
    assert (tmp_path / "work" / prepared.key / "leakage/leakage_report.json").read_text() == written


def test_a_study_begun_with_other_code_is_noticed(tiny: Tiny, tmp_path: Path) -> None:
    prepared = ran(tiny.study, tmp_path)
    assert other_code(prepared, tmp_path) == ""
    ledger = tmp_path / "work" / prepared.key / "ledger"
    old = facts(prepared) | {"code": "before"}
    Ledger(ledger, {}).open_study(old, pd.DataFrame({"constant": [0.0]}))
    assert other_code(prepared, tmp_path) == "before"
