"""Where a study's trials and its driver's lock are kept."""

import os
from pathlib import Path
from typing import Any

LOCK_TIMEOUT = 60.0  # s a writer waits for SQLite; sqlite3's own 5 s are too short under load


def optuna_url(home: Path) -> str:
    """Return the database of HARNESS_OPTUNA_URL, else the one under `home`."""
    return os.environ.get("HARNESS_OPTUNA_URL") or f"sqlite:///{home.resolve() / 'optuna.db'}"


def engine_options(url: str) -> dict[str, Any]:
    """Return how SQLAlchemy opens this database."""
    if url.startswith("sqlite"):
        return {"connect_args": {"timeout": LOCK_TIMEOUT}}
    return {"pool_pre_ping": True}
