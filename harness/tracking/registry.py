"""The only writer of models: a trial's fold models as one MLflow model, and its versions."""

import base64
import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from importlib.metadata import version as installed_version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import mlflow
import numpy as np
from mlflow import MlflowClient
from mlflow.entities import LoggedModel, LoggedModelOutput, LoggedModelStatus, Metric, Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.models import Model, ModelSignature
from mlflow.types.schema import AnyType, ColSpec, DataType, ParamSchema, ParamSpec, Schema
from mlflow.utils.mlflow_tags import MLFLOW_MODEL_VERSIONS
from numpy.typing import NDArray

from harness.errors import ModelRefused
from harness.tracking.aliases import MADE_BY, TRIAL_TAG, Version, ensure_registered
from harness.tracking.graphs import Graphs
from harness.tracking.served_model import Segmenter
from harness.tracking.trusted import (
    EQUAL,
    GRAPH,
    MANIFEST_TAG,
    MODEL_FILE,
    SETTINGS,
    WEIGHTS,
    Parts,
    read_parts,
    refuse_untagged,
    write_manifest,
)

DIGEST_TAG = "harness.digest"
NO_GRAPHS = Graphs()

_EXAMPLE_SIDE = 256  # px; the example is stored as text and shown in the UI
_PACKAGES = (  # what served_model.py imports, and timm, which draws the encoders
    "mlflow",
    "numpy",
    "opencv-python-headless",
    "pandas",
    "pillow",
    "safetensors",
    "segmentation_models_pytorch",
    "timm",
    "torch",
)
SIGNATURE = ModelSignature(
    inputs=Schema([ColSpec(AnyType(), "image")]),  # type: ignore[no-untyped-call]
    outputs=Schema(  # `mask` in the form asked for, or not at all; `objects` where asked for
        [
            ColSpec(AnyType(), "mask"),  # type: ignore[no-untyped-call]
            ColSpec(DataType.double, "score"),
            ColSpec(AnyType(), "objects"),  # type: ignore[no-untyped-call]
        ]
    ),
    params=ParamSchema(
        [
            ParamSpec("mask", DataType.string, "array"),
            ParamSpec("objects", DataType.boolean, False),
        ]
    ),
)


def log_model(
    client: MlflowClient,
    run_id: str,
    *,
    settings: Mapping[str, Any],
    weights: Sequence[Path],
    graphs: Graphs = NO_GRAPHS,
    example: NDArray[np.uint8] | NDArray[np.uint16] | None = None,
) -> str:
    """Log the fold models in `weights` (safetensors) as one model of a run; return its URI, `models:/m-...`.

    `settings` is what `served_model.py` reads, `graphs` are of the same networks. The top left 256 px of `example`,
    gray or RGB, are kept as the input example; nothing is written to the store unless the saved model loads and
    segments it. Called again, it returns what is there, or completes or mends it: content is known by its digest.
    """
    digest = _digest(settings, weights, sorted(graphs.files))
    picture = np.full((64, 64), 128, np.uint8) if example is None else example[:_EXAMPLE_SIDE, :_EXAMPLE_SIDE]
    run = client.get_run(run_id)
    logged = _find(client, run, digest)
    if logged is not None and logged.status == LoggedModelStatus.READY and _is_whole(client, logged, graphs):
        return logged.model_uri
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, "model")
        _save(folder, settings, weights, graphs, _base64_png(picture))
        logged = logged or _create(client, run, digest)
        _upload(client, logged, folder)
    return logged.model_uri


def open_model(settings: Mapping[str, Any], weights: Sequence[Path]) -> Segmenter:
    """Return fold models as `log_model` lets them be served; nothing is logged."""
    with tempfile.TemporaryDirectory() as folder:
        described = Path(folder, "model.json")
        described.write_text(json.dumps(settings), encoding="utf-8")
        artifacts = {SETTINGS: str(described)}
        artifacts |= {f"{WEIGHTS}{fold}": str(path) for fold, path in enumerate(weights)}
        model = Segmenter()
        model.load_context(SimpleNamespace(artifacts=artifacts))
    return model


