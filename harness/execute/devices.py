"""Which GPU a worker process is given, and how many fold runs a GPU has memory for, as the first ones measured.

Planned with numbers, and tried with processes that only were given devices; it has not run on a GPU yet.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

MARGIN = 0.1  # share of a GPU's memory that is left free
CONTEXT = 600 * 2**20  # bytes that CUDA takes for a process besides what torch reserves


@dataclass(frozen=True)
class Memory:
    """What a fold run took of its GPU, and what there is; all in bytes."""

    peak: int  # most that its process held at a time
    available: int  # free, with what the process holds
    total: int


def measured() -> Memory | None:
    """Return what this process took of its GPU since it started; None where it computes on the CPU."""
    if not torch.cuda.is_available():
        return None
    try:
        free, total = torch.cuda.mem_get_info()
    except RuntimeError:  # after some faults a GPU answers nothing more to a process
        return None
    own = torch.cuda.memory_reserved() + CONTEXT
    return Memory(torch.cuda.max_memory_reserved() + CONTEXT, min(free + own, total), total)


def fitting(memory: Memory, *, peak: int, most: int) -> int:
    """Return how many fold runs that take `peak` bytes fit on a GPU side by side, from 1 to `most`."""
    room = memory.available - MARGIN * memory.total
    return max(1, min(most, int(room // max(peak, 1))))


@dataclass
class Devices:
    """The queue of places for worker processes: one on each GPU until a fold run there told what it takes.

    Without GPUs, or where the number of workers is `fixed`, nothing is planned.
    """

    names: Sequence[str]  # as CUDA_VISIBLE_DEVICES takes them; none on a CPU
    cores: int  # that fold runs share; each of them takes one
    fixed: int | None = None  # workers, whatever they take
    _alone: dict[str, Memory] = field(default_factory=dict)  # as first told, by a fold run without neighbors
    _peak: int = 0  # bytes, of all fold runs so far
    _crowded: set[str] = field(default_factory=set)  # where memory ran out with neighbors

    @property
    def capacity(self) -> int:
        """Number of worker processes worth having."""
        if self.fixed is not None:
            return self.fixed
        return sum(map(self.places, self.names)) if self.names else self.cores

    def places(self, name: str) -> int:
        """Return how many fold runs a GPU takes side by side."""
        if self.fixed is not None:
            return -(-self.fixed // len(self.names))
        if name in self._crowded or name not in self._alone:
            return 1
        return fitting(self._alone[name], peak=self._peak, most=max(1, self.cores // len(self.names)))

    def next(self, taken: Sequence[str]) -> str:
        """Return the GPU with the fewest workers of those with a place left, "" on a CPU; `taken` has one a worker."""
        workers = Counter(taken)
        left = [name for name in self.names if workers[name] < self.places(name)]
        return min(left, key=lambda name: workers[name], default="")

    def learn(self, name: str, memory: Memory) -> None:
        """Take note of what a fold run on a GPU told."""
        self._peak = max(self._peak, memory.peak)
        self._alone.setdefault(name, memory)

    def thin_out(self, name: str) -> bool:
        """Have one fold run at a time on a GPU whose memory ran out; tell whether there could be several before."""
        several = self.fixed is None and name in self.names and self.places(name) > 1
        if several:
            self._crowded.add(name)
        return several
