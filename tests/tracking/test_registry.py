import base64
import json
import os
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import cv2
import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.entities import LoggedModel, LoggedModelStatus
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import PyFuncModel

from harness.tracking import registry, served_model
from harness.tracking.aliases import champion
from harness.tracking.registry import log_model
from tests.tracking.conftest import NETWORK, PICTURE, SETTINGS, Promoted, Shop

pytestmark = pytest.mark.filterwarnings(
    "ignore:The ``noload`` loader strategy is deprecated:sqlalchemy.exc.SADeprecationWarning"
)


@pytest.fixture(scope="session")
def model(shop: Shop, promoted: Promoted) -> PyFuncModel:
    return mlflow.pyfunc.load_model(str(shop.folder(promoted.uri)))


CALLER = """
import base64, pathlib, sys
sys.modules["harness"] = None  # an import of it fails
import mlflow, numpy as np, pandas as pd

folder = pathlib.Path(sys.argv[1])
model = mlflow.pyfunc.load_model("models:/parts@champion")
arrays = [np.load(path) for path in sorted(folder.glob("*.npy"))]
files = [path.read_bytes() for path in sorted(folder.glob("*.png"))]
texts = [base64.b64encode(file).decode() for file in files]
asked = {
    "arrays": {"image": arrays},
    "mixed": {"image": [arrays[0], files[1], texts[2], arrays[3]]},
    "texts": {"image": texts},
    "bytes in a table": pd.DataFrame({"image": files}),
    "records": [{"image": array} for array in arrays],
    "lists": {"image": [arrays[0].tolist(), arrays[1].tolist()]},
    "the example": model.input_example,
}
for name, images in asked.items():
    result = model.predict(images)
    masks = {str(position): mask for position, mask in enumerate(result["mask"])}
    np.savez(folder / f"{name}.npz", score=result["score"], **masks)
"""


def test_champion_is_used_from_anywhere_without_the_harness(
    shop: Shop, model: PyFuncModel, tmp_path: Path
) -> None:
    deep = PICTURE[:33, :90, 0].astype(np.uint16) * 200
    shown = [PICTURE, PICTURE[:41, :77, 1], deep, PICTURE[:64, :64]]
    for position, picture in enumerate(shown):
        np.save(tmp_path / f"{position}.npy", picture)
        cv2.imwrite(str(tmp_path / f"{position}.png"), picture[:, :, ::-1] if picture.ndim == 3 else picture)
    own = dict(MLFLOW_TRACKING_URI=shop.client.tracking_uri, MLFLOW_ALLOW_PICKLE_DESERIALIZATION="false")
    command = [sys.executable, "-c", CALLER, str(tmp_path)]
    subprocess.run(command, check=True, cwd=tmp_path, env=os.environ | own, capture_output=True, timeout=300)

    segmenter = model.unwrap_python_model()
    probabilities = [segmenter.probability(picture) for picture in [*shown, PICTURE[:256, :256]]]
    assert any(0 < (p > 0.5).mean() < 1 for p in probabilities)
    every = dict.fromkeys(("arrays", "mixed", "texts", "bytes in a table", "records"), probabilities[:4])
    for name, expected in (every | {"lists": probabilities[:2], "the example": probabilities[4:]}).items():
        found = np.load(tmp_path / f"{name}.npz")
        assert len(found.files) == len(expected) + 1
        np.testing.assert_allclose(found["score"], [p.max() for p in expected], atol=1e-6)
        for position, probability in enumerate(expected):
            assert found[str(position)].dtype == np.uint8
            np.testing.assert_array_equal(found[str(position)], probability > 0.5)


WRONG = {
    "image 1: 3 bytes that are no readable picture": {"image": [PICTURE, b"abc"]},
    "image 0: a list of shape (280, 3), one row of an RGB picture; send [picture]": {"image": PICTURE},
    "image 0: NoneType; send an array": {"image": [None]},
    "missing inputs ['image']": {"picture": [b"abc"]},
}


@pytest.mark.parametrize("sentence", WRONG)
def test_wrong_input_is_refused_with_a_sentence(model: PyFuncModel, sentence: str) -> None:
    with pytest.raises(MlflowException, match=re.escape(sentence)) as caught:
        model.predict(WRONG[sentence])
    assert caught.value.error_code == "INVALID_PARAMETER_VALUE"


def test_model_folder_holds_no_pickle_and_no_path_of_this_machine(shop: Shop, promoted: Promoted) -> None:
    files = [path for path in shop.folder(promoted.uri).rglob("*") if path.is_file()]
    assert len(files) > 8
    assert not [path for path in files if re.search(r"pickle|\.pkl|\.pt$|\.pyc$", path.name)]
    description = (shop.folder(promoted.uri) / "MLmodel").read_text()
    assert "python_model" not in description
    assert str(Path(registry.__file__).parent) not in description
    assert str(shop.weights[0].parent) not in description


def test_requirements_are_exact_pins_of_what_the_model_file_imports(shop: Shop, promoted: Promoted) -> None:
    lines = (shop.folder(promoted.uri) / "requirements.txt").read_text().split()
    pins = dict(line.split("==") for line in lines)
    assert pins == {package: version(package).split("+")[0] for package in pins}
    source = Path(served_model.__file__).read_text()
    imported = set(re.findall(r"^(?:import|from) (\w+)", source, re.M)) - sys.stdlib_module_names
    packages = {"cv2": "opencv-python-headless", "PIL": "pillow"}
    assert {packages.get(name, name) for name in imported} == set(pins) - {"timm"}


