"""A monitoring as a run in MLflow: a metric a measure, a table a picture, the words as its description."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from harness.monitor.words import Monitoring, note
from harness.tracking.home import HOME, home_id
from harness.tracking.monitored import MONITORED, log_monitoring
from harness.tracking.recorder import NOTE
from harness.tracking.store import Store


def note_run(
    store: Store, home: Path, found: Monitoring, table: pd.DataFrame, tell: Callable[[str], None]
) -> str:
    """Write the run and return its id."""
    tags = {
        HOME: home_id(home, store, tell),
        MONITORED: found.study,
        "harness.version": found.version,
        "harness.verdict": found.verdict,
        NOTE: note(found),
    }
    params = {"model": found.model, "version": found.version, "trial": found.trial, "images": found.images}
    files = {
        "images.csv": table.to_csv(index=False),
        "measures.csv": pd.DataFrame([asdict(one) for one in found.differences]).to_csv(index=False),
        "unreadable.csv": pd.DataFrame(found.unreadable.items(), columns=["image", "why"]).to_csv(
            index=False
        ),
        "monitoring.md": note(found),
    }
    return log_monitoring(
        store, found.model, tags=tags, params=params, metrics=metrics_of(found), files=files
    )


def metrics_of(found: Monitoring) -> dict[str, float]:
    """Return the numbers of a run; `drift` is missing where nothing can be said."""
    numbers = {
        "images": found.images,
        "images_used": found.used,
        "images_unreadable": len(found.unreadable),
        "images_close_to_training": len(found.copies),
    }
    metrics = {name: float(value) for name, value in numbers.items()}
    if not found.undecided:
        metrics["drift"] = float(bool(found.alarms))
    for one in found.differences:
        metrics |= {
            f"{one.name}_median": one.new,
            f"{one.name}_distance": one.distance,
            f"{one.name}_p": one.adjusted,
            f"{one.name}_alarm": float(one.alarm),
        }
        metrics |= {} if one.shift is None else {f"{one.name}_shift": one.shift}
    return metrics
