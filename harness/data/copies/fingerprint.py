"""What a picture is recognized by: key points of its texture, and the texture itself, small and evenly lit.

Key points are SIFT (Lowe, IJCV 2004) with the square root of Arandjelovic & Zisserman (CVPR 2012). All pictures are
brought to one size first, so that a resized copy has the same key points, and to one local contrast, so that
another exposure has. They are blurred before: else a fine weave would look another way in a shifted copy.
"""

import struct
from dataclasses import dataclass
from typing import Any, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from harness.data.pictures import fit

FINGERPRINT_VERSION = 5  # part of what is kept on disk; raise it when a number below changes

SIDE = 192  # px, longest side at which key points are looked for (SIFT doubles it first)
SMALL = 96  # px, longest side of the texture kept
KEY_POINTS = 250
BLUR = 0.8  # px at SIDE, standard deviation; of what is finer nothing is left that the grid of px could fold
SIGMA = 1.2  # px of the doubled picture that SIFT begins at; Lowe's 1.6 looks at wider windows, which takes longer
CONTRAST = 0.04  # of SIFT, where that leaves no more key points than are kept
PEAKS = 1 / 2  # of the key points kept; where so many px stand out, SIFT finds more than are kept
LAYERS = 3  # of SIFT in an octave
FLAT = 128  # gray level of a texture that is even
DARKEST_SPREAD = 3.0  # gray levels; noise below it is not raised to full contrast

Gray = NDArray[np.uint8]
Floats = NDArray[np.float32]
Sixteenths = NDArray[np.int16]


@dataclass(frozen=True)
class Fingerprint:
    """`sixteenths` (P, 4) of x, y, size in px and angle in degrees, strongest first, in the picture at SIDE, which is
    `width` wide, are the key points; `descriptors` (P, 128) have unit length times 255; `texture` (h, w) is the picture
    at SMALL.

    `found_again` says how surely the picture would be recognized: the key points by which a half of it was, see
    `recognize.py`.
    """

    width: int
    sixteenths: Sixteenths
    descriptors: NDArray[np.uint8]
    texture: Gray
    found_again: int = 0

    @property
    def points(self) -> Floats:
        """Return the key points (P, 4) in px and degrees."""
        points: Floats = np.multiply(self.sixteenths, 1 / 16, dtype=np.float32)
        return points

    def to_bytes(self) -> bytes:
        """Return all of it as bytes."""
        head = struct.pack("<5I", self.width, len(self.sixteenths), *self.texture.shape, self.found_again)
        return head + self.sixteenths.tobytes() + self.descriptors.tobytes() + self.texture.tobytes()

    @classmethod
    def from_bytes(cls, kept: bytes) -> Self:
        """Return the fingerprint that `to_bytes` wrote."""
        width, count, rows, columns, found_again = struct.unpack_from("<5I", kept)
        at = struct.calcsize("<5I")
        sixteenths = np.frombuffer(kept, "<i2", count * 4, at).reshape(count, 4)
        at += count * 8
        descriptors = np.frombuffer(kept, np.uint8, count * 128, at).reshape(count, 128)
        texture = np.frombuffer(kept, np.uint8, rows * columns, at + count * 128).reshape(rows, columns)
        return cls(width, sixteenths, descriptors, texture, found_again)


def gray_at_side(pixels: NDArray[Any]) -> Gray:
    """Return a picture (H, W) or (H, W, 3), 8 or 16 bits, in gray with its longest side at SIDE."""
    gray = _gray(pixels)
    gray = fit(gray, min(max(gray.shape), 2 * SIDE))  # near enough for the blur to do the rest
    shrinks = max(gray.shape) / SIDE
    gray = np.asarray(cv2.GaussianBlur(gray, (0, 0), BLUR * shrinks), np.uint8)
    size = [max(1, round(length / shrinks)) for length in (gray.shape[1], gray.shape[0])]
    return np.asarray(cv2.resize(gray, size, interpolation=cv2.INTER_CUBIC), np.uint8)