def fetch_model(client: MlflowClient, found: Version, folder: Path) -> Parts:
    """Return settings and weights of a registered version, which are brought to `folder`; none of its code is run.

    Raises ModelRefused where it is not as `promote` made it.
    """
    where = f"version {found.version} of {found.name}"
    refuse_untagged(found.tags, where)
    return read_parts(_fetched(client, found.source, folder), found.tags, where)


def flaw(client: MlflowClient, found: Version, graphs: Sequence[str]) -> str:
    """Return why a version is not one that this code can read, or has not these graphs; nothing of one that is."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            there = sorted(fetch_model(client, found, Path(folder)).graphs)
        except ModelRefused as error:
            return str(error)
    if there == sorted(graphs):
        return ""
    return f"version {found.version} of {found.name}: has the graphs {there}, not {sorted(graphs)}"


def register(
    client: MlflowClient, name: str, *, source: str, run_id: str, tags: Mapping[str, str], made_by: str
) -> str:
    """Return the version of model `name` made of the logged model `source`; made unless it is there.

    `source` is what `log_model` returned, `tags` hold at least `harness.trial`; a version that is there gets them anew.
    `made_by` is the id of the move that a new one is made for.
    """
    model = client.get_logged_model(source.removeprefix("models:/"))
    tags = {**tags, MANIFEST_TAG: model.tags[MANIFEST_TAG]}
    for known in client.search_model_versions(f"name='{name}' AND run_id='{run_id}'"):
        if known.source == model.artifact_location and known.tags.get(TRIAL_TAG) == tags[TRIAL_TAG]:
            for key, value in tags.items():
                client.set_model_version_tag(name, str(known.version), key, value)
            break
    else:
        ensure_registered(client, name)
        # The location, not the URI: MLflow resolves the URI by the process's store, not by this client's.
        known = client.create_model_version(
            name,
            model.artifact_location,
            run_id,
            tags={**tags, MADE_BY: made_by},
            await_creation_for=0,
            model_id=model.model_id,
        )
    _link(client, model.model_id, known)
    return str(known.version)


def _digest(settings: Mapping[str, Any], weights: Sequence[Path], graphs: Sequence[str]) -> str:
    """Return SHA-256 (hexadecimal) over all that decides what the model predicts."""
    parts = [
        json.dumps(settings, sort_keys=True).encode(),
        "\n".join(_pins()).encode(),
        MODEL_FILE.read_bytes(),
        " ".join(graphs).encode(),
    ]
    digests = [hashlib.sha256(part).hexdigest() for part in parts]
    for path in weights:
        with path.open("rb") as file:
            digests.append(hashlib.file_digest(file, "sha256").hexdigest())
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def _pins() -> list[str]:
    return [f"{package}=={installed_version(package).split('+')[0]}" for package in _PACKAGES]


def _base64_png(picture: NDArray[Any]) -> str:
    _, encoded = cv2.imencode(".png", picture[:, :, ::-1] if picture.ndim == 3 else picture)
    return base64.b64encode(encoded.tobytes()).decode()


def _save(
    folder: Path, settings: Mapping[str, Any], weights: Sequence[Path], graphs: Graphs, example: str
) -> None:
    """Write the model to `folder`, load it from there and run it on `example`."""
    with tempfile.TemporaryDirectory() as temporary:
        described, equal = Path(temporary, "model.json"), Path(temporary, "graphs.json")
        described.write_text(json.dumps(settings, indent=2), encoding="utf-8")
        equal.write_text(json.dumps([one.as_dict() for one in graphs.equal], indent=2), encoding="utf-8")
        files = {f"{WEIGHTS}{fold}": str(path) for fold, path in enumerate(weights)}
        files |= {f"{GRAPH}{kind}": str(path) for kind, path in graphs.files.items()} | {EQUAL: str(equal)}
        mlflow.pyfunc.save_model(
            path=folder,
            python_model=MODEL_FILE,
            artifacts={SETTINGS: str(described), **files},
            pip_requirements=_pins(),
            signature=SIGNATURE,
            input_example={"image": [example]},
        )
    mlflow.pyfunc.load_model(str(folder)).predict({"image": [example]})
    for cache in folder.rglob("__pycache__"):
        shutil.rmtree(cache)


def _find(client: MlflowClient, run: Run, digest: str) -> LoggedModel | None:
    """Return the run's model of this content, a ready one first."""
    filter_string = f"source_run_id = '{run.info.run_id}' AND tags.`{DIGEST_TAG}` = '{digest}'"
    found = client.search_logged_models([run.info.experiment_id], filter_string=filter_string)
    return min(found, key=lambda model: model.status != LoggedModelStatus.READY, default=None)


