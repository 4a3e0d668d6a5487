from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from harness.begin.pairing import pair
from harness.config import Choice
from harness.data.index import index_samples
from harness.errors import DataError


def drawn(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((4, 4), np.uint8)).save(root / name)


WAYS = {
    "equal names": (["i/a.png", "i/b.jpg"], ["m/a.png", "m/b.png"]),
    "an ending": (["i/a.png", "i/b.jpg"], ["m/a_mask.png", "m/b_mask.png"]),
    "a beginning of pictures": (["i/IMG_0001.png", "i/IMG_0012.jpg"], ["m/0001.png", "m/0012.png"]),
    "both": (["i/IMG_0001.png", "i/IMG_0012.jpg"], ["m/gt-1-label.png", "m/gt-12-label.png"]),
    "subfolders": (["i/t/IMG_1.png", "i/v/IMG_2.png"], ["m/t/1_seg.png", "m/v/2_seg.png"]),
    "other subfolders": (["i/t/a1.png", "i/v/b2.png"], ["m/t_masks/a1.png", "m/v_masks/b2.png"]),
    "case, blanks and zeros": (
        ["i/Foto 1.JPG", "i/Foto 2.JPG"],
        ["m/foto_01 MASK.png", "m/foto_02 MASK.png"],
    ),
    "numbers alone": (["i/teil-1 x.png", "i/part 2.png"], ["m/m01.png", "m/mm02b.png"]),
    "words that differ": (["i/a.png", "i/b.png"], ["m/a_mask.png", "m/b-label.png"]),
}


@pytest.mark.parametrize("way", WAYS)
def test_files_pair_whatever_the_way_of_naming_and_the_data_set_reads_them_so(
    way: str, tmp_path: Path
) -> None:
    images, masks = WAYS[way]
    drawn(tmp_path, *images, *masks)
    found = pair(tmp_path / "i", tmp_path / "m", clean=False)
    assert (found.pairs, found.clean) == (2, 0)
    dataset = Choice(name="folders", settings={"images": "i", "masks": "m"} | found.settings)
    samples = index_samples(dataset, base=tmp_path, cache=tmp_path).samples
    read = {("i/" + row.sample, row.mask.removeprefix("../")) for row in samples.itertuples()}
    assert read == set(zip(images, masks, strict=True))


@pytest.mark.parametrize(
    "names",
    [
        ("a_mask.png", "b_mask.png"),
        ("mask_a.png", "Mask_b.png"),
        ("a.gt.png", "b.gt.png"),
        ("A Maske.png", "B Maske.png"),
    ],
)
def test_masks_beside_their_pictures_are_told_by_their_names(names: tuple[str, str], tmp_path: Path) -> None:
    drawn(tmp_path, "d/a.png", "d/b.png", *(f"d/{name}" for name in names))
    found = pair(tmp_path / "d", tmp_path / "d", clean=False)
    dataset = Choice(name="folders", settings={"images": "d", "masks": "d"} | found.settings)
    samples = index_samples(dataset, base=tmp_path, cache=tmp_path).samples
    assert samples[["sample", "mask"]].to_numpy().tolist() == [["a.png", names[0]], ["b.png", names[1]]]


def test_equal_names_need_no_pattern(tmp_path: Path) -> None:
    drawn(tmp_path, "i/a.png", "m/a.png")
    assert pair(tmp_path / "i", tmp_path / "m", clean=False).settings == {}


def test_pictures_without_a_mask_are_told_or_taken_as_clean(tmp_path: Path) -> None:
    drawn(tmp_path, "i/a.png", "i/b.png", "i/c.png", "m/a.png", "m/c.png")
    with pytest.raises(
        DataError, match=r"i/b\.png: 1 pictures have no mask .*2 pictures have a mask; add --missing"
    ):
        pair(tmp_path / "i", tmp_path / "m", clean=False)
    found = pair(tmp_path / "i", tmp_path / "m", clean=True)
    assert (found.pairs, found.clean, found.settings) == (2, 1, {"missing_masks": "clean"})


def test_what_does_not_pair_is_one_line_with_names_of_both_sides(tmp_path: Path) -> None:
    drawn(tmp_path, "i/a.png", "i/b.png", "m/x.png", "m/y.png", "o/a.png", "o/b.png", "o/c.png")
    with pytest.raises(
        DataError, match=r"names as a\.png, b\.png do not pair with masks as x\.png, y\.png in .*m; r"
    ):
        pair(tmp_path / "i", tmp_path / "m", clean=True)
    with pytest.raises(
        DataError, match=r"o/c\.png: 1 masks have no picture of their name, 2 pictures have a mask"
    ):
        pair(tmp_path / "i", tmp_path / "o", clean=False)
    with pytest.raises(DataError, match=r"no file looks like another one's mask \(a\.png, b\.png"):
        pair(tmp_path / "i", tmp_path / "i", clean=False)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty: holds no picture; name another folder"):
        pair(tmp_path / "i", tmp_path / "empty", clean=False)
    with pytest.raises(DataError, match=r"--masks: there is no folder .*gone"):
        pair(tmp_path / "i", tmp_path / "gone", clean=False)
