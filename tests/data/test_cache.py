import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from harness.config import Choice, Data
from harness.data.cache import build_cache, cache_key, open_cache
from harness.data.index import index_samples
from harness.data.manifest import read_manifest
from harness.data.pictures import fit, fit_mask, read_image, read_mask
from harness.errors import DataError

BUILDER = """
import sys
from pathlib import Path
import pandas as pd
from harness.config import Data
from harness.data.cache import build_cache

root, caches, data = sys.argv[1:]
build_cache(pd.read_parquet(Path(root) / "samples.parquet"), Path(root), Data.model_validate_json(data), Path(caches))
"""


def data_of(**settings: Any) -> Data:
    return Data.model_validate({"dataset": "folders", "masks": {"ignore": 128}} | settings)


def write(root: Path, name: str, image: NDArray[Any], mask: NDArray[np.uint8] | None) -> None:
    for folder, pixels in (("images", image), ("masks", mask)):
        (root / folder).mkdir(parents=True, exist_ok=True)
        if pixels is not None:
            assert cv2.imwrite(str(root / folder / f"{name}.png"), pixels)


def table(root: Path, data: Data) -> pd.DataFrame:
    """Return the manifest's rows, with paths relative to `root`."""
    settings = {"images": str(root / "images"), "masks": str(root / "masks"), "missing_masks": "clean"}
    index = index_samples(Choice(name="folders", settings=settings), base=root, cache=root)
    samples = read_manifest(index, data).samples
    samples["sample"] = "images/" + samples["sample"]
    samples["mask"] = samples["mask"].str.removeprefix("../")
    return samples


def drawn(seed: int, shape: tuple[int, ...], top: int = 255) -> NDArray[Any]:
    kind = np.uint8 if top == 255 else np.uint16
    return np.random.default_rng(seed).integers(0, top, shape, endpoint=True).astype(kind)


