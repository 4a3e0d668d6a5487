import csv
import json
import shutil
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations
from multiprocessing import get_context

import cv2
import numpy as np
import pytest

from harness.data.demo import (
    CLEAN,
    DEMO_VERSION,
    KINDS,
    MOST_SOURCES,
    draw_source,
    texture_cell,
    write_demo,
)
from harness.errors import DataError

COLUMNS = "sample_path,mask_path,source_image_id,class_id,scale,photo_id,x0,y0,w,h"
SMALL = 6  # sources, enough for every kind and a second pit


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    root = tmp_path_factory.mktemp("demo") / "set"
    write_demo(root)
    return root


@pytest.fixture(scope="module")
def rows(demo):
    with open(demo / "instances.csv", newline="", encoding="utf-8") as file:
        return [row | {key: int(row[key]) for key in ("x0", "y0", "w", "h")} for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def masks(demo, rows):
    return {row["sample_path"]: read(demo / row["mask_path"]) for row in rows}


def read(path):
    return cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED)


def contents(root):
    return {
        path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }


def grouped(rows, column):
    return {key: [row for row in rows if row[column] == key] for key in {row[column] for row in rows}}


def test_the_set_has_the_promised_sources_samples_and_kinds(rows):
    sources = grouped(rows, "source_image_id")
    positive = {row["source_image_id"] for row in rows if row["class_id"] != CLEAN}
    assert len(sources) == 60
    assert len(positive) == 48
    assert 140 <= len(rows) <= 200
    assert {row["class_id"] for row in rows} == {"pit", "scratch", "spot", "crack", CLEAN}
    for kind in KINDS:
        assert len({row["source_image_id"] for row in rows if row["class_id"] == kind}) == 12


def test_the_csv_has_the_documented_columns_and_names_every_file_once(demo, rows):
    assert (demo / "instances.csv").read_text(encoding="utf-8").splitlines()[0] == COLUMNS
    named = [row[column] for row in rows for column in ("sample_path", "mask_path")]
    assert sorted(named) == sorted(name for name in contents(demo) if name.endswith(".png"))


def test_a_crop_level_split_would_leak(rows):
    photos = [{row["photo_id"] for row in group} for group in grouped(rows, "source_image_id").values()]
    assert {len(p) for p in photos} == {1, 2, 3}
    assert all(
        len({row["source_image_id"] for row in group}) == 1 for group in grouped(rows, "photo_id").values()
    )
    overlapping = [
        (a, b)
        for group in grouped(rows, "photo_id").values()
        for a, b in combinations(group, 2)
        if min(a["x0"] + a["w"], b["x0"] + b["w"]) > max(a["x0"], b["x0"])
        and min(a["y0"] + a["h"], b["y0"] + b["h"]) > max(a["y0"], b["y0"])
    ]
    assert len(overlapping) >= 30


def test_some_clean_crops_come_from_sources_with_defects(rows):
    positive = {row["source_image_id"] for row in rows if row["class_id"] != CLEAN}
    clean = [row for row in rows if row["class_id"] == CLEAN]
    assert sum(row["source_image_id"] in positive for row in clean) >= 5
    assert len({row["source_image_id"] for row in clean} - positive) == 12


def test_masks_hold_0_and_255_fit_their_images_and_agree_with_the_class(demo, rows, masks):
    for row in rows:
        image, mask = read(demo / row["sample_path"]), masks[row["sample_path"]]
        assert image.dtype == mask.dtype == np.uint8
        assert image.shape[:2] == mask.shape
        assert set(np.unique(mask)) <= {0, 255}
        assert mask.any() == (row["class_id"] != CLEAN)


