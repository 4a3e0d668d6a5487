"""Hostile models: each is refused, and none of the code that it brings is run."""

import hashlib
import json
import pickle
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.errors import ModelRefused
from harness.tracking.aliases import Version
from harness.tracking.registry import fetch_model, open_model
from harness.tracking.trusted import MANIFEST, MANIFEST_TAG, read_parts, write_manifest
from tests.tracking.conftest import PICTURE, SETTINGS, Promoted, Shop

WHERE = "version 1 of parts"


@dataclass
class Copy:
    """A copy of a good model, and the tags of its version."""

    folder: Path
    tags: dict[str, str]
    marker: Path  # which hostile code writes

    @property
    def code(self) -> str:
        return f"from pathlib import Path\nPath({str(self.marker)!r}).touch()\n"

    def sign(self) -> None:
        """Let manifest and tag say that all is well, as one can who may write to the registry."""
        self.tags[MANIFEST_TAG] = write_manifest(self.folder)

    def describe(self, **changes: Any) -> None:
        """Change the flavor in MLmodel, and sign."""
        path = self.folder / "MLmodel"
        described = yaml.safe_load(path.read_text())
        described["flavors"]["python_function"] |= changes
        path.write_text(yaml.safe_dump(described))
        self.sign()


class Evil:
    """Touches a file where it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.marker,)


@pytest.fixture
def model(shop: Shop, promoted: Promoted, tmp_path: Path) -> Copy:
    folder = shutil.copytree(shop.folder(promoted.uri), tmp_path / "model")
    tags = shop.client.get_model_version("parts", promoted.version).tags
    return Copy(Path(folder), dict(tags), tmp_path / "marker")


def test_a_good_model_is_read_and_predicts_as_before(shop: Shop, promoted: Promoted, tmp_path: Path) -> None:
    found = shop.client.get_model_version("parts", promoted.version)
    version = Version("parts", promoted.version, promoted.run, str(found.source), dict(found.tags))
    parts = fetch_model(shop.client, version, tmp_path)
    assert parts.settings == SETTINGS
    ours, theirs = (open_model(parts.settings, weights) for weights in (parts.weights, shop.weights))
    assert (ours.probability(PICTURE) == theirs.probability(PICTURE)).all()


def no_tag(model: Copy) -> None:
    del model.tags[MANIFEST_TAG]


def no_manifest(model: Copy) -> None:
    (model.folder / MANIFEST).unlink()


def another_manifest(model: Copy) -> None:
    (model.folder / "served_model.py").write_text(model.code)
    write_manifest(model.folder)


def a_byte(model: Copy) -> None:
    path = next(model.folder.rglob("*.safetensors"))
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def a_file_gone(model: Copy) -> None:
    (model.folder / "requirements.txt").unlink()


def a_file_more(model: Copy) -> None:
    (model.folder / "torch.py").write_text(model.code)


def a_link(model: Copy) -> None:
    path = model.folder / "artifacts/model.json"
    shutil.move(path, model.folder.parent / "elsewhere.json")
    path.symlink_to(model.folder.parent / "elsewhere.json")


def a_pickle(model: Copy) -> None:
    (model.folder / "python_model.pkl").write_bytes(pickle.dumps(Evil(model.marker)))
    model.describe(python_model="python_model.pkl")


def another_loader(model: Copy) -> None:
    (model.folder / "loader.py").write_text(f"{model.code}\ndef _load_pyfunc(path): ...\n")
    model.describe(loader_module="loader")


def a_folder_of_code(model: Copy) -> None:
    (model.folder / "code").mkdir()
    (model.folder / "code/sitecustomize.py").write_text(model.code)
    model.describe(code="code")


def another_model_file(model: Copy) -> None:
    path = model.folder / "served_model.py"
    path.write_text(model.code + path.read_text())
    model.sign()


def a_flavor_more(model: Copy) -> None:
    path = model.folder / "MLmodel"
    described = yaml.safe_load(path.read_text())
    described["flavors"]["pytorch"] = {"model_data": "data", "pickle_module": "evil"}
    path.write_text(yaml.safe_dump(described))
    model.sign()


def a_way_out(model: Copy) -> None:
    shutil.copy(next(model.folder.rglob("*.safetensors")), model.folder.parent / "stolen.safetensors")
    model.describe(
        artifacts={
            "settings": {"path": "artifacts/model.json"},
            "weights_0": {"path": "../stolen.safetensors"},
        }
    )


def weights_of_pickle(model: Copy) -> None:
    (model.folder / "artifacts/weights.json").write_bytes(pickle.dumps(Evil(model.marker)))
    model.describe(
        artifacts={
            "settings": {"path": "artifacts/model.json"},
            "weights_0": {"path": "artifacts/weights.json"},
        }
    )


def code_in_yaml(model: Copy) -> None:
    text = f"!!python/object/apply:pathlib.Path.touch [!!python/object/apply:pathlib.Path [{str(model.marker)!r}]]"
    (model.folder / "MLmodel").write_text(f"flavors: {text}\n")
    model.sign()


def no_code(model: Copy) -> None:
    (model.folder / "served_model.py").unlink()
    model.sign()


def artifacts_by_number(model: Copy) -> None:
    model.describe(artifacts={0: {"path": "artifacts/model.json"}})


def deep_yaml(model: Copy) -> None:
    (model.folder / "MLmodel").write_text("flavors: " + "[" * 5000 + "]" * 5000)
    model.sign()


def settings_that(change: Callable[[dict[str, Any]], Any]) -> Callable[[Copy], None]:
    """Return what changes the settings, and signs."""

    def harm(model: Copy) -> None:
        path = model.folder / "artifacts/model.json"
        path.write_text(json.dumps(change(json.loads(path.read_text()))))
        model.sign()

    return harm


def network_that(**changes: Any) -> Callable[[Copy], None]:
    return settings_that(lambda settings: {**settings, "network": settings["network"] | changes})


def manifest_of(content: bytes) -> Callable[[Copy], None]:
    """Return what writes this list of files, and signs it."""

    def harm(model: Copy) -> None:
        (model.folder / MANIFEST).write_bytes(content)
        model.tags[MANIFEST_TAG] = hashlib.sha256(content).hexdigest()

    return harm


def graph_with(name: str, content: bytes) -> Callable[[Copy], None]:
    """Return what adds a pt2 archive that holds a graph, and one file more."""

    def harm(model: Copy) -> None:
        path = model.folder / "artifacts/graph.pt2"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("graph/models/model.json", "{}")
            archive.writestr(f"graph/{name}", content)
        flavors = yaml.safe_load((model.folder / "MLmodel").read_text())["flavors"]
        artifacts = flavors["python_function"]["artifacts"]
        model.describe(artifacts=artifacts | {"graph_pt2": {"path": "artifacts/graph.pt2"}})

    return harm


def a_graph_that_is_no_archive(model: Copy) -> None:
    graph_with("byteorder", b"little")(model)
    (model.folder / "artifacts/graph.pt2").write_bytes(pickle.dumps(Evil(model.marker)))
    model.sign()


def test_a_graph_of_nothing_but_numbers_is_taken(model: Copy) -> None:
    graph_with("data/weights/weight_0", b"1234")(model)
    assert list(read_parts(model.folder, model.tags, WHERE).graphs) == ["pt2"]


PICKLED = b'{"config": {"w": {"use_pickle": true}}}'
HOSTILE: dict[Callable[[Copy], None], str] = {
    no_tag: "has no tag harness.manifest, so it was not made by `promote`",
    no_manifest: "its manifest.json is gone, or is not what was registered",
    another_manifest: "its manifest.json is gone, or is not what was registered",
    a_byte: "its file 'artifacts/0/weights.safetensors' is gone, or is not what was registered",
    a_file_gone: "its file 'requirements.txt' is gone",
    a_file_more: "holds 'torch.py', which is not in its manifest.json",
    a_link: "artifacts/model.json is a link or no plain file",
    a_pickle: "holds 'python_model.pkl', a kind of file that no model of ours has",
    another_loader: "wants to be loaded by 'loader', not by mlflow.pyfunc.loaders.code_model",
    a_folder_of_code: "brings a folder of code, 'code'",
    another_model_file: "its code 'served_model.py' is not the model file of this version of harness",
    a_flavor_more: "has the flavors python_function, pytorch; ours has python_function alone",
    a_way_out: "its artifact 'weights_0' is '../stolen.safetensors', not a file .safetensors in its folder",
    weights_of_pickle: "its artifact 'weights_0' is 'artifacts/weights.json', not a file .safetensors",
    code_in_yaml: "its MLmodel does not describe a model of ours",
    no_code: "its code 'served_model.py' is not the model file of this version of harness",
    artifacts_by_number: "its artifact 0 is 'artifacts/model.json', not a file .safetensors",
    deep_yaml: "its MLmodel does not describe a model of ours",
    settings_that(lambda settings: []): "its model.json cannot be read",
    settings_that(
        lambda settings: {"schema": 2}
    ): "its settings have or lack flips, mean, network, scales, size, std, threshold, white",
    settings_that(lambda settings: settings | {"flips": "yes"}): "its settings ask for flips 'yes'",
    settings_that(
        lambda settings: settings | {"scales": [1000.0]}
    ): "its settings ask for flips False and scales",
    settings_that(lambda settings: settings | {"network": "unet"}): "its settings have or lack network",
    network_that(
        encoder_name="tu-hf-hub:someone/evil"
    ): "its settings ask for network.encoder_name 'tu-hf-hub:",
    network_that(
        encoder_name="tu-local-dir:/tmp"
    ): "its settings ask for network.encoder_name 'tu-local-dir:",
    settings_that(lambda settings: settings | {"size": "64"}): "its settings have what is no number",
    settings_that(lambda settings: settings | {"mean": 0.5}): "its settings have what is no number",
    network_that(checkpoint_path="/tmp/evil.pth"): "its settings ask for network.checkpoint_path '/tmp",
    network_that(checkpoint_path="evil.pth"): "its settings ask for network.checkpoint_path 'evil.pth'",
    network_that(decoder_channels=[{}]): "its settings ask for network.decoder_channels",
    graph_with(
        "data/sample_inputs/model.pt", b"\x80\x04."
    ): "its graph.pt2 holds 'data/sample_inputs/model.pt'",
    graph_with(
        "data/weights/model_weights_config.json", PICKLED
    ): "its graph.pt2 holds 'data/weights/model_weights",
    graph_with(
        "data/aotinductor/model/wrapper.so", b"\x7fELF"
    ): "its graph.pt2 holds 'data/aotinductor/model/",
    graph_with(
        "data/constants/custom_obj_0", b"\x80\x04."
    ): "its graph.pt2 holds 'data/constants/custom_obj_0'",
    a_graph_that_is_no_archive: "its graph.pt2 holds 'no archive'",
    manifest_of(b"null"): "its manifest.json cannot be read",
    manifest_of(b"[]"): "its manifest.json cannot be read",
    manifest_of(b"{"): "its manifest.json cannot be read",
    manifest_of(b"\xff"): "its manifest.json cannot be read",
    manifest_of(b"[" * 100_000): "its manifest.json cannot be read",
    manifest_of(b'{"../secret": "0", "MLmodel": 1}'): "its file '../secret' is gone",
}


@pytest.mark.parametrize("harm", list(HOSTILE), ids=lambda harm: harm.__name__)
def test_a_hostile_model_is_refused_and_nothing_of_it_is_run(
    model: Copy, harm: Callable[[Copy], None]
) -> None:
    read_parts(model.folder, model.tags, WHERE)
    harm(model)
    with pytest.raises(ModelRefused) as caught:
        read_parts(model.folder, model.tags, WHERE)
    assert str(caught.value).startswith(f"{WHERE}: {HOSTILE[harm]}")
    assert "promote its trial again" in str(caught.value)
    assert caught.value.exit_code == 4
    assert not model.marker.exists()


def test_the_list_names_every_file_of_a_registered_model(shop: Shop, promoted: Promoted) -> None:
    folder = shop.folder(promoted.uri)
    listed = json.loads((folder / MANIFEST).read_text())
    here = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert set(listed) == here - {MANIFEST, "registered_model_meta"}  # which MLflow leaves where it loaded
    assert listed["MLmodel"] == hashlib.sha256((folder / "MLmodel").read_bytes()).hexdigest()


def test_what_loading_a_model_leaves_in_its_folder_does_no_harm(model: Copy) -> None:
    (model.folder / "registered_model_meta").write_text("model_name: parts")
    (model.folder / "__pycache__").mkdir()
    (model.folder / "__pycache__/served_model.cpython-311.pyc").write_bytes(b"never read")
    (model.folder / ".DS_Store").write_bytes(b"never read")
    assert read_parts(model.folder, model.tags, WHERE).settings == SETTINGS


def test_without_its_tag_nothing_is_even_fetched(shop: Shop, tmp_path: Path) -> None:
    version = Version("parts", "1", "", "http://127.0.0.1:9/nobody", {})
    with pytest.raises(ModelRefused, match=r"has no tag harness\.manifest"):
        fetch_model(shop.client, version, tmp_path)
