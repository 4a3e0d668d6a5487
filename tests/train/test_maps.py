"""Out-of-fold probability maps: what the fold's own network says of its validation photographs, and of no others."""

import csv
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from harness.config import Study
from harness.errors import DataError, DiskFull, Interrupted
from harness.model.predict import Photo
from harness.train.foldrun import FoldResult, run_fold
from harness.train.maps import as_map, mean_logits, predicted, validation_of, write_maps
from tests.conftest import SHORT, Tiny


@pytest.fixture(scope="module")
def fold(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> FoldResult:
    return run_fold(tiny.job(tmp_path_factory.mktemp("fold"), fold=1, **SHORT))


@pytest.fixture
def study(tiny: Tiny) -> Study:
    return tiny.with_settings(**SHORT)


def read_maps(path: Path) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    with zipfile.ZipFile(path) as archive:
        for line in csv.DictReader(io.StringIO(archive.read("index.csv").decode())):
            picture = np.frombuffer(archive.read(line["file"]), np.uint8)
            yield line["photo"], cv2.imdecode(picture, cv2.IMREAD_UNCHANGED)


def seen_of(tiny: Tiny, study: Study, fold: FoldResult) -> list[Photo]:
    return list(predicted(study, tiny.data(), [fold.weights], validation_of(tiny.data(), fold)))


def test_the_maps_are_of_the_validation_photographs_and_count_what_the_fold_counted(
    tiny: Tiny, study: Study, fold: FoldResult, tmp_path: Path
) -> None:
    path = tmp_path / "maps" / "fold_1.zip"
    write_maps(path, study, tiny.data(), fold, lambda: False)
    maps = dict(read_maps(path))
    rows = fold.out_of_fold.set_index("photo")
    assert set(maps) == set(rows.index)
    truths = {photo.name: photo.truth for photo in seen_of(tiny, study, fold)}
    for name, shown in maps.items():
        seen = (shown >= 128)[truths[name] == 1]
        assert int(seen.sum()) == rows.loc[name, "tp"]
        assert int(((shown >= 128) & (truths[name] == 0)).sum()) == rows.loc[name, "fp"]


def test_a_half_predicts_nothing_and_the_ends_are_exact() -> None:
    logits = np.array([[-np.inf, -1e-4, 0.0, 1e-4, np.inf]], np.float32)
    assert as_map(logits).tolist() == [[0, 127, 127, 128, 255]]


def test_any_program_can_read_the_archive_and_its_index(
    tiny: Tiny, study: Study, fold: FoldResult, tmp_path: Path
) -> None:
    path = tmp_path / "fold_1.zip"
    write_maps(path, study, tiny.data(), fold, lambda: False)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        lines = archive.read("index.csv").decode().split()
        assert lines[0] == "file,photo,group,fold"
        picture = cv2.imdecode(np.frombuffer(archive.read("000000.png"), np.uint8), cv2.IMREAD_UNCHANGED)
    assert picture.shape == (64, 64)
    assert picture.dtype == np.uint8


def test_stopped_there_is_no_archive(tiny: Tiny, study: Study, fold: FoldResult, tmp_path: Path) -> None:
    path = tmp_path / "fold_1.zip"
    with pytest.raises(Interrupted):
        write_maps(path, study, tiny.data(), fold, lambda: True)
    assert not path.exists()


def test_without_weights_there_are_no_maps(
    tiny: Tiny, study: Study, fold: FoldResult, tmp_path: Path
) -> None:
    fold.weights.rename(Path(fold.folder) / "away")
    try:
        with pytest.raises(DataError, match="weights"):
            write_maps(tmp_path / "fold_1.zip", study, tiny.data(), fold, lambda: False)
    finally:
        (Path(fold.folder) / "away").rename(Path(fold.folder) / "weights.safetensors")


def test_several_networks_are_the_mean_of_their_probabilities(
    tiny: Tiny, study: Study, fold: FoldResult
) -> None:
    one, two = (np.array([[value]], np.float32) for value in (0.0, np.log(9)))  # probability .5 and .9
    assert mean_logits([one, two])[0, 0] == pytest.approx(np.log(0.7 / 0.3), abs=1e-6)
    rows = validation_of(tiny.data(), fold)
    together = predicted(study, tiny.data(), [fold.weights, fold.weights], rows)
    for photo, alone in zip(together, seen_of(tiny, study, fold), strict=True):
        np.testing.assert_allclose(photo.logits, alone.logits, atol=1e-5)


def test_without_room_there_is_no_archive_and_nothing_is_left(
    tiny: Tiny, study: Study, fold: FoldResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.train.room._free", lambda folder: 2**20)
    with pytest.raises(DiskFull, match="too little room"):
        write_maps(tmp_path / "maps" / "fold_1.zip", study, tiny.data(), fold, lambda: False)
    assert not list((tmp_path / "maps").iterdir())
