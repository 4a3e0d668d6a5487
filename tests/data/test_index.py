import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from harness.config import Choice
from harness.data.index import DATASETS, index_samples
from harness.data.rows import Index
from harness.errors import ConfigError, DataError
from tests.data.formats.examples import WRITE

HEADER = "sample_path,mask_path,source_image_id,class_id,scale"
Write = Callable[..., Index]


def pictures(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((4, 4), np.uint8)).save(root / name)


def read(base: Path, name: str, **settings: Any) -> Index:
    return index_samples(Choice(name=name, settings=settings), base=base, cache=base / "cache")


@pytest.fixture
def table(tmp_path: Path) -> Write:
    """Write a CSV of these lines beside the pictures a, b, c, d and their masks, and read it."""
    pictures(tmp_path, *(f"{name}{end}.png" for name in "abcd" for end in ("", "_m")))

    def write(*lines: str, header: str = HEADER, encoding: str = "utf-8") -> Index:
        (tmp_path / "instances.csv").write_text("\n".join([header, *lines]) + "\n", encoding=encoding)
        return read(tmp_path, "instances", root=".")

    return write


def line(name: str, group: str = "g", class_id: str = "pit", scale: str = "full") -> str:
    return f"{name}.png,{name}_m.png,{group},{class_id},{scale}"


# Every data set of the table


@pytest.mark.parametrize("name", DATASETS)
def test_every_data_set_gives_the_columns_and_types_promised(name: str, tmp_path: Path) -> None:
    pictures(tmp_path, "images/a.png", "images/b.jpg", "masks/a.png", "masks/b.png")
    (tmp_path / "instances.csv").write_text(f"{HEADER}\nimages/a.png,masks/a.png,1,pit,full\n")
    settings: dict[str, dict[str, Any]] = {
        "demo": {"sources": 5, "seed": 3},
        "instances": {"root": "."},
        "folders": {"images": "images", "masks": "masks"},
    }
    index = read(tmp_path, name, **(settings.get(name) or WRITE[name](tmp_path)))
    types = {column: str(dtype) for column, dtype in index.samples.dtypes.items()}
    text = ("sample", "mask", "group", "photo", "instance", "class_id", "scale")
    assert types == dict.fromkeys(text, "str") | dict.fromkeys(("x0", "y0", "w", "h", "fold"), "Int64")
    assert index.samples["sample"].is_unique
    assert all((index.root / path).is_file() for column in text[:2] for path in index.samples[column] if path)
    assert index.samples.index.equals(pd.RangeIndex(len(index.samples)))


def test_the_demo_is_drawn_once_and_each_seed_has_a_folder(tmp_path: Path) -> None:
    first = read(tmp_path, "demo", sources=5)
    drawn = {path: path.stat().st_mtime_ns for path in first.root.rglob("*")}
    again = read(tmp_path, "demo", sources=5)
    assert first.samples.equals(again.samples)
    assert drawn == {path: path.stat().st_mtime_ns for path in again.root.rglob("*")}
    assert read(tmp_path, "demo", sources=5, seed=2).root != first.root


@pytest.mark.skipif(
    "HARNESS_DATA" not in os.environ, reason="set HARNESS_DATA to the folder of magnetic_tile"
)
@pytest.mark.parametrize(
    ("csv", "rows", "groups"), [("instances.csv", 1344, 207), ("instances_small.csv", 1209, 186)]
)
def test_the_real_tiles_are_read(tmp_path: Path, csv: str, rows: int, groups: int) -> None:
    samples = read(tmp_path, "instances", root="${HARNESS_DATA}/magnetic_tile", csv=csv).samples
    assert len(samples) == samples["instance"].nunique() == rows
    assert samples["group"].nunique() == groups


# instances.csv


def test_ids_stay_text_and_unknown_columns_are_ignored(table: Write) -> None:
    samples = table("a.png,a_m.png,001,007,1.50,3.2", header=f"{HEADER},coverage").samples
    assert samples.loc[0, ["group", "class_id", "scale"]].tolist() == ["001", "007", "1.50"]
    assert "coverage" not in samples


