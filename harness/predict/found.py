"""Which files are meant by what was typed: files and folders, each picture once, in an order that stays."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from harness.errors import ConfigError
from harness.predict.folder import IDENTITY

ENDINGS = (".bmp", ".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp")


def find_pictures(typed: Sequence[Path], out: Path | None = None) -> list[Path]:
    """Return absolute paths. Raises ConfigError where one of them leads nowhere, or none leads to a picture.

    Of a folder all pictures are meant, also in folders inside; not what is hidden, and not what an earlier `predict`
    wrote, here or elsewhere.
    """
    found: dict[Path, None] = {}
    for path in typed:
        if not path.exists():
            raise ConfigError(f"{path}: there is no such file or folder; check what was typed")
        if not (path.is_file() or path.is_dir()):
            raise ConfigError(
                f"{path}: is a pipe or a device, which may never end; save the picture as a file"
            )
        found.update(
            dict.fromkeys(_below(path, out and out.resolve()) if path.is_dir() else [path.resolve()])
        )
    if not found:
        kinds = ", ".join(ENDINGS)
        raise ConfigError(f"{', '.join(map(str, typed))}: no picture there ({kinds}); name files or folders")
    return list(found)


def _below(folder: Path, out: Path | None) -> Iterator[Path]:
    for place, folders, files in os.walk(folder.resolve()):
        here = Path(place)
        if here == out or IDENTITY in files:
            folders.clear()
            continue
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith(".") and name.lower().endswith(ENDINGS) and _ends(here / name):
                yield (here / name).resolve()


def _ends(path: Path) -> bool:
    """Tell whether reading comes to an end: not of a pipe. What a link has lost is told when it is read."""
    return path.is_file() or not path.exists()
