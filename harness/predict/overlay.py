"""What was found, outlined on the picture: reduced by a power of two where it is large, no object lost by that."""

import cv2
import numpy as np
from numpy.typing import NDArray

from harness.predict.bands import EDGE
from harness.predict.sources import Pixels, in_color

LONGEST = 2048  # px of an overlay's longest side, unless the picture is more than 32 times as long
OUTLINE = (255, 40, 200)  # RGB; rare in pictures of parts and tissue
QUALITY = 90


class Overlay:
    """Takes bands that begin at multiples of 32 rows, and has the picture of them."""

    def __init__(self, shape: tuple[int, int]) -> None:
        self.step = 1
        while max(shape) > LONGEST * self.step and self.step < EDGE:
            self.step *= 2
        reduced = -(-shape[0] // self.step), -(-shape[1] // self.step)
        self.picture = np.zeros((*reduced, 3), np.uint8)
        self.mask = np.zeros(reduced, np.uint8)

    def add(self, top: int, picture: Pixels, mask: NDArray[np.bool_]) -> None:
        """Take the next band: rows of the picture, and of its mask."""
        first, width = top // self.step, self.mask.shape[1]
        height = -(-len(mask) // self.step)
        small = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
        self.picture[first : first + height] = in_color(small)
        edges = ((0, height * self.step - len(mask)), (0, width * self.step - mask.shape[1]))
        blocks = np.pad(mask, edges).reshape(height, self.step, width, self.step)
        self.mask[first : first + height] = blocks.any(axis=(1, 3))

    def jpeg(self) -> bytes:
        """Return the encoded overlay; the line lies around the objects, whose own pixels stay as they are."""
        reach = max(3, round(max(self.mask.shape) / 400) // 2 * 2 + 1)
        grown = cv2.dilate(self.mask, np.ones((reach, reach), np.uint8))
        shown = self.picture.copy()
        shown[(grown > 0) & (self.mask == 0)] = OUTLINE
        # full color at every pixel, else a line of one pixel fades
        form = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
        _, encoded = cv2.imencode(".jpg", shown[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY, *form])
        return encoded.tobytes()
