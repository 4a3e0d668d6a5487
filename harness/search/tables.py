"""Files of a ledger: tables that notice their damage, and JSON."""

import io
import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pandas as pd

from harness.errors import DataError
from harness.masking import words_of


def table_bytes(table: pd.DataFrame) -> bytes:
    """Return a table as a file that notices its damage."""
    return table.to_parquet(write_page_checksum=True)


def read_table(path: Path, columns: Collection[str]) -> pd.DataFrame:
    """Return a table that has these columns. Raises DataError for a damaged file, FileNotFoundError for none."""
    try:
        table = pd.read_parquet(io.BytesIO(path.read_bytes()), page_checksum_verification=True)
    except FileNotFoundError:
        raise
    except Exception as error:  # whatever a reader says of bytes that make no sense
        raise damaged(path, words_of(error)) from None
    if missing := [name for name in columns if name not in table]:
        raise damaged(path, f"it lacks {', '.join(missing)}")
    return table


def damaged(path: Path, why: str, *, by_doctor: bool = True) -> DataError:
    """Return the error of a ledger's file, `why` saying what is wrong."""
    ledger = next((folder for folder in path.parents if folder.name == "ledger"), path.parent)
    name = ledger.parent.name.rpartition("-")[0]
    doctor = f", and so does `doctor {name}`" if by_doctor else ""
    return DataError(
        f"{path}: cannot be read ({why}); `python -m harness.study run {name}` writes it again{doctor}"
    )


def read_json(path: Path) -> Any:
    """Return what a ledger's file holds, None where it is not there. Raises DataError where it is damaged."""
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise damaged(path, words_of(error), by_doctor=False) from None
