"""The trial that is to be promoted: its files and runs as they were left, and what is said of it once it is."""

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.config import Promote, Study
from harness.errors import PromotionRefused
from harness.model.networks import architecture
from harness.model.predict import MEAN, STD
from harness.prepare import study_of
from harness.promotion.contenders import made_as
from harness.promotion.proof import Proof
from harness.promotion.rule import NOT_PROVABLE
from harness.report.leaderboard import Leaderboard
from harness.tracking.aliases import CHAMPION, MADE_TAG, SPLIT_TAG, STUDY_TAG, TRIAL_TAG, Version
from harness.tracking.home import home_id
from harness.tracking.runs import (
    OwnRuns,
    attached_report,
    find_trial_run,
    own_runs,
    referred_report,
    refuse_altered_report,
)
from harness.tracking.store import Store
from harness.train.foldrun import FoldResult, committed_result, fold_folder

AT_HEADLINE = 0.0  # logit, of probability .5
THRESHOLD_TAG, CLAIM_TAG = "harness.threshold", "harness.claim"  # of a version
FORCED_TAG = "harness.forced"  # of one that was promoted against the rules: the reason
LOOK_TAG, HELDOUT_IOU_TAG = "harness.heldout_look", "harness.heldout_iou"  # of one that was looked at
NESTED_LOOK_TAG = "harness.nested_look"  # of one whose search was held against a champion's
WORTH_TAG = "harness.heldout_"  # and a name of `contenders.Seen.worth`, of such a one


@dataclass(frozen=True)
class Promotion:
    """What was promoted, what it replaced, and what is proven of it.

    threshold: the logit that its mean probability is compared at. look: at unseen groups; None where there was none.
    heldout_iou: on held-out groups; None where no look was at those.
    """

    model: str
    version: str
    trial: int
    iou_mean: float
    iou_std: float
    previous: str | None
    made_as: str
    threshold: float
    threshold_chosen: bool  # on all folds; else the headline's, as nothing is kept to choose one from
    claim: str
    look: int | None
    heldout_iou: float | None
    heldout_worth: Mapping[str, float]

    @property
    def uri(self) -> str:
        return f"models:/{self.model}@{CHAMPION}"

    @property
    def threshold_sentence(self) -> str:
        """Return for people what a pixel's probability is compared with, and where that is from."""
        where = (
            "the best of single fold models on all folds"
            if self.threshold_chosen
            else "the headline's, since its folds were committed before anything was kept to choose another from"
        )
        cut = f"{probability(self.threshold):.4f} (logit {self.threshold:g})"
        return f"target from probability {cut}: {where}; {self._measured}"

    @property
    def _measured(self) -> str:
        """Return what held-out groups say of the threshold and the probabilities of what was promoted."""
        if self.heldout_iou is None:
            return f"what would be best for this model ({self.made_as}) and its calibration are not measured"
        at_it = f"at it this model ({self.made_as}) has IoU {self.heldout_iou:.4f} on held-out groups"
        if "best_iou" not in self.heldout_worth:  # looked at by older code
            return at_it
        best, logit = self.heldout_worth["best_iou"], self.heldout_worth["best_threshold"]
        error = self.heldout_worth.get("calibration_error")
        calibrated = "" if error is None else f", its calibration error there is {error:.4f}"
        return f"{at_it}, {best:.4f} at the best threshold for these alone (logit {logit:g}){calibrated}"


