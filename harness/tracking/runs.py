"""What MLflow holds of studies: their runs by key, and the leakage report they refer to."""

import hashlib
import json
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Run, ViewType
from mlflow.exceptions import MlflowException

from harness.errors import ConfigError, PromotionRefused, TrackingError
from harness.masking import words_of
from harness.tracking.home import HOME, MOST_RUNS
from harness.tracking.recorder import LEAKAGE, NOTE, SHOWN
from harness.tracking.store import Store

KEY = "harness.fold_run"  # tag: <study>, <study>/<trial> or <study>/<trial>/<fold>
FOLDER = "leakage"
REPORT = f"{FOLDER}/leakage_report.json"
PROMOTION = "promotion"  # folder on a trial's run
GATE, REFUSED_GATE = (
    f"{PROMOTION}/gate.json",
    f"{PROMOTION}/refused.json",
)  # of what was promoted, and was not
REFUSED_TAG = "harness.promotion_refused"  # of a trial's run
MOST_OF_A_TAG = 4000  # characters


@dataclass(frozen=True)
class OwnRuns:
    """The runs of one home's study; those of other homes that share the store are never seen."""

    client: MlflowClient
    experiment: str  # its id
    study: str  # <name>-<id8>
    home: str  # its id

    def with_key(self, key: str, *, deleted: bool = False) -> list[Run]:
        """Return the runs with a key: one, or none, or a twin too; or those that were deleted in MLflow."""
        return self._search(f"tags.\"{KEY}\" = '{key}'", deleted=deleted)

    def below(self, status: str = "") -> list[Run]:
        """Return the runs of trials and folds, all or those of one status."""
        wanted = f"tags.\"{KEY}\" LIKE '{self.study}/%'"
        if status:
            wanted += f" AND attributes.status = '{status}'"
        # LIKE takes _ for any letter
        return [run for run in self._search(wanted) if run.data.tags[KEY].startswith(f"{self.study}/")]

    def all(self) -> list[Run]:
        """Return the study's run first, then those of trials and folds."""
        return self.with_key(self.study) + self.below()

    def _search(self, wanted: str, *, deleted: bool = False) -> list[Run]:
        own = f"{wanted} AND tags.\"{HOME}\" = '{self.home}'"
        view = ViewType.DELETED_ONLY if deleted else ViewType.ACTIVE_ONLY
        return list(self.client.search_runs([self.experiment], own, view, max_results=MOST_RUNS))


def runs_at_top(client: MlflowClient, experiment: str, home: str) -> list[Run]:
    """Return the runs of the studies of a home in an experiment."""
    wanted = f"tags.\"harness.level\" = 'study' AND tags.\"{HOME}\" = '{home}'"
    return list(client.search_runs([experiment], wanted, max_results=MOST_RUNS))


def fullest_first(runs: Iterable[Run]) -> list[Run]:
    """Sort runs of one key: that with most parameters and metrics is the one, and the others are its twins."""
    return sorted(runs, key=lambda run: (-len(run.data.metrics) - len(run.data.params), str(run.info.run_id)))


def own_runs(store: Store, client: MlflowClient, study: str, home: str) -> OwnRuns | None:
    """Return the runs of a study that has been told to MLflow; None where there is no experiment of its name.

    Raises TrackingError where that was deleted.
    """
    number = store.find_experiment(client, study.rpartition("-")[0])
    return OwnRuns(client, number, study, home) if number else None


def find_trial_run(runs: OwnRuns | None, study: str, trial: int) -> str:
    """Return the run id of a trial. Raises PromotionRefused when MLflow does not have it."""
    found = runs.with_key(f"{study}/{trial}") if runs else []
    if not found:
        raise PromotionRefused(
            f"no run of trial {trial} of {study} in this tracking store; "
            f"`doctor` brings what still waits; was MLFLOW_TRACKING_URI another one when it ran?"
        )
    return str(fullest_first(found)[0].info.run_id)


def key_of_fold_run(client: MlflowClient, run: str, home: str) -> tuple[str, int, int]:
    """Return study, trial and fold of a fold run. Raises ConfigError where it is none, or one of another home."""
    try:
        tags = client.get_run(run).data.tags
    except MlflowException as error:
        raise ConfigError(f"--run: this tracking store has no run {run!r} ({words_of(error)})") from None
    level = tags.get("harness.level")
    if level != "fold":
        raise ConfigError(
            f"--run: {run} is a run of a {level or 'stranger'}; give the id of one of its fold runs"
        )
    if tags.get(HOME) != home:
        raise ConfigError(f"--run: {run} is of another home; name that one by --home")
    study, trial, fold = tags[KEY].rsplit("/", 2)
    return study, int(trial), int(fold)


