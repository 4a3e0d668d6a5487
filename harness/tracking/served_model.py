"""The promoted model as MLflow loads it: pictures in, masks out, by the mean probability of the fold models.

MLflow copies this one file beside the weights, so it imports public packages only and nothing of the harness.
"""

import base64
import binascii
import io
import itertools
import json
import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import mlflow
import numpy as np
import pandas as pd
import segmentation_models_pytorch as smp
import torch
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INTERNAL_ERROR, INVALID_PARAMETER_VALUE
from mlflow.pyfunc.model import PythonModel
from numpy.typing import NDArray
from PIL import Image
from PIL.ImageFile import ImageFile
from PIL.TiffImagePlugin import TiffImageFile
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

SCHEMA = 2  # of the settings file
MULTIPLE = 32  # px; encoders halve a picture five times
FORMATS = ("BMP", "JPEG", "PNG", "TIFF", "WEBP")
TOGETHER = 2**22  # px of pictures of one shape that go through the networks at once, at most
MOST_PIXELS = 2**24  # of an encoded picture, 4096 x 4096; known before it is decoded
MOST_IN_ALL = 2**26  # px of a request's pictures, each as large as the networks see it, if that is more
UNTURNED, ALL_FLIPS = ((),), ((), (3,), (2,), (2, 3))  # dimensions that a view is mirrored along

Pixels = NDArray[np.uint8]
Picture = NDArray[np.uint8] | NDArray[np.uint16]  # (H, W) gray or (H, W, 3) RGB
Map = NDArray[np.float32]  # of probabilities
Form = Callable[[Pixels], Any] | None  # what an answer shows a mask as
# Servers call `predict` from many threads: one at a time decodes and computes, so that memory stays that of one
_ONE_AT_A_TIME = threading.Lock()


