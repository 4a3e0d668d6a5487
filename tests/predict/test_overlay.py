"""An overlay is the picture with a line around each object, also around those smaller than its pixels."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from harness.predict.overlay import LONGEST, Overlay

Pixels = NDArray[np.uint8]


def overlay_of(picture: Pixels, mask: NDArray[np.bool_], rows: int) -> tuple[Overlay, Pixels]:
    made = Overlay((mask.shape[0], mask.shape[1]))
    for top in range(0, len(mask), rows):
        made.add(top, picture[top : top + rows], mask[top : top + rows])
    decoded = cv2.imdecode(np.frombuffer(made.jpeg(), np.uint8), cv2.IMREAD_COLOR)
    return made, np.asarray(decoded[:, :, ::-1], np.uint8)


def pink(shown: Pixels) -> NDArray[np.bool_]:
    color = shown.astype(int)
    return (color[:, :, 0] - color[:, :, 1] > 90) & (color[:, :, 2] - color[:, :, 1] > 60)


def test_a_small_picture_keeps_its_size_and_its_objects_their_pixels() -> None:
    picture, mask = np.full((100, 120), 128, np.uint8), np.zeros((100, 120), bool)
    mask[40:60, 50:80] = True
    made, shown = overlay_of(picture, mask, 32)
    assert shown.shape == (100, 120, 3)
    assert made.step == 1
    assert pink(shown)[39, 50:80].all()
    assert pink(shown)[40:60, 49].all()
    assert not pink(shown)[44:56, 54:76].any()
    assert not pink(shown)[:30].any()


def test_a_large_picture_is_reduced_and_no_object_is_lost() -> None:
    shape = (5000, 3001)
    mask = np.zeros(shape, bool)
    spots = [(7, 9), (2500, 1500), (4990, 3000)]
    for row, column in spots:
        mask[row, column] = True
    made, shown = overlay_of(np.full((*shape, 3), 100, np.uint8), mask, 1024)
    assert made.step == 4
    assert max(shown.shape) <= LONGEST
    for row, column in spots:
        near = pink(shown)[max(0, row // 4 - 3) : row // 4 + 4, max(0, column // 4 - 3) : column // 4 + 4]
        assert near.any()


@pytest.mark.parametrize("rows", [32, 96, 4096])
def test_bands_make_one_picture(rows: int) -> None:
    ramp = np.repeat(np.linspace(0, 255, 4100).astype(np.uint8)[:, None], 70, axis=1)
    made, _ = overlay_of(ramp, np.zeros(ramp.shape, bool), rows)
    assert (np.diff(made.picture[:, 0, 0].astype(int)) >= 0).all()
    assert made.picture[-1, 0, 0] >= 253