def test_a_spreadsheets_byte_order_mark_and_blanks_around_cells_do_no_harm(table: Write) -> None:
    samples = table(" ./a.png , a_m.png, g ,pit,full", encoding="utf-8-sig").samples
    assert samples.loc[0, ["sample", "mask", "group"]].tolist() == ["a.png", "a_m.png", "g"]


def test_the_table_does_not_depend_on_the_order_of_the_lines(table: Write) -> None:
    lines = [line("a", "z"), line("b", "y"), line("c", "y", scale="0.5"), line("d", "y")]
    first, second = table(*lines).samples, table(*reversed(lines)).samples
    assert first.equals(second)
    assert first["sample"].tolist() == ["b.png", "c.png", "d.png", "a.png"]


def test_without_boxes_every_file_is_its_own_photo_and_instance(table: Write) -> None:
    samples = table(line("a"), line("b", scale="0.5")).samples
    assert samples["photo"].tolist() == ["a.png", "b.png"]
    assert samples["instance"].nunique() == 2
    assert samples[["x0", "fold"]].isna().all(axis=None)


def test_rows_of_a_photo_and_class_at_other_scales_are_paired_in_order(table: Write) -> None:
    header = f"{HEADER},x0,y0,w,h"
    rows = [line("a", class_id="crack", scale="0.5"), line("b"), line("c", scale="0.5"), line("d")]
    samples = table(*(f"{row},{n},0,4,4" for n, row in enumerate(rows)), header=header).samples
    assert set(samples["photo"]) == {"g"}
    instance = samples.set_index("sample")["instance"]
    assert instance["b.png"] == instance["c.png"]
    assert instance.nunique() == 3


def test_given_photos_instances_folds_and_boxes_are_taken_as_written(table: Write) -> None:
    header = f"{HEADER},photo_id,instance_id,x0,y0,w,h,fold"
    samples = table(f"{line('a')},p1,i1,0,2.0,4,4,-1", f"{line('b')},p1,i1,,,,,3", header=header).samples
    assert samples["photo"].tolist() == ["p1", "p1"]
    assert samples["instance"].tolist() == ["i1", "i1"]
    assert samples["fold"].tolist() == [-1, 3]
    assert samples[["x0", "y0", "w", "h"]].loc[0].tolist() == [0, 2, 4, 4]
    assert samples[["x0", "y0", "w", "h"]].loc[1].isna().all()


