"""Cache, crops and augmentation make batches; every number drawn follows from (seed, repeat, fold, epoch, index)."""

import multiprocessing
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from harness.data.augment import Augmentation
from harness.data.cache import Cache
from harness.data.crops import Cropping, cut_crop
from harness.data.sampler import Batches, Key

Pixels = NDArray[np.uint8]
Loaded = tuple[Tensor, Tensor, Tensor]  # images, masks, positions
Loader = DataLoader[tuple[Tensor, Tensor, int]]


@dataclass(frozen=True)
class TrainingSet(Dataset[tuple[Tensor, Tensor, int]]):
    """The canonical dataset: a key (epoch, position) gives image (3, S, S), mask (S, S) in {0, 1, 255}, position."""

    cache: Cache
    cropping: Cropping
    augmentation: Augmentation
    streams: tuple[int, ...]  # study seed, repeat, fold

    def __getitem__(self, key: Key) -> tuple[Tensor, Tensor, int]:
        epoch, position = key
        rng = np.random.default_rng([*self.streams, epoch, position])
        image, mask = cut_crop(self.cache.image(position), self.cache.mask(position), self.cropping, rng)
        image, mask = self.augmentation(image, mask, int(rng.integers(2**31)))
        return to_tensor(image), torch.from_numpy(np.ascontiguousarray(mask)), position


def to_tensor(image: Pixels) -> Tensor:
    """Return an image as uint8 (3, H, W); gray is repeated."""
    rgb = image if image.ndim == 3 else np.repeat(image[:, :, None], 3, axis=2)
    return torch.from_numpy(np.ascontiguousarray(rgb.transpose(2, 0, 1)))


@dataclass
class TrainingLoader:
    """Delivers the batches of one epoch at a time, the same ones for any number of worker processes.

    Where one of those dies, fails or delivers nothing for `timeout` seconds, they are all ended, and this very process
    loads the batch that is due and all that follow.
    """

    dataset: TrainingSet
    batches: Batches
    workers: int
    timeout: float  # s
    pin_memory: bool
    poll: float = 5.0  # s between looks at whether worker processes live, and whether to stop
    _processes: Loader | None = field(default=None, init=False)  # kept: they take seconds to start
    _others: set[BaseProcess] = field(default_factory=set, init=False)  # that this process had started before

    def deliver(
        self, should_stop: Callable[[], bool] = lambda: False, tell: Callable[[str], None] = warnings.warn
    ) -> Iterator[Loaded]:
        """Yield images (B, 3, S, S) uint8, masks (B, S, S) uint8, positions (B,) until `should_stop` says so.

        `tell` gets one line when the worker processes are given up.
        """
        keys = list(self.batches)
        source: Iterator[Loaded] | None = None
        for done in range(len(keys)):
            try:
                source = source or self._open(keys[done:])
                batch = self._next(source, should_stop)
            except Exception as error:  # of many kinds; what is wrong with a sample comes again below
                if not self.workers:
                    raise
                self._give_up(error, tell)
                source = self._open(keys[done:])
                batch = next(source)
            if batch is None or should_stop():
                return
            yield batch

    def _open(self, keys: list[list[Key]]) -> Iterator[Loaded]:
        """Return what loads these batches, the ones that `self.batches` has left."""
        if not self.workers:
            return iter(self._loader(keys))
        if self._processes is None:
            self._others = set(multiprocessing.active_children())
            self._processes = self._loader(
                self.batches,
                num_workers=self.workers,
                multiprocessing_context="spawn",
                persistent_workers=True,
                worker_init_fn=_one_thread,
                timeout=min(self.poll, self.timeout),
            )
        with _child_signal_kept():
            return iter(self._processes)

    def _loader(self, batches: Iterable[list[Key]], **settings: Any) -> Loader:
        return DataLoader(
            self.dataset,
            batch_sampler=batches,
            pin_memory=self.pin_memory,
            generator=torch.Generator(),  # else every epoch draws from the global stream
            **settings,
        )

    def _next(self, source: Iterator[Loaded], should_stop: Callable[[], bool]) -> Loaded | None:
        """Return the next batch, or None where it is not there yet and no longer wanted."""
        began = time.monotonic()
        while True:
            try:
                return next(source)
            except RuntimeError as error:
                if "timed out" not in str(error) or time.monotonic() - began >= self.timeout:
                    raise
                if should_stop():
                    self._end()  # else their hanging would be waited for
                    return None

    def _give_up(self, error: Exception, tell: Callable[[str], None]) -> None:
        """End the worker processes for good."""
        line = (str(error).strip().splitlines() or [type(error).__name__])[
            -1
        ]  # a traceback may come before it
        tell(f"loader workers given up ({line}); this process loads from here on")
        self._end()
        self.workers = 0

    def _end(self) -> None:
        for process in set(multiprocessing.active_children()) - self._others:
            process.kill()
        self._processes = None


@contextmanager
def _child_signal_kept() -> Iterator[None]:
    """Keep torch's own handler out: it raises wherever this process is, also in the middle of a step."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGCHLD)
    try:
        yield
    finally:
        signal.signal(signal.SIGCHLD, before)


def _one_thread(worker: int) -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
