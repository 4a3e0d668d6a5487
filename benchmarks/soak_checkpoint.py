"""Kill -9 a process again and again while it saves a snapshot, and count what can be read afterwards.

make soak
"""

import hashlib
import os
import random
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors.torch import save as to_bytes

from harness.train.snapshot import SUFFIX, Snapshot, Snapshots

KILLS = ((10, 500), (100, 50))  # MB of a snapshot, kills in the middle of saving it
FLIPS = ((10, 100), (100, 10))  # bytes changed one at a time
IN_PLACE = (10, 20)  # kills of a process that writes the plain way, to see that torn files would be counted
TENSORS = 8
OWNER = "soak"

Save = Callable[[Path, Snapshot], None]


@dataclass
class Tally:
    """What was found after each kill."""

    megabytes: int
    kills: int = 0  # that came while a snapshot was being saved
    between: int = 0  # that came too early or too late, and are not counted
    places: Counter[str] = field(default_factory=Counter)  # how far the saving was
    unreadable: int = 0  # files under a snapshot's name that are not what was saved
    lost: int = 0  # times that neither the last snapshot whole nor the one being saved came back
    seconds: float = 0.0  # one undisturbed save, median

    def line(self) -> str:
        """Return one line for a reader."""
        places = ", ".join(f"{count} {place}" for place, count in sorted(self.places.items()))
        return (
            f"{self.megabytes:4d} MB: {self.kills} kills while saving ({places}), {self.between} more between saves; "
            f"unreadable {self.unreadable}, lost {self.lost}; one save {self.seconds:.3f} s"
        )


