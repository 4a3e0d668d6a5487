from dataclasses import replace

import cv2
import numpy as np
import pandas as pd

from harness.data.audit.figures import pair_figures
from harness.data.audit.report import audit
from harness.data.copies.align import align
from harness.data.copies.calibrate import Calibration
from harness.data.copies.find import Found, Pair
from harness.data.copies.recognize import recognize
from harness.data.copies.search import Copies


def grain(seed):
    noise = np.random.default_rng(seed).standard_normal((300, 300)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 1.6)
    return np.clip(120 + 25 * smooth / smooth.std(), 0, 255).astype(np.uint8)


def two_pictures(folder, *, turn):
    """Write a picture and a darker cut of it, turned; return their table and the search that found them."""
    surface = grain(1)
    second = np.rot90(surface[40:, 40:] // 2, turn)
    for name, picture in (("a.png", surface[:260, :260]), ("b.png", second)):
        cv2.imwrite(str(folder / name), picture)
    found = align(recognize(surface[:260, :260]), recognize(second), mirrored=False)
    assert found is not None
    pair = Pair(0, 1, found, sure=True)
    search = Found((pair,), np.ones(2, bool), Calibration(7, 0, 0, 0), (), True, True)
    table = pd.DataFrame({"sample": ["a.png", "b.png"], "declared": ["one", "two"], "group": ["one", "two"]})
    return table, Copies(search, {})


def test_two_pictures_are_laid_on_each_other_and_hardly_differ(tmp_path):
    table, copies = two_pictures(tmp_path, turn=1)
    (figure,) = pair_figures(table, tmp_path, copies)
    shown = cv2.imdecode(np.frombuffer(figure.file, np.uint8), cv2.IMREAD_GRAYSCALE)
    width = (192 + 6) * 2
    first, moved, difference = (shown[:384, at : at + 384] for at in (0, width, 2 * width))
    inside = moved > 20
    assert 0.5 < inside.mean() < 0.9
    assert np.corrcoef(first[inside], moved[inside])[0, 1] > 0.9
    assert np.abs(difference[inside & (difference < 255)].astype(float) - 128).mean() < 8


def test_captions_name_files_decision_and_evidence(tmp_path):
    table, copies = two_pictures(tmp_path, turn=0)
    (figure,) = pair_figures(table, tmp_path, copies)
    for part in ("a.png and b.png", "overlap, sure", "key points", "agreement"):
        assert part in figure.caption


def test_pairs_belong_to_the_check_of_their_kind(tmp_path):
    table, copies = two_pictures(tmp_path, turn=0)
    assert [figure.check for figure in pair_figures(table, tmp_path, copies)] == ["D5"]


def test_pictures_of_one_declared_group_are_not_shown(tmp_path):
    table, copies = two_pictures(tmp_path, turn=0)
    assert not list(pair_figures(table.assign(declared="one"), tmp_path, copies))


def test_the_page_holds_its_pictures_itself(tmp_path, samples, split):
    table, copies = two_pictures(tmp_path, turn=0)
    html = audit(samples, split, manifest="m").to_html(pair_figures(table, tmp_path, copies))
    assert html.count('src="data:image/jpeg;base64,') == 1
    assert "img-src data:" in html


def test_equal_pictures_and_textures_without_key_points_are_said_to_be_so(tmp_path):
    table, copies = two_pictures(tmp_path, turn=0)
    (pair,) = copies.found.pairs
    for agreement, words in ((1.0, "the same pixels"), (0.95, "by the whole texture, without key points")):
        plain = replace(pair, alignment=replace(pair.alignment, inliers=0, agreement=agreement))
        known = replace(copies, found=replace(copies.found, pairs=(plain,)))
        (figure,) = pair_figures(table, tmp_path, known)
        assert words in figure.caption
        assert "0 key points" not in figure.caption


def test_what_is_not_joined_is_shown_before_what_is(tmp_path):
    """Four joined pairs of the same two pictures come first in the table; three of a kind are shown."""
    table, copies = two_pictures(tmp_path, turn=0)
    (pair,) = copies.found.pairs
    rows = pd.concat([table] * 5, ignore_index=True)
    rows["group"] = ["joined"] * 8 + ["one", "two"]
    pairs = tuple(replace(pair, first=2 * n, second=2 * n + 1) for n in range(5))
    found = replace(copies.found, pairs=pairs, verifiable=np.ones(10, bool))
    rows.loc[8, "sample"] = "c.png"
    cv2.imwrite(str(tmp_path / "c.png"), cv2.imread(str(tmp_path / "a.png"), 0))
    figures = list(pair_figures(rows, tmp_path, replace(copies, found=found)))
    assert len(figures) == 3
    assert figures[0].caption.startswith("c.png and b.png")