class Refused(MlflowException):
    """A wrong request: its sentence stays as it is, where MLflow's server puts all that was sent before it."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name != "message" or not hasattr(self, name):
            super().__setattr__(name, value)


class Folds(nn.Module):
    """Every fold's network on one batch: uint8 RGB (B, 3, H, W) to logits (B, folds, H, W), sides multiples of 32."""

    mean: Tensor
    std: Tensor

    def __init__(self, networks: Sequence[nn.Module], mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        batch = (images.float() / 255 - self.mean) / self.std
        return torch.cat([network(batch).float() for network in self.networks], dim=1)


class Segmenter(PythonModel):
    """Fold models of a trial. Artifacts: `settings` (JSON), `weights_0`, `weights_1`, ... (safetensors).

    Settings: `network` (arguments of smp.create_model), `size` (longest side, px, that pictures are resized to, or
    none), `white` (stored value shown as white, or none), `mean`, `std` (of RGB from 0 to 1), `threshold` (a
    probability), `flips` (whether mirrored views are averaged), `scales` (that views are resized by).
    """

    settings: dict[str, Any]
    folds: Callable[[Tensor], Tensor]  # as `Folds`
    device: torch.device

    def load_context(self, context: Any) -> None:
        """Build every fold model and load its weights, on the GPU where there is one."""
        self.settings = json.loads(Path(context.artifacts["settings"]).read_text(encoding="utf-8"))
        if self.settings.get("schema") != SCHEMA:
            raise _bad("settings", f"schema {self.settings.get('schema')!r}", f"this file reads {SCHEMA}")
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        count = sum(name.startswith("weights_") for name in context.artifacts)
        if not count:
            raise _bad("weights", "no fold model", "log at least one")
        networks = [self._network(context.artifacts[f"weights_{fold}"]) for fold in range(count)]
        self.folds = Folds(networks, self.settings["mean"], self.settings["std"]).eval().to(self.device)

    def _network(self, weights: str) -> nn.Module:
        network: nn.Module = smp.create_model(**self.settings["network"] | {"encoder_weights": None})
        network.load_state_dict(load_file(weights), strict=True)
        return network

    def predict(
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Return one row an image: `mask`, `score` (its largest probability) and, where asked for, `objects`.

        Column `image` holds, mixed at will and of any size: arrays, uint8 or uint16, (H, W) or (H, W, 3) RGB;
        encoded pictures (PNG, JPEG, TIFF) as bytes or as base64 text; nested lists of whole numbers. Lists do
        not say how deep they are: they are 8 bit, unless the settings have a `white` above 255.
        `params`: `mask` is a key of MASKS (default array), `objects` (default false) adds those of `objects_of`.
        Raises MlflowException (INVALID_PARAMETER_VALUE) for anything else, naming the image by its position.
        """
        form, with_objects = asked_for(params or {})
        cells, index = _cells(model_input)
        try:
            with _ONE_AT_A_TIME:
                columns = self._columns(self.probabilities(self._pictures(cells)), form, with_objects)
        except MlflowException:
            raise
        except Exception as error:  # MLflow's server would send the stack trace to whoever asked
            logging.getLogger(__name__).exception("the model failed")
            raise MlflowException(f"model: {type(error).__name__}; see its log", INTERNAL_ERROR) from error
        table = {name: pd.Series(values, index, object) for name, values in columns.items()}
        return pd.DataFrame(table).astype({"score": float})

    def _columns(self, found: list[Map], form: Form, with_objects: bool) -> dict[str, list[Any]]:
        masks = [(probability > self.settings["threshold"]).astype(np.uint8) for probability in found]
        columns: dict[str, list[Any]] = {"mask": [form(mask) for mask in masks]} if form else {}
        columns["score"] = [float(probability.max()) for probability in found]
        return columns | ({"objects": list(map(objects_of, masks, found))} if with_objects else {})

    def _pictures(self, cells: Sequence[Any]) -> list[Picture]:
        """Return the pictures of a request, refused as soon as they are too many."""
        pictures, total = [], 0
        for position, cell in enumerate(cells):
            pictures.append(read(cell, f"image {position}", self.settings["white"]))
            if (total := total + self._cost(pictures[-1].shape[:2])) > MOST_IN_ALL:
                came = f"{total} px up to here, as the networks see them"
                raise _bad(f"image {position}", came, f"send at most {MOST_IN_ALL} px at once")
        return pictures

    def _cost(self, shape: tuple[int, ...]) -> int:
        """Return the pixels of a picture, or those that it has in the networks if they are more."""
        longest = max(shape)
        scale = max(self.settings["scales"]) * (self.settings["size"] or longest) / longest
        height, width = (-(-round(side * scale) // MULTIPLE) * MULTIPLE or MULTIPLE for side in shape)
        return max(shape[0] * shape[1], height * width)

    def probability(self, picture: Picture) -> Map:
        """Return the mean probability of all fold models and views at every pixel of one picture, (H, W)."""
        return self.probabilities([picture])[0]

    def probabilities(self, pictures: Sequence[Picture]) -> list[Map]:
        """Return the mean probability at every pixel of each picture; those of one shape go through together."""
        white, size = self.settings["white"], self.settings["size"]
        shown = [to_8_bits(picture, f"image {row}", white) for row, picture in enumerate(pictures)]
        found: dict[int, Map] = {}
        shapes = [(image.shape[0], image.shape[1]) for image in shown]
        by_shape = sorted(range(len(shapes)), key=shapes.__getitem__)
        for shape, same in itertools.groupby(by_shape, shapes.__getitem__):
            rows = list(same)
            most = max(1, TOGETHER // self._cost(shape))
            for first in range(0, len(rows), most):
                part = rows[first : first + most]
                small = [_in_color(fit(shown[row], size)) for row in part]
                found.update(zip(part, self.mean_probability(np.stack(small), shape), strict=True))
        return [found[row] for row in range(len(pictures))]

    @torch.inference_mode()
    def mean_probability(self, images: Pixels, shape: tuple[int, int]) -> Map:
        """Return probabilities (B, *shape) of uint8 RGB images (B, H, W, 3), the mean of all fold models and views."""
        flips = ALL_FLIPS if self.settings["flips"] else UNTURNED
        total = torch.zeros((len(images), *shape), device=self.device)
        for scale in self.settings["scales"]:
            scaled = [fit(image, round(scale * max(image.shape[:2]))) for image in images]
            height, width = scaled[0].shape[:2]
            padded = np.stack([pad(image) for image in scaled]).transpose(0, 3, 1, 2)
            batch = torch.from_numpy(np.ascontiguousarray(padded)).to(self.device)
            for flip in flips:
                logits = self.folds(batch.flip(flip)).flip(flip)[:, :, :height, :width]
                resized = functional.interpolate(logits, shape, mode="bilinear", align_corners=False)
                total += resized.sigmoid().mean(1)
        return np.asarray((total / (len(flips) * len(self.settings["scales"]))).cpu().numpy(), np.float32)


def asked_for(params: dict[str, Any]) -> tuple[Form, bool]:
    """Return what makes a mask's form, None for no mask, and whether objects are asked for."""
    for name, value in params.items():
        if not any(type(value) is type(one) and value == one for one in PARAMS.get(name, ())):
            known = ", ".join(map(str, PARAMS.get(name, PARAMS)))
            raise _bad(f"params.{name}"[:60], f"{str(value)[:40]!r}", f"choose one of {known}")
    return MASKS[params.get("mask", "array")], bool(params.get("objects", False))


def _cells(table: pd.DataFrame) -> tuple[list[Any], pd.Index]:
    """Return the images and the index of their results."""
    if not isinstance(table, pd.DataFrame) or list(table).count("image") != 1:
        came = f"columns {list(table)}" if isinstance(table, pd.DataFrame) else type(table).__name__
        raise _bad("input", came, "send a table with a column 'image'")
    cells = list(table["image"])
    # MLflow puts {"image": [text, text]} into a single row
    if len(cells) == 1 and isinstance(cells[0], list) and all(isinstance(part, str) for part in cells[0]):
        texts = cells[0] or [None]  # nothing is refused as an image that is none
        return texts, pd.RangeIndex(len(texts))
    return cells, table.index


def read(cell: Any, where: str, white: int | None) -> Picture:
    """Return the picture that one cell holds. Raises MlflowException naming `where`."""
    if isinstance(cell, str):
        cell = _from_base64(cell, where)
    if isinstance(cell, bytes | bytearray):
        cell = _decoded(bytes(cell), where)
    elif isinstance(cell, list | tuple):
        cell = _from_numbers(cell, where, white)
    if not isinstance(cell, np.ndarray):
        raise _bad(where, type(cell).__name__, "send an array, an encoded picture or its base64 text")
    shaped = cell.ndim == 2 or (cell.ndim == 3 and cell.shape[2] == 3)
    if cell.dtype not in (np.uint8, np.uint16) or not shaped or not cell.size:
        raise _bad(where, f"{cell.dtype} {cell.shape}", "send uint8 or uint16 of shape (H, W) or (H, W, 3)")
    return cell


def _from_base64(text: str, where: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise _bad(where, f"text that is no base64 ({error})", "send the picture file in base64") from None


def _array(numbers: Any) -> NDArray[Any]:
    """Return a picture of lists as an array. Of texts among them numpy would make copies as long as the longest."""
    values = numbers
    for _ in range(2):  # rows, and RGB
        if set(map(type, values)) <= {list, tuple}:
            values = list(itertools.chain.from_iterable(values))
    if not all(issubclass(kind, int | float | np.number | np.ndarray) for kind in set(map(type, values))):
        raise ValueError("more than numbers in rows")
    return np.array(numbers)


def _from_numbers(numbers: Any, where: str, white: int | None) -> NDArray[Any]:
    try:
        pixels = _array(numbers)
    except ValueError:
        raise _bad(where, "a list of uneven rows, or not of numbers", "send equal rows of numbers") from None
    if pixels.dtype.kind not in "iu" or not pixels.size:
        raise _bad(where, f"a list of shape {pixels.shape}, {pixels.dtype}", "send rows of whole numbers")
    if pixels.ndim == 2 and pixels.shape[1] == 3:  # MLflow takes {"image": array} apart into lists of rows
        raise _bad(where, f"a list of shape {pixels.shape}, one row of an RGB picture", "send [picture]")
    top = 255 if white is None or white <= 255 else 65535
    if pixels.min() < 0 or pixels.max() > top:
        came = f"a list of numbers from {pixels.min()} to {pixels.max()}"
        raise _bad(where, came, f"lists hold 0 to {top}; send deeper pictures as arrays or PNG")
    return pixels.astype(np.uint8 if top == 255 else np.uint16)


def _decoded(data: bytes, where: str) -> Picture:
    """Return the pixels of an encoded picture at its stored depth, upright and without alpha."""
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            _refuse_unreadable(image)
            deep_color = image.mode in ("RGB", "RGBA") and _is_deep(image)
            image.load()  # Pillow notices a truncated file, OpenCV returns half a picture
            pixels = _deep_color(data) if deep_color else _pixels(image)
            return _upright(pixels, image.getexif().get(0x0112, 1))
    except Exception as error:  # decoders raise whatever they like on broken bytes
        reason = (str(error) or type(error).__name__).splitlines()[0].partition(" <")[0]  # and no address
        came = f"{len(data)} bytes that are no readable picture ({reason})"
        raise _bad(where, came, "send a whole PNG, JPEG or TIFF") from None


def _refuse_unreadable(image: ImageFile) -> None:
    if image.width * image.height > MOST_PIXELS:
        raise ValueError(f"{image.width} x {image.height} px: send parts of at most {MOST_PIXELS}")
    if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":  # a phone's JPEG with a preview behind it
        raise ValueError("several pages")
    tags = image.tag_v2 if isinstance(image, TiffImageFile) else {}
    if _is_deep(image) and (tags.get(262) == 0 or (tags.get(284) == 2 and tags.get(277, 1) > 1)):
        raise ValueError("16 bits with 0 for white or in separate planes, which no decoder gets right")
    if image.mode in ("I", "F"):
        raise ValueError("32-bit or signed pixels")


def _is_deep(image: ImageFile) -> bool:
    if isinstance(image, TiffImageFile):
        return bool(max(image.tag_v2.get(258, (1,))) > 8)  # BitsPerSample
    return any(";16" in str(tile.args) for tile in image.tile)


def _deep_color(data: bytes) -> Picture:
    """Return RGB of 16 bits, which Pillow would cut to 8."""
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.dtype != np.uint16 or pixels.ndim != 3:
        raise ValueError("16-bit color of an unusual kind")
    return pixels[:, :, 2::-1].astype(np.uint16)  # OpenCV has blue first


def _pixels(image: ImageFile) -> Picture:
    if image.mode.startswith("I;16"):
        return np.array(image).astype(np.uint16)
    image.info.pop("transparency", None)  # dropped as alpha is; Pillow warns about it
    return np.array(image.convert("L" if image.mode in ("1", "L", "LA") else "RGB"), np.uint8)


def _upright(pixels: Picture, orientation: int) -> Picture:
    """Undo an EXIF orientation: 5 to 8 are transposed, then some are mirrored."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels


def to_8_bits(picture: Picture, where: str, white: int | None) -> Pixels:
    """Return round(255 x / white), at most 255; `white` is by default the type's largest value."""
    top = int(np.iinfo(picture.dtype).max)
    white = white or top
    if white > top:
        raise _bad(where, f"values up to {top} where white is {white}", "send the depth it was trained on")
    shown = (2 * 255 * np.arange(top + 1) + white) // (2 * white)
    return np.asarray(np.minimum(shown, 255).astype(np.uint8)[picture])


def _in_color(image: Pixels) -> Pixels:
    return image if image.ndim == 3 else np.repeat(image[:, :, None], 3, axis=2)


def fit(image: Pixels, size: int | None) -> Pixels:
    """Return `image` resized so that its longest side is `size` px; None keeps it."""
    longest = max(image.shape[:2])
    if size is None or size == longest:
        return image
    height, width = (max(1, round(side * size / longest)) for side in image.shape[:2])
    way = cv2.INTER_AREA if size < longest else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (width, height), interpolation=way), np.uint8)


def pad(image: Pixels) -> Pixels:
    """Return `image` reflected at the right and bottom up to multiples of 32 px, the edge not repeated."""
    for axis in (0, 1):
        edges = [(0, 0)] * image.ndim
        edges[axis] = (0, -image.shape[axis] % MULTIPLE)
        image = np.pad(image, edges, mode="reflect" if image.shape[axis] > 1 else "edge")
    return image


def as_png(mask: Pixels) -> str:
    """Return base64 of an 8-bit gray PNG, 255 where the mask is."""
    return base64.b64encode(cv2.imencode(".png", mask * 255)[1].tobytes()).decode()


def as_rle(mask: Pixels) -> dict[str, list[int]]:
    """Return COCO's uncompressed form: lengths of runs down the columns, the first one of zeros."""
    starts = np.flatnonzero(np.diff(mask.T.ravel(), prepend=0))
    return {"size": list(mask.shape), "counts": np.diff([0, *starts, mask.size]).tolist()}


def objects_of(mask: Pixels, probability: Map) -> list[dict[str, Any]]:
    """Return `box` [x, y, width, height], `area` and `score` (largest probability) of each 8-connected object."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    scores = np.zeros(count, np.float32)
    np.maximum.at(scores, labels.astype(np.int64), probability)
    found = zip(stats.tolist()[1:], scores.tolist()[1:], strict=True)  # the first is the background
    return [{"box": stat[:4], "area": stat[4], "score": score} for stat, score in found]


MASKS: dict[str, Form] = dict(array=lambda mask: mask, png=as_png, rle=as_rle, none=None)
PARAMS: dict[str, Sequence[Any]] = {"mask": tuple(MASKS), "objects": (False, True)}


def _bad(where: str, came: str, what_to_do: str) -> Refused:
    return Refused(f"{where}: {came}; {what_to_do}", error_code=INVALID_PARAMETER_VALUE)


mlflow.models.set_model(Segmenter())
