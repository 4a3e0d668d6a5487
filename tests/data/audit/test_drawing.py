import cv2
import numpy as np
import pytest

from harness.data.audit.drawing import BLUE, ORANGE, SHOWN, Figure, around, beside, outlined, to_jpeg

GRAY = np.full((100, 200), 90, np.uint8)


def mask_with(*places, shape=(100, 200)):
    mask = np.zeros(shape, np.uint8)
    for x, y in places:
        mask[y, x] = 1
    return mask


def where(shown, color):
    return np.argwhere((shown == np.array(color)).all(-1))


def test_a_single_pixel_of_a_large_picture_is_still_outlined():
    large = np.full((4000, 3000), 90, np.uint8)
    shown = outlined(large, mask_with((1503, 2006), shape=large.shape))
    assert shown.shape == (SHOWN, 240, 3)
    assert np.abs(where(shown, ORANGE).mean(0) - (160, 120)).max() <= 1


def test_a_small_picture_is_enlarged_and_keeps_its_proportions():
    assert outlined(GRAY).shape == (160, SHOWN, 3)
    assert (outlined(GRAY) == 90).all()


def test_two_masks_have_two_colors_and_ignored_pixels_are_tinted():
    first, second = mask_with((20, 20)), mask_with((150, 80))
    first[:, 190:] = 255
    shown = outlined(GRAY, first, second)
    assert where(shown, ORANGE)[:, 1].max() < 60 < 220 < where(shown, BLUE)[:, 1].min()
    assert (shown[:, -8:] != 90).any(-1).all()


def test_a_part_is_cut_enlarged_and_its_contrast_stretched():
    picture = GRAY.copy()
    picture[10:20, 10:15] = 92
    shown = outlined(picture, mask_with((14, 14)), part=(10, 10, 10, 10))
    assert shown.shape == (SHOWN, SHOWN, 3)
    assert {shown[0, 0, 0], shown[0, -1, 0]} == {255, 0}
    assert len(where(shown, ORANGE))


def test_color_is_kept():
    red = np.zeros((10, 10, 3), np.uint8)
    red[..., 0] = 200
    assert (outlined(red) == (0, 0, 200)).all()


@pytest.mark.parametrize("box", [(0, 0, 2, 2), (195, 95, 5, 5), (90, 40, 30, 10), (0, 0, 200, 100)])
def test_what_surrounds_a_box_lies_inside_and_holds_it(box):
    x, y, w, h = around(box, GRAY.shape)
    assert x >= 0
    assert y >= 0
    assert x + w <= 200
    assert y + h <= 100
    assert x <= box[0]
    assert y <= box[1]
    assert x + w >= box[0] + box[2]
    assert y + h >= box[1] + box[3]


def test_panels_of_two_heights_stand_on_white():
    row = beside([np.zeros((10, 5, 3), np.uint8), np.zeros((4, 5, 3), np.uint8)])
    assert row.shape == (10, 16, 3)
    assert (row[4:, 11:] == 255).all()


def test_a_figure_names_its_kind_of_file_and_escapes_its_caption():
    assert 'src="data:image/jpeg;base64,' in Figure("a", to_jpeg(outlined(GRAY))).to_html()
    png = cv2.imencode(".png", GRAY)[1].tobytes()
    html = Figure('<b>"', png).to_html()
    assert 'src="data:image/png;base64,' in html
    assert html.count("&lt;b&gt;&quot;") == 2
