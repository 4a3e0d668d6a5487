"""Time of predicting a picture of 4,096 x 4,096 px beside a plain loop over tiles with smp, as ratios in one run.

make bench-predict
"""

import argparse
import csv
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import segmentation_models_pytorch as smp
import torch
from numpy.typing import NDArray
from rich.console import Console
from safetensors.torch import save_file

SHARE = 0.001  # of the pixels that are target, about
SIDE, TILE, OVERLAP, ROUNDS = 4096, 1024, 128, 2
NETWORK = {"arch": "unet", "in_channels": 3, "classes": 1}
TINY = NETWORK | {"encoder_name": "tu-test_efficientnet.r160_in1k", "decoder_channels": [16, 8, 8, 8, 8]}
USUAL = NETWORK | {"encoder_name": "resnet18", "decoder_channels": [128, 64, 32, 16, 16]}
NETWORKS = {"tiny": TINY, "resnet18": USUAL}

Pixels = NDArray[np.uint8]


def tiny_segmenter(folder: Path, network: dict[str, Any] = TINY, share: float = 0.02) -> Any:
    """Return one untrained network as a served model, by which such a share of a drawn picture is target."""
    from harness.tracking.registry import open_model

    torch.manual_seed(0)
    made = smp.create_model(**network, encoder_weights=None).requires_grad_(False)
    made(torch.randn(4, 3, 64, 64))  # normalization learns what activations look like
    example = torch.from_numpy(drawn(512)).permute(2, 0, 1)[None] / 127.5 - 1
    made.segmentation_head[0].bias.sub_(torch.quantile(made.eval()(example), 1 - share))
    save_file(made.state_dict(), folder / "weights.safetensors")
    settings = {"schema": 2, "network": network, "size": None, "white": None, "threshold": 0.5}
    settings |= {"mean": [0.5] * 3, "std": [0.5] * 3, "flips": False, "scales": [1.0]}
    return open_model(json.loads(json.dumps(settings)), [folder / "weights.safetensors"])


def main() -> None:
    """Print seconds of the plain loop, of the bands alone, and of the verb's whole work, for two networks."""
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    picture = drawn(SIDE)
    parser = argparse.ArgumentParser(description="Time predict beside a plain loop.")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    for name in parser.parse_args().networks:
        print(line(name, NETWORKS[name], picture), flush=True)


def drawn(side: int) -> Pixels:
    """Return coarse noise with bright spots, RGB with equal channels; its edges fit to one another."""
    rng = np.random.default_rng(0)
    noise = cv2.GaussianBlur(rng.normal(0, 1, (side, side)).astype(np.float32), (0, 0), 3) * 120
    picture = np.clip(90 + noise, 0, 255).astype(np.uint8)
    for x, y in rng.integers(0, side, (side * side // 2**15, 2)).tolist():
        for dx, dy in ((0, 0), (side, 0), (0, side), (side, side)):
            cv2.circle(picture, (x - dx, y - dy), 8, 230, -1)
    return np.repeat(picture[:, :, None], 3, axis=2)


def line(name: str, network: dict[str, Any], picture: Pixels) -> str:
    """Return the figures of one network: seconds of the processor, the best of some rounds, taken in turn."""
    from harness.model.tiles import Tiling
    from harness.predict.bands import tiled_bands
    from harness.predict.into import predict_into
    from harness.predict.sources import Source

    tiling = Tiling(TILE, OVERLAP)
    with tempfile.TemporaryDirectory() as folder:
        segmenter = tiny_segmenter(Path(folder), network, share=SHARE)
        path = Path(folder, "picture.png")
        cv2.imwrite(str(path), picture)
        source = Source("picture", picture.shape[:2], lambda top, bottom: picture[top:bottom], None)
        ways: dict[str, Callable[[int], object]] = {
            "a plain loop": lambda _: plain_loop(segmenter.folds, picture),
            "bands": lambda _: list(tiled_bands(segmenter, source, tiling, 1)),
            "predict, from file to tables": lambda number: predict_into(
                Path(folder, f"out {number}"), segmenter, {}, [path], tiling, Console(stderr=True)
            ),
        }
        seconds = {way: float("inf") for way in ways}
        for number in range(ROUNDS):
            for way, work in ways.items():
                start = time.process_time()
                work(number)
                seconds[way] = min(seconds[way], time.process_time() - start)
        with Path(folder, "out 0", "images.csv").open(newline="") as file:
            row = next(csv.DictReader(file))
    first = seconds["a plain loop"]
    figures = "; ".join(f"{way} {took:.1f} s ({took / first:.2f})" for way, took in seconds.items())
    objects = f"{row['objects']} objects, {row['listed']} listed"
    return f"{SIDE:,} x {SIDE:,} px RGB, {name}, one thread: {figures}; {objects}"


@torch.inference_mode()
def plain_loop(network: Callable[[torch.Tensor], torch.Tensor], picture: Pixels) -> NDArray[np.float32]:
    """Return what one writes without this package: the same tiles, logits added and divided by how many there are."""
    starts = [*range(0, SIDE - TILE, TILE - OVERLAP), SIDE - TILE]
    total, count = np.zeros((SIDE, SIDE), np.float32), np.zeros((SIDE, SIDE), np.float32)
    for y in starts:
        for x in starts:
            tile = picture[y : y + TILE, x : x + TILE].transpose(2, 0, 1)[None]
            logits = network(torch.from_numpy(np.ascontiguousarray(tile)))
            total[y : y + TILE, x : x + TILE] += logits.sigmoid()[0, 0].numpy()
            count[y : y + TILE, x : x + TILE] += 1
    return total / count


if __name__ == "__main__":
    main()
