"""Committed folds that every study of a home may use: an index of folders by the digest of all that decides them."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from harness.errors import DataError
from harness.train.checkpoint import committed_files, verify, write_synced
from harness.train.room import writing


@dataclass(frozen=True)
class Shared:
    """The index's folder, with one small file a digest; a folder is named from there, so that the home may move."""

    index: Path

    def offer(self, digest: str, folder: Path) -> None:
        """Let others use this committed folder. Raises DiskFull."""
        with writing(self.index):
            self.index.mkdir(parents=True, exist_ok=True)
        write_synced(self.index / digest, os.path.relpath(folder, self.index).encode())

    def take(self, digest: str, working: Path) -> Path | None:
        """Put the files of a committed folder into the folder `working`, verified there; return whose they are.

        None where there is none, or where it is no longer what was committed; `working` may hold a part then.
        """
        try:
            source = Path(os.path.normpath(self.index / (self.index / digest).read_text()))
            for name in committed_files(source):
                _link(source / name, working / name)
            verify(working)
        except (OSError, DataError):
            return None
        return source


def _link(source: Path, target: Path) -> None:
    try:
        target.hardlink_to(source)
    except OSError:  # a file system without links, or another one
        shutil.copyfile(source, target)
