import shutil
from pathlib import Path
from typing import Any

import pytest

from harness.config import Choice
from harness.data.index import index_samples
from harness.errors import ConfigError, DataError
from tests.data.formats.examples import SQUARE, classes, gray, lines, masks, picture, read, saved, write_csv


@pytest.fixture
def base(tmp_path: Path) -> Path:
    for name in "abc":
        picture(tmp_path / f"{name}.png")
        gray(tmp_path / f"masks/{name}.png", SQUARE * 255)
    return tmp_path


def test_run_lengths_of_several_lines_are_joined_and_empty_is_clean(tmp_path: Path) -> None:
    write_csv(tmp_path)
    text = "ImageId,ClassId,EncodedPixels\na.jpg,3,1 3\na.jpg,1,44 2\nb.jpg,1,\n"
    saved(tmp_path / "steel/train.csv", text)
    rows = read(tmp_path, "csv", path="steel/train.csv")
    assert masks(rows) == {
        "a.jpg": lines("#....... #......# #......# ........ ........ ........"),
        "b.jpg": "",
    }
    assert classes(rows) == {"a.jpg": "1+3", "b.jpg": "clean"}
    assert rows.root == tmp_path / "steel/train_images"
    assert rows.notes == ("2 pictures with 2 objects read from 1 file, 1 clean",)
    one = read(tmp_path, "csv", path="steel/train.csv", classes=["1"])
    assert masks(one)["a.jpg"] == lines("........ .......# .......# ........ ........ ........")
    saved(tmp_path / "steel/train.csv", "id;rle_mask\na;-1\nb;nan\n")
    assert classes(read(tmp_path, "csv", path="steel/train.csv")) == {"a.jpg": "clean", "b.jpg": "clean"}


def test_masks_as_files_are_used_and_columns_found_whatever_their_case(base: Path) -> None:
    saved(
        base / "t.csv", "Filename,Mask,Patient,Class,Scale\na.png,masks/a.png,p1,pit,full\nb.png,,p1,,0.5\n"
    )
    rows = read(base, "csv", path="t.csv")
    assert [
        (row["sample"], row["mask"], row["group"], row["class_id"], row["scale"]) for row in rows.rows
    ] == [
        ("a.png", "masks/a.png", "p1", "pit", "full"),
        ("b.png", "", "p1", "clean", "0.5"),
    ]
    assert rows.grouped
    assert rows.notes == ("2 pictures read from 1 folder, 1 clean",)
    assert not (base / "cache").exists()


def test_settings_name_columns_and_the_folder_of_pictures(base: Path) -> None:
    (base / "tables").mkdir()
    saved(base / "tables/t.csv", "photo,truth,who,image\na.png,masks/a.png,p1,none\n")
    named: dict[str, Any] = {"image": "photo", "mask": "truth", "group": "who"}
    rows = read(base, "csv", path="tables/t.csv", images=".", **named)
    assert [(row["sample"], row["mask"], row["group"]) for row in rows.rows] == [
        ("a.png", "masks/a.png", "p1")
    ]
    saved(base / "tables/t.csv", "photo,truth,who\na.png,m.png,p1\n")
    gray(base / "tables/m.png", SQUARE)
    rows = read(base, "csv", path="tables/t.csv", images=".", **named)
    assert rows.rows[0]["mask"] == "tables/m.png"
    with pytest.raises(
        ConfigError, match=r"csv\.image: there is no column 'phot', did you mean 'photo'\?; there: photo"
    ):
        read(base, "csv", path="tables/t.csv", images=".", **(named | {"image": "phot"}))


def test_masks_may_lie_in_a_folder_of_their_own_under_the_names_of_their_pictures(base: Path) -> None:
    picture(base / "images/a.png")
    saved(base / "t.csv", "image,mask\na.png,a.png\n")
    (base / "a.png").unlink()
    rows = read(base, "csv", path="t.csv")
    assert (rows.root / rows.rows[0]["mask"]).resolve() == base / "masks/a.png"
    assert rows.notes[1].startswith(
        f"masks are taken from {base}/masks, where files of their names lie; write"
    )
    (base / "preview").mkdir()
    (base / "preview/a.png").symlink_to(base / "images/a.png")  # no folder of masks, and no reason to refuse
    assert read(base, "csv", path="t.csv") == rows
    gray(base / "annot/a.png", SQUARE)
    with pytest.raises(
        DataError, match=r"t\.csv: files of its masks' names lie in .*annot and in .*masks; set data"
    ):
        read(base, "csv", path="t.csv")
    shutil.rmtree(base / "annot")
    gray(base / "other/truth/a.png", SQUARE)
    rows = read(base, "csv", path="t.csv", masks="other/truth")
    assert (rows.root / rows.rows[0]["mask"]).resolve() == base / "other/truth/a.png"
    with pytest.raises(DataError, match=r"data\.dataset\.csv\.masks: there is no folder .*gone"):
        read(base, "csv", path="t.csv", masks="gone")
    saved(base / "t.csv", "image,rle\na.png,1 2\n")
    with pytest.raises(
        ConfigError, match=r"csv\.masks: .*t\.csv has masks as run lengths; leave the setting out"
    ):
        read(base, "csv", path="t.csv", masks="masks")
    (base / "masks/a.png").unlink()
    shutil.rmtree(base / "other")
    saved(base / "t.csv", "image,mask\na.png,a.png\n")
    with pytest.raises(DataError, match="its mask is the picture itself"):
        read(base, "csv", path="t.csv")
    saved(base / "t.csv", "image,mask\na.png,b.png\n")
    with pytest.raises(DataError, match="its mask is not there"):
        read(base, "csv", path="t.csv", masks="images")


