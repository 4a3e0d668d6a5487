import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from PIL import Image

from harness.config import Choice, Data
from harness.data.index import index_samples
from harness.data.manifest import Manifest, drop_rare_classes, read_manifest
from harness.data.rows import Index
from harness.errors import DataError

TARGET = np.zeros((20, 30), np.uint8)
TARGET[2:6, 3:9] = 255
CLEAN = np.zeros_like(TARGET)


def picture(seed: int, shape: tuple[int, ...] = (20, 30)) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


class Pack:
    """A data set in a folder, built a sample at a time."""

    def __init__(self, root: Path) -> None:
        self.root, self.lines = root, []
        root.mkdir(exist_ok=True)

    def add(
        self,
        name: str,
        image: NDArray[Any],
        mask: NDArray[Any] = CLEAN,
        *,
        group: str = "g",
        box: str = ",,,",
    ) -> "Pack":
        assert cv2.imwrite(str(self.root / f"{name}.png"), image)
        Image.fromarray(mask).save(self.root / f"{name}_m.png")
        self.lines.append(f"{name}.png,{name}_m.png,{group},pit,full,{box}")
        return self

    def index(self) -> Index:
        header = "sample_path,mask_path,source_image_id,class_id,scale,x0,y0,w,h"
        (self.root / "instances.csv").write_text("\n".join([header, *self.lines]) + "\n")
        choice = Choice(name="instances", settings={"root": str(self.root)})
        return index_samples(choice, base=self.root, cache=self.root)

    def manifest(self, **data: Any) -> Manifest:
        return read_manifest(self.index(), Data.model_validate({"dataset": "instances"} | data))


@pytest.fixture
def pack(tmp_path: Path) -> Pack:
    """One good positive sample, `a`."""
    return Pack(tmp_path / "pack").add("a", picture(0), TARGET)


def test_each_row_says_what_its_files_hold(pack: Pack) -> None:
    mask = TARGET.copy()
    mask[6, 9] = 255  # touches the first object at a corner
    mask[15:17, 20] = 255
    mask[-3:] = 128
    pack.add("b", picture(1, (20, 30, 3)), mask)
    samples = pack.manifest(masks={"ignore": 128}).samples.set_index("sample")
    facts = ["height", "width", "channels", "positive", "valid", "objects"]
    assert samples.loc["a.png", facts].tolist() == [20, 30, 1, 24, 600, 1]
    assert samples.loc["b.png", facts].tolist() == [20, 30, 3, 27, 510, 2]


def test_each_row_has_its_measures_and_the_sizes_of_its_objects(pack: Pack) -> None:
    mask = TARGET.copy()
    mask[10:18, 12:28] = 255
    mask[19, 0] = 255
    samples = pack.add("b", picture(1), mask).manifest(size=32).samples.set_index("sample")
    assert samples[["small", "medium", "large"]].to_numpy().tolist() == [
        [1, 0, 0],
        [2, 0, 1],
    ]  # 24; 1, 24, 128
    assert samples["file_bytes"].tolist() == [(pack.root / name).stat().st_size for name in samples.index]
    assert samples.loc["b.png", ["smallest_px", "largest_px", "shortest_side"]].tolist() == [1, 128, 1]
    assert samples["shown"].tolist() == [32, 32]
    assert samples.loc["a.png", "gray_mean"] == pytest.approx(picture(0).mean(), abs=0.01)


def test_pixels_count_for_the_hash_and_not_their_file(pack: Pack) -> None:
    gray = picture(0)
    pack.add("same", gray, TARGET).add("rgb", np.repeat(gray[..., None], 3, 2)).add("other", picture(1))
    Image.fromarray(gray).save(pack.root / "same.png", compress_level=1)
    samples = pack.manifest().samples.set_index("sample")
    pixels, files = samples["pixels_sha256"], samples["file_sha256"]
    assert pixels["a.png"] == pixels["same.png"] == pixels["rgb.png"] != pixels["other.png"]
    assert files.is_unique
    masks = samples["mask_sha256"]
    assert masks["a.png"] == masks["same.png"] != masks["rgb.png"]


def test_a_picture_is_constant_where_no_pixel_differs_in_any_bit(pack: Pack) -> None:
    deep = np.full((20, 30), 40_000, np.uint16)
    pack.add("deep", deep.copy())
    deep[3, 4] += 1  # which 8 bits do not show
    pack.add("nearly", deep)
    pack.add("colored", np.full((20, 30, 3), (9, 80, 200), np.uint8))
    constant = pack.manifest().samples.set_index("sample")["constant"]
    assert constant.to_dict() == {"a.png": False, "colored.png": True, "deep.png": True, "nearly.png": False}


