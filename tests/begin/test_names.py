from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from PIL import Image

from harness.begin.names import from_names, times
from harness.data.grouping import ORIENTATION, PLAIN_TIME

PATIENTS = [f"P{patient:03d}_{eye}_{visit}.png" for patient in range(4) for eye in "LR" for visit in (1, 2)]


def groups_of(names: list[str], root: Path) -> dict[str, int]:
    """Return the number of groups of each rule, by its words."""
    return {one.rule.words: len(set(one.groups)) for one in from_names(names, root)}


def test_parts_of_names_are_offered_each_partition_once(tmp_path: Path) -> None:
    found = groups_of(PATIENTS, tmp_path)
    assert found["each picture shows a thing of its own"] == 16
    assert found["the first part of a name"] == 4
    assert found["the first 2 parts of a name"] == 8
    assert "a name up to its first number" not in found  # as the first part


def test_folders_and_names_below_them_are_offered(tmp_path: Path) -> None:
    names = [f"site{site}/P{patient}_{n}.png" for site in range(2) for patient in range(3) for n in range(2)]
    found = groups_of(names, tmp_path)
    assert found["its folder"] == 2
    assert found["the first part of a name"] == 3  # one patient of both sites
    assert found["its folder and the first part of a name"] == 6


def test_crops_are_read_with_their_boxes(tmp_path: Path) -> None:
    names = [f"photo{photo}_x{x}_y{y}.png" for photo in (1, 2) for x in (0, 128) for y in (0, 64)]
    for name in names:
        Image.fromarray(np.zeros((32, 48), np.uint8)).save(tmp_path / name)
    (one,) = (one for one in from_names(names, tmp_path) if "crop" in one.rule.words)
    assert {source.group for source in one.sources} == {"photo1", "photo2"}
    assert one.sources[-1].box == (128, 64, 48, 32)


def test_a_doubtful_rule_hides_no_sound_one(tmp_path: Path) -> None:
    names = [f"bild_{photo:02d}-{x}-0-48-32.png" for photo in range(3) for x in (0, 64, 128)]
    for name in names:
        Image.fromarray(np.zeros((32, 48), np.uint8)).save(tmp_path / name)
    three = [one for one in from_names(names, tmp_path) if len(set(one.groups)) == 3]
    assert three
    assert not any(one.rule.doubtful for one in three)


def test_names_that_say_nothing_leave_each_picture_alone(tmp_path: Path) -> None:
    assert list(groups_of([f"{n}.png" for n in range(5)], tmp_path)) == [
        "each picture shows a thing of its own"
    ]


def test_times_are_taken_only_if_every_picture_has_one(tmp_path: Path) -> None:
    start = datetime(2024, 3, 1, 12, 0, 0)
    for number in range(3):
        exif = Image.Exif()
        exif[PLAIN_TIME] = (start + timedelta(seconds=number)).strftime("%Y:%m:%d %H:%M:%S")
        exif[ORIENTATION] = 1
        Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / f"{number}.jpg", exif=exif)
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "none.jpg")
    found = times(["0.jpg", "2.jpg"], tmp_path)
    assert found is not None
    assert found[1] - found[0] == 2
    assert times(["0.jpg", "none.jpg"], tmp_path) is None