def snapshot_of(number: int, megabytes: int) -> Snapshot:
    """Return a snapshot whose every value is its number, so that a mixture of two would show."""
    values = torch.full((megabytes * 1_000_000 // 4 // TENSORS,), float(number))
    return Snapshot((number, 0), {f"layer.{i}": values.clone() for i in range(TENSORS)}, {"number": number})


def save_atomically(folder: Path, snapshot: Snapshot) -> None:
    """Save as a fold run does."""
    Snapshots(folder, OWNER, print).save(snapshot)


def save_in_place(folder: Path, snapshot: Snapshot) -> None:
    """Save the plain way, straight under the final name, on a disk that takes a MB at a time."""
    folder.mkdir(parents=True, exist_ok=True)
    values = {"owner": OWNER, "position": str(list(snapshot.position)), "facts": "{}"}
    content = to_bytes(dict(snapshot.tensors), metadata=values)
    name = f"{snapshot.position[0]:06d}-00000000-{hashlib.sha256(content).hexdigest()}{SUFFIX}"
    with (folder / name).open("wb") as file:
        for start in range(0, len(content), 1_000_000):
            file.write(content[start : start + 1_000_000])
            file.flush()
            os.fsync(file.fileno())


def soak(folder: Path, megabytes: int, kills: int, *, seed: int, save: Save = save_atomically) -> Tally:
    """Kill as many saving processes; each goes on from what the one before left."""
    draw, tally = random.Random(seed), Tally(megabytes)
    tally.seconds = _seconds(folder / "timed", megabytes, save)
    number = 0
    while tally.kills < kills:
        wait = draw.uniform(0.0, tally.seconds * 1.1)
        begun, ended = _killed(folder / "saved", number, megabytes, (draw.randint(1, 3), wait, save))
        tally.kills += begun > ended
        tally.between += begun == ended
        tally.unreadable += sum(not is_sound(path) for path in (folder / "saved").glob(f"*{SUFFIX}"))
        found = Snapshots(folder / "saved", OWNER, lambda line: None).latest()
        number = found.position[0] if found else 0
        tally.lost += number not in (begun, ended) or bool(number and not _whole(found))
        if begun > ended:
            tally.places[_place(folder / "saved", number == begun)] += 1
    return tally


def flip(folder: Path, megabytes: int, times: int, *, seed: int) -> int:
    """Change one byte of the newest of two snapshots, as often; return how often the one before came back, told of."""
    draw, noticed = random.Random(seed), 0
    for number in (1, 2):
        save_atomically(folder, snapshot_of(number, megabytes))
    newest = max(folder.iterdir())
    content = newest.read_bytes()
    for _ in range(times):
        place = draw.randrange(len(content))
        with newest.open("wb") as file:
            file.write(
                content[:place] + bytes([content[place] ^ (1 << draw.randrange(8))]) + content[place + 1 :]
            )
        said: list[str] = []
        found = Snapshots(folder, OWNER, said.append).latest()
        noticed += found is not None and found.position == (1, 0) and _whole(found) and len(said) == 1
    return noticed


def is_sound(path: Path) -> bool:
    """Tell whether a snapshot's file holds what its name says."""
    return hashlib.sha256(path.read_bytes()).hexdigest() == path.stem.rpartition("-")[2]


def _killed(folder: Path, number: int, megabytes: int, plan: tuple[int, float, Save]) -> tuple[int, int]:
    """Let a process save the numbers after `number` and kill it; return the last one begun and the last one ended.

    `plan`: in which save after its start, how many seconds after that began, and how it saves.
    """
    (turn, wait, save), (receive, send) = plan, os.pipe()
    child = os.fork()
    if child == 0:
        os.close(receive)
        while True:
            number += 1
            snapshot = snapshot_of(number, megabytes)
            os.write(send, b"b")
            save(folder, snapshot)
            os.write(send, b"e")
    os.close(send)
    events = b""
    while events.count(b"b") < turn:
        events += os.read(receive, 1)
    time.sleep(wait)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    while more := os.read(receive, 100):
        events += more
    os.close(receive)
    return number + events.count(b"b"), number + events.count(b"e")


def _seconds(folder: Path, megabytes: int, save: Save) -> float:
    seconds = []
    for number in range(1, 6):
        snapshot = snapshot_of(number, megabytes)
        started = time.perf_counter()
        save(folder, snapshot)
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def _whole(found: Snapshot | None) -> bool:
    return found is not None and all(bool((v == found.position[0]).all()) for v in found.tensors.values())


def _place(folder: Path, visible: bool) -> str:
    """Return how far a killed process had come, and remove what it left under no snapshot's name."""
    left = [path for path in folder.glob("*") if path.suffix != SUFFIX]
    for path in left:
        path.unlink()
    if visible:
        return "after the rename"
    if not left:
        return "before the first byte"
    return "half written" if left[0].name.startswith(".") else "written and not renamed yet"


def main() -> int:
    """Print the counts; return 1 if anything was unreadable, lost or not noticed."""
    torch.set_num_threads(1)
    bad = 0
    Path(".cache").mkdir(exist_ok=True)  # on the disk that results are on
    with tempfile.TemporaryDirectory(dir=".cache") as temporary:
        root = Path(temporary)
        print("snapshots as fold runs save them", flush=True)
        for megabytes, kills in KILLS:
            tally = soak(root / f"kills {megabytes}", megabytes, kills, seed=megabytes)
            print(tally.line(), flush=True)
            bad += tally.unreadable + tally.lost
        for megabytes, times in FLIPS:
            noticed = flip(root / f"flips {megabytes}", megabytes, times, seed=megabytes)
            print(
                f"{megabytes:4d} MB: {times} flipped bits, noticed and the one before used {noticed}",
                flush=True,
            )
            bad += times - noticed
        print("written in place, to see that torn files are counted", flush=True)
        plain = soak(root / "in place", *IN_PLACE, seed=1, save=save_in_place)
        print(
            f"{plain.megabytes:4d} MB: {plain.kills} kills while saving, unreadable {plain.unreadable}",
            flush=True,
        )
        bad += not plain.unreadable
    print("nothing lost" if not bad else f"{bad} times something was lost, or not noticed", flush=True)
    return min(bad, 1)


if __name__ == "__main__":
    sys.exit(main())
