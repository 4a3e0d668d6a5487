"""Pictures of augmentation: outlines of labels, hatching where the mask says 255, and what to look at."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Flags = NDArray[np.bool_]

SCALE = 3  # screen px a picture px: outlines lie between pixels, not on them
STRIP = 22  # screen px for a line of text
GAP = 8  # screen px between panels
LABEL, IGNORED, MARK = (0, 190, 255), (235, 200, 90), (200, 0, 255)  # orange, light blue, magenta, as BGR
PAPER, INK = 250, 30  # gray levels


def panel(image: Pixels, mask: Pixels, title: str, marks: Flags | None = None) -> Pixels:
    """Return a picture (H', W', 3) in BGR: labels outlined, 255 hatched, `marks` (H, W) filled, a title above."""
    image, mask = _showable(image, mask)
    shown = _enlarge(image)[:, :, ::-1].copy()
    _hatch(shown, _enlarge(np.asarray(mask == 255, np.uint8)) > 0)
    if marks is not None and marks.shape == mask.shape:
        _fill(shown, _enlarge(marks.astype(np.uint8)) > 0)
    contours = cv2.findContours(
        _enlarge(np.asarray(mask == 1, np.uint8)), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE
    )[0]
    cv2.drawContours(shown, contours, -1, (0, 0, 0), 3)
    cv2.drawContours(shown, contours, -1, LABEL, 1)
    return np.vstack([_line(title, shown.shape[1]), shown])


def beside(panels: Sequence[Pixels]) -> Pixels:
    """Return panels in a row, with paper between and below them."""
    height = max(one.shape[0] for one in panels)
    padded = [
        cv2.copyMakeBorder(one, 0, height - len(one), GAP, 0, cv2.BORDER_CONSTANT, value=(PAPER,) * 3)
        for one in panels
    ]
    row = np.hstack(padded)
    return np.asarray(cv2.copyMakeBorder(row, 0, GAP, 0, GAP, cv2.BORDER_CONSTANT, value=(PAPER,) * 3))


def below(rows: Sequence[Pixels], title: str = "") -> Pixels:
    """Return rows of panels one below the other, under a title if there is one."""
    width = max(row.shape[1] for row in rows)
    padded = [
        cv2.copyMakeBorder(row, 0, 0, 0, width - row.shape[1], cv2.BORDER_CONSTANT, value=(PAPER,) * 3)
        for row in rows
    ]
    return np.vstack([*([_line(title, width)] if title else []), *padded])


def to_png(picture: Pixels) -> bytes:
    """Return a BGR picture as PNG."""
    return bytes(cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 6])[1])


def _showable(image: Pixels, mask: Pixels) -> tuple[Pixels, Pixels]:
    """Return an RGB image of bytes (H, W, 3) and a mask of bytes (H, W), whatever a pipeline made of them."""
    image, mask = np.asarray(image), np.atleast_2d(np.squeeze(np.asarray(mask)))
    if image.ndim == 3 and image.shape[0] == 3 != image.shape[2]:
        image = image.transpose(1, 2, 0)  # as tensors have it
    if image.dtype != np.uint8:
        low, high = float(image.min()), float(image.max())
        image = (255 * (image.astype(float) - low) / max(high - low, 1e-9)).astype(np.uint8)
    image = image if image.ndim == 3 else image[:, :, None]
    image = image if image.shape[2] == 3 else np.repeat(image[:, :, :1], 3, axis=2)
    size = image.shape[1], image.shape[0]
    resized = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    return image, np.asarray(resized, np.uint8)


def _enlarge(layer: Pixels) -> Pixels:
    return np.repeat(np.repeat(layer, SCALE, axis=0), SCALE, axis=1)


def _hatch(shown: Pixels, where: Flags) -> None:
    rows, columns = np.indices(where.shape)
    shown[where] = (0.75 * shown[where] + 0.25 * np.array(IGNORED)).astype(np.uint8)
    shown[where & ((rows + columns) % 8 < 2)] = IGNORED


def _fill(shown: Pixels, where: Flags) -> None:
    shown[where] = (0.35 * shown[where] + 0.65 * np.array(MARK)).astype(np.uint8)


def _line(text: str, width: int) -> Pixels:
    line = np.full((STRIP, width, 3), PAPER, np.uint8)
    cv2.putText(line, text, (2, 15), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (INK,) * 3, 1, cv2.LINE_AA)
    return line
