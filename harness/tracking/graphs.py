"""A model as graphs that run without its code: torch.export (pt2) and ONNX, held to the networks on real pictures."""

import contextlib
import io
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from harness.choices import nearest
from harness.errors import ConfigError, ModelRefused
from harness.tracking.served_model import MULTIPLE, Folds, Segmenter

MOST_DIFFERENT = 1e-5  # share of pixels on the other side of the threshold
TOLERANCE = 1e-4  # of a pixel's probability
FILES = {"pt2": "graph.pt2", "onnx": "graph.onnx"}
LARGEST = 4096  # multiples of 32 px, and pictures of a batch, that a graph is made for

Graph = Callable[[Tensor], Tensor]  # as `Folds`: uint8 RGB (B, 3, H, W) to logits (B, folds, H, W)
Picture = NDArray[Any]


@dataclass(frozen=True)
class Equality:
    """How far a graph is from the networks it was made of."""

    graph: str
    pictures: int
    probability: float  # largest difference
    differing: float  # share of pixels whose mask differs
    tolerance: float = TOLERANCE
    most_differing: float = MOST_DIFFERENT

    @property
    def sentence(self) -> str:
        return (
            f"{self.graph}: {self.differing:.1e} of pixels differ, probabilities by at most {self.probability:.1e}, on "
            f"{self.pictures} pictures"
        )

    @property
    def limits(self) -> str:
        return f"at most {self.most_differing:g} of pixels and {self.tolerance:g} of probability"

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Graphs:
    """The files of a model's graphs by kind, and how far each is from the networks."""

    files: Mapping[str, Path] = field(default_factory=dict)
    equal: Sequence[Equality] = ()


def make_graphs(model: Segmenter, kinds: Sequence[str], pictures: Sequence[Picture], folder: Path) -> Graphs:
    """Write a model's graphs and hold them to its networks on these pictures. Raises ModelRefused."""
    files = write_graphs(model, kinds, folder)
    return Graphs(files, held_to_networks(model, files, pictures))


def write_graphs(model: Segmenter, kinds: Sequence[str], folder: Path) -> dict[str, Path]:
    """Write the graphs of a model's networks; their batch, height and width are free, the last two multiples of 32.

    A graph has the input `images` and the output `logits`, and pixels are normalized in it; resizing, the threshold
    and further views are not. Nothing in its file is a pickle.
    """
    if not kinds:
        return {}
    assert isinstance(model.folds, Folds)
    with _in_silence():
        program = _exported(model.folds)
        made = {kind: folder / FILES[kind] for kind in kinds}
        if "pt2" in made:
            torch.export.save(program, made["pt2"])
        if "onnx" in made:
            graph = torch.onnx.export(program, dynamo=True, external_data=False, verbose=False)
            assert graph is not None
            graph.save(made["onnx"])
    return made


def _exported(networks: Folds) -> torch.export.ExportedProgram:
    device = networks.mean.device
    images = torch.zeros((2, 3, 2 * MULTIPLE, 3 * MULTIPLE), dtype=torch.uint8, device=device)
    batch, height, width = (torch.export.Dim(name, min=1, max=LARGEST) for name in ("batch", "h", "w"))
    shapes = {"images": {0: batch, 2: MULTIPLE * height, 3: MULTIPLE * width}}
    program = torch.export.export(networks, (images,), dynamic_shapes=shapes)
    program.example_inputs = None  # they would be written as a pickle
    return program


def held_to_networks(
    model: Segmenter, graphs: Mapping[str, Path], pictures: Sequence[Picture]
) -> list[Equality]:
    """Return how far each graph is from the networks on these pictures, as they are served: resized, averaged, cut.

    Raises ModelRefused for one that is too far.
    """
    found = []
    wanted = model.probabilities(pictures) if graphs else []
    for kind, path in graphs.items():
        other = with_graph(model, open_graph(kind, path, model.device)).probabilities(pictures)
        found.append(_compared(kind, wanted, other, model.settings["threshold"]))
    for one in found:
        if one.probability > TOLERANCE or one.differing > MOST_DIFFERENT:
            raise ModelRefused(
                f"graph {one.sentence}; at most {TOLERANCE:g} and {MOST_DIFFERENT:g} are taken: leave it out "
                "(promote.graphs in the study file)"
            )
    return found


def with_graph(model: Segmenter, graph: Graph) -> Segmenter:
    """Return a model that computes with this graph in place of its networks."""
    other = Segmenter()
    other.settings, other.device, other.folds = model.settings, model.device, graph
    return other


def open_graph(runner: str, path: Path, device: torch.device) -> Graph:
    """Return what computes the graph in a file. Raises ConfigError for a runner that is unknown or not installed."""
    if runner not in RUNNERS:
        raise ConfigError(f"backend {runner!r}: no such backend{nearest(runner, RUNNERS)}")
    try:
        return RUNNERS[runner](path, device)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"backend {runner}: {error.name} is not installed; pip install {error.name}"
        ) from None


def _compared(kind: str, wanted: Sequence[Picture], other: Sequence[Picture], threshold: float) -> Equality:
    pixels = sum(one.size for one in wanted)
    differing = sum(
        int(((a > threshold) != (b > threshold)).sum()) for a, b in zip(wanted, other, strict=True)
    )
    largest = max(float(np.abs(a - b).max()) for a, b in zip(wanted, other, strict=True))
    return Equality(kind, len(wanted), largest, differing / pixels)


def _pt2(path: Path, device: torch.device) -> Graph:
    """Return a torch.export program. It computes on the kind of device that it was made on."""
    with _in_silence():
        return torch.export.load(path).module().to(device)


def _onnx(path: Path, device: torch.device) -> Graph:
    """Return an ONNX graph, computed by ONNX Runtime, on the GPU where that build can."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # errors
    wanted = ("CUDAExecutionProvider", "CPUExecutionProvider")
    there = [name for name in wanted if name in onnxruntime.get_available_providers()]
    session = onnxruntime.InferenceSession(str(path), options, providers=there)
    (images,) = session.get_inputs()

    def run(batch: Tensor) -> Tensor:
        (logits,) = session.run(None, {images.name: batch.cpu().numpy()})
        return torch.from_numpy(logits).to(device)

    return run


def _openvino(path: Path, device: torch.device) -> Graph:
    """Return an ONNX graph, computed by OpenVINO on the CPU, in 32 bits."""
    import openvino

    core = openvino.Core()
    numbers = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": torch.get_num_threads()}
    compiled = core.compile_model(core.read_model(str(path)), "CPU", numbers)

    def run(batch: Tensor) -> Tensor:
        return torch.from_numpy(np.array(compiled(batch.cpu().numpy())[0])).to(device)

    return run


@contextlib.contextmanager
def _in_silence() -> Iterator[None]:
    """Keep the exporters' reports of their progress, and warnings of their own libraries, from the screen."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            for logger in loggers:
                logger.setLevel(logging.ERROR)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


RUNNERS: dict[str, Callable[[Path, torch.device], Graph]] = {
    "pt2": _pt2,
    "onnx": _onnx,
    "openvino": _openvino,
}
