"""The table of samples, one row a picture with its mask, and what the readers of data sets make it of."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from harness.errors import DataError

BOX = ("x0", "y0", "w", "h")
COLUMNS = ("sample", "mask", "group", "photo", "instance", "class_id", "scale", *BOX, "fold")

HOME_MARK = "mlflow.db"  # in a folder of results, whose pictures are no data

Row = dict[str, Any]


@dataclass(frozen=True)
class Rows:
    """What a data set lists, paths relative to `root`; an empty `mask` is a picture declared clean.

    `grouped` tells that the data set itself names the source images. `notes` say, a sentence each, what was not taken
    and why.
    """

    root: Path
    rows: Sequence[Row]
    grouped: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Index:
    """Samples and the folder that their paths are relative to.

    Rows are sorted by (group, photo, sample), `sample` is unique. An empty `mask` is a picture declared clean.
    """

    root: Path
    samples: pd.DataFrame
    notes: tuple[str, ...] = ()


def whole(name: str, mask: str, class_id: str = "target") -> Row:
    """Return the row of a whole picture whose source is not known yet."""
    return {"sample": name, "mask": mask, "group": name, "photo": name, "class_id": class_id, "scale": "full"}


def as_table(rows: Sequence[Row]) -> pd.DataFrame:
    """Return the sorted table; by default the k-th row of each scale of a photo and class is one instance."""
    table = pd.DataFrame(rows, columns=COLUMNS, dtype=object)
    table = table.sort_values(["group", "photo", "sample"], ignore_index=True)
    turn = table.groupby(["photo", "class_id", "scale"]).cumcount().astype(str)
    table["instance"] = table["instance"].fillna(table["photo"] + "|" + table["class_id"] + "|" + turn)
    return table.astype(dict.fromkeys(COLUMNS[:7], "str") | dict.fromkeys(COLUMNS[7:], "Int64"))


def is_hidden(path: Path, folder: Path) -> bool:
    """Tell whether a file or a folder on the way to it is hidden, as caches are, or a home of results is on the way."""
    parts = path.relative_to(folder).parts
    if any(part.startswith(".") for part in parts):
        return True
    return any((folder.joinpath(*parts[:depth]) / HOME_MARK).is_file() for depth in range(1, len(parts)))


def existing(text: str, where: str) -> Path:
    folder = Path(text).resolve()
    if not folder.is_dir():
        raise DataError(f"{where}: there is no folder {folder}; correct the path")
    return folder


def and_others(found: Sequence[object]) -> str:
    return f" (and {len(found) - 1} more)" if len(found) > 1 else ""