def spotted(shape: tuple[int, int]) -> NDArray[np.uint8]:
    mask = np.zeros(shape, np.uint8)
    mask[5:9, 7:20] = 255
    mask[-6:-2] = 128
    return mask


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A gray picture, a color one and a gray one without a mask, none of one size."""
    write(tmp_path / "data", "a", drawn(0, (45, 60)), spotted((45, 60)))
    write(tmp_path / "data", "b", drawn(1, (71, 33, 3)), spotted((71, 33)))
    write(tmp_path / "data", "c", drawn(2, (40, 50)), None)
    return tmp_path / "data"


@pytest.mark.parametrize("size", [None, 32, 96])
def test_cached_pixels_are_those_of_decoding_again(root: Path, size: int | None, tmp_path: Path) -> None:
    data = data_of(size=size)
    samples = table(root, data)
    cache = build_cache(samples, root, data, tmp_path / "caches")
    for position, row in enumerate(samples.itertuples()):
        image = read_image(root / str(row.sample))
        truth = (
            read_mask(root / str(row.mask), data.masks) if row.mask else np.zeros(image.shape[:2], np.uint8)
        )
        np.testing.assert_array_equal(cache.image(position), fit(image, size))
        np.testing.assert_array_equal(cache.mask(position), fit_mask(truth, size))
        np.testing.assert_array_equal(cache.truth(position), truth)
        assert set(np.unique(cache.mask(position))) <= {0, 1, 255}
    assert [cache.image(position).ndim for position in range(3)] == [2, 3, 2]


def test_sixteen_bits_are_cached_as_white_says(tmp_path: Path) -> None:
    write(tmp_path, "a", drawn(0, (40, 50), top=4095), spotted((40, 50)))
    shown = {}
    for white in (4095, 2000):
        data = data_of(white=white)
        cache = build_cache(table(tmp_path, data), tmp_path, data, tmp_path / "caches")
        shown[white] = cache.image(0)
        np.testing.assert_array_equal(cache.image(0), read_image(tmp_path / "images/a.png", white=white))
    assert shown[2000].mean() > shown[4095].mean() + 30


def test_the_key_follows_content_and_settings_and_not_the_place(root: Path, tmp_path: Path) -> None:
    samples = table(root, data_of())
    moved = shutil.copytree(root, tmp_path / "elsewhere")
    key = cache_key(samples, data_of())
    assert cache_key(table(moved, data_of()), data_of()) == key
    others = [
        cache_key(samples, data_of(size=32)),
        cache_key(samples, data_of(white=200)),
        cache_key(samples.iloc[::-1], data_of()),
    ]
    write(moved, "c", drawn(3, (40, 50)), None)
    others.append(cache_key(table(moved, data_of()), data_of()))
    write(moved, "c", drawn(2, (40, 50)), spotted((40, 50)))
    others.append(cache_key(table(moved, data_of()), data_of()))
    assert len({key, *others}) == 6


def test_gray_pixels_in_an_rgb_file_are_not_served_from_the_gray_files_cache(tmp_path: Path) -> None:
    gray = drawn(0, (40, 50))
    for name, image in (("gray", gray), ("rgb", np.repeat(gray[..., None], 3, axis=2))):
        write(tmp_path / name, "a", image, spotted((40, 50)))
    shapes = [
        build_cache(table(tmp_path / name, data_of()), tmp_path / name, data_of(), tmp_path / "caches")
        .image(0)
        .shape
        for name in ("gray", "rgb")
    ]
    assert shapes == [(40, 50), (40, 50, 3)]


def test_a_second_build_reads_no_picture(root: Path, tmp_path: Path) -> None:
    samples = table(root, data_of())
    first = build_cache(samples, root, data_of(), tmp_path / "caches")
    written = (first.folder / "images.bin").stat().st_mtime_ns
    shutil.rmtree(root / "images")
    second = build_cache(samples, root, data_of(), tmp_path / "caches")
    assert second.folder == first.folder
    assert (second.folder / "images.bin").stat().st_mtime_ns == written


def test_cached_arrays_are_mapped_and_cannot_be_written(root: Path, tmp_path: Path) -> None:
    cache = build_cache(table(root, data_of()), root, data_of(), tmp_path / "caches")
    for pixels in (cache.image(1), cache.mask(1)):
        assert isinstance(pixels, np.memmap)
        with pytest.raises(ValueError, match="read-only"):
            pixels[0, 0] = 7


@pytest.mark.parametrize("name", ["images.bin", "masks.bin", "truth.bin", "rows.parquet"])
@pytest.mark.parametrize("harm", ["cut", "removed"])
def test_a_cache_that_is_not_whole_is_refused_and_built_anew(
    root: Path, name: str, harm: str, tmp_path: Path
) -> None:
    samples = table(root, data_of())
    cache = build_cache(samples, root, data_of(), tmp_path / "caches")
    expected = cache.image(1).copy()
    if harm == "cut":
        os.truncate(cache.folder / name, (cache.folder / name).stat().st_size - 1)
    else:
        (cache.folder / name).unlink()
    with pytest.raises(DataError, match="run the study again"):
        open_cache(cache.folder)
    np.testing.assert_array_equal(
        build_cache(samples, root, data_of(), tmp_path / "caches").image(1), expected
    )
    assert os.listdir(tmp_path / "caches") == [cache.folder.name]


@pytest.mark.parametrize("name", ["images.bin", "masks.bin", "truth.bin"])
def test_a_flipped_bit_is_an_error_that_names_the_file_and_is_decoded_anew(
    root: Path, name: str, tmp_path: Path
) -> None:
    samples, caches = table(root, data_of()), tmp_path / "caches"
    cache = build_cache(samples, root, data_of(), caches)
    whole = (cache.folder / name).read_bytes()
    damaged = bytearray(whole)
    damaged[len(whole) // 2] ^= 4
    (cache.folder / name).write_bytes(bytes(damaged))
    opened = open_cache(cache.folder)
    with pytest.raises(DataError, match=rf"{name}: damaged at byte \d+; run the study again"):
        [(opened.image(position), opened.mask(position), opened.truth(position)) for position in range(3)]
    again = build_cache(samples, root, data_of(), caches)
    assert (again.folder / name).read_bytes() == whole
    assert os.listdir(caches) == [cache.folder.name]


@pytest.mark.parametrize("name", ["images/a.png", "masks/a.png"])
def test_a_file_that_changed_after_the_audit_is_named_and_nothing_is_built(
    root: Path, name: str, tmp_path: Path
) -> None:
    samples, caches = table(root, data_of()), tmp_path / "caches"
    other = {"images/a.png": drawn(7, (45, 60)), "masks/a.png": np.zeros((45, 60), np.uint8)}[name]
    assert cv2.imwrite(str(root / name), other)
    with pytest.raises(DataError, match=rf"{name}: its pixels changed .* since they were audited"):
        build_cache(samples, root, data_of(), caches)
    os.truncate(root / name, 60)
    with pytest.raises(DataError, match=name):
        build_cache(samples, root, data_of(), caches)
    assert not any(caches.iterdir())


def test_a_disk_without_room_is_told_before_anything_is_written(root: Path, tmp_path: Path) -> None:
    data = data_of(size=10**7)
    with pytest.raises(
        DataError, match=r"need \d+\.\d GB and .* GB are free; free some space, or lower data.size"
    ):
        build_cache(table(root, data), root, data, tmp_path / "caches")
    assert not any((tmp_path / "caches").iterdir())


def test_a_failed_build_leaves_nothing(root: Path, tmp_path: Path) -> None:
    samples = table(root, data_of())
    (root / "images/b.png").unlink()
    with pytest.raises(DataError, match=r"b\.png"):
        build_cache(samples, root, data_of(), tmp_path / "caches")
    assert not any((tmp_path / "caches").iterdir())


class Builders:
    """Builders of one cache in processes of their own."""

    def __init__(self, folder: Path) -> None:
        self.root, self.caches, self.data = folder / "many", folder / "caches", data_of(size=1024)
        for number in range(24):
            write(self.root, f"{number:02}", drawn(number, (256, 256, 3)), spotted((256, 256)))
        self.samples = table(self.root, self.data)
        self.samples.to_parquet(self.root / "samples.parquet")

    def start(self) -> subprocess.Popen[bytes]:
        arguments = [str(self.root), str(self.caches), self.data.model_dump_json()]
        return subprocess.Popen([sys.executable, "-c", BUILDER, *arguments])

    def stopped_in_the_middle(self) -> subprocess.Popen[bytes]:
        """Start a builder and stop it with some pictures written and others not."""
        process, whole = self.start(), 24 * 1024 * 1024 * 3
        for _ in range(20_000):
            if any(0 < file.stat().st_size < whole for file in self.caches.glob("building-*/images.bin")):
                process.send_signal(signal.SIGSTOP)
                return process
            time.sleep(0.002)
        raise AssertionError("the builder was never seen at work")

    def build(self) -> list[str]:
        """Build here; return what lies in the folder of caches."""
        cache = build_cache(self.samples, self.root, self.data, self.caches)
        for position in (0, 23):
            decoded = read_image(self.root / self.samples["sample"].iloc[position])
            np.testing.assert_array_equal(cache.image(position), fit(decoded, 1024))
        return sorted(os.listdir(self.caches))


@pytest.fixture
def builders(tmp_path: Path) -> Builders:
    return Builders(tmp_path)


def test_a_builder_killed_in_the_middle_leaves_no_cache_and_no_obstacle(builders: Builders) -> None:
    process = builders.stopped_in_the_middle()
    process.kill()
    assert process.wait(timeout=60) == -signal.SIGKILL
    key = cache_key(builders.samples, builders.data)
    (left,) = builders.caches.iterdir()
    for folder in (left, builders.caches / key):
        with pytest.raises(DataError, match="no decoded pictures here"):
            open_cache(folder)
    assert builders.build() == [key]


def test_builders_at_once_give_one_cache_and_no_leftovers(builders: Builders) -> None:
    slow = builders.stopped_in_the_middle()
    assert builders.start().wait(timeout=60) == 0
    key = cache_key(builders.samples, builders.data)
    (at_work,) = builders.caches.glob("building-*")
    assert builders.build() == sorted([key, at_work.name])  # a living builder's folder is left alone
    slow.send_signal(signal.SIGCONT)
    assert slow.wait(timeout=60) == 0
    assert builders.build() == [key]
