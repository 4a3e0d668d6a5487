from pathlib import Path

import pytest

from harness.config import Choice
from harness.data.index import index_samples
from harness.errors import ConfigError, DataError
from tests.data.formats.examples import SQUARE, classes, gray, picture, read, write_kolektor


def test_the_items_of_the_first_set_are_groups(tmp_path: Path) -> None:
    write_kolektor(tmp_path)
    rows = read(tmp_path, "kolektor", path="KolektorSDD")
    assert rows.grouped
    assert [(row["sample"], row["mask"], row["group"]) for row in rows.rows] == [
        (f"{item}/Part{part}.jpg", f"{item}/Part{part}_label.bmp", item)
        for item in ("kos01", "kos02")
        for part in (0, 1)
    ]
    assert rows.notes == ("4 pictures read from 1 folder, 3 clean",)
    dataset = Choice(name="kolektor", settings={"path": "KolektorSDD"})
    with pytest.raises(ConfigError, match="'kolektor' says which source each picture shows"):
        index_samples(dataset, Choice(name="image"), base=tmp_path, cache=tmp_path / "cache")


def test_the_second_set_has_no_groups_and_its_split_is_not_used(tmp_path: Path) -> None:
    for name, shows in (("train/10000", True), ("train/10001", False), ("test/20000", False)):
        picture(tmp_path / f"{name}.png")
        gray(tmp_path / f"{name}_GT.png", SQUARE * 255 * shows)
    picture(tmp_path / "test/20301.png")
    rows = read(tmp_path, "kolektor", path=".")
    assert classes(rows) == {
        "test/20000.png": "clean",
        "train/10000.png": "defect",
        "train/10001.png": "clean",
    }
    assert not rows.grouped
    assert rows.notes == (
        "3 pictures read from 1 folder, 2 clean",
        "1 picture skipped: no mask named 20301_GT (first: test/20301.png)",
        "the split into train and test is not used, since groups decide",
    )


def test_another_folder_and_a_broken_mask_are_told(tmp_path: Path) -> None:
    write_kolektor(tmp_path)
    with pytest.raises(
        DataError, match=r"kos01: no picture with a mask of Kolektor, kos01/Part0_label\.bmp or"
    ):
        read(tmp_path, "kolektor", path="KolektorSDD/kos01")
    mask = tmp_path / "KolektorSDD/kos01/Part1_label.bmp"
    mask.write_bytes(mask.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"Part1_label\.bmp: broken or cut off"):
        read(tmp_path, "kolektor", path="KolektorSDD")
    gray(mask, SQUARE[:5])
    with pytest.raises(
        DataError, match=r"Part1\.jpg: 8 x 6 px upright, but its mask Part1_label\.bmp has 8 x 5"
    ):
        read(tmp_path, "kolektor", path="KolektorSDD")
