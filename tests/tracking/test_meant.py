"""A model is named by its study, an alias or a version, and is read by the trusted loader alone."""

import os
import shutil
from pathlib import Path

import pytest

from harness.errors import ConfigError, ModelRefused
from harness.tracking.meant import find_model, open_version
from harness.tracking.store import Store, open_store
from tests.tracking.conftest import PICTURE, Promoted, Shop


@pytest.fixture
def store(shop: Shop) -> Store:
    return open_store(shop.home)


def test_alias_number_and_study_mean_the_same_version(
    store: Store, promoted: Promoted, tmp_path: Path
) -> None:
    (tmp_path / "parts.yaml").write_text(
        "data: {dataset: {instances: {root: x}}}\nnetwork: {unet: {encoder: resnet18}}\nsearch: {trials: 1}\n"
    )
    for typed in (
        "models:/parts@champion",
        f"models:/parts/{promoted.version}",
        str(tmp_path / "parts.yaml"),
    ):
        found = find_model(store, typed)
        assert (found.name, found.version, found.run_id) == ("parts", promoted.version, promoted.run)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("models:/parts@best", "aliases: champion"),
        ("models:/nobody@champion", "aliases: none"),
        ("models:/parts/99", "no such version"),
        ("models:/parts", "names no model"),
        ("models:/parts/latest", "names no model"),
        ("models:/a/b@c", "names no model"),
        ("nothing", "models:/nothing@champion: no version has this alias"),
    ],
)
def test_what_is_not_there_is_one_line(store: Store, promoted: Promoted, typed: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as error:
        find_model(store, typed)
    assert "\n" not in str(error.value)


def test_the_model_is_the_served_one_and_one_that_was_altered_is_refused(
    store: Store,
    promoted: Promoted,
    tmp_path: Path,
) -> None:
    version = find_model(store, "models:/parts@champion")
    segmenter = open_version(store, version, "torch")
    assert segmenter.probability(PICTURE).shape == PICTURE.shape[:2]
    copied = tmp_path / "copied"
    shutil.copytree(version.source.removeprefix("file://"), copied)
    with (copied / "served_model.py").open("a") as file:
        file.write(f"\nopen({os.fspath(tmp_path / 'ran')!r}, 'w')\n")
    altered = type(version)(version.name, version.version, version.run_id, copied.as_uri(), version.tags)
    with pytest.raises(ModelRefused, match=r"served_model\.py"):
        open_version(store, altered, "torch")
    assert not (tmp_path / "ran").exists()
