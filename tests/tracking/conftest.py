"""A store on disk in which fold models can be logged and registered."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
import segmentation_models_pytorch as smp
import torch
from mlflow import MlflowClient
from mlflow.entities import LoggedModel
from safetensors.torch import save_file

from harness.tracking.registry import log_model, register

DECODER = [64, 32, 16, 16, 8]
ENCODER = "tu-test_efficientnet.r160_in1k"
NETWORK = dict(arch="unet", encoder_name=ENCODER, in_channels=3, classes=1, decoder_channels=DECODER)
HALVES = [0.5, 0.5, 0.5]
VIEWS = dict(flips=False, scales=[1.0])
SETTINGS = dict(
    schema=2, network=NETWORK, size=64, white=None, threshold=0.5, mean=HALVES, std=HALVES, **VIEWS
)
PICTURE = cv2.GaussianBlur(np.random.default_rng(5).integers(0, 255, (300, 280, 3), np.uint8), (0, 0), 2)


@dataclass
class Shop:
    """A store on disk with one experiment, and the weights of two fold models."""

    home: Path
    client: MlflowClient
    experiment: str
    weights: list[Path]

    def trial(self) -> str:
        """Return a finished run with a parameter and a metric of two steps."""
        run = self.client.create_run(self.experiment, run_name="trial-003").info.run_id
        self.client.log_param(run, "loss", "dice_bce")
        for step in (0, 1):
            self.client.log_metric(run, "iou_mean", 0.5 + step, timestamp=1000 + step, step=step)
        self.client.set_terminated(run)
        return run

    def log(self, run: str, **changes: object) -> str:
        return log_model(self.client, run, settings=SETTINGS | changes, weights=self.weights, example=PICTURE)

    def register(self, name: str, uri: str, run: str) -> str:
        return register(
            self.client, name, source=uri, run_id=run, tags={"harness.trial": "3"}, made_by="home/1"
        )

    def model(self, uri: str) -> LoggedModel:
        return self.client.get_logged_model(uri.removeprefix("models:/"))

    def folder(self, uri: str) -> Path:
        return Path(self.model(uri).artifact_location.removeprefix("file://"))


@dataclass(frozen=True)
class Promoted:
    run: str
    uri: str
    version: str


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    torch.set_num_threads(1)
    home = tmp_path_factory.mktemp("store")
    uri = f"sqlite:///{home / 'mlflow.db'}"
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    made = Shop(home, client, client.create_experiment("study", (home / "artifacts").as_uri()), [])
    for fold in (0, 1):
        torch.manual_seed(fold)
        network = smp.create_model(**NETWORK, encoder_weights=None).requires_grad_(False)
        network(torch.randn(8, 3, 64, 64))  # normalization learns what activations look like
        network.segmentation_head[0].weight.mul_(20)
        path = home / f"fold {fold}" / "weights.safetensors"  # the same file name in every fold's folder
        path.parent.mkdir()
        save_file(network.state_dict(), path)
        made.weights.append(path)
    return made


@pytest.fixture(scope="session")
def promoted(shop: Shop) -> Promoted:
    run = shop.trial()
    uri = shop.log(run)
    number = shop.register("parts", uri, run)
    shop.client.set_registered_model_alias("parts", "champion", number)
    return Promoted(run, uri, number)