def test_crops_lie_in_the_photograph_of_their_group(base: Path) -> None:
    header = "image,mask,source_image_id,x0,y0,w,h"
    saved(
        base / "t.csv",
        f"{header}\na.png,masks/a.png,p1,0,0,8,6\nb.png,masks/b.png,p1,8.0,0,8,6\nc.png,,p2,,,,\n",
    )
    dataset = Choice(name="csv", settings={"path": "t.csv"})
    samples = index_samples(dataset, base=base, cache=base / "cache").samples.set_index("sample")
    assert samples["photo"].to_dict() == {"a.png": "p1", "b.png": "p1", "c.png": "c.png"}
    assert samples.loc["b.png", ["x0", "y0", "w", "h"]].tolist() == [8, 0, 8, 6]
    saved(base / "t.csv", f"{header}\na.png,masks/a.png,p1,0,0,0,6\n")
    with pytest.raises(DataError, match="line 2, w: '0' is no side of a box; fill all four or none"):
        read(base, "csv", path="t.csv")
    saved(base / "t.csv", "image,mask,x0,y0,w,h\na.png,masks/a.png,0,0,8,6\n")
    with pytest.raises(
        ConfigError, match=r"csv\.group: boxes x0, y0, w, h lie in a photograph; name the column"
    ):
        read(base, "csv", path="t.csv")


def test_files_that_are_not_there_are_counted(base: Path) -> None:
    saved(base / "t.csv", "image,mask\na.png,masks/a.png\nb.png,masks/z.png\nz.png,masks/a.png\n")
    rows = read(base, "csv", path="t.csv")
    assert classes(rows) == {"a.png": "target"}
    assert rows.notes[1:] == (
        "1 picture skipped: its mask is not there (first: b.png)",
        "1 picture skipped: the file is not there (first: z.png)",
    )


BROKEN: dict[str, tuple[str, type[Exception], str]] = {
    "no column of pictures": ("a,mask\n1,2\n", ConfigError, r"csv\.image: no usual name among the columns \['a'"),
    "no column of masks": ("image,b\n1,2\n", ConfigError, r"csv\.mask: no usual name .*set mask or rle"),
    "two of masks": ("image,mask,rle\n1,2,3\n", ConfigError, "masks as files and as run lengths; set one of"),
    "nothing": ("", DataError, "the file is empty"),
    "no lines": ("image,mask\n", DataError, "lists no picture; name another file"),
    "too many fields": ("image,mask\na.png,b,c\n", DataError, "line 2: 3 fields, the first line has 2"),
    "an open quote": ('image,mask\n"a.png,b\n', DataError, "no CSV"),
    "no picture": ("image,mask\n,b\n", DataError, "line 2: its image is blank"),
    "no group": ("image,mask,group\na.png,,\n", DataError, "line 2: its group is blank"),
    "twice": ("image,mask\na.png,\n./a.png,\n", DataError, r"line 3: 'a\.png' stands there already in line 2"),
    "two groups": ("image,rle,group\na.png,,1\na.png,,2\n", DataError, "line 3: 'a.png' has another group, scale"),
    "runs beyond": ("image,rle\na.png,48 2\n", DataError, "line 2: the run 48 2 leaves a picture of 8 x 6 px"),
    "a way out": ("image,mask\n../a.png,\n", DataError, r"line 2: '\.\./a\.png' leaves the folder of the pictures"),
    "a mask out": ("image,mask\na.png,../m.png\n", DataError, r"line 2: '\.\./m\.png' leaves the folder"),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_table_is_one_line(base: Path, case: str) -> None:
    text, error, message = BROKEN[case]
    saved(base / "t.csv", text)
    with pytest.raises(error, match=message) as caught:
        read(base, "csv", path="t.csv")
    assert "\n" not in str(caught.value)


def test_cells_of_any_length_are_read(base: Path) -> None:
    runs = " ".join(["1 1"] * 100_000)
    saved(base / "t.csv", f"image,rle\na.png,{runs}\n")
    assert masks(read(base, "csv", path="t.csv"))["a.png"] == lines("#....... " + "........ " * 5)
