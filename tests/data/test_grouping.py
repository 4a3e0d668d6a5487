import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from harness.config import Choice
from harness.data.grouping import GROUPS
from harness.data.index import index_samples
from harness.data.rows import Index
from harness.errors import ConfigError, DataError

RULES = {
    "image": ({}, ["a/part7_exp1.png", "a/part7_exp2.png", "b/part9_exp1.png"]),
    "regex": ({"id": r"part(\d+)_"}, ["7", "7", "9"]),
    "folder": ({}, ["a", "a", "b"]),
    "runs": ({"number": r"part(\d+)", "gap": 1}, ["7", "7", "9"]),
}


def picture(path: Path, taken: str = "", size: tuple[int, int] = (4, 4), orientation: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    exif[0x0112] = orientation
    if taken:
        exif.get_ifd(0x8769)[0x9003] = taken
    Image.fromarray(np.zeros((size[1], size[0]), np.uint8)).save(path, exif=exif)


def read(base: Path, rule: str | None, **settings: Any) -> Index:
    dataset = Choice(name="folders", settings={"images": "in", "masks": "out"})
    group = None if rule is None else Choice(name=rule, settings=settings)
    return index_samples(dataset, group, base=base, cache=base / "cache")


@pytest.fixture
def base(tmp_path: Path) -> Path:
    for name in ("a/part7_exp1", "a/part7_exp2", "b/part9_exp1"):
        for kind in ("in", "out"):
            picture(tmp_path / kind / f"{name}.png")
    return tmp_path


@pytest.mark.parametrize("name", RULES)
def test_a_rule_says_which_pictures_show_one_thing(base: Path, name: str) -> None:
    settings, groups = RULES[name]
    samples = read(base, name, **settings).samples.sort_values("sample")
    assert samples["group"].tolist() == groups
    assert samples["photo"].nunique() == 3, "each file stays a photograph of its own"


def test_every_rule_but_that_of_cameras_is_tried_here() -> None:
    assert set(GROUPS) == {*RULES, "time"}


def test_without_a_rule_each_picture_is_a_source(base: Path) -> None:
    assert read(base, None).samples["group"].tolist() == read(base, "image").samples["group"].tolist()


def test_runs_end_where_the_step_is_larger_and_in_each_row_of_its_own(tmp_path: Path) -> None:
    numbers = {"A": (1, 4, 7, 30, 33), "B": (2, 8)}
    for camera, some in numbers.items():
        for kind in ("in", "out"):
            for number in some:
                picture(tmp_path / kind / f"cam{camera}_{number:05}.png")
    rule = {"number": r"_(\d+)", "gap": 3}
    both = read(tmp_path, "runs", **rule).samples.set_index("sample")["group"]
    assert [
        sorted(re.sub(r"\D", "", name).lstrip("0") for name in part.index) for _, part in both.groupby(both)
    ] == [
        ["1", "2", "4", "7", "8"],
        ["30", "33"],
    ]
    apart = read(tmp_path, "runs", within=r"cam([A-Z])", **rule).samples
    assert apart.groupby("group")["sample"].size().tolist() == [3, 2, 1, 1]


def test_crops_are_put_where_their_names_say(tmp_path: Path) -> None:
    for kind in ("in", "out"):
        for x, y in ((0, 0), (64, 32)):
            picture(tmp_path / kind / f"tile9_{x}_{y}.png", size=(20, 10))
    samples = read(tmp_path, "regex", id=r"(?P<group>tile\d+)_(?P<x0>\d+)_(?P<y0>\d+)").samples
    assert samples["photo"].tolist() == ["tile9", "tile9"]
    assert samples[["x0", "y0", "w", "h"]].to_numpy().tolist() == [[0, 0, 20, 10], [64, 32, 20, 10]]


def test_a_crop_that_its_camera_turned_has_its_upright_size(tmp_path: Path) -> None:
    picture(tmp_path / "in/t_0_0.jpg", size=(20, 10), orientation=6)
    picture(tmp_path / "out/t_0_0.png", size=(10, 20))
    samples = read(tmp_path, "regex", id=r"(?P<group>t)_(?P<x0>\d+)_(?P<y0>\d+)").samples
    assert samples.loc[0, ["w", "h"]].tolist() == [10, 20]


def test_pauses_between_pictures_part_sources(tmp_path: Path) -> None:
    for n, at in enumerate(("10:00:00", "10:00:20", "10:00:39", "10:02:00")):
        picture(tmp_path / f"in/{n}.jpg", taken=f"2024:05:01 {at}")
        picture(tmp_path / f"out/{n}.png")
    assert read(tmp_path, "time", seconds=20).samples.groupby("group").size().tolist() == [3, 1]
    picture(tmp_path / "in/4.jpg")
    picture(tmp_path / "out/4.png")
    with pytest.raises(
        DataError, match=r"4\.jpg: its EXIF data do not say when it was taken; choose another"
    ):
        read(tmp_path, "time", seconds=20)


WRONG: dict[str, tuple[str, dict[str, Any], type[Exception], str]] = {
    "no expression": ("regex", {"id": "(["}, ConfigError, r"regex\.id: '\(\[' is no regular expression"),
    "no capture": ("regex", {"id": "part"}, ConfigError, r"has 0 capture groups; put \(\.\.\.\) around"),
    "two captures": ("regex", {"id": "(part)(7)"}, ConfigError, "has 2 capture groups"),
    "no match": (
        "regex",
        {"id": "exp(9)"},
        DataError,
        r"part7_exp1\.png: data\.group\.regex\.id 'exp\(9\)' finds",
    ),
    "a box of words": (
        "regex",
        {"id": r"(?P<group>p)(?P<x0>a)(?P<y0>r)"},
        DataError,
        "no whole numbers; correct",
    ),
    "too deep": (
        "folder",
        {"depth": 2},
        DataError,
        r"\(and 2 more\): lies in no 2 folders below .*in; lower",
    ),
    "no depth": ("folder", {"depth": 0}, ConfigError, r"folder\.depth: 0 is below 1; count"),
    "no number": ("runs", {"number": "(part)", "gap": 1}, DataError, "finds no whole number; correct it"),
    "no gap": ("runs", {"number": r"(\d)", "gap": 0}, ConfigError, r"runs\.gap: 0 is below 1; give"),
    "no row": (
        "runs",
        {"number": r"(\d)", "gap": 1, "within": "(q)"},
        DataError,
        r"within '\(q\)' finds nothing",
    ),
    "a pause below 0": ("time", {"seconds": -1}, ConfigError, r"time\.seconds: -1 is below 0; give"),
    "another name": (
        "regexp",
        {"id": "(a)"},
        ConfigError,
        r"data\.group: 'regexp' is not known, did you mean 'regex'",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_rule_that_does_not_fit_is_one_line(base: Path, case: str) -> None:
    rule, settings, error, line = WRONG[case]
    with pytest.raises(error, match=line):
        read(base, rule, **settings)


def test_a_table_that_names_its_sources_takes_no_rule(tmp_path: Path) -> None:
    dataset = Choice(name="demo", settings={"sources": 6})
    with pytest.raises(
        ConfigError, match=r"data\.group: 'demo' says which source each picture shows; leave it out"
    ):
        index_samples(dataset, Choice(name="image"), base=tmp_path, cache=tmp_path)