def _is_whole(client: MlflowClient, logged: LoggedModel, graphs: Graphs) -> bool:
    version = Version("model", logged.model_id, "", logged.artifact_location, logged.tags)
    return not flaw(client, version, sorted(graphs.files))


def _fetched(client: MlflowClient, source: str, folder: Path) -> Path:
    return Path(
        mlflow.artifacts.download_artifacts(source, dst_path=str(folder), tracking_uri=client.tracking_uri)
    )


def _create(client: MlflowClient, run: Run, digest: str) -> LoggedModel:
    return client.create_logged_model(
        run.info.experiment_id,
        name="model",
        source_run_id=run.info.run_id,
        tags={DIGEST_TAG: digest},
        params=run.data.params,
        model_type="segmentation",
    )


def _upload(client: MlflowClient, logged: LoggedModel, folder: Path) -> None:
    """Send the files, and show run and model on each other's page with the run's metrics."""
    run_id = str(logged.source_run_id)
    _describe(folder, logged, run_id)
    manifest = write_manifest(folder)
    status = LoggedModelStatus.FAILED
    try:
        client.set_logged_model_tags(logged.model_id, {MANIFEST_TAG: manifest})
        client.log_model_artifacts(logged.model_id, str(folder))
        outputs = client.get_run(run_id).outputs
        if outputs is None or logged.model_id not in [output.model_id for output in outputs.model_outputs]:
            client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])
        client.log_batch(run_id, metrics=_last_metrics(client, run_id, logged.model_id))
        status = LoggedModelStatus.READY
    finally:
        client.finalize_logged_model(logged.model_id, status)


def _describe(folder: Path, logged: LoggedModel, run_id: str) -> None:
    """Write whose model this is into its description, and take the paths of this machine out."""
    description = Model.load(str(folder))
    description.artifact_path = logged.artifact_location
    description.model_id = description.model_uuid = logged.model_id
    description.run_id = run_id
    flavor = description.flavors["python_function"]
    flavor["model_code_path"] = MODEL_FILE.name
    for artifact in flavor["artifacts"].values():
        artifact["uri"] = artifact["path"]
    description.save(str(folder / "MLmodel"))


def _last_metrics(client: MlflowClient, run_id: str, model_id: str) -> list[Metric]:
    """Return the last point of every metric of a run as the model's; sent again, it adds none to the run."""
    histories = [client.get_metric_history(run_id, key) for key in client.get_run(run_id).data.metrics]
    last = [max(points, key=lambda point: (point.step, point.timestamp)) for points in histories]
    return [Metric(m.key, m.value, m.timestamp, m.step, model_id=model_id, run_id=run_id) for m in last]


def _link(client: MlflowClient, model_id: str, version: ModelVersion) -> None:
    """Let the model's and the run's page name the registered version, as MLflow's own registration does."""
    linked = json.loads(client.get_logged_model(model_id).tags.get(MLFLOW_MODEL_VERSIONS, "[]"))
    if (version.name, str(version.version)) not in [
        (entry["name"], str(entry["version"])) for entry in linked
    ]:
        linked.append({"name": version.name, "version": str(version.version)})
        client.set_logged_model_tags(model_id, {MLFLOW_MODEL_VERSIONS: json.dumps(linked)})
