import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from harness.train.snapshot import KEPT, Position, Snapshot, Snapshots


def snapshot(position: Position) -> Snapshot:
    """Return one whose content follows from its position."""
    tensors = {
        "a": torch.full((300, 300), float(position[0])),
        "b": torch.tensor(position[1]),
        "c": torch.empty(0),
    }
    return Snapshot(position, tensors, {"loss": [0.1 + 0.2] * 3, "at": list(position)})


def stored(folder: Path, *positions: Position) -> tuple[Snapshots, list[str]]:
    said: list[str] = []
    snapshots = Snapshots(folder / "saved", "mine", said.append)
    for position in positions:
        snapshots.save(snapshot(position))
    return snapshots, said


def assert_found(snapshots: Snapshots, position: Position) -> None:
    found, wanted = snapshots.latest(), snapshot(position)
    assert found is not None
    assert (found.position, found.facts) == (position, wanted.facts)
    assert found.tensors.keys() == wanted.tensors.keys()
    assert all(torch.equal(found.tensors[name], value) for name, value in wanted.tensors.items())


def names(folder: Path) -> list[str]:
    return sorted(path.name[:15] for path in (folder / "saved").iterdir())


def test_the_newest_comes_back_and_two_are_kept(tmp_path: Path) -> None:
    snapshots, said = stored(tmp_path, (0, 3), (1, 0), (1, 12), (10, 2), (10, 11))
    assert_found(snapshots, (10, 11))
    assert names(tmp_path) == ["000010-00000002", "000010-00000011"]
    assert len(names(tmp_path)) == KEPT
    assert said == []
    snapshots.remove()
    assert snapshots.latest() is None
    assert list(tmp_path.iterdir()) == []


def test_where_nothing_was_saved_nothing_is_found(tmp_path: Path) -> None:
    assert stored(tmp_path)[0].latest() is None
    assert stored(tmp_path, (0, 0))[0].latest() is None, "the start needs no file"


def test_a_position_that_is_on_the_disk_is_not_written_again(tmp_path: Path) -> None:
    snapshots, _ = stored(tmp_path, (1, 0))
    (path,) = (tmp_path / "saved").iterdir()
    before = path.stat().st_mtime_ns
    snapshots.save(snapshot((1, 0)))
    again = stored(tmp_path)[0]
    again.latest()
    again.save(snapshot((1, 0)))
    assert path.stat().st_mtime_ns == before


def flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(bytes(content))


DAMAGES: dict[str, Callable[[Path], object]] = {
    "first byte": lambda path: flip(path, 0),
    "header": lambda path: flip(path, 40),
    "middle": lambda path: flip(path, path.stat().st_size // 2),
    "last byte": lambda path: flip(path, -1),
    "cut short": lambda path: os.truncate(path, path.stat().st_size - 1),
    "half": lambda path: os.truncate(path, path.stat().st_size // 2),
    "empty": lambda path: os.truncate(path, 0),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"\0"),
    "another's content": lambda path: path.write_bytes(sorted(path.parent.iterdir())[0].read_bytes()),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_newest_one_is_told_of_and_the_one_before_is_used(tmp_path: Path, damage: str) -> None:
    snapshots, said = stored(tmp_path, (1, 0), (2, 0))
    newest = sorted((tmp_path / "saved").iterdir())[-1]
    DAMAGES[damage](newest)
    assert_found(snapshots, (1, 0))
    (line,) = said
    assert line.startswith(f"{newest}: holds ")
    assert line.endswith("; it is not used")
    snapshots.save(snapshot((2, 0)))
    assert_found(snapshots, (2, 0))


def test_with_both_damaged_there_is_none(tmp_path: Path) -> None:
    snapshots, said = stored(tmp_path, (1, 0), (2, 0))
    for path in (tmp_path / "saved").iterdir():
        flip(path, 1000)
    assert snapshots.latest() is None
    assert len(said) == 2


def test_a_file_with_the_right_hash_that_is_no_snapshot_is_not_used(tmp_path: Path) -> None:
    import hashlib

    snapshots, said = stored(tmp_path, (1, 0))
    content = b"\x80\x04cos\nsystem\n"
    name = f"000002-00000000-{hashlib.sha256(content).hexdigest()}.safetensors"
    (tmp_path / "saved" / name).write_bytes(content)
    assert_found(snapshots, (1, 0))
    assert "cannot be read" in said[0]


def test_another_owners_are_not_used_and_that_is_said(tmp_path: Path) -> None:
    stored(tmp_path, (1, 0), (2, 0))
    said: list[str] = []
    assert Snapshots(tmp_path / "saved", "theirs", said.append).latest() is None
    assert all("was saved with other settings, data or code (mine, now theirs)" in line for line in said)
    assert len(said) == 2


WITHOUT_ROOM = """
import resource, signal, sys
from pathlib import Path
import torch
from harness.errors import DiskFull
from harness.train.snapshot import Snapshot, Snapshots

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # as Python does by itself: writing fails instead
snapshots = Snapshots(Path(sys.argv[1]) / "saved", "mine", print)
small, large = torch.zeros(1000), torch.zeros(1_000_000)
snapshots.save(Snapshot((1, 0), {"a": small}, {}))
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
try:
    snapshots.save(Snapshot((2, 0), {"a": large}, {}))
except DiskFull as error:
    print(error)
assert snapshots.latest().position == (1, 0)
snapshots.save(Snapshot((3, 0), {"a": small}, {}))
assert snapshots.latest().position == (3, 0)
"""


def test_without_room_the_last_good_one_stays_and_that_is_said(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_ROOM, str(tmp_path)], capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(
        f"{tmp_path / 'saved'}: File too large: 40 MiB must be free there to go on, "
    )
    assert names(tmp_path) == ["000001-00000000", "000003-00000000"]
