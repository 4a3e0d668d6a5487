"""Draw pictures with the outlines of their masks, small enough for a page that holds them itself."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from harness.data.pictures import Pixels

SHOWN = 320  # px, longest side of a panel
GAP = 6  # px between panels
QUALITY = 80
ORANGE, BLUE, IGNORED = (
    (0, 140, 255),
    (255, 120, 40),
    (235, 200, 90),
)  # BGR; told apart by the color-blind too
WHITE = (255, 255, 255)

Box = tuple[int, int, int, int]  # x, y, w, h


@dataclass(frozen=True)
class Figure:
    """A PNG or JPEG with what it shows in words, and the id of the check that it belongs to."""

    caption: str
    file: bytes
    check: str = ""

    def to_html(self) -> str:
        """Return the figure, its picture inside the page."""
        text, data = escape(self.caption), base64.b64encode(self.file).decode()
        kind = "png" if self.file.startswith(b"\x89PNG") else "jpeg"
        picture = f'<img alt="{text}" src="data:image/{kind};base64,{data}">'
        return f"<figure>{picture}<figcaption>{text}</figcaption></figure>"


def outlined(image: Pixels, *masks: Pixels, part: Box | None = None) -> Pixels:
    """Return a picture (H, W[, 3]) in BGR at SHOWN px with the outlines of one or two masks.

    The first is orange, the second blue; what the first ignores is tinted. The smallest object leaves a px.
    A `part` of a picture is shown with its contrast stretched.
    """
    x, y, w, h = part or (0, 0, image.shape[1], image.shape[0])
    layers = [layer[y : y + h, x : x + w] for layer in (image, *masks)]
    shown = _in_color(_at_shown(_stretched(layers[0]) if part else layers[0], cv2.INTER_AREA))
    if masks:
        tinted = _marked(layers[1] == 255, shown)
        shown[tinted] = (0.6 * shown[tinted] + 0.4 * np.array(IGNORED)).astype(np.uint8)
    for mask, color in reversed(list(zip(layers[1:], (ORANGE, BLUE), strict=False))):
        target = _marked(mask == 1, shown).astype(np.uint8)
        lines = cv2.findContours(target, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)[0]
        cv2.drawContours(shown, lines, -1, color, 1 if part else 2)
    return shown


def around(box: Box, shape: tuple[int, ...], *, times: float = 4, least: int = 32) -> Box:
    """Return a square about a box, `times` as large, moved and cut so that it lies inside (H, W)."""
    x, y, w, h = box
    side = min(max(least, round(times * max(w, h))), max(shape[:2]))
    left = min(max(0, x + w // 2 - side // 2), max(0, shape[1] - side))
    top = min(max(0, y + h // 2 - side // 2), max(0, shape[0] - side))
    return left, top, min(side, shape[1]), min(side, shape[0])


def beside(panels: Sequence[NDArray[Any]]) -> Pixels:
    """Return panels (H, W, 3) in a row on white."""
    height = max(len(panel) for panel in panels)
    padded = [
        cv2.copyMakeBorder(panel, 0, height - len(panel), 0, GAP, cv2.BORDER_CONSTANT, value=WHITE)
        for panel in panels
    ]
    return np.asarray(np.hstack(padded)[:, :-GAP], np.uint8)


def to_jpeg(picture: NDArray[Any]) -> bytes:
    """Return a BGR picture as JPEG."""
    settings = [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
    settings += [
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
    ]  # or thin lines lose their color
    return bytes(cv2.imencode(".jpg", picture, settings)[1])


def _at_shown(layer: NDArray[Any], smaller: int) -> NDArray[Any]:
    """Return a layer with its longest side at SHOWN; px that are enlarged stay squares."""
    scale = SHOWN / max(layer.shape[:2])
    size = [max(1, round(length * scale)) for length in (layer.shape[1], layer.shape[0])]
    return np.asarray(cv2.resize(layer, size, interpolation=smaller if scale < 1 else cv2.INTER_NEAREST))


def _marked(where: NDArray[np.bool_], shown: Pixels) -> NDArray[np.bool_]:
    """Return what is marked as it is shown: a px of which any part is."""
    marked = _at_shown(where.astype(np.float32), cv2.INTER_AREA) > 0
    return np.asarray(marked.reshape(shown.shape[:2]), bool)


def _stretched(image: NDArray[Any]) -> Pixels:
    low, high = np.percentile(image, [1, 99])
    return np.asarray(np.clip((image - low) * (255 / max(high - low, 1.0)), 0, 255), np.uint8)


def _in_color(image: NDArray[Any]) -> Pixels:
    code = cv2.COLOR_GRAY2BGR if image.ndim == 2 else cv2.COLOR_RGB2BGR
    return np.ascontiguousarray(cv2.cvtColor(image, code), np.uint8)
