"""The folder that predictions are written to: of one model and one way of tiling, one process at a time.

A picture is finished with its record, which is written last; before it only whole files are moved to their places. So
whatever a kill leaves is either finished or predicted again by the same command.
"""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.errors import ConfigError
from harness.train.checkpoint import sync_folder, write_synced
from harness.train.room import refuse_unwritable, writing

IDENTITY = "predict.json"
KINDS = ("mask", "overlay")  # of files that a record names
MASKS, OVERLAYS, RECORDS, PARTIAL = "masks", "overlays", "records", "partial"
LONGEST_NAME = 80  # characters of a picture's own name in the names of what is made of it

Record = dict[str, Any]


class Folder:
    """Records of the pictures in a folder, and where their files go. The objects of a record stay on the disk."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._heads: dict[str, Record] = {}
        for path in sorted((root / RECORDS).glob("*.json")):
            record = _read(path)
            if record is None:
                path.unlink()  # of a disk that lost it; what it stood for is predicted again
            else:
                self._heads[path.stem] = _head(record)

    def finished(self, name: str, digest: str) -> bool:
        """Tell whether a picture with this content was predicted and its files are there."""
        head = self._heads.get(name)
        if head is None or head["digest"] != digest or head["state"] != "done":
            return False
        return all((self.root / head[kind]).is_file() for kind in KINDS)

    def records(self) -> Iterator[Record]:
        """Yield all records by path and page."""
        order = sorted(self._heads, key=lambda name: (self._heads[name]["image"], self._heads[name]["page"]))
        for name in order:
            yield json.loads((self.root / RECORDS / f"{name}.json").read_bytes())

    def keep(self, name: str, record: Record) -> None:
        """Write a record, by which its picture is finished. Raises DiskFull."""
        self._forget(name, besides=record)
        write_synced(self.root / RECORDS / f"{name}.json", json.dumps(record).encode())
        self._heads[name] = _head(record)

    def keep_only(self, image: Path, names: Collection[str]) -> None:
        """Remove what is left of a file's pictures that it no longer has, such as pages of what it was before."""
        for name in [name for name, head in self._heads.items() if head["image"] == str(image)]:
            if name not in names:
                (self.root / RECORDS / f"{name}.json").unlink(missing_ok=True)
                self._forget(name, besides={})

    def _forget(self, name: str, besides: Record) -> None:
        """Remove the files of an earlier record that the new one does not name."""
        before = self._heads.pop(name, {})
        for kind in KINDS:
            if before.get(kind) and before[kind] != besides.get(kind):
                (self.root / before[kind]).unlink(missing_ok=True)

    @contextmanager
    def writing_to(self, relative: str) -> Iterator[Path]:
        """Yield where to write a file that then takes its place, whole. Raises DiskFull."""
        final = self.root / relative
        partial = self.root / PARTIAL / final.name
        with writing(self.root):
            yield partial
            with partial.open("rb+") as file:
                os.fsync(file.fileno())
            partial.replace(final)
            sync_folder(final.parent)


@contextmanager
def opened(root: Path, identity: Mapping[str, Any]) -> Iterator[Folder]:
    """Hold a folder of predictions that were made as `identity` says; one that is not there is made.

    Raises ConfigError where it is of something else, in use, or not to be written to.
    """
    refuse_unwritable(root)
    with writing(root):
        root.mkdir(parents=True, exist_ok=True)
        if not (root / IDENTITY).exists():
            _refuse_foreign(root)
            write_synced(root / IDENTITY, json.dumps(identity, indent=1).encode())
    with (root / IDENTITY).open("rb") as lock:
        _lock(lock.fileno(), root)
        _refuse_other(root, json.loads(json.dumps(identity)))
        shutil.rmtree(root / PARTIAL, ignore_errors=True)
        for left in [*root.glob("*.tmp"), *(root / RECORDS).glob("*.tmp")]:
            left.unlink(missing_ok=True)
        with writing(root):
            for name in (MASKS, OVERLAYS, RECORDS, PARTIAL):
                (root / name).mkdir(exist_ok=True)
        try:
            yield Folder(root)
        finally:
            shutil.rmtree(root / PARTIAL, ignore_errors=True)


def name_of(path: Path, page: int, pages: int) -> str:
    """Return what files of a picture are called: its own name, and of its path so much that no other is called so."""
    whole = hashlib.sha256(os.fsencode(path)).hexdigest()[:10]
    number = f"-p{page:04}" if pages > 1 else ""
    stem = "".join(letter if letter.isprintable() else "_" for letter in path.stem[:LONGEST_NAME])
    return f"{stem}-{whole}{number}"


def content_of(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _refuse_foreign(root: Path) -> None:
    if others := sorted(path.name for path in root.iterdir() if not path.name.startswith(f"{IDENTITY}.")):
        raise ConfigError(
            f"{root}: holds {others[0]!r} and is no folder of predictions; name a new or empty one with --out"
        )


def _lock(handle: int, root: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ConfigError(
            f"{root}: another process predicts into it; wait for it, or name another --out"
        ) from None
    except OSError:  # a file system without locks
        pass


def _refuse_other(root: Path, wanted: dict[str, Any]) -> None:
    held = _read(root / IDENTITY)
    if held is None:
        raise ConfigError(f"{root / IDENTITY}: cannot be read; name another --out")
    flat, asked = _flat(held), _flat(wanted)
    for key in sorted(flat.keys() | asked.keys()):
        if flat.get(key) != asked.get(key):
            raise ConfigError(
                f"{root}: holds predictions with {key} {flat.get(key)!r}, asked is {asked.get(key)!r}; name another "
                "--out, or ask as before"
            )


def _flat(tree: Mapping[str, Any]) -> dict[str, Any]:
    groups = {key: value for key, value in tree.items() if isinstance(value, dict)}
    inner = {f"{key}.{name}": value for key, group in groups.items() for name, value in group.items()}
    return {key: value for key, value in tree.items() if key not in groups} | inner


def _head(record: Record) -> Record:
    return {key: value for key, value in record.items() if key != "found"}


def _read(path: Path) -> Record | None:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
