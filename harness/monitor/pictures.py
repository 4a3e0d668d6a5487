"""The pictures that a command line names: files, and folders with all below them."""

from collections.abc import Sequence
from pathlib import Path

from harness.data.pictures import SUFFIXES
from harness.errors import ConfigError, DataError


def find_pictures(places: Sequence[str | Path]) -> list[Path]:
    """Return the files in order of their paths, each once. Raises ConfigError for no such place, DataError for none."""
    found: dict[Path, Path] = {}
    for place in map(Path, places):
        if not place.exists():
            raise ConfigError(f"{place}: is not there; name pictures, or folders of pictures")
        for path in sorted(place.rglob("*")) if place.is_dir() else [place]:
            if path.is_file() and (path == place or path.suffix.lower() in SUFFIXES):
                found.setdefault(path.resolve(), path)
    if not found:
        raise DataError(
            f"{', '.join(map(str, places))}: holds no picture ({', '.join(sorted(SUFFIXES))}); name another folder"
        )
    return sorted(found.values())
