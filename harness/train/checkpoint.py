"""Commit a fold run's results, whole or not at all: files with their hashes, made visible by one rename."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from safetensors.torch import save
from torch import nn

from harness.errors import DataError, TakenOver
from harness.train.room import writing

MANIFEST = "manifest.json"
WEIGHTS = "weights.safetensors"
DROPPED = "dropped "  # stands before the hash of a file that made room for others


def save_weights(network: nn.Module, path: Path) -> None:
    """Write the network's parameters and buffers as safetensors, on the CPU and contiguous."""
    state = {key: value.detach().cpu().contiguous() for key, value in network.state_dict().items()}
    write_synced(path, save(state))


def commit(working: Path, final: Path, names: Iterable[str] = ()) -> None:
    """Turn the folder `working` into the committed folder `final`: manifest of hashes, one rename. Raises DiskFull.

    An earlier uncommitted `final` cannot exist, since only this function makes it. Raises TakenOver when one of the
    files that it takes, `names`, is gone.
    """
    files = sorted(p for p in working.iterdir() if p.is_file() and p.name != MANIFEST)
    if missing := set(names) - {path.name for path in files}:
        raise TakenOver(f"{working / min(missing)}: was removed before it could be committed")
    hashes = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    write_synced(working / MANIFEST, json.dumps(hashes, indent=1).encode())
    with writing(working):
        sync_folder(working)
        working.rename(final)
        sync_folder(final.parent)


def is_committed(folder: Path) -> bool:
    """Tell whether a fold run was committed here."""
    return (folder / MANIFEST).is_file()


def committed_files(folder: Path) -> list[str]:
    """Return the names of the files that make a committed folder, the manifest's too. Raises DataError."""
    wanted = _read_manifest(folder)
    if missing := [name for name in wanted if wanted[name].startswith(DROPPED)]:
        raise dropped_error(folder / missing[0])
    return [*wanted, MANIFEST]


def drop(folder: Path, name: str) -> None:
    """Remove one file of a committed folder, which stays committed without it. Raises DataError."""
    wanted = _read_manifest(folder)
    if not wanted[name].startswith(DROPPED):
        wanted[name] = DROPPED + wanted[name]
        write_synced(folder / MANIFEST, json.dumps(wanted, indent=1).encode())
    (folder / name).unlink(
        missing_ok=True
    )  # after the manifest: killed between the two, it is removed next time


def dropped_error(path: Path) -> DataError:
    """Return the error for a file that is needed and was dropped."""
    return DataError(
        f"{path}: was dropped to make room; remove {path.parent} and run the study again, which trains this fold anew"
    )


def verify(folder: Path) -> None:
    """Hold a committed folder's files to their hashes. Raises DataError naming the first one that differs.

    What was dropped need not be there.
    """
    for name, wanted in _read_manifest(folder).items():
        if wanted.startswith(DROPPED):
            continue
        path = folder / name
        found = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "nothing"
        if found != wanted:
            raise DataError(
                f"{path}: holds {found[:12]}, was committed as {wanted[:12]}; "
                "run the study again, which trains this fold anew"
            )


def _read_manifest(folder: Path) -> dict[str, str]:
    try:
        hashes = json.loads((folder / MANIFEST).read_bytes())
        return {str(name): str(wanted) for name, wanted in hashes.items()}
    except (OSError, ValueError, AttributeError) as error:
        raise DataError(
            f"{folder / MANIFEST}: is no manifest ({type(error).__name__}); "
            "run the study again, which trains this fold anew"
        ) from None


def fresh_folder(folder: Path) -> Path:
    """Return an empty folder; what an interrupted attempt left there is removed."""
    shutil.rmtree(folder, ignore_errors=True)
    with writing(folder):
        folder.mkdir(parents=True)
    return folder


def write_synced(path: Path, content: bytes) -> None:
    """Write a file so that it is whole or absent, also after a power cut. Raises DiskFull."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")  # another process may write it too
    try:
        with writing(path.parent, len(content)):
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
            sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)  # what there was no room for


def sync_folder(folder: Path) -> None:
    """Make renames in a folder survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
