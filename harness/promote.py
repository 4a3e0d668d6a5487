"""Promote the best complete trial: its fold models become one model, and the alias `champion` means it."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.config import Study
from harness.data.audit.report import Report, refuse_leaks
from harness.errors import LeakageError, PromotionRefused
from harness.model.networks import architecture
from harness.model.predict import MEAN, STD
from harness.tracking.home import home_id
from harness.tracking.registry import CHAMPION, champion, log_model, register, set_alias
from harness.tracking.runs import (
    attached_report,
    find_trial_run,
    own_runs,
    referred_report,
    refuse_altered_report,
)
from harness.tracking.store import Store
from harness.train.foldrun import committed_result, fold_folder

THRESHOLD = 0.5  # the one that the headline is computed at


@dataclass(frozen=True)
class Promotion:
    """What was promoted, and what it replaced."""

    model: str
    version: str
    trial: int
    iou_mean: float
    iou_std: float
    previous: str | None

    @property
    def uri(self) -> str:
        return f"models:/{self.model}@{CHAMPION}"


def promote_best(
    store: Store,
    facts: Mapping[str, Any],
    best: Mapping[str, Any] | None,
    work: Path,
    audit_again: Callable[[], Report],
    tell: Callable[[str], None],
) -> Promotion:
    """Register the fold models of trial `best` (a row of the leaderboard) as one model and set the alias.

    Nothing is trained. Done again it changes nothing. Raises PromotionRefused without a complete trial, where the
    leakage report on the study's run is not the one that the trial refers to, or not as it was attached, or where data
    or split are no longer those it was trained on, or leak; DataError where a fold's files are not those that were
    committed.
    """
    if best is None:
        raise PromotionRefused(
            f"{facts['key']}: no trial ran all its folds; raise the budget with `run --trials N`"
        )
    client = store.client()
    trial = int(best["trial"])
    study = Study.model_validate(facts["settings"]).with_params(best["params"])
    count = int(facts.get("folds", study.folds.count))  # results of older versions do not say
    folds = [committed_result(fold_folder(work, trial, fold)) for fold in range(count)]
    runs = own_runs(store, client, facts["key"], home_id(work.parents[1], store, tell))
    run = find_trial_run(runs, facts["key"], trial)
    attached = attached_report(runs, facts["key"])
    _refuse_another_report(facts, attached, {f"trial {trial}": referred_report(client, run)})
    refuse_altered_report(runs, facts["key"])
    _refuse_leaks_of_today(facts, audit_again())
    source = log_model(client, run, settings=model_settings(study), weights=[fold.weights for fold in folds])
    before = champion(client, facts["name"])
    tags = {
        "harness.trial": str(trial),
        "harness.study": facts["key"],
        "harness.iou_mean": repr(best["iou_mean"]),
        "harness.iou_std": repr(best["iou_std"]),
        "harness.leakage_sha256": facts["leakage_sha256"],
        "harness.data": facts["data"],
    }
    version = register(client, facts["name"], source=source, run_id=run, tags=tags)
    set_alias(client, facts["name"], CHAMPION, version)
    previous = before.version if before and before.version != version else None
    return Promotion(facts["name"], version, trial, best["iou_mean"], best["iou_std"], previous)


def _refuse_another_report(facts: Mapping[str, Any], attached: bytes, referred: Mapping[str, str]) -> None:
    digest = hashlib.sha256(attached).hexdigest()
    for where, other in {**referred, "its ledger": facts["leakage_sha256"]}.items():
        if other != digest:
            raise PromotionRefused(
                f"{facts['key']}: the leakage report on its run has SHA-256 {digest[:16]}, {where} refers to "
                f"{other[:16]}: one was changed; run the study again, which audits and attaches anew"
            )


def _refuse_leaks_of_today(facts: Mapping[str, Any], today: Report) -> None:
    """Refuse what leaks as the audit of today sees it, which may know more than the one before training."""
    if today.split != facts["split"]:
        raise PromotionRefused(
            f"{facts['key']}: was trained on split {facts['split']}, which is lost (today it would be {today.split}); "
            "restore its file in folds/, or run the study again"
        )
    try:
        refuse_leaks(today)
    except LeakageError as error:
        raise PromotionRefused(f"{facts['key']}: audited again, its data leak: {error}") from error


def model_settings(study: Study) -> dict[str, Any]:
    """Return what the served model reads: how to build the network, and how pictures are shown to it."""
    network, _ = architecture(study.network)
    return {
        "schema": 1,
        "network": network,
        "size": study.data.size,
        "white": study.data.white,
        "mean": list(MEAN),
        "std": list(STD),
        "threshold": THRESHOLD,
    }