def test_turned_pictures_are_measured_and_hashed_upright(pack: Pack) -> None:
    tags = Image.Exif()
    tags[0x0112] = 6
    turned = Image.fromarray(np.rot90(picture(0)))
    pack.add("b", picture(1), TARGET)
    turned.save(pack.root / "b.png", exif=tags)
    samples = pack.manifest().samples
    assert samples["height"].tolist() == [20, 20]
    assert samples["pixels_sha256"].nunique() == 1


def test_the_digest_depends_on_content_and_rows_but_not_on_order_or_place(tmp_path: Path) -> None:
    def digest(name: str, order: str = "ab", **changed: Any) -> str:
        pack, samples = Pack(tmp_path / name), {"a": picture(0), "b": picture(1)}
        for sample in order:
            pack.add(sample, samples[sample], TARGET, **(changed if sample == "b" else {}))
        return pack.manifest().digest

    assert digest("one") == digest("two", "ba")
    boxes = [digest(f"box{x}", box=f"{x},0,30,20") for x in (0, 1)]
    assert len({digest("one"), digest("three", "a"), digest("four", group="h"), *boxes}) == 5
    pack = Pack(tmp_path / "six").add("a", picture(0), TARGET).add("b", picture(1), 255 - TARGET)
    assert pack.manifest().digest != digest("one")


def test_neither_threads_nor_the_order_of_rows_change_the_digest(pack: Pack) -> None:
    for n in range(12):
        pack.add(f"s{n}", picture(n), TARGET)
    index, data = pack.index(), Data(dataset=Choice(name="instances"))
    one, four = (read_manifest(index, data, threads=threads) for threads in (1, 4))
    assert one.samples.equals(four.samples)
    assert one.digest == four.digest
    reversed_rows = index.samples[::-1].reset_index(drop=True)
    assert read_manifest(Index(index.root, reversed_rows), data).digest == one.digest


def test_a_picture_without_a_mask_file_is_all_background(tmp_path: Path) -> None:
    pack = Pack(tmp_path / "p").add("a", picture(0), TARGET).add("b", picture(1), TARGET)
    index = pack.index()
    index.samples.loc[1, "mask"] = ""
    samples = read_manifest(index, Data(dataset=Choice(name="folders"))).samples
    assert samples[["positive", "objects", "valid"]].to_numpy().tolist() == [[24, 1, 600], [0, 0, 600]]


# What stops a run


def test_a_mask_of_another_size_is_named_with_both_sizes(pack: Pack) -> None:
    with pytest.raises(
        DataError, match=r"b\.png: 30 x 20 px upright, but its mask b_m\.png has 20 x 30; export"
    ):
        pack.add("b", picture(1), TARGET.T.copy()).manifest()


def test_the_first_bad_sample_of_several_is_named_in_table_order(pack: Pack) -> None:
    for name in ("d", "c", "b"):
        pack.add(name, picture(1), TARGET)
    for name, kept in (("d.png", 60), ("b_m.png", 50)):
        (pack.root / name).write_bytes((pack.root / name).read_bytes()[:kept])
    (pack.root / "c.png").write_bytes(b"")
    for _ in range(5):
        with pytest.raises(DataError, match=r"b_m\.png: .*cut off.* \(and 2 more cannot be used\)$"):
            pack.manifest()


def test_undeclared_and_never_occurring_mask_values_stop_the_run(pack: Pack) -> None:
    with pytest.raises(
        DataError, match=r"a_m\.png: holds the values 0, 255; data\.masks declares {background: 0, target: 1}"
    ):
        pack.manifest(masks={"target": 1})  # fmt: skip
    with pytest.raises(DataError, match=r"data\.masks: the target value 1 is in none of the 1 masks, which hold "
                       r"only 0 and 255; declare the values as stored"):  # fmt: skip
        pack.manifest(masks={"target": 1, "ignore": 255})
    with pytest.raises(
        DataError, match=r"target value 255 is in none of the 1 masks, which hold only 0; declare"
    ):
        Pack(pack.root.parent / "clean").add("a", picture(0)).manifest()