BOX = f"{HEADER},x0,y0,w,h"
SHARED = [f"{line('a', 'g')},p", f"{line('b', 'h')},p"]
BROKEN = {
    "a missing column": ([line("a")], HEADER.replace("ss", "s"), "line 1, class_id: column missing, did you mean"),
    "a missing box column": ([line("a")], f"{HEADER},x0,y0,w", "line 1, h: column missing"),
    "a column twice": ([f"{line('a')},x"], f"{HEADER},scale", "line 1, scale: the column stands there twice"),
    "a NaN": ([line("a"), line("b", class_id="NaN")], HEADER, "line 3, class_id: 'NaN' is blank; fill it in every row"),
    "a blank": ([line("a", group="")], HEADER, "line 2, source_image_id: '' is blank"),
    "a blank photo": ([f"{line('a')}, "], f"{HEADER},photo_id", "line 2, photo_id: '' is blank"),
    "a blank fold": ([f"{line('a')},0", f"{line('b')},"], f"{HEADER},fold", "line 3, fold: '' is blank"),
    "a half fold": ([f"{line('a')},1.5"], f"{HEADER},fold", "line 2, fold: '1.5' is no whole number"),
    "a low fold": ([f"{line('a')},-2"], f"{HEADER},fold", "line 2, fold: -2 is below -1"),
    "a part of a box": ([f"{line('a')},0,0,,4"], BOX, "line 2, w: blank, but the box has other sides; fill all four"),
    "a box in letters": ([f"{line('a')},0,zero,4,4"], BOX, "line 2, y0: 'zero' is no whole number"),
    "a box of no width": ([f"{line('a')},0,0,0,4"], BOX, "line 2, w: 0 is below 1; correct it"),
    "a negative corner": ([f"{line('a')},-1,0,4,4"], BOX, "line 2, x0: -1 is below 0; correct it"),
    "a repeated file": ([line("a"), line("b"), line("./a")], HEADER, r"line 4, sample_path: 'a\.png' is on line 2"),
    "a way out": ([line("../a")], HEADER, r"line 2, sample_path: '\.\./a\.png' leaves the root; write"),
    "an absolute path": (["a.png,/a_m.png,g,pit,full"], HEADER, r"line 2, mask_path: '/a_m\.png' leaves the root"),
    "missing files": ([line("a"), line("x"), line("y")], HEADER, r"line 3, sample_path: no file 'x.* \(and 3 more\)"),
    "a missing mask": (["a.png,e_m.png,g,pit,full"], HEADER, r"line 2, mask_path: no file 'e_m\.png' in [^(]*; add it"),
    "too many fields": ([f"{line('a')},1"], HEADER, "line 2: not as many fields as columns; quote fields"),
    "too few fields": (["a.png,a_m.png"], HEADER, "line 2: not as many fields as columns"),
    "no rows": ([], HEADER, "no rows; write one line a sample"),
    "nothing": ([], "", "line 1, sample_path: column missing; it needs sample_path, mask_path"),
    "an open quote": (['"a.png,'], HEADER, "no CSV in UTF-8"),
    "a shared photo": (SHARED, f"{HEADER},photo_id", "photo_id: 'p' stands in the source images 'g' and 'h'; give"),
    "a shared instance": (SHARED, f"{HEADER},instance_id", "instance_id: 'p' stands in the source images"),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_csv_is_one_line_with_file_line_and_column(table: Write, case: str) -> None:
    lines, header, message = BROKEN[case]
    with pytest.raises(DataError, match=rf"instances\.csv[,:] ({message})") as caught:
        table(*lines, header=header)
    assert "\n" not in str(caught.value)


def test_a_csv_that_is_no_text_or_not_there_is_one_line(table: Write, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"instances\.csv: no CSV in UTF-8 .*; save it as one"):
        table(line("a", group="Größe"), encoding="latin-1")
    with pytest.raises(DataError, match=r"other\.csv: cannot be read \(No such file or directory\)"):
        read(tmp_path, "instances", root=".", csv="other.csv")


# Paths and settings


def test_paths_start_at_the_study_file_and_take_home_and_variables(
    table: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table(line("a"))
    monkeypatch.setenv("HOME", str(tmp_path.parent))
    monkeypatch.setenv("PACKS", str(tmp_path.parent))
    for root in (".", str(tmp_path), f"~/{tmp_path.name}", f"${{PACKS}}/{tmp_path.name}"):
        assert read(tmp_path, "instances", root=root).root == tmp_path


def test_wrong_settings_are_one_line_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HARNESS_NOWHERE", raising=False)
    with pytest.raises(ConfigError, match=r"data\.dataset\.instances\.root: the environment variable HARNESS_NOWHERE "
                       r"in '\$\{HARNESS_NOWHERE\}/x' is not set; export HARNESS_NOWHERE=/path"):  # fmt: skip
        read(tmp_path, "instances", root="${HARNESS_NOWHERE}/x")
    with pytest.raises(
        DataError, match=r"data\.dataset\.instances\.root: there is no folder .*nowhere; correct"
    ):
        read(tmp_path, "instances", root="nowhere")
    with pytest.raises(ConfigError, match=r"data\.dataset: 'folder' is not known, did you mean 'folders'\?"):
        read(tmp_path, "folder")
    with pytest.raises(ConfigError, match=r"data\.dataset\.instances\.root: missing; 'instances' needs it"):
        read(tmp_path, "instances")
    with pytest.raises(ConfigError, match=r"data\.dataset\.instances\.root: 3; it must be a text"):
        read(tmp_path, "instances", root=3)


# Folder pairs


def test_folders_are_paired_by_subfolder_and_name_whatever_the_suffix(tmp_path: Path) -> None:
    pictures(
        tmp_path, "in/s/a.JPG", "in/t/a.png", "in/b.v2.tif", "out/s/a.png", "out/t/a.png", "out/b.v2.png"
    )
    (tmp_path / "in/notes.txt").touch()
    (tmp_path / "in/.hidden.png").touch()
    index = read(tmp_path, "folders", images="in", masks="out")
    assert index.root == tmp_path / "in"
    rows = index.samples[["sample", "mask", "group", "photo", "class_id", "scale"]].to_numpy().tolist()
    assert rows[0] == ["b.v2.tif", "../out/b.v2.png", "b.v2.tif", "b.v2.tif", "target", "full"]
    assert [row[:2] for row in rows[1:]] == [["s/a.JPG", "../out/s/a.png"], ["t/a.png", "../out/t/a.png"]]


PLACES = [("d", "d", "_mask"), ("d", "d/masks", "_mask"), ("d", "d/masks", ""), ("d/images", "d", "")]


@pytest.mark.parametrize(("images", "masks", "end"), PLACES)
def test_masks_may_lie_beside_below_or_above_the_images(
    tmp_path: Path, images: str, masks: str, end: str
) -> None:
    pictures(tmp_path, f"{images}/a.png", f"{images}/b.png", f"{masks}/a{end}.png", f"{masks}/b{end}.png")
    mask_id = {"mask_id": f"^(.*){end}$"} if end else {}
    samples = read(tmp_path, "folders", images=images, masks=masks, **mask_id).samples
    assert samples["sample"].tolist() == ["a.png", "b.png"]
    expected = [(tmp_path / masks / f"{name}{end}.png") for name in "ab"]
    assert [(tmp_path / images / mask).resolve() for mask in samples["mask"]] == expected


def test_files_of_other_names_are_paired_by_what_patterns_capture(tmp_path: Path) -> None:
    pictures(
        tmp_path, "in/A/IMG_001.png", "in/b/IMG_2.png", "in/b/notes.png", "out/a/gt-1.png", "out/b/gt-002.png"
    )
    index = read(
        tmp_path, "folders", images="in", masks="out", image_id=r"(.*)IMG_(\d+)", mask_id=r"^(.*)gt-(\d+)$"
    )
    assert index.samples[["sample", "mask"]].to_numpy().tolist() == [
        ["A/IMG_001.png", "../out/a/gt-1.png"],
        ["b/IMG_2.png", "../out/b/gt-002.png"],
    ]
    assert index.notes == (
        "1 pictures not taken, as image_id finds nothing in their names (first: notes.png)",
    )


def test_images_without_masks_are_an_error_or_declared_clean(tmp_path: Path) -> None:
    pictures(tmp_path, "in/a.png", "in/b.png", "in/c.png", "out/c.png")
    with pytest.raises(
        DataError, match=r"in/a\.png \(and 1 more\): no mask of that name in .*out; add it, set"
    ):
        read(tmp_path, "folders", images="in", masks="out")
    samples = read(tmp_path, "folders", images="in", masks="out", missing_masks="clean").samples
    assert samples["mask"].tolist() == ["", "", "../out/c.png"]
    with pytest.raises(ConfigError, match=r"missing_masks: 'ignore' is not known; known: clean, error"):
        read(tmp_path, "folders", images="in", masks="out", missing_masks="ignore")


def test_folders_that_cannot_be_paired_are_one_line_each(tmp_path: Path) -> None:
    pictures(tmp_path, "in/a.png", "out/a.png", "out/b.png", "empty/x/readme.png")
    with pytest.raises(DataError, match=r"out/b\.png: a mask without its image; add or remove it"):
        read(tmp_path, "folders", images="in", masks="out")
    with pytest.raises(ConfigError, match=r"folders\.mask_id: images and masks share a folder; say what"):
        read(tmp_path, "folders", images="in", masks="in")
    with pytest.raises(
        DataError, match=r"out: holds no picture that mask_id '\(\.\*\)_mask' fits; check data\.d"
    ):
        read(tmp_path, "folders", images="in", masks="out", mask_id="(.*)_mask")
    with pytest.raises(ConfigError, match=r"folders\.mask_id: '\(' is no regular expression .*; correct it"):
        read(tmp_path, "folders", images="in", masks="out", mask_id="(")
    with pytest.raises(ConfigError, match=r"folders\.image_id: 'a' captures nothing; put \(\.\.\.\) around"):
        read(tmp_path, "folders", images="in", masks="out", image_id="a")
    pictures(tmp_path, "in/b.png", "in/a.jpg")
    with pytest.raises(DataError, match=r"in/a\.png: a\.jpg has the same name; keep or rename"):
        read(tmp_path, "folders", images="in", masks="out")
