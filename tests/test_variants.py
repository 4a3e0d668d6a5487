"""What is built once before anything trains, and how a mistake in it is named."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import albumentations as A
import pytest
import segmentation_models_pytorch as smp
import torch
import yaml
from torch import nn

from harness import variants
from harness.config import Choice, Study
from harness.data.augment import AUGMENTATIONS
from harness.data.proof.prove import Proof, Recipe, prove
from harness.errors import ConfigError
from harness.model.networks import build_network
from harness.prepare import prepare
from harness.variants import build_every_choice, prove_recipes
from tests.conftest import Tiny


def changed(tiny: Tiny, **changes: Any) -> Study:
    return Study.model_validate(tiny.study.model_dump() | changes)


def search(**space: Any) -> dict[str, Any]:
    return {"search": {"trials": 2, **space}}


@pytest.mark.parametrize(
    ("space", "said"),
    [
        (
            {"loss": {"choice": {"dice": {}, "focl": {}}}},
            "search.loss: 'focl' is not known, did you mean 'focal'?",
        ),
        (
            {"loss": {"choice": {"focal": {"gama": [1, 2]}}}},
            "search.loss.focal.gama: 'focal' has no such setting",
        ),
        ({"loss": {"choice": {"focal": {"gamma": [-1, 2]}}}}, "search.loss.focal.gamma: -1"),
        (
            {"augment.recipe": {"choice": {"flips": {}, "flip": {}}}},
            "search.augment.recipe: 'flip' is not known",
        ),
        ({"network": {"choice": {"unet": {}, "unet3": {}}}}, "search.network: 'unet3' is not known"),
        ({"train.lr": [0, 1]}, "search.train.lr: 0.0: input should be greater than 0"),
        ({"loss": {"choice": ["dice", "focl"]}}, "search.loss: 'focl' is not known"),
        ({"train.precision": {"choice": ["fp32", "bf17", "bf16"]}}, "search.train.precision: 'bf17' is not"),
        (
            {"network": {"choice": {"unet": {"encoder": {"choice": ["resnet18", "resnet81", "resnet34"]}}}}},
            "search.network.unet.encoder: 'resnet81' is not known, did you mean 'resnet18'?",
        ),
        (
            {"network": {"choice": {"unet": {"weights": {"choice": ["nowhere.pth", "nope.pth"]}}}}},
            "search.network.unet.weights: nowhere.pth is not there",
        ),
        (
            {"train.crop": {"int": [32, 96]}},
            "search.train.crop: 32 to 96 holds numbers that train.crop does not take, such as 33; "
            "write {choice: [32, 64, 96]}",
        ),
        ({"train.crop": [33, 96]}, "search.train.crop: 33 is no multiple of 32; nearest: 32"),
        ({"train.sampler": {"choice": {"sorted": {}}}}, "search.train.sampler: 'sorted' is not known"),
    ],
)
def test_every_option_and_both_ends_of_every_range_are_built(
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


def test_a_class_weight_is_held_to_the_coverage_of_the_training_folds(tiny: Tiny, tmp_path: Path) -> None:
    study = changed(tiny, loss={"name": "weighted_bce", "settings": {"positive_weight": 2.5}})
    build_every_choice(study)
    with pytest.raises(ConfigError, match=r"positive_weight: 2\.5 is not .*training samples of fold 0"):
        prepare(study, base=tmp_path, home=tmp_path, caches=tmp_path)


@pytest.mark.parametrize(
    ("baseline", "said"),
    [
        (
            {"augment.strength": 0.5, "train.weight_decay": 0.5},
            "search.baselines[0].train.weight_decay: 0.5, but train.weight_decay is not searched and the study has "
            "0.01; add train.weight_decay to the space, or leave it out here",
        ),
        ({"loss": "dice"}, "search.baselines[0].loss: 'dice', but loss is not searched"),
        ({"train.weight_decay": 0.01, "loss": {"dice_bce": {}}}, ""),
    ],
)
def test_a_baseline_differs_from_the_study_in_what_is_searched_only(
    tiny: Tiny, baseline: dict[str, Any], said: str
) -> None:
    study = changed(tiny, **search(**{"augment.strength": [0, 1], "baselines": [baseline]}))
    if not said:
        build_every_choice(study)
        return
    with pytest.raises(ConfigError) as caught:
        build_every_choice(study)
    assert str(caught.value).startswith(said)


def test_names_in_a_list_are_choices_without_settings_and_may_be_baselines(tiny: Tiny) -> None:
    space = {"loss": {"choice": ["weighted_bce", "dice"]}, "baselines": [{"loss": "dice"}]}
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


def test_a_proof_is_found_again_by_another_process_unless_something_it_was_found_with_changed(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = changed(tiny, augment={"recipe": {"flips": {}}})

    def proven() -> tuple[Proof, int]:
        """Return the proof as a new process has it, and how many proofs were made for that."""
        variants._proof.cache_clear()
        made: list[str] = []

        def prove_and_count(recipe: Recipe, name: str) -> Proof:
            made.append(name)
            return prove(recipe, name)

        monkeypatch.setattr(variants, "prove", prove_and_count)
        (proof,) = prove_recipes(study, tmp_path)
        return proof, len(made)

    first, again = proven(), proven()
    assert (first[1], again[1]) == (1, 0)
    assert first[0] == again[0]
    assert first[0].figures
    with closing(sqlite3.connect(tmp_path / "kept-1.sqlite")) as kept, kept:
        kept.execute("UPDATE kept SET value = '[[0.0, 0.5'")
    assert proven()[1] == 1
    monkeypatch.setattr(variants, "code_digest", lambda: "other code")
    assert proven()[1] == 1
    monkeypatch.setitem(AUGMENTATIONS, "flips", lambda strength, color: [A.HorizontalFlip(p=1)])
    assert [proven()[1], proven()[1]] == [1, 1]  # nobody knows whether this function is still the same


def test_what_breaks_a_rule_is_proven_each_time(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bad(strength: float, color: bool) -> list[Any]:
        return [A.CoarseDropout(fill=0, p=1)]

    bad.__module__ = "harness.data.augment"
    monkeypatch.setitem(AUGMENTATIONS, "flips", bad)
    for _ in range(2):
        variants._proof.cache_clear()
        with pytest.raises(ConfigError, match="CoarseDropout breaks"):
            build_every_choice(changed(tiny, augment={"recipe": {"flips": {}}}), tmp_path)


def test_a_network_that_was_built_once_is_not_built_again_unless_its_weights_are_a_file(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[Choice] = []

    def build_and_count(choice: Choice) -> nn.Module:
        built.append(choice)
        return build_network(choice)

    monkeypatch.setattr(variants, "build_network", build_and_count)
    for _ in range(2):
        build_every_choice(tiny.study, tmp_path)
    assert len(built) == 1
    unknown = changed(tiny, network={"unet": {"encoder": "resnet81"}})
    for _ in range(2):
        with pytest.raises(ConfigError, match="resnet81"):
            build_every_choice(unknown, tmp_path)
    encoder = tiny.study.network.settings["encoder"]
    weights = tmp_path / "encoder.pth"
    torch.save(smp.encoders.get_encoder(encoder, weights=None).state_dict(), weights)
    settings = tiny.study.network.settings | {"weights": str(weights)}
    from_file = changed(tiny, network={tiny.study.network.name: settings})
    build_every_choice(from_file, tmp_path)
    weights.unlink()
    with pytest.raises(ConfigError, match="is not there"):
        build_every_choice(from_file, tmp_path)


def test_a_second_check_of_unchanged_files_does_without_what_takes_seconds_to_import(
    tiny: Tiny, tmp_path: Path
) -> None:
    file = tmp_path / "tiny.yaml"
    file.write_text(yaml.safe_dump(tiny.study.model_dump(mode="json") | {"profile": "none"}))
    script = (
        "import sys\nfrom harness.study import main\n"
        f"assert main(['check', {str(file)!r}, '--home', 'home']) == 0\n"
        "print([name for name in ('mlflow', 'segmentation_models_pytorch', 'timm', 'torch._dynamo', 'sklearn') "
        "if name in sys.modules])"
    )
    said = [
        subprocess.run([sys.executable, "-c", script], cwd=tmp_path, text=True, check=True, stdout=-1).stdout
        for _ in range(2)
    ]
    assert "segmentation_models_pytorch" in said[0]
    assert said[1] == "[]\n"