def fingerprint(picture: Gray, *, most: int = KEY_POINTS, shown: Gray | None = None) -> Fingerprint:
    """Return the fingerprint of a gray picture at SIDE, or of a cut of one, with its strongest key points.

    Where `shown`, of the picture's size, is 0 the picture counts as flat and without key points.
    """
    points, descriptors = _key_points(evenly_lit(picture), most, shown)
    texture = evenly_lit(fit(picture, round(max(picture.shape) * SMALL / SIDE)))
    if shown is not None:
        seen = cv2.resize(shown, texture.shape[::-1], interpolation=cv2.INTER_NEAREST)
        texture = np.where(seen > 0, texture, np.uint8(FLAT))
    return Fingerprint(picture.shape[1], in_sixteenths(points), descriptors, texture)


def in_sixteenths(points: Floats) -> Sixteenths:
    """Return key points (P, 4) as a fingerprint holds them; more is not known of their places."""
    return np.round(points * 16).astype("<i2")


def _key_points(lit: Gray, most: int, shown: Gray | None) -> tuple[Floats, NDArray[np.uint8]]:
    """Return the strongest key points; weak ones are not even looked at where strong ones are plenty, to save time."""
    for contrast in (max(CONTRAST, LAYERS * _standing_out(lit, round(PEAKS * most))), CONTRAST):
        detector = cv2.SIFT.create(
            nfeatures=most if shown is None else 0,  # else the strongest would be told before what is shown
            nOctaveLayers=LAYERS,
            contrastThreshold=contrast,
            sigma=SIGMA,
            enable_precise_upscale=True,
        )
        found, raw = detector.detectAndCompute(lit, shown)
        if len(found) >= most or contrast == CONTRAST:
            break
    if raw is None:
        return np.zeros((0, 4), np.float32), np.zeros((0, 128), np.uint8)
    table = np.array([(-one.response, *one.pt, one.size, one.angle) for one in found], np.float32)
    order = np.argsort(table[:, 0], kind="stable")[:most]
    strongest = np.asarray(raw[order], np.float32)
    strongest /= np.maximum(strongest.sum(1, keepdims=True), 1)
    descriptors = np.rint(255 * np.sqrt(strongest)).astype(np.uint8)
    return table[order, 1:].clip(min=0), descriptors


def _standing_out(lit: Gray, many: int) -> float:
    """Return what so many px of a picture reach in one layer of SIFT's differences; 0 where there are fewer."""
    finest = SIGMA / 2 * 2 ** (1 / LAYERS)
    narrow, wide = (
        cv2.GaussianBlur(lit.astype(np.float32) / 255, (0, 0), sigma)
        for sigma in (finest, finest * 2 ** (1 / LAYERS))
    )
    steps = np.abs(wide - narrow)
    peaks = steps[steps == cv2.dilate(steps, np.ones((3, 3), np.uint8))]
    return float(np.partition(peaks, -many)[-many]) if len(peaks) >= many else 0.0


def evenly_lit(picture: Gray) -> Gray:
    """Return a gray picture with local mean 128 and local spread 40: lamps and exposures are gone, texture stays."""
    reach = max(picture.shape) / 32
    window = (2 * round(3 * reach) + 1,) * 2  # px; OpenCV's own would be wider by a third
    deviation = picture.astype(np.float32)
    deviation -= cv2.GaussianBlur(deviation, window, reach)
    spread = np.sqrt(cv2.GaussianBlur(deviation * deviation, window, reach)) + DARKEST_SPREAD
    lit: Gray = np.clip(cv2.divide(deviation, spread, None, 40.0) + FLAT, 0, 255).astype(np.uint8)
    return lit


def _gray(pixels: NDArray[Any]) -> Gray:
    """Return 8 bits of gray; a 16-bit picture is stretched to its own range, since only its texture counts."""
    if pixels.dtype != np.uint8:
        low, high = int(pixels.min()), int(pixels.max())
        pixels = ((pixels.astype(np.float32) - low) * (255 / max(high - low, 1))).astype(np.uint8)
    if pixels.ndim == 3:
        return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.uint8)
    return np.asarray(pixels, np.uint8)
