"""What every importer promises, over the table: to the pixel, originals untouched, drawn once."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from harness.choices import settings_of
from harness.config import Choice, MaskValues
from harness.data.index import DATASETS, index_samples, list_samples
from harness.data.pictures import read_mask
from harness.errors import ConfigError, DataError
from tests.data.formats.examples import EXAMPLES, blank

IMPORTS = sorted(name for name, reads in DATASETS.items() if "path" in settings_of(reads))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def bytes_of(root: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_every_importer_has_an_example() -> None:
    assert sorted(EXAMPLES) == IMPORTS


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_read_to_the_pixel_and_its_files_stay_as_they_are(name: str, root: Path) -> None:
    example = EXAMPLES[name](root)
    before = bytes_of(root)
    rows = list_samples(Choice(name=name, settings=example.settings), base=root, cache=root.parent / "cache")
    assert bytes_of(root) == before
    found = {row["sample"]: row for row in rows.rows}
    start = root if rows.root == root.resolve() else rows.root
    assert set(found) == set(example.expected)
    for sample, (mask, kind) in example.expected.items():
        row = found[sample]
        assert row["class_id"] == kind, sample
        if mask is None:
            assert row["mask"] == "", sample
        else:
            seen = read_mask(start / row["mask"], MaskValues(ignore=128))
            wanted = np.select([mask == 255, mask == 128], [1, 255], 0)
            assert (seen == wanted).all(), f"{sample}\n{seen}\n{wanted}"
    assert set(example.notes) <= set(rows.notes)
    assert rows.grouped == (example.groups is not None)
    if example.groups is not None:
        assert {sample: row["group"] for sample, row in found.items()} == example.groups


@pytest.mark.parametrize("name", EXAMPLES)
def test_masks_are_drawn_once_and_anew_where_anything_changes(name: str, root: Path) -> None:
    example, cache = EXAMPLES[name](root), root.parent / "cache"
    choice = Choice(name=name, settings=example.settings)
    first = list_samples(choice, base=root, cache=cache)
    drawn = {path: path.stat().st_mtime_ns for path in cache.rglob("*")}
    second = list_samples(choice, base=root, cache=cache)
    assert first == second
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("*")} == drawn
    samples = index_samples(choice, base=root, cache=cache).samples
    assert samples["sample"].tolist() == sorted(samples["sample"])


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_place_that_is_not_there_or_an_archive_is_one_line(name: str, root: Path) -> None:
    cache = root.parent / "cache"
    shutil.make_archive(str(root / "set"), "zip", root)
    for path, says in (
        ("gone", "there is no .*gone; correct"),
        ("set.zip", "is an archive; unpack it first"),
    ):
        with pytest.raises(DataError, match=rf"data\.dataset\.{name}\.path: .*{says}"):
            list_samples(Choice(name=name, settings={"path": path}), base=root, cache=cache)
    with pytest.raises(DataError):
        list_samples(Choice(name=name, settings={"path": "."}), base=root, cache=cache)
    assert not cache.exists()


@pytest.mark.parametrize(
    "name", [name for name in IMPORTS if "classes" in settings_of(DATASETS[name]) and name != "csv"]
)
def test_a_class_that_does_not_exist_is_told_with_those_that_do(name: str, root: Path) -> None:
    settings = EXAMPLES[name](root).settings | {"classes": ["pitt"]}
    with pytest.raises(
        ConfigError, match=rf"data\.dataset\.{name}\.classes: 'pitt' is no class of it.*; known: "
    ):
        list_samples(Choice(name=name, settings=settings), base=root, cache=root.parent / "cache")


FILLED = {"coco": ("d.png", (1, 1, 5, 5)), "yolo": ("images/val/c.png", (8, 6, 12, 10))}


@pytest.mark.parametrize("name", FILLED)
def test_boxes_are_filled_where_that_is_asked_for(name: str, root: Path) -> None:
    settings = EXAMPLES[name](root).settings | {"boxes": "fill"}
    rows = list_samples(Choice(name=name, settings=settings), base=root, cache=root.parent / "cache")
    sample, (x0, y0, x1, y1) = FILLED[name]
    (mask,) = (row["mask"] for row in rows.rows if row["sample"] == sample)
    wanted = blank()
    wanted[y0:y1, x0:x1] = 255
    assert (np.array(Image.open(rows.root / mask)) == wanted).all()


MISSING = {"labelme": "sub/z.png", "voc": "JPEGImages/c.jpg", "yolo": "images/val/d.png"}


@pytest.mark.parametrize("name", MISSING)
def test_pictures_without_labels_are_clean_where_that_is_asked_for(name: str, root: Path) -> None:
    settings = EXAMPLES[name](root).settings | {"missing": "clean"}
    rows = list_samples(Choice(name=name, settings=settings), base=root, cache=root.parent / "cache")
    (row,) = (row for row in rows.rows if row["sample"] == MISSING[name])
    assert (row["mask"], row["class_id"]) == ("", "clean")


@pytest.mark.parametrize("name", ["coco", "cvat", "labelme", "supervisely"])
def test_annotations_of_another_size_are_refused_with_both_sizes(name: str, root: Path) -> None:
    settings = EXAMPLES[name](root).settings
    first = next(path for path in sorted(root.rglob("a.png")))
    Image.fromarray(np.zeros((20, 16), np.uint8)).save(first)
    with pytest.raises(DataError, match=r"a\.png: 16 x 20 px upright, but annotated at 20 x 16 \(turned by"):
        list_samples(Choice(name=name, settings=settings), base=root, cache=root.parent / "cache")
    assert not (root.parent / "cache").exists()