def test_signature_and_example_show_how_to_ask(shop: Shop, promoted: Promoted, model: PyFuncModel) -> None:
    assert model.metadata.get_input_schema().input_names() == ["image"]
    assert model.metadata.get_output_schema().input_names() == ["mask", "score", "objects"]
    asked = {param.name: param.default for param in model.metadata.get_params_schema()}
    assert asked == {"mask": "array", "objects": False}
    request = json.loads((shop.folder(promoted.uri) / "serving_input_example.json").read_text())
    shown = np.frombuffer(base64.b64decode(request["inputs"]["image"][0]), np.uint8)
    np.testing.assert_array_equal(cv2.imdecode(shown, cv2.IMREAD_COLOR_RGB), PICTURE[:256, :256])


def test_run_and_model_point_at_each_other_with_the_metrics(shop: Shop, promoted: Promoted) -> None:
    run = shop.client.get_run(promoted.run)
    model = shop.model(promoted.uri)
    assert [output.model_id for output in run.outputs.model_outputs] == [model.model_id]
    assert model.source_run_id == promoted.run
    assert model.status == LoggedModelStatus.READY
    assert model.params == {"loss": "dice_bce"}
    assert [(m.key, m.value, m.step) for m in model.metrics] == [("iou_mean", 1.5, 1)]
    assert json.loads(model.tags["mlflow.modelVersions"]) == [{"name": "parts", "version": promoted.version}]
    assert shop.client.get_model_version("parts", promoted.version).run_id == promoted.run
    assert len(shop.client.get_metric_history(promoted.run, "iou_mean")) == 2


def test_promoting_twice_gives_one_model_and_one_version(shop: Shop, promoted: Promoted) -> None:
    assert shop.log(promoted.run) == promoted.uri
    assert len(shop.client.get_run(promoted.run).outputs.model_outputs) == 1
    assert shop.register("parts", promoted.uri, promoted.run) == promoted.version
    assert len(shop.client.search_model_versions("name='parts'")) == 1
    assert len(json.loads(shop.model(promoted.uri).tags["mlflow.modelVersions"])) == 1


def test_other_settings_or_weights_are_another_model(shop: Shop) -> None:
    run = shop.trial()
    plain, other = shop.log(run), shop.log(run, threshold=0.7)
    swapped = log_model(shop.client, run, settings=SETTINGS, weights=shop.weights[::-1])
    assert len({plain, other, swapped}) == 3
    assert json.loads((shop.folder(other) / "artifacts" / "model.json").read_text())["threshold"] == 0.7


def test_interrupted_upload_is_completed_not_repeated(shop: Shop, promoted: Promoted) -> None:
    run = shop.trial()
    blocked = shop.home / "artifacts" / "models"
    blocked.rename(shop.home / "aside")
    blocked.write_text("a file where a folder is needed")
    try:
        with pytest.raises(OSError):  # noqa: PT011 - the operating system's words
            shop.log(run)
    finally:
        blocked.unlink()
        (shop.home / "aside").rename(blocked)
    (left,) = models_of(shop, run)
    assert left.status == LoggedModelStatus.FAILED
    assert shop.log(run) == left.model_uri
    assert shop.model(left.model_uri).status == LoggedModelStatus.READY
    shop.client.finalize_logged_model(left.model_id, LoggedModelStatus.FAILED)  # stopped at the last step
    assert shop.log(run) == left.model_uri
    assert len(models_of(shop, run)) == 1
    assert len(shop.client.get_run(run).outputs.model_outputs) == 1


def models_of(shop: Shop, run: str) -> list[LoggedModel]:
    return shop.client.search_logged_models([shop.experiment], filter_string=f"source_run_id = '{run}'")


def test_model_that_does_not_load_leaves_nothing(shop: Shop) -> None:
    run = shop.trial()
    with pytest.raises(RuntimeError, match="size mismatch"):
        shop.log(run, network=NETWORK | {"decoder_channels": [32, 32, 16, 16, 8]})
    assert not models_of(shop, run)


def test_each_name_trial_and_content_has_its_own_version(shop: Shop, promoted: Promoted) -> None:
    run = shop.trial()
    no_example = log_model(shop.client, run, settings=SETTINGS, weights=shop.weights)
    asked = [(promoted.uri, promoted.run), (no_example, run), (shop.log(run, threshold=0.6), run)]
    assert [shop.register("others", *one) for one in [*asked, asked[0]]] == ["1", "2", "3", "1"]


def test_alias_moves(shop: Shop, promoted: Promoted) -> None:
    assert champion(shop.client, "moving") is None
    run = shop.trial()
    uris = [shop.log(run), shop.log(run, threshold=0.6)]
    first, second = (shop.register("moving", uri, run) for uri in uris)
    assert champion(shop.client, "moving") is None
    for number in (first, second, first):
        shop.client.set_registered_model_alias("moving", "champion", number)
        found = champion(shop.client, "moving")
        assert found is not None
        assert (found.name, found.version, found.run_id) == ("moving", number, run)
        assert (found.tags["harness.trial"], found.tags["harness.made_by"]) == ("3", "home/1")


def test_store_that_does_not_answer_is_no_missing_champion(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    nobody = MlflowClient(tracking_uri="http://127.0.0.1:9", registry_uri="http://127.0.0.1:9")
    with pytest.raises(MlflowException):
        champion(nobody, "parts")


def test_nothing_depends_on_or_changes_global_state(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # where MLflow would make its default store
    run, before = shop.trial(), mlflow.get_tracking_uri()
    shop.register("global", shop.log(run), run)
    assert (mlflow.active_run(), mlflow.get_tracking_uri()) == (None, before)
    assert shop.client.get_run(run).info.status == "FINISHED"
    assert list(tmp_path.iterdir()) == []