def test_boxes_are_the_size_of_the_file_or_twice_that_at_half_scale(rows, masks):
    assert {row["scale"] for row in rows} == {"full", "0.5"}
    for row in rows:
        height, width = masks[row["sample_path"]].shape
        shrink = {"full": 1, "0.5": 2}[row["scale"]]
        assert (row["w"], row["h"]) == (width * shrink, height * shrink)
        assert min(row["x0"], row["y0"]) >= 0
        assert 96 <= min(width, height) <= max(width, height) <= 160


def test_a_half_scale_crop_shows_all_that_the_full_crop_of_its_photo_shows(rows):
    for half in (row for row in rows if row["scale"] == "0.5"):
        (full,) = (r for r in rows if r["photo_id"] == half["photo_id"] and r["scale"] == "full")
        assert half["x0"] <= full["x0"]
        assert half["x0"] + half["w"] >= full["x0"] + full["w"]
        assert half["y0"] <= full["y0"]
        assert half["y0"] + half["h"] >= full["y0"] + full["h"]


def test_boxes_and_scales_say_what_of_the_source_a_crop_shows(demo, rows, masks):
    for row in rows[:8] + [row for row in rows if row["scale"] == "0.5"][:8]:
        source = draw_source(1, int(row["source_image_id"][1:]))
        step = {"full": 1, "0.5": 2}[row["scale"]]
        shown = []
        for whole in (source.surface, source.mask):
            part = whole[row["y0"] : row["y0"] + row["h"], row["x0"] : row["x0"] + row["w"]]
            shown.append(part.reshape(row["h"] // step, step, row["w"] // step, step).mean(axis=(1, 3)))
        picture = read(demo / row["sample_path"])
        gray = picture if picture.ndim == 2 else picture.mean(axis=2)
        assert np.corrcoef(gray.ravel(), shown[0].ravel())[0, 1] > 0.9
        assert np.array_equal(masks[row["sample_path"]] > 0, shown[1] >= 0.5)


def test_defects_cover_a_small_share_of_the_samples_that_show_one(masks):
    cover = np.array([(mask > 0).mean() for mask in masks.values() if mask.any()])
    assert np.median(cover) < 0.03
    assert np.mean((cover >= 0.001) & (cover <= 0.05)) > 0.9
    assert cover.max() < 0.1


@pytest.mark.parametrize("number", range(2 * len(KINDS)))
def test_the_mask_is_where_the_surface_was_changed(number):
    source = draw_source(1, number)
    change = np.abs(source.surface - source.intact) / source.intact
    near = cv2.dilate(source.mask.astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
    assert not change[~near].any() or change[~near].max() < 0.02
    if source.kind != CLEAN:
        assert np.median(change[source.mask]) > 0.2
        assert change[source.mask].mean() > 10 * change[~source.mask].mean()
    assert (source.kind == CLEAN) == (not source.mask.any())


def test_scratches_are_bright_and_other_defects_dark():
    for number, kind in enumerate(KINDS):
        source = draw_source(1, number)
        change = (source.surface - source.intact)[source.mask].mean()
        assert source.kind == kind
        assert (change > 0) == (kind == "scratch")


def test_no_two_sources_share_texture_pixels():
    cells = [texture_cell(number) for number in range(MOST_SOURCES)]
    assert {cell.shape for cell in cells} == {(102, 102)}
    assert not any(np.shares_memory(a, b) for a, b in combinations(cells, 2))


def test_sources_of_one_texture_look_different_even_when_searched_for():
    surfaces = [draw_source(1, number).intact for number in range(0, 30, 3)]
    for a, b in combinations(surfaces, 2):
        patch = np.ascontiguousarray(a[60:156, 60:156])
        assert cv2.matchTemplate(a, patch, cv2.TM_CCOEFF_NORMED).max() > 0.99
        assert cv2.matchTemplate(b, patch, cv2.TM_CCOEFF_NORMED).max() < 0.85


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not(tmp_path):
    np.random.seed(5)
    write_demo(tmp_path / "a", sources=SMALL, seed=3)
    np.random.seed(6)
    write_demo(tmp_path / "b", sources=SMALL, seed=3)
    write_demo(tmp_path / "c", sources=SMALL, seed=4)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    first = "images/s000-e0-c0.png"
    assert contents(tmp_path / "a")[first] != contents(tmp_path / "c")[first]


def test_fewer_sources_are_the_first_ones_of_more(demo, tmp_path):
    write_demo(tmp_path / "few", sources=SMALL)
    few = {name: data for name, data in contents(tmp_path / "few").items() if name.endswith(".png")}
    assert few.items() <= contents(demo).items()


def test_a_complete_set_is_left_alone(tmp_path):
    root = tmp_path / "set"
    write_demo(root, sources=2)
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    write_demo(root, sources=2)
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


@pytest.mark.parametrize(
    "lost", ["demo.json", "instances.csv", "masks", "masks/s000-e0-c0.png", "images/s000-e0-c0.png"]
)
def test_a_half_written_folder_is_not_taken_as_complete(tmp_path, lost):
    root = tmp_path / "set"
    write_demo(root, sources=1)
    path = root / lost
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    before = contents(root)
    with pytest.raises(DataError, match="is not the whole demo set"):
        write_demo(root, sources=1)
    assert contents(root) == before


def test_another_seed_number_or_version_is_not_taken_for_this_set(tmp_path):
    root = tmp_path / "set"
    write_demo(root, sources=1)
    for other in ({"sources": 2}, {"sources": 1, "seed": 2}):
        with pytest.raises(DataError, match="name another folder"):
            write_demo(root, **other)
    marker = json.loads((root / "demo.json").read_text(encoding="utf-8"))
    (root / "demo.json").write_text(json.dumps(marker | {"version": DEMO_VERSION + 1}), encoding="utf-8")
    with pytest.raises(DataError, match="name another folder"):
        write_demo(root, sources=1)


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "set").write_text("mine")
    with pytest.raises(DataError, match="set: is not the whole"):
        write_demo(tmp_path / "set", sources=1)
    assert (tmp_path / "set").read_text() == "mine"


def test_a_writer_that_fails_leaves_nothing_behind(tmp_path):
    with pytest.raises(ValueError, match="negative"):
        write_demo(tmp_path / "set", sources=1, seed=-1)
    assert list(tmp_path.iterdir()) == []


def test_a_killed_writer_leaves_no_half_set(tmp_path):
    writer = get_context("spawn").Process(target=write_demo, args=(tmp_path / "set",), kwargs={"sources": 40})
    writer.start()
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".set-*/set/images/s001-*.png")) and time.monotonic() < deadline:
        time.sleep(0.01)
    writer.kill()
    writer.join()
    assert writer.exitcode == -signal.SIGKILL
    assert not (tmp_path / "set").exists()
    write_demo(tmp_path / "set", sources=1)
    assert (tmp_path / "set" / "instances.csv").is_file()


def test_concurrent_writers_leave_one_whole_set(tmp_path):
    write_demo(tmp_path / "alone", sources=2)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: write_demo(tmp_path / "shared", sources=2), range(4)))
    assert contents(tmp_path / "shared") == contents(tmp_path / "alone")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["alone", "shared"]


def test_an_empty_folder_and_missing_parents_are_fine(tmp_path):
    (tmp_path / "empty").mkdir()
    for root in (tmp_path / "empty", tmp_path / "not" / "yet" / "there"):
        write_demo(root, sources=1)
        assert (root / "instances.csv").is_file()


@pytest.mark.parametrize("sources", [0, MOST_SOURCES + 1])
def test_more_sources_than_the_textures_hold_are_refused(tmp_path, sources):
    with pytest.raises(DataError, match=f"{sources} sources asked for"):
        write_demo(tmp_path / "set", sources=sources)


def test_every_source_the_textures_have_room_for_can_be_drawn():
    last = draw_source(1, MOST_SOURCES - 1)
    assert last.intact.std() > 5
