import multiprocessing
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from harness.config import Augment, Choice, Data
from harness.data.augment import build_augmentation
from harness.data.cache import build_cache
from harness.data.crops import Cropping
from harness.data.loader import TrainingLoader, TrainingSet, to_tensor
from harness.data.sampler import Batches, build_order
from tests.conftest import content_of

SIDE = 48  # px of a crop
STREAMS = (17, 0, 2)


@pytest.fixture(scope="module")
def samples() -> pd.DataFrame:
    """Gray and color pictures, larger and smaller than a crop, of instances with one or two scales."""
    rows = []
    for number in range(9):
        height, width = (70, 90) if number % 2 else (40, 60)
        rows.append(
            {
                "sample": f"{number}.png",
                "mask": f"{number}_m.png",
                "instance": f"i{number // 2}",
                "height": height,
            }
            | {"width": width, "channels": 3 if number % 3 == 0 else 1, "positive": 16 * (number % 4 > 0)}
        )
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def dataset(samples: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> TrainingSet:
    root = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for row in samples.itertuples():
        image = rng.integers(0, 256, (row.height, row.width, row.channels)).astype(np.uint8)
        mask = np.zeros((row.height, row.width), np.uint8)
        mask[10:14, 20:24] = 255 * (row.positive > 0)
        assert cv2.imwrite(str(root / row.sample), image)
        assert cv2.imwrite(str(root / row.mask), mask)
    contents = [content_of(root, row.sample, row.mask) for row in samples.itertuples()]
    samples = pd.concat([samples, pd.DataFrame(contents)], axis=1)
    cache = build_cache(samples, root, Data(dataset=Choice(name="folders")), root / "caches")
    augmentation = build_augmentation(Augment(strength=1.0))
    return TrainingSet(cache, Cropping(SIDE, 1.25, 0.8), augmentation, STREAMS)


def delivered(dataset: TrainingSet, samples: pd.DataFrame, workers: int) -> list[tuple[Tensor, ...]]:
    """Return the batches of epochs 1 and 2, through one loader."""
    order = build_order(Choice(name="spread"))
    batches = Batches(samples, np.arange(len(samples)), 2, order, dataset.streams)
    loader = TrainingLoader(dataset, batches, workers, timeout=120.0, pin_memory=False)
    shown = []
    for epoch in (1, 2):
        batches.epoch = epoch
        shown += list(loader.deliver())
    return shown


def same(one: list[tuple[Tensor, ...]], other: list[tuple[Tensor, ...]]) -> bool:
    pairs = [(a, b) for batches in zip(one, other, strict=True) for a, b in zip(*batches, strict=True)]
    return all(torch.equal(a, b) for a, b in pairs)


def test_batches_are_what_the_network_and_the_loss_take(dataset: TrainingSet, samples: pd.DataFrame) -> None:
    for images, masks, positions in delivered(dataset, samples, 0):
        count = len(positions)
        assert images.shape == (count, 3, SIDE, SIDE)
        assert masks.shape == (count, SIDE, SIDE)
        assert images.dtype == masks.dtype == torch.uint8
        assert set(masks.unique().tolist()) <= {0, 1, 255}


@pytest.mark.parametrize("workers", [1, 2])
def test_the_number_of_workers_changes_no_bit(
    dataset: TrainingSet, samples: pd.DataFrame, workers: int
) -> None:
    torch.manual_seed(workers)
    assert same(delivered(dataset, samples, workers), delivered(dataset, samples, 0))


def test_loading_leaves_the_global_random_numbers_alone(dataset: TrainingSet, samples: pd.DataFrame) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    delivered(dataset, samples, 0)
    assert torch.equal(torch.rand(3), expected)


def test_epochs_differ_and_seeds_differ(dataset: TrainingSet, samples: pd.DataFrame) -> None:
    shown = delivered(dataset, samples, 0)
    first, second = shown[: len(shown) // 2], shown[len(shown) // 2 :]
    assert not any(torch.equal(a[0], b[0]) for a in first for b in second)
    for streams in ((18, 0, 2), (17, 1, 2), (17, 0, 3)):
        other = replace(dataset, streams=streams)
        assert not torch.equal(other[1, 5][0], dataset[1, 5][0])
    assert not torch.equal(dataset[2, 5][0], dataset[1, 5][0])


def test_the_position_returned_is_the_sample_shown(samples: pd.DataFrame, dataset: TrainingSet) -> None:
    plain = replace(
        dataset, augmentation=build_augmentation(Augment(strength=0.0)), cropping=Cropping(SIDE, 1.0, 0.0)
    )
    for images, _, positions in delivered(plain, samples, 0):
        for image, position in zip(images, positions.tolist(), strict=True):
            source = to_tensor(dataset.cache.image(position))
            corner = image[:, :1, :1] if min(source.shape[1:]) >= SIDE else image[:, 20:21, 20:21]
            assert (source == corner).all(dim=0).any()
            if min(source.shape[1:]) >= SIDE:
                windows = source.unfold(1, SIDE, 1).unfold(2, SIDE, 1)
                assert (windows == image[:, None, None]).all(dim=(0, 3, 4)).sum() == 1


def test_gray_is_repeated_and_color_keeps_its_order() -> None:
    gray = np.arange(6, dtype=np.uint8).reshape(2, 3)
    assert to_tensor(gray).tolist() == [gray.tolist()] * 3
    rgb = np.stack([gray, gray + 10, gray + 20], axis=2)
    assert to_tensor(rgb).tolist() == [gray.tolist(), (gray + 10).tolist(), (gray + 20).tolist()]


def test_cached_files_are_not_changed_by_loading(
    dataset: TrainingSet, samples: pd.DataFrame, tmp_path: Path
) -> None:
    before = (dataset.cache.folder / "images.bin").read_bytes()
    delivered(dataset, samples, 0)
    assert (dataset.cache.folder / "images.bin").read_bytes() == before


FAULTS = """
import os, signal, sys, time

def faulty(event, arguments):
    if event == "open" and str(arguments[0]).endswith("images.bin"):
        seen.append(arguments)
        if len(seen) == {number}:
            {fault}

if "--multiprocessing-fork" in sys.argv:
    seen = []
    sys.addaudithook(faulty)
"""
WAYS = {
    "died": "os._exit(1)",
    "bus error": "os.kill(os.getpid(), signal.SIGBUS)",  # what a full /dev/shm ends in
    "failed": "raise OSError('no file')",
    "hung": "time.sleep(1000)",
    "stopped": "os.kill(os.getpid(), signal.SIGSTOP)",
}


@pytest.fixture
def inject(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let loader workers meet a fault where they open the pictures for the so manieth time."""

    def write(fault: str, number: int) -> None:
        (tmp_path / "sitecustomize.py").write_text(FAULTS.format(fault=fault, number=number))
        monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)

    return write


@pytest.mark.parametrize(
    "way",
    [pytest.param(way, marks=[pytest.mark.slow] if way in ("bus error", "stopped") else []) for way in WAYS],
)
def test_when_workers_die_hang_or_fail_this_process_goes_on_with_the_next_batch(
    dataset: TrainingSet, samples: pd.DataFrame, inject: Callable[..., None], way: str
) -> None:
    inject(WAYS[way], number=6)
    batches = Batches(samples, np.arange(len(samples)), 2, build_order(Choice(name="spread")), STREAMS)
    loader = TrainingLoader(dataset, batches, workers=1, timeout=120.0, pin_memory=False, poll=0.5)
    others, shown, said = set(multiprocessing.active_children()), [], []
    for batches.epoch in (1, 2):
        for batch in loader.deliver(tell=said.append):
            shown.append(batch)
            loader.timeout = 1.0  # the workers are up
    assert same(shown, delivered(dataset, samples, 0))
    (line,) = said
    assert line.startswith("loader workers given up (")
    assert "\n" not in line
    until = time.monotonic() + 20  # a process that was killed is gone a moment later
    while set(multiprocessing.active_children()) - others and time.monotonic() < until:
        time.sleep(0.05)
    assert set(multiprocessing.active_children()) <= others


def test_workers_that_die_while_a_step_is_taken_do_not_break_into_it(
    dataset: TrainingSet, samples: pd.DataFrame
) -> None:
    batches = Batches(samples, np.arange(len(samples)), 2, build_order(Choice(name="spread")), STREAMS)
    batches.epoch = 1
    loader = TrainingLoader(dataset, batches, workers=1, timeout=120.0, pin_memory=False, poll=0.5)
    others, shown, said = set(multiprocessing.active_children()), [], []
    for batch in loader.deliver(tell=said.append):
        for process in set(multiprocessing.active_children()) - others:
            process.kill()
        time.sleep(0.2)  # what the signal does, it does here
        shown.append(batch)
    assert same(shown, delivered(dataset, samples, 0)[: len(shown)])
    assert len(shown) == len(batches)
    assert len(said) <= 1  # what was loaded ahead is used


def test_who_waits_for_hanging_workers_may_still_stop(
    dataset: TrainingSet, samples: pd.DataFrame, inject: Callable[..., None]
) -> None:
    inject(WAYS["hung"], number=1)
    batches = Batches(samples, np.arange(len(samples)), 2, build_order(Choice(name="spread")), STREAMS)
    loader = TrainingLoader(dataset, batches, workers=1, timeout=1000.0, pin_memory=False, poll=0.5)
    others = set(multiprocessing.active_children())
    assert list(loader.deliver(lambda: True)) == []
    assert set(multiprocessing.active_children()) == others


def test_a_sample_that_cannot_be_read_is_told_as_without_workers(
    dataset: TrainingSet, samples: pd.DataFrame, tmp_path: Path
) -> None:
    gone = replace(dataset, cache=replace(dataset.cache, folder=tmp_path))
    with pytest.warns(UserWarning, match="given up"), pytest.raises(FileNotFoundError) as error:
        delivered(gone, samples, 1)
    assert "\n" not in str(error.value)
