"""Segmenters that need no training: one that takes bright for target, and small networks of limited sight."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import segmentation_models_pytorch as smp
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from harness.tracking.registry import open_model
from harness.tracking.served_model import Segmenter

# No pooling over the whole picture, and a pixel is decided by what lies at most 32 px from it.
NEAR = dict(
    arch="unet", encoder_name="resnet18", encoder_depth=2, in_channels=3, classes=1, decoder_channels=[8, 8]
)
SETTINGS = dict(
    schema=2,
    network=NEAR,
    size=None,
    white=None,
    threshold=0.5,
    mean=[0.5] * 3,
    std=[0.5] * 3,
    flips=False,
    scales=[1.0],
)


def bright(**changes: object) -> Segmenter:
    """Return a model of two folds by which a pixel is target as far as it is bright."""
    segmenter = Segmenter()
    segmenter.settings = SETTINGS | changes
    segmenter.device = torch.device("cpu")
    segmenter.folds = lambda images: (
        (images.float().mean(1, keepdim=True) - torch.tensor([120.0, 136.0]).view(1, 2, 1, 1)) / 16
    )
    return segmenter


def blobs(height: int, width: int, seed: int = 5, sigma: float = 4) -> NDArray[np.uint8]:
    """Return an RGB picture of soft blobs, 0 to 255."""
    noise = np.random.default_rng(seed).normal(size=(height, width, 3)).astype(np.float32)
    soft = cv2.GaussianBlur(noise, (0, 0), sigma)
    return cv2.normalize(soft, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)  # type: ignore[call-overload,no-any-return]


@pytest.fixture(scope="session")
def near_weights(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    torch.set_num_threads(1)
    paths = []
    for fold in (0, 1):
        torch.manual_seed(fold)
        network = smp.create_model(**NEAR, encoder_weights=None).requires_grad_(False)
        network(torch.randn(8, 3, 64, 64))  # normalization learns what activations look like
        network.segmentation_head[0].weight.mul_(20)
        paths.append(tmp_path_factory.mktemp("near") / "weights.safetensors")
        save_file(network.state_dict(), paths[-1])
    return paths


@pytest.fixture(scope="session")
def near(near_weights: list[Path]) -> Segmenter:
    return open_model(SETTINGS, near_weights)