@pytest.mark.parametrize(
    ("width", "box", "fits"),
    [
        (30, "0,0,30,20", True),
        (30, "5,5,9,6", True),
        (30, "5,5,300,200", True),
        (30, "0,0,31,20", True),  # a pixel of rounding
        (300, "0,0,300,203", True),  # 1.5 %
        (300, "0,0,300,206", False),
        (30, "0,0,20,30", False),
        (30, "0,0,128,128", False),
    ],
)
def test_a_file_must_have_the_shape_of_its_box(pack: Pack, width: int, box: str, fits: bool) -> None:
    height = width * 2 // 3
    pack.add("b", picture(1, (height, width)), np.zeros((height, width), np.uint8), box=box)
    if fits:
        assert len(pack.manifest().samples) == 2
        return
    sizes = f"{width} x {height} px, but its box is {' x '.join(box.split(',')[2:])}"
    with pytest.raises(DataError, match=rf"b\.png: {sizes}; a file shows its whole box"):
        pack.manifest()


def test_crops_of_one_photo_that_lie_too_far_apart_to_be_merged_are_named(pack: Pack) -> None:
    for name, box in (("b", "0,0,30,20"), ("c", "200000000,200000000,30,20")):
        pack.add(name, picture(len(pack.lines)), TARGET, group="g2", box=box)
    with pytest.raises(
        DataError, match="photo 'g2': its crop boxes span 200000030 x 200000020 px, more than"
    ):
        pack.manifest()


def test_dark_16_bit_sets_must_declare_white_but_one_dark_picture_may_be(pack: Pack) -> None:
    deep = picture(1).astype(np.uint16)
    dark = deep * np.uint16(11)
    pack.add("b", dark, TARGET).add("c", deep, TARGET)
    with pytest.raises(DataError, match=rf"data\.white: the 2 16-bit pictures hold no value above {dark.max()}, so "
                       r"they would be nearly black; declare .* data\.white: 4095"):  # fmt: skip
        pack.manifest()
    assert len(pack.add("d", deep * np.uint16(100), TARGET).manifest().samples) == 4


def test_a_declared_white_is_held_to_every_file(pack: Pack) -> None:
    dark = picture(1).astype(np.uint16) * np.uint16(11)
    only_deep = Pack(pack.root.parent / "deep").add("a", dark, TARGET)
    assert len(only_deep.manifest(white=4095).samples) == 1
    with pytest.raises(DataError, match=r"a\.png: data\.white is 4095, but this file's values end at 255"):
        pack.add("b", dark, TARGET).manifest(white=4095)


# Rare classes


def classes(**sources: list[tuple[str, int]]) -> pd.DataFrame:
    """Return samples of each class, given as (group, target pixels)."""
    rows = [(name, *sample) for name, samples in sources.items() for sample in samples]
    return pd.DataFrame(rows, columns=["class_id", "group", "positive"])


def test_a_class_counts_the_source_images_that_show_it() -> None:
    samples = classes(pit=[("a", 5), ("a", 5), ("b", 5)], crack=[("a", 5), ("c", 5), ("d", 5)])
    assert drop_rare_classes(samples, below=3, action="report")[1] == {"pit": 2}
    assert drop_rare_classes(samples, below=2, action="drop")[1] == {}


def test_reporting_keeps_and_dropping_removes_the_positive_samples_only() -> None:
    samples = classes(pit=[("a", 5), ("b", 0)], crack=[("c", 5), ("d", 5)], free=[("e", 0)])
    kept, rare = drop_rare_classes(samples, below=2, action="report")
    assert rare == {"pit": 1}  # `free` has no target, so it is no class to learn
    assert kept.equals(samples)
    kept, rare = drop_rare_classes(samples, below=2, action="drop")
    assert rare == {"pit": 1}
    assert kept["group"].tolist() == ["b", "c", "d", "e"]
    assert kept.index.tolist() == [0, 1, 2, 3]


def test_dropping_every_class_is_an_error() -> None:
    samples = classes(pit=[("a", 5)], crack=[("b", 5)], free=[("c", 0)])
    with pytest.raises(DataError, match=r"data\.rare_classes: drop leaves no sample with a target: every class has "
                       r"fewer than 30 source images \(crack: 1, pit: 1\); set report, or lower"):  # fmt: skip
        drop_rare_classes(samples, below=30, action="drop")


@pytest.mark.skipif(
    "HARNESS_DATA" not in os.environ, reason="set HARNESS_DATA to the folder of magnetic_tile"
)
def test_the_real_tiles_are_read_and_their_rare_classes_found(tmp_path: Path) -> None:
    settings = {"root": "${HARNESS_DATA}/magnetic_tile", "csv": "instances_small.csv"}
    index = index_samples(Choice(name="instances", settings=settings), base=tmp_path, cache=tmp_path)
    samples = read_manifest(index, Data(dataset=Choice(name="instances"))).samples
    assert (samples["positive"] > 0).sum() == 257
    assert drop_rare_classes(samples, below=30, action="report")[1] == {
        "blowhole": 20,
        "break": 16,
        "crack": 9,
    }