def refuse_altered_report(runs: OwnRuns | None, study: str) -> None:
    """Raise PromotionRefused unless page, table and report are on a study's run as they were attached.

    Those of older versions do not say what was attached beside the report.
    """
    found = fullest_first(runs.with_key(study)) if runs else []
    for name, digest in json.loads(found[0].data.tags.get(SHOWN, "{}") if found else "{}").items():
        try:
            now = hashlib.sha256(attached_file(runs, study, f"{FOLDER}/{name}")).hexdigest()
        except TrackingError:
            now = "none"
        if now != digest:
            raise PromotionRefused(
                f"{study}: {FOLDER}/{name} on its run is not what was attached (SHA-256 {now[:16]}, then "
                f"{digest[:16]}); "
                "run the study again, which audits and attaches anew"
            )


def show_report(runs: OwnRuns | None, study: str, folder: Path, note: str) -> None:
    """Attach a report's folder, under its name, to a study's run, and make `note` the run's description."""
    if runs is None:
        return
    for run in fullest_first(runs.with_key(study))[:1]:
        runs.client.log_artifacts(run.info.run_id, str(folder), folder.name)
        runs.client.set_tag(run.info.run_id, NOTE, note)


def show_gate(client: MlflowClient, run: str, found: Mapping[str, Any], refused: str) -> None:
    """Attach the rules of a promotion to a trial's run, and say there why it was refused, if it was."""
    client.log_dict(run, dict(found), REFUSED_GATE if refused else GATE)
    if refused:
        client.set_tag(run, REFUSED_TAG, refused[:MOST_OF_A_TAG])
    else:
        forget_refusal(client, run)


def forget_refusal(client: MlflowClient, run: str) -> None:
    """Say no more that a trial was refused: it is the champion."""
    if REFUSED_TAG in client.get_run(run).data.tags:
        client.delete_tag(run, REFUSED_TAG)


def show_card(client: MlflowClient, run: str, folder: Path, version: tuple[str, str], text: str) -> None:
    """Attach the files of a version's card to its trial's run, and describe (name, number) with its text."""
    place = _card_folder(version[1])
    for path in sorted(folder.iterdir()):
        if path.suffix != ".json":
            client.log_artifact(run, str(path), place)
    rest = f"\n\n(cut here; all of it is {place}/card.md on the trial's run)"
    shown = (
        text if len(text) <= MOST_OF_A_TAG else text[: MOST_OF_A_TAG - len(rest)].rpartition("\n")[0] + rest
    )
    client.update_model_version(*version, description=shown)
    for path in folder.glob("*.json"):  # last: what it says is said everywhere
        client.log_artifact(run, str(path), place)


def shown_card(client: MlflowClient, run: str, version: str, name: str) -> bytes | None:
    """Return a file of a version's card from its trial's run; None where there is none, as of older versions."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            return Path(
                client.download_artifacts(run, f"{_card_folder(version)}/{name}", folder)
            ).read_bytes()
        except (OSError, MlflowException):
            return None


def _card_folder(version: str) -> str:
    return f"{PROMOTION}/version-{version}"


def attached_report(runs: OwnRuns | None, study: str) -> bytes:
    """Return the leakage report on a study's run. Raises PromotionRefused when MLflow does not have it."""
    try:
        return attached_file(runs, study, REPORT)
    except TrackingError as error:
        raise PromotionRefused(
            f"{study}: no leakage report is attached to its run in this tracking store; "
            "run the study again, which audits and attaches it anew"
        ) from error


def attached_file(runs: OwnRuns | None, study: str, path: str, *, deleted: bool = False) -> bytes:
    """Return a file on a study's run, or on that which was deleted if asked for. Raises TrackingError without one."""
    try:
        if runs is None:
            raise LookupError("no experiment of its name")
        found = runs.with_key(study)
        if deleted and not found:
            found = runs.with_key(study, deleted=True)
        run = fullest_first(found)[0].info.run_id
        with tempfile.TemporaryDirectory() as folder:
            return Path(runs.client.download_artifacts(run, path, folder)).read_bytes()
    except (LookupError, OSError, MlflowException) as error:
        raise TrackingError(f"{study}: MLflow has no {path} of it: {words_of(error)}") from error


def referred_report(client: MlflowClient, run: str) -> str:
    """Return the SHA-256 of the leakage report that a run refers to, or nothing."""
    return str(client.get_run(run).data.tags.get(LEAKAGE[1], ""))
