"""Drawn masks in the cache: a folder that appears whole or not at all, and is used again while it is there."""

import json
import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from harness.errors import DataError

DRAWING_VERSION = 1  # part of every folder's name; raise it when a pixel of any drawing changes
LIST = "masks.json"  # how many masks belong here; what a format notes of them


def kept(cache: Path, name: str, write: Callable[[Path], object]) -> Path:
    """Return cache/masks/`name`, written by `write(folder)` if it is not there; what that returns is noted.

    Nothing of it appears where `write` fails. Raises DataError where the folder was changed, or cannot be written.
    """
    folder = cache.resolve() / "masks" / name
    if folder.exists():
        noted(folder)
        return folder
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".masks-", dir=cache) as workshop:
            made = Path(workshop, "set")
            made.mkdir()
            note = write(made)
            (made / LIST).write_text(
                json.dumps({"masks": len(os.listdir(made)), "note": note}), encoding="utf-8"
            )
            folder.parent.mkdir(exist_ok=True)
            _put_in_place(made, folder)
    except OSError as error:
        raise DataError(f"{folder}: cannot be written ({error.strerror}); make room, or allow it") from error
    return folder


def noted(folder: Path) -> Any:
    """Return what was noted when the folder was written. Raises DataError where it is no longer whole."""
    try:
        document = json.loads((folder / LIST).read_text(encoding="utf-8"))
        if document["masks"] == len(os.listdir(folder)) - 1:
            return document["note"]
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise DataError(f"{folder}: the drawn masks are no longer all there; delete the folder, it is made anew")


def _put_in_place(made: Path, folder: Path) -> None:
    try:
        os.replace(made, folder)
    except OSError:
        if not folder.is_dir():  # else another process was first, with the same pixels
            raise


def mask_name(number: int, picture: str) -> str:
    """Return the file name of the n-th mask, with its picture's name for people."""
    return f"{number:06}-{re.sub(r'[^A-Za-z0-9_-]', '_', PurePosixPath(picture).stem)[:60]}.png"


def write_mask(path: Path, mask: NDArray[np.uint8]) -> None:
    """Write a mask (H, W) as a gray PNG."""
    path.write_bytes(cv2.imencode(".png", mask)[1].tobytes())
