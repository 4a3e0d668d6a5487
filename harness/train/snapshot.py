"""What a running training saves to go on from: files whole or absent, named by their hash, held to it when read."""

import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from harness.errors import DataError
from harness.train.checkpoint import sync_folder
from harness.train.room import refuse_full_disk, writing

KEPT = 2  # the newest, and the one before it for the day the newest is damaged
SUFFIX = ".safetensors"

Position = tuple[int, int]  # epochs done, batches of the next one done


@dataclass(frozen=True)
class Snapshot:
    """Tensors and plain values (JSON) of a training; nothing in its file can run code."""

    position: Position
    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Any]


@dataclass
class Snapshots:
    """The folder of a fold run's snapshots; those of another owner (job, data, code) are not used.

    `tell` gets a line about each file that is not used.
    """

    folder: Path
    owner: str
    tell: Callable[[str], None]
    newest: Position = (0, 0)  # of what was read or saved here; the start needs no file

    def save(self, snapshot: Snapshot) -> None:
        """Write the snapshot, then drop all but the last two. Raises DiskFull; those on the disk stay then."""
        if snapshot.position == self.newest:
            return
        # as much again for what is committed in the end
        size = 2 * sum(tensor.nbytes for tensor in snapshot.tensors.values())
        refuse_full_disk(self.folder, size)
        temporary = self.folder / f"{os.getpid()}.tmp"
        try:
            with writing(self.folder, size):
                self.folder.mkdir(parents=True, exist_ok=True)
                _write(snapshot, self.owner, temporary)
        finally:
            temporary.unlink(missing_ok=True)
        self.newest = snapshot.position
        self._drop_old()

    def latest(self) -> Snapshot | None:
        """Return the newest snapshot that is whole and of this owner; newer ones are told of and removed."""
        for path in sorted(self.folder.glob(f"*{SUFFIX}"), reverse=True):
            try:
                snapshot = _read(path, self.owner)
            except DataError as error:
                self.tell(f"{error}; it is not used")
                path.unlink()
            else:
                self.newest = snapshot.position
                return snapshot
        return None

    def remove(self) -> None:
        """Remove them all."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _drop_old(self) -> None:
        kept = sorted(self.folder.glob(f"*{SUFFIX}"))[-KEPT:]
        for path in self.folder.iterdir():
            if path not in kept:  # what a killed process was writing, too
                path.unlink()


def newest_position(folder: Path) -> Position:
    """Return how far the snapshots here go by their names, the start where there are none."""
    epochs, batches, _ = max((p.name for p in folder.glob(f"*{SUFFIX}")), default="0-0-").split("-")
    return int(epochs), int(batches)


def _write(snapshot: Snapshot, owner: str, temporary: Path) -> None:
    values = {"owner": owner, "position": json.dumps(snapshot.position), "facts": json.dumps(snapshot.facts)}
    try:
        save_file(dict(snapshot.tensors), temporary, metadata=values)
    except SafetensorError as error:
        raise _system_error(error) from None
    with temporary.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        os.fsync(file.fileno())
    epochs, batches = snapshot.position
    temporary.replace(temporary.with_name(f"{epochs:06d}-{batches:08d}-{digest}{SUFFIX}"))
    sync_folder(temporary.parent)


def _system_error(error: SafetensorError) -> OSError:
    """Return what the system said, which safetensors puts into words."""
    found = re.search(r"\(os error (\d+)\)", str(error))
    return OSError(int(found[1]) if found else errno.EIO, str(error))


def _read(path: Path, owner: str) -> Snapshot:
    """Read a snapshot. Raises DataError where it is not what was saved, or not of this owner."""
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        named = path.stem.rpartition("-")[2]
        if digest != named:
            raise DataError(f"{path}: holds {digest[:12]}, was saved as {named[:12]}")
        with safe_open(path, "pt") as stored:
            values = stored.metadata()
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118, it is no dict
    except (OSError, SafetensorError) as error:
        raise DataError(f"{path}: cannot be read ({error})") from None
    if values["owner"] != owner:
        raise DataError(
            f"{path}: was saved with other settings, data or code ({values['owner'][:12]}, now {owner[:12]})"
        )
    epochs, batches = json.loads(values["position"])
    return Snapshot((epochs, batches), tensors, json.loads(values["facts"]))
