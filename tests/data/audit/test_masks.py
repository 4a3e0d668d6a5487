import cv2
import numpy as np
import pandas as pd

from harness.config import Choice, Data
from harness.data.audit.masks import images_of, masks_of


def test_masks_and_pictures_are_read_by_row_as_the_study_reads_them(tmp_path):
    stored = np.array([[0, 9, 7]], np.uint8)
    cv2.imwrite(str(tmp_path / "mask.png"), stored)
    cv2.imwrite(str(tmp_path / "deep.png"), np.array([[0, 2000, 4000]], np.uint16))
    table = pd.DataFrame(
        {"sample": ["deep.png"] * 2, "mask": ["mask.png", ""], "height": [1, 2], "width": [3, 5]}
    )
    values = {"background": 0, "target": 9, "ignore": 7}
    data = Data(dataset=Choice(name="demo"), masks=values, white=4000)
    masks, images = masks_of(table, tmp_path, data), images_of(table, tmp_path, data)
    assert masks(0).tolist() == [[0, 1, 255]]
    assert images(0).tolist() == [[0, 128, 255]]
    assert masks(1).tolist() == [[0] * 5] * 2, "declared clean"
