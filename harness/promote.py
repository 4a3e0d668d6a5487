"""Promote the best complete trial: its fold models become one model, and the alias `champion` means it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.config import Study
from harness.errors import PromotionRefused
from harness.model.networks import architecture
from harness.model.predict import MEAN, STD
from harness.tracking.recorder import find_trial_run
from harness.tracking.registry import CHAMPION, champion, log_model, register, set_alias
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
    store: Store, facts: Mapping[str, Any], best: Mapping[str, Any] | None, work: Path
) -> Promotion:
    """Register the fold models of trial `best` (a row of the leaderboard) as one model and set the alias.

    Nothing is trained. Done again it changes nothing. Raises PromotionRefused without a complete trial,
    DataError where a fold's files are not those that were committed.
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
    run = find_trial_run(client, facts["name"], facts["key"], trial)
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
