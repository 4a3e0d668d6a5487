"""What is done before the first trial."""

import shutil
from pathlib import Path
from typing import Any

import albumentations as A
import cv2
import pandas as pd
import pytest

from harness.config import Study
from harness.data.augment import AUGMENTATIONS
from harness.errors import ConfigError
from harness.prepare import (
    build_every_choice,
    code_digest,
    facts,
    other_code,
    prepare,
    prove_recipes,
    run_tags,
    write_files,
)
from harness.search.ledger import Ledger
from tests.conftest import Tiny


def search(**space: Any) -> dict[str, Any]:
    return {"search": {"trials": 2, **space}}


def changed(tiny: Tiny, **changes: Any) -> Study:
    return Study.model_validate(tiny.study.model_dump() | changes)


@pytest.mark.parametrize(
    ("space", "said"),
    [
        (
            {"loss": {"choice": {"dice": {}, "focl": {}}}},
            "search: loss: 'focl' is not known, did you mean 'focal'?",
        ),
        (
            {"loss": {"choice": {"focal": {"gama": [1, 2]}}}},
            "search: loss.focal.gama: 'focal' has no such setting",
        ),
        ({"loss": {"choice": {"focal": {"gamma": [-1, 2]}}}}, "search: loss.focal.gamma: -1"),
        ({"augment.recipe": {"choice": {"flips": {}, "flip": {}}}}, "augment.recipe: 'flip' is not known"),
        ({"network": {"choice": {"unet": {}, "unet3": {}}}}, "network: 'unet3' is not known"),
        ({"train.lr": [0, 1]}, "train.lr: 0.0: input should be greater than 0"),
        ({"train.sampler": {"choice": {"sorted": {}}}}, "train.sampler: 'sorted' is not known"),
    ],
)
def test_every_choice_is_built_at_both_ends_of_its_range(
    tiny: Tiny, space: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        build_every_choice(changed(tiny, **search(**space)))
    assert said in str(caught.value)


def test_a_baseline_outside_the_space_is_refused(tiny: Tiny) -> None:
    space = {
        "loss": {"choice": {"focal": {"gamma": [1, 2]}}},
        "baselines": [{"loss": {"focal": {"gamma": 3}}}],
    }
    with pytest.raises(ConfigError, match=r"search\.baselines\[0\].*loss\.focal\.gamma: 3 lies outside"):
        build_every_choice(changed(tiny, **search(**space)))


def test_an_augmentation_that_harms_masks_is_refused_before_anything_is_read(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    def erasing(factor: float, color: bool, *, p: float = 0.0) -> list[Any]:
        """Erase squares and keep their labels, with a probability of its own."""
        return [A.CoarseDropout(p=p)]

    monkeypatch.setitem(AUGMENTATIONS, "erasing", erasing)
    build_every_choice(changed(tiny, augment={"recipe": "erasing"}))
    searched = search(**{"augment.recipe": {"choice": {"flips": {}, "erasing": {"p": [0.1, 0.2]}}}})
    with pytest.raises(
        ConfigError, match=r"^augment\.recipe 'erasing': CoarseDropout breaks 'erased' at strength 0"
    ):
        build_every_choice(changed(tiny, **searched))


def test_each_recipe_a_study_may_use_is_proven_once(tiny: Tiny) -> None:
    study = changed(tiny, **search(**{"augment.recipe": {"choice": {"flips": {}, "none": {}}}}))
    proofs = prove_recipes(study)
    assert {proof.recipe for proof in proofs} == {study.augment.recipe.name, "flips", "none"}
    assert all(again is proof for again, proof in zip(prove_recipes(study), proofs, strict=True))
    assert {proof.strengths for proof in proofs} == {(0.0, 0.5, 1.0)}


def test_a_class_weight_is_held_to_the_coverage_of_the_training_folds(tiny: Tiny, tmp_path: Path) -> None:
    study = changed(tiny, loss={"name": "weighted_bce", "settings": {"positive_weight": 2.5}})
    build_every_choice(study)
    with pytest.raises(ConfigError, match=r"positive_weight: 2\.5 is not .*training samples of fold 0"):
        prepare(study, base=tmp_path, home=tmp_path, caches=tmp_path)


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
    picture = cv2.imread(str(root / "images/5.png"))
    cv2.imwrite(str(root / "images/new.png"), picture[::-1])
    shutil.copy(root / "masks/14.png", root / "masks/new.png")
    with (root / "instances.csv").open("a") as file:
        file.write("images/new.png,masks/new.png,source-new,spot,full\n")
    child = ran(study, tmp_path)
    assert child.split.parent == first.split.id
    assert {group: child.split.folds[group] for group in first.split.folds} == dict(first.split.folds)
    assert "source-new" in child.split.folds
    assert child.key != first.key
    assert len(list((tmp_path / "folds").glob("*.json"))) == 2


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
