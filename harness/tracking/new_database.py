"""The database of MLflow under home, made whole or not at all."""

from pathlib import Path

from harness.train.claim import claimed
from harness.train.room import writing


def make_database(path: Path, artifacts: Path) -> None:
    """Make an empty SQLite database of MLflow 3 at `path`, unless there is one; a killed process leaves none.

    MLflow makes the tables in about 70 steps that it commits one by one, and cannot go on from most of them.
    """
    from mlflow.store.tracking.sqlalchemy_store import (
        SqlAlchemyStore,  # takes a second, and is hardly ever needed
    )

    draft = path.with_name(f"{path.name}.draft")
    with claimed(draft.with_name(f"{draft.name}.lock"), lambda: False, lambda _: None):
        if path.exists():
            return
        for left in (draft, draft.with_name(f"{draft.name}-journal")):
            left.unlink(missing_ok=True)
        with writing(path.parent):
            store = SqlAlchemyStore(f"sqlite:///{draft}", artifacts.as_uri())  # type: ignore[no-untyped-call]
            store.engine.dispose()
            draft.rename(path)
