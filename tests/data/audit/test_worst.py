from dataclasses import replace

import cv2
import numpy as np
import pytest

from harness.data.audit.drawing import ORANGE
from harness.data.audit.finding import Finding
from harness.data.audit.worst import EACH, worst_figures
from tests.data.audit.conftest import STILL


def finding(id, *items, status="warn"):
    return Finding(id, f"title of {id}", "warn", status, len(items), 0.0, "summary", items)


@pytest.fixture
def shown(samples, searched):
    """Return the figures of findings, where row r is a gray picture with one spot at x = 10 + r."""

    def image(row):
        return np.full((60, 80), 100 + row, np.uint8)

    def mask(row):
        drawn = np.zeros((60, 80), np.uint8)
        drawn[20:28, 10 + row : 18 + row] = 1
        return drawn

    def draw(*findings, pairs=()):
        return list(worst_figures(samples, findings, searched(samples, *pairs).copies, image, mask))

    return draw


def pixels(figure):
    return cv2.imdecode(np.frombuffer(figure.file, np.uint8), cv2.IMREAD_COLOR).astype(int)


def sides(first, second, kind=""):
    item = {}
    for which, row in (("first", first), ("second", second)):
        name = f"g{row // 3:02d}/{row % 3}{kind}.png"
        item |= {which: name, f"{which} group": f"g{row // 3:02d}", f"{which} fold": "fold 0"}
    return item


def test_one_picture_is_shown_with_its_label_and_the_numbers_that_condemn_it(shown):
    (figure,) = shown(finding("M5", {"image": "g01/2.png", "coverage": 0.81234, "what": "covers far more"}))
    assert figure.check == "M5"
    assert figure.caption.startswith("title of M5? g01/2.png: coverage 0.81234, what covers far more.")
    picture = pixels(figure)
    assert picture.shape == (240, 320, 3)
    assert np.median(picture) == 105, "row 5"
    orange = np.abs(picture - np.array(ORANGE)).max(-1) < 80
    assert 4 * 14 < np.argwhere(orange)[:, 1].min() < np.argwhere(orange)[:, 1].max() < 4 * 24


def test_an_object_that_vanishes_is_shown_enlarged_too(shown):
    (figure,) = shown(finding("M1", {"image": "g00/0.png", "lost": 1}))
    assert pixels(figure).shape == (320, 320 + 6 + 320, 3)
    assert "enlarged" in figure.caption


@pytest.mark.parametrize(("id", "kind"), [("D7", "_mask"), ("D11", ""), ("M6", "")])
def test_two_pictures_stand_side_by_side_whether_masks_or_pictures_are_named(shown, id, kind):
    (figure,) = shown(finding(id, sides(3, 9, kind)))
    picture = pixels(figure)
    assert (np.median(picture[:, :320]), np.median(picture[:, 326:])) == (103, 109)
    assert f"g01/0{kind}.png (group g01, fold 0) and g03/0{kind}.png" in figure.caption


def test_two_labels_are_laid_on_each_other_and_both_outlined_on_both(shown):
    item = sides(0, 6) | {"iou": 0.1}
    (figure,) = shown(finding("D12", item), pairs=[(0, 6, True, STILL)])
    assert figure.check == "D12"
    assert "g00/0.png (orange outlines) and g02/0.png (blue)" in figure.caption
    assert "iou 0.1" in figure.caption
    half = pixels(figure)[:, : pixels(figure).shape[1] // 2]
    warm, cold = half[..., 2] - half[..., 0] > 120, half[..., 0] - half[..., 2] > 120
    assert np.argwhere(warm)[:, 1].mean() < np.argwhere(cold)[:, 1].mean(), (
        "the second lies six px further right"
    )


def test_a_mirrored_picture_is_mirrored_back_before_it_is_laid(samples, searched):
    copies = searched(samples, (0, 6, True, STILL)).copies
    (pair,) = copies.found.pairs
    mirrored = replace(pair, alignment=replace(pair.alignment, mirrored=True))
    known = replace(copies, found=replace(copies.found, pairs=(mirrored,)))
    half = np.zeros((60, 80), np.uint8)
    half[:, :40] = 200  # bright on the left, and so on the right once mirrored
    label = np.zeros((60, 80), np.uint8)
    label[20:30, 30:50] = 1
    (figure,) = worst_figures(
        samples, [finding("D12", sides(0, 6))], known, lambda row: half, lambda row: label
    )
    picture = pixels(figure)
    width = (picture.shape[1] - 6) // 2
    first, second = picture[:10, :width].mean(-1), picture[:10, width + 6 :].mean(-1)
    assert first[:, :20].mean() > 200 > 50 > first[:, -20:].mean()
    assert second[:, :20].mean() < 50 < 200 < second[:, -20:].mean()


def test_a_pair_that_the_search_does_not_know_is_left_out(shown):
    assert shown(finding("D12", sides(0, 6))) == []


def test_few_of_each_check_are_shown_and_no_picture_twice(shown):
    items = [{"image": f"g{g:02d}/0.png"} for g in range(10)]
    assert len(shown(finding("M4", *items), finding("M3", *items))) == 2 * EACH
    assert len(shown(finding("D11", sides(0, 1), sides(0, 2), sides(1, 2), sides(3, 4)))) == 2


def test_what_passed_and_other_checks_show_nothing(shown):
    item = {"image": "g00/0.png"}
    assert shown(finding("M5", item, status="pass"), finding("G1", item)) == []
    assert len(shown(replace(finding("D9", item), status="unverifiable"))) == 1
