"""What MLflow holds of studies: their runs by key, and the leakage report they refer to."""

import tempfile
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from harness.errors import PromotionRefused, TrackingError
from harness.tracking.recorder import LEAKAGE
from harness.tracking.store import words_of

KEY = "harness.fold_run"  # tag: <study>, <study>/<trial> or <study>/<trial>/<fold>
REPORT = "leakage/leakage_report.json"
MOST_RUNS = 50_000  # MLflow's limit


def runs_with(client: MlflowClient, experiment: str, key: str) -> list[Run]:
    """Return the runs with a key: one, or none."""
    return list(client.search_runs([experiment], f"tags.\"{KEY}\" = '{key}'", max_results=MOST_RUNS))


def runs_below(client: MlflowClient, experiment: str, study: str, status: str = "") -> list[Run]:
    """Return the runs of a study's trials and folds, all or those of one status."""
    wanted = f"tags.\"{KEY}\" LIKE '{study}/%'"
    if status:
        wanted += f" AND attributes.status = '{status}'"
    found = client.search_runs([experiment], wanted, max_results=MOST_RUNS)
    return [run for run in found if run.data.tags[KEY].startswith(f"{study}/")]  # LIKE takes _ for any letter


def find_trial_run(client: MlflowClient, experiment: str, study_key: str, trial: int) -> str:
    """Return the run id of a trial. Raises PromotionRefused when MLflow does not have it."""
    found = client.get_experiment_by_name(experiment)
    runs = runs_with(client, str(found.experiment_id), f"{study_key}/{trial}") if found else []
    if not runs:
        raise PromotionRefused(
            f"experiment {experiment!r}: no run of trial {trial} of {study_key} in this tracking store; "
            f"`doctor` brings what still waits; was MLFLOW_TRACKING_URI another one when it ran?"
        )
    return str(runs[0].info.run_id)


def attached_report(client: MlflowClient, experiment: str, study_key: str) -> bytes:
    """Return the leakage report on a study's run. Raises PromotionRefused when MLflow does not have it."""
    try:
        return attached_file(client, experiment, study_key, REPORT)
    except TrackingError as error:
        raise PromotionRefused(
            f"{study_key}: no leakage report is attached to its run in this tracking store; "
            "run the study again, which audits and attaches it anew"
        ) from error


def attached_file(client: MlflowClient, experiment: str, study_key: str, path: str) -> bytes:
    """Return a file on a study's run. Raises TrackingError where it is not there."""
    try:
        found = client.get_experiment_by_name(experiment)
        runs = runs_with(client, str(found.experiment_id), study_key) if found else []
        with tempfile.TemporaryDirectory() as folder:
            return Path(client.download_artifacts(runs[0].info.run_id, path, folder)).read_bytes()
    except (LookupError, OSError, MlflowException) as error:
        raise TrackingError(f"{study_key}: MLflow has no {path} of it: {words_of(error)}") from error


def referred_report(client: MlflowClient, run: str) -> str:
    """Return the SHA-256 of the leakage report that a run refers to, or nothing."""
    return str(client.get_run(run).data.tags.get(LEAKAGE[1], ""))


def runs_at_top(client: MlflowClient, experiment: str) -> list[Run]:
    """Return the runs of the studies of an experiment."""
    return list(client.search_runs([experiment], "tags.\"harness.level\" = 'study'", max_results=MOST_RUNS))