@dataclass(frozen=True)
class Candidate:
    """The best trial, with what its registered version will be made of and carry."""

    facts: Mapping[str, Any]
    best: Mapping[str, Any]
    runs: OwnRuns | None
    run: str
    threshold: float
    study: Study  # with the trial's parameters
    folds: Sequence[FoldResult]

    @property
    def trial(self) -> int:
        return int(self.best["trial"])

    @property
    def key(self) -> str:
        """Return what it is called in messages."""
        return f"{self.facts['key']} trial {self.trial}"

    def refuse_another_report(self) -> str:
        """Return the digest of the leakage report that trial, ledger and study's run agree on, or raise."""
        attached = attached_report(self.runs, self.facts["key"])
        assert self.runs is not None  # else there would be no report
        referred = {f"trial {self.trial}": referred_report(self.runs.client, self.run)}
        _refuse_another_report(self.facts, attached, referred)
        refuse_altered_report(self.runs, self.facts["key"])
        return f"SHA-256 {str(self.facts['leakage_sha256'])[:16]}"

    def is_in(self, version: Version, made: str) -> bool:
        """Tell whether a version is this trial's, made in the same way."""
        own = (version.tags.get(STUDY_TAG), version.tags.get(TRIAL_TAG), self.made_of(version.tags))
        return own == (self.facts["key"], str(self.trial), made)

    def made_of(self, tags: Mapping[str, str]) -> str:
        """Return what a version with these tags was made of; those that do not say are ensembles."""
        return tags.get(MADE_TAG, made_as(Promote(), len(self.folds)))

    def settings(self, wanted: Promote) -> dict[str, Any]:
        """Return what the served model reads."""
        views = {"flips": wanted.flips, "scales": list(wanted.scales)}
        return model_settings(self.study, self.threshold) | views

    def tags(self, proof: Proof, forced: str | None, made: str) -> dict[str, str]:
        """Return what its version carries; `forced` is the reason, if it is promoted against the rules."""
        tags = {
            STUDY_TAG: self.facts["key"],
            TRIAL_TAG: str(self.trial),
            SPLIT_TAG: self.facts["split"],
            "harness.iou_mean": repr(self.best["iou_mean"]),
            "harness.iou_std": repr(self.best["iou_std"]),
            "harness.leakage_sha256": self.facts["leakage_sha256"],
            "harness.data": self.facts["data"],
            THRESHOLD_TAG: repr(self.threshold),
            CLAIM_TAG: proof.claim,
            MADE_TAG: made,
        }
        if forced is not None:
            tags[FORCED_TAG] = forced
        if proof.look is not None:
            tags[NESTED_LOOK_TAG if proof.iou is None else LOOK_TAG] = str(proof.look)
        if proof.iou is not None:
            tags[HELDOUT_IOU_TAG] = repr(proof.iou)
            tags |= {f"{WORTH_TAG}{name}": repr(value) for name, value in proof.worth.items()}
        return tags

    def promoted(self, tags: Mapping[str, str], version: str, previous: str | None) -> Promotion:
        """Return what is said of a version with these tags."""
        return Promotion(
            model=self.facts["name"],
            version=version,
            trial=self.trial,
            iou_mean=self.best["iou_mean"],
            iou_std=self.best["iou_std"],
            previous=previous,
            made_as=self.made_of(tags),
            threshold=float(tags.get(THRESHOLD_TAG, AT_HEADLINE)),
            threshold_chosen=THRESHOLD_TAG in tags and self.best.get("threshold") is not None,
            claim=tags.get(CLAIM_TAG, f"{NOT_PROVABLE}: promoted when nothing was asked for"),
            look=next((int(tags[tag]) for tag in (LOOK_TAG, NESTED_LOOK_TAG) if tag in tags), None),
            heldout_iou=float(tags[HELDOUT_IOU_TAG]) if HELDOUT_IOU_TAG in tags else None,
            heldout_worth=_worth(tags),
        )


def read_candidate(board: Leaderboard, store: Store, work: Path, tell: Callable[[str], None]) -> Candidate:
    """Return the best trial, its files and its runs as they were left. Raises PromotionRefused, DataError."""
    facts, best = board.facts, board.chosen
    if best is None:
        raise PromotionRefused(
            f"{facts['key']}: no trial ran all its folds; raise the budget with `run --trials N`"
        )
    client, trial = store.client(), int(best["trial"])
    study = study_of(facts).with_params(best["params"])
    count = int(facts.get("folds", study.folds.count))  # results of older versions do not say
    folds = [committed_result(fold_folder(work, trial, fold)) for fold in range(count)]
    runs = own_runs(store, client, facts["key"], home_id(work.parents[1], store, tell))
    run = find_trial_run(runs, facts["key"], trial)
    threshold = AT_HEADLINE if best.get("threshold") is None else float(best["threshold"])
    return Candidate(facts, best, runs, run, threshold, study, folds)


def _worth(tags: Mapping[str, str]) -> dict[str, float]:
    names = ("calibration_error", "best_threshold", "best_iou")
    return {name: float(tags[f"{WORTH_TAG}{name}"]) for name in names if f"{WORTH_TAG}{name}" in tags}


def _refuse_another_report(facts: Mapping[str, Any], attached: bytes, referred: Mapping[str, str]) -> None:
    digest = hashlib.sha256(attached).hexdigest()
    for where, other in {**referred, "its ledger": facts["leakage_sha256"]}.items():
        if other != digest:
            raise PromotionRefused(
                f"{facts['key']}: the leakage report on its run has SHA-256 {digest[:16]}, {where} refers to "
                f"{other[:16]}: one was changed; run the study again, which audits and attaches anew"
            )


def probability(logit: float) -> float:
    """Return the probability that a logit stands for."""
    return 1 / (1 + math.exp(-logit))


def model_settings(study: Study, threshold: float) -> dict[str, Any]:
    """Return what the served model reads: its network, how pictures are shown to it, and the threshold (a logit)."""
    network, _ = architecture(study.network)
    return {
        "schema": 2,
        "network": network,
        "size": study.data.size,
        "white": study.data.white,
        "mean": list(MEAN),
        "std": list(STD),
        "threshold": probability(threshold),
        "flips": False,
        "scales": [1.0],
    }
