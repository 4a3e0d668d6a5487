"""The image that MLflow would build of a model: its Dockerfile, and the command it runs, here without a container."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tracking.conftest import PICTURE, Shop
from tests.tracking.test_serving import decoded, expected, free_port, sent, started
from tests.tracking.test_serving import model as model
from tests.tracking.test_serving import version as version

ENTRY = "from mlflow.models import container as C; C._serve('local')"
# as in the image, but for where the model lies and which port is free; nginx only passes requests on
HERE = "from mlflow.models import container as C; C.MODEL_PATH, C.DEFAULT_INFERENCE_SERVER_PORT = {!r}, {}; "
LIKE_THE_IMAGE = {
    "MLFLOW_DISABLE_ENV_CREATION": "True",
    "DISABLE_NGINX": "true",
    "MLFLOW_MODELS_WORKERS": "1",
}


def test_the_command_of_the_image_serves_what_was_copied_into_it(
    shop: Shop, version: str, model: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = tmp_path / "image"
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "models",
        "generate-dockerfile",
        "-m",
        "models:/served@champion",
    ]
    env = os.environ | {"MLFLOW_TRACKING_URI": shop.client.tracking_uri}
    subprocess.run([*command, "-d", str(written)], check=True, env=env, capture_output=True, timeout=120)
    lines = (written / "Dockerfile").read_text().splitlines()
    python = (written / "model_dir/python_env.yaml").read_text().split()[1]
    assert f"FROM python:{python}-slim" in lines
    assert "COPY model_dir /opt/ml/model" in lines
    assert f'ENTRYPOINT ["python", "-c", "{ENTRY}"]' in lines
    copied = {path.name for path in (written / "model_dir").iterdir()}
    assert {"MLmodel", "served_model.py", "artifacts", "requirements.txt"} <= copied

    for name, value in LIKE_THE_IMAGE.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    port = free_port()
    entry = HERE.format(str(written / "model_dir"), port) + ENTRY
    with started([sys.executable, "-c", entry], port, tmp_path) as server:
        answer = server.ask({"inputs": [sent(PICTURE)], "params": {"mask": "png", "objects": True}})
        (row,) = answer.json()["predictions"]
        assert (decoded(row["mask"]) == expected(model, PICTURE) * 255).all()  # type: ignore[arg-type]
        assert server.ask({"inputs": ["parts/0001.png"]}).status_code == 400
        server.process.terminate()
        assert server.process.wait(30) == 0, shlex.join(["python", "-c", entry])
