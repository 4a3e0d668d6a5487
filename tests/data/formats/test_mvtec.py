from pathlib import Path

import numpy as np
import pytest

from harness.errors import DataError
from tests.data.formats.examples import classes, gray, masks, picture, read, write_mvtec


def test_masks_are_used_as_they_are_and_good_is_clean(tmp_path: Path) -> None:
    write_mvtec(tmp_path)
    rows = read(tmp_path, "mvtec", path="bottle")
    assert {row["sample"]: row["mask"] for row in rows.rows} == {
        "test/crack/000.png": "ground_truth/crack/000_mask.png",
        "test/good/000.png": "",
        "train/good/000.png": "",
    }
    assert rows.root == tmp_path / "bottle"
    assert rows.notes == (
        "3 pictures read from 1 folder, 2 clean",
        "the split into train and test is not used, since groups decide",
    )
    assert not (tmp_path / "cache").exists()


def test_a_defect_that_is_not_chosen_is_clean_and_one_without_mask_is_left_out(tmp_path: Path) -> None:
    write_mvtec(tmp_path)
    picture(tmp_path / "bottle/test/hole/001.png")
    picture(tmp_path / "bottle/test/hole/002.png")
    gray(tmp_path / "bottle/ground_truth/hole/001_mask.png", np.ones((6, 8)) * 255)
    rows = read(tmp_path, "mvtec", path="bottle", classes=["hole"])
    assert classes(rows)["test/crack/000.png"] == "clean"
    assert masks(rows)["test/crack/000.png"] == ""
    assert classes(rows)["test/hole/001.png"] == "hole"
    assert (
        "1 picture skipped: a defect without a mask in ground_truth (first: test/hole/002.png)" in rows.notes
    )


def test_one_category_is_found_and_several_are_named(tmp_path: Path) -> None:
    write_mvtec(tmp_path)
    assert read(tmp_path, "mvtec", path=".").root == tmp_path / "bottle"
    for part in ("test", "ground_truth"):
        (tmp_path / "cable" / part).mkdir(parents=True)
    with pytest.raises(
        DataError, match=r"and ground_truth/; categories below it: bottle, cable; name the folder of one"
    ):
        read(tmp_path, "mvtec", path=".")
    with pytest.raises(DataError, match="cable: no picture is left to read: it lists none"):
        read(tmp_path, "mvtec", path="cable")
    with pytest.raises(DataError, match="good: has no test/ and ground_truth/; name"):
        read(tmp_path, "mvtec", path="bottle/train/good")


def test_a_mask_of_another_size_is_told(tmp_path: Path) -> None:
    write_mvtec(tmp_path)
    gray(tmp_path / "bottle/ground_truth/crack/000_mask.png", np.ones((6, 9)) * 255)
    with pytest.raises(
        DataError, match=r"000\.png: 8 x 6 px upright, but its mask 000_mask\.png has 9 x 6; export"
    ):
        read(tmp_path, "mvtec", path="bottle")
