from pathlib import Path
from typing import Any

import pytest

from harness.data.index import DATASETS
from harness.errors import ConfigError, DataError
from tests.data.formats.examples import WRITE, classes, content, lines, masks, picture, read

SQUARE = lines("........ ..####.. ..####.. ........ ........ ........")
SHOWS = {
    "coco": {"a.png": "pit", "b.png": "clean"},
    "yolo": {"images/train/a.png": "pit", "images/val/b.png": "clean"},
    "labelme": {"a.png": "pit", "b.png": "clean"},
    "cvat": {"a.png": "pit", "b.png": "clean"},
    "voc": {"JPEGImages/a.jpg": "15", "JPEGImages/b.jpg": "clean"},
    "mvtec": {"test/crack/000.png": "crack", "test/good/000.png": "clean", "train/good/000.png": "clean"},
    "kolektor": {
        "kos01/Part0.jpg": "clean", "kos01/Part1.jpg": "defect", "kos02/Part0.jpg": "clean", "kos02/Part1.jpg": "clean",
    },
    "supervisely": {"ds0/img/a.png": "pit", "ds0/img/b.png": "clean"},
    "csv": {"a.jpg": "3", "b.jpg": "clean"},
}  # fmt: skip
DRAWN = sorted(set(WRITE) - {"mvtec", "kolektor"})


def test_every_importer_has_an_example() -> None:
    assert set(WRITE) == set(DATASETS) - {"demo", "instances", "folders"} == set(SHOWS)


@pytest.mark.parametrize("name", WRITE)
def test_a_square_is_read_to_the_pixel_and_nothing_of_the_data_is_touched(name: str, tmp_path: Path) -> None:
    settings = WRITE[name](tmp_path)
    before = content(tmp_path)
    rows = read(tmp_path, name, **settings)
    assert classes(rows) == SHOWS[name]
    assert [mask for picture, mask in masks(rows).items() if SHOWS[name][picture] != "clean"] == [SQUARE]
    assert rows.grouped == (name == "kolektor")
    assert content(tmp_path) == before
    clean = sum(shown == "clean" for shown in SHOWS[name].values())
    assert rows.notes[0].startswith(f"{len(rows.rows)} pictures ")
    assert rows.notes[0].endswith(f", {clean} clean")


@pytest.mark.parametrize("name", WRITE)
def test_the_cache_is_used_again_and_named_by_what_is_drawn(name: str, tmp_path: Path) -> None:
    settings = WRITE[name](tmp_path)
    first = read(tmp_path, name, **settings)
    files = {p: p.stat().st_mtime_ns for p in (tmp_path / "cache").rglob("*")}
    assert read(tmp_path, name, **settings) == first
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "cache").rglob("*")} == files
    assert (len(files) > 0) == (name in DRAWN)


@pytest.mark.parametrize("name", DRAWN)
def test_masks_that_were_removed_from_the_cache_are_told(name: str, tmp_path: Path) -> None:
    settings = WRITE[name](tmp_path)
    read(tmp_path, name, **settings)
    next((tmp_path / "cache/masks").rglob("*.png")).unlink()
    with pytest.raises(
        DataError, match=r"masks/.*: the drawn masks are no longer all there; delete the folder"
    ):
        read(tmp_path, name, **settings)


@pytest.mark.parametrize("name", sorted(set(WRITE) - {"kolektor"}))
def test_classes_choose_targets_and_unknown_ones_are_refused(name: str, tmp_path: Path) -> None:
    settings = WRITE[name](tmp_path)
    (shown,) = set(SHOWS[name].values()) - {"clean"}
    assert classes(read(tmp_path, name, classes=[shown], **settings)) == SHOWS[name]
    held = content(tmp_path / "cache")
    with pytest.raises(
        ConfigError, match=rf"data\.dataset\.{name}\.classes: '{shown}x' is not known.*known: .*{shown}"
    ):
        read(tmp_path, name, classes=[f"{shown}x"], **settings)
    with pytest.raises(ConfigError, match="classes: names no class"):
        read(tmp_path, name, classes=[], **settings)
    assert content(tmp_path / "cache") == held


@pytest.mark.parametrize("name", sorted(set(WRITE) - {"kolektor", "csv", "mvtec", "voc"}))
def test_pictures_of_other_classes_only_are_clean(name: str, tmp_path: Path) -> None:
    settings = WRITE[name](tmp_path)
    known = "crack" if name != "labelme" else "pit"
    shown = classes(read(tmp_path, name, classes=[known], **settings))
    assert set(shown.values()) == ({"clean"} if known == "crack" else {"pit", "clean"})


@pytest.mark.parametrize("name", sorted(set(WRITE) - {"kolektor", "csv", "mvtec", "voc"}))
def test_a_setting_of_another_word_is_refused(name: str, tmp_path: Path) -> None:
    settings = WRITE[name](tmp_path)
    with pytest.raises(
        ConfigError, match=r"boxes: 'fil' is not known, did you mean 'fill'\?; known: fill, skip"
    ):
        read(tmp_path, name, boxes="fil", **settings)


@pytest.mark.parametrize("name", ["coco", "labelme", "cvat", "supervisely", "csv"])
def test_pictures_that_are_not_there_are_counted(name: str, tmp_path: Path) -> None:
    settings = WRITE[name](tmp_path)
    listed = sorted(SHOWS[name])[1]
    next(p for p in tmp_path.rglob(Path(listed).name) if p.is_file()).unlink()
    rows = read(tmp_path, name, **settings)
    assert len(rows.rows) == 1
    assert f"1 picture skipped: the file is not there (first: {listed})" in rows.notes


@pytest.mark.parametrize("name", ["coco", "labelme", "cvat", "supervisely"])
def test_a_picture_of_another_size_is_one_line_with_both(name: str, tmp_path: Path) -> None:
    from tests.data.formats.examples import picture

    settings = WRITE[name](tmp_path)
    path = next(p for p in tmp_path.rglob("a.png") if p.is_file())
    picture(path, (9, 6))
    with pytest.raises(DataError, match=r"drawn on 8 x 6 px, but a\.png is 9 x 6; give the picture"):
        read(tmp_path, name, **settings)
    picture(path, (8, 6), orientation=6)
    with pytest.raises(
        DataError, match=r"drawn on 8 x 6 px, but a\.png is 6 x 8 upright, the sides swapped; it was"
    ):
        read(tmp_path, name, **settings)
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("name", ["yolo", "labelme", "supervisely", "folders"])
def test_what_is_hidden_or_a_result_is_no_picture_of_the_set(name: str, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"images": ".", "masks": "masks"}
    if name == "folders":
        picture(tmp_path / "a.png")
        picture(tmp_path / "masks/a.png")
    else:
        settings = WRITE[name](tmp_path)
    root = tmp_path / str(settings.get("path", "."))
    more = {} if name in ("supervisely", "folders") else {"missing": "clean"}
    before = read(tmp_path, name, **settings, **more).rows
    for place in (".cache/masks/x", "mlruns/work/maps", "img/.hidden"):
        picture(root / place / "img" / "z.png")
    (root / "mlruns/mlflow.db").write_bytes(b"")
    assert read(tmp_path, name, **settings, **more).rows == before
