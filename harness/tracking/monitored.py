"""A monitoring of new pictures as a run of its own, in the study's experiment: no study's, trial's or fold's run."""

import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from mlflow.entities import Metric, Param, RunTag

from harness.tracking.home import HOME
from harness.tracking.recorder import NOTE
from harness.tracking.store import Store

LEVEL, MONITORED = "monitor", "harness.monitored"  # tag: key of the study whose champion it is of
MOST_OF_A_NOTE = 4000  # characters


def log_monitoring(
    store: Store,
    experiment: str,
    *,
    tags: Mapping[str, str],
    params: Mapping[str, object],
    metrics: Mapping[str, float],
    files: Mapping[str, str],
) -> str:
    """Write a finished run and return its id. It has no `harness.fold_run`, by which runs of studies are found."""
    client = store.client()
    number = store.experiment(client, experiment)
    own = {"harness.level": LEVEL, **tags}
    own[NOTE] = own.get(NOTE, "")[:MOST_OF_A_NOTE]
    run = client.create_run(number, tags=own, run_name=f"monitor {tags.get('harness.version', '')}".strip())
    id, now = str(run.info.run_id), int(time.time() * 1000)
    status = "FAILED"
    try:
        points = [Metric(name, value, now, 0) for name, value in metrics.items()]
        client.log_batch(
            id,
            points,
            [Param(name, str(value)) for name, value in params.items()],
            [RunTag(HOME, tags[HOME])],
        )
        with tempfile.TemporaryDirectory() as folder:
            for name, content in files.items():
                Path(folder, name).write_text(content, encoding="utf-8")
            client.log_artifacts(id, folder, LEVEL)
        status = "FINISHED"
    finally:
        client.set_terminated(id, status)
    return id
