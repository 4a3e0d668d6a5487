"""Promote the best complete trial: its fold models become one model, and the alias `champion` means it."""

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.config import Study
from harness.contenders import model_contender
from harness.data.audit.report import Report, refuse_leaks
from harness.errors import LeakageError, PromotionRefused
from harness.model.networks import architecture
from harness.model.predict import MEAN, STD
from harness.prepare import Prepared, study_of
from harness.proof import NOT_PROVABLE, Court, Proof
from harness.report.files import write_report
from harness.report.leaderboard import Leaderboard, read_leaderboard
from harness.report.table import as_note
from harness.search.database import optuna_url
from harness.search.lock import DriverLock, only_promotion
from harness.tracking.aliases import (
    CHAMPION,
    SPLIT_TAG,
    STUDY_TAG,
    TRIAL_TAG,
    Version,
    begin,
    champion,
    finish,
    settle,
    to_roll_back_to,
)
from harness.tracking.home import home_id
from harness.tracking.registry import log_model, register
from harness.tracking.runs import (
    attached_report,
    find_trial_run,
    own_runs,
    referred_report,
    refuse_altered_report,
    show_report,
)
from harness.tracking.store import Store
from harness.train.foldrun import committed_result, fold_folder

AT_HEADLINE = 0.0  # logit, of probability .5
THRESHOLD_TAG, CLAIM_TAG = "harness.threshold", "harness.claim"  # of a version
REFUSED_TAG = "harness.promotion_refused"  # of a trial's run
MOST_OF_A_TAG = 4000  # characters
LOOK_TAG, HELDOUT_IOU_TAG = "harness.heldout_look", "harness.heldout_iou"  # of one that was looked at


@dataclass(frozen=True)
class Promotion:
    """What was promoted, what it replaced, and what is proven of it.

    threshold: the logit that its mean probability is compared at. look, heldout_iou: of the test on held-out groups;
    None where there was none.
    """

    model: str
    version: str
    trial: int
    iou_mean: float
    iou_std: float
    previous: str | None
    threshold: float
    threshold_chosen: bool  # on all folds; else the headline's, as nothing is kept to choose one from
    claim: str
    look: int | None
    heldout_iou: float | None

    @property
    def uri(self) -> str:
        return f"models:/{self.model}@{CHAMPION}"

    @property
    def threshold_sentence(self) -> str:
        """Return for people what a pixel's probability is compared with, and where that is from."""
        where = (
            "the best of single fold models on all folds; what would be best for their mean is not measured"
            if self.threshold_chosen
            else "the headline's, since its folds were committed before anything was kept to choose another from"
        )
        measured = (
            f"; at it their mean has IoU {self.heldout_iou:.4f} on held-out groups" if self.look else ""
        )
        cut = f"{probability(self.threshold):.4f} (logit {self.threshold:g})"
        return f"target from probability {cut}: {where}{measured}"


@dataclass(frozen=True)
class _Candidate:
    """The best trial, with what its registered version will be made of and carry."""

    facts: Mapping[str, Any]
    best: Mapping[str, Any]
    run: str
    threshold: float
    settings: Mapping[str, Any]
    weights: Sequence[Path]

    @property
    def trial(self) -> int:
        return int(self.best["trial"])

    def tags(self, proof: Proof) -> dict[str, str]:
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
        }
        if proof.look is not None:
            tags |= {LOOK_TAG: str(proof.look), HELDOUT_IOU_TAG: repr(proof.iou)}
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
            threshold=float(tags.get(THRESHOLD_TAG, AT_HEADLINE)),
            threshold_chosen=THRESHOLD_TAG in tags and self.best.get("threshold") is not None,
            claim=tags.get(CLAIM_TAG, f"{NOT_PROVABLE}: promoted when nothing was asked for"),
            look=int(tags[LOOK_TAG]) if LOOK_TAG in tags else None,
            heldout_iou=float(tags[HELDOUT_IOU_TAG]) if LOOK_TAG in tags else None,
        )


def promote_best(
    store: Store,
    board: Leaderboard,
    work: Path,
    audit_again: Callable[[], Prepared],
    caches: Path,
    tell: Callable[[str], None],
) -> Promotion:
    """Register the fold models of a study's best trial as one model and set the alias, where held-out groups allow it.

    Nothing is trained. Of the trial that is the champion it changes nothing, and looks at nothing. Promotions of one
    model wait for each other, so each is held against the champion that the one before it left. A refusal is written
    on the trial's run. Raises PromotionRefused without a complete trial, where the leakage report on the study's run
    is not the one that the trial refers to, or not as it was attached, where data or split are no longer those it was
    trained on, or leak, and where it is not proven to be better (`Court.prove`); DataError where a fold's files are
    not those that were committed.
    """
    candidate = _candidate(board, store, work, tell)
    facts, client, home = board.facts, store.client(), work.parents[1]
    try:
        today = audit_again()
        _refuse_leaks_of_today(facts, today.report)
        with only_promotion(optuna_url(home), facts["name"], tell) as lock:
            settle(client, facts["name"], tell)
            before = champion(client, facts["name"])
            if before and _means(before, facts["key"], candidate.trial):
                return candidate.promoted(before.tags, before.version, None)
            court = Court(today, store, home, caches, work, tell)
            name, of = f"trial {candidate.trial}", {"study": facts["key"], "trial": candidate.trial}
            contender = model_contender(name, candidate.settings, candidate.weights, today, **of)
            return _promoted(store, candidate, court.prove(contender, before), before, lock)
    except PromotionRefused as error:
        client.set_tag(candidate.run, REFUSED_TAG, str(error)[:MOST_OF_A_TAG])
        raise


def _promoted(
    store: Store, candidate: _Candidate, proof: Proof, before: Version | None, lock: DriverLock
) -> Promotion:
    """Make the candidate the champion: the move is written down, then made, so that one that is killed is known."""
    client = store.client()
    name, tags, old = candidate.facts["name"], candidate.tags(proof), before.version if before else ""
    source = log_model(client, candidate.run, settings=candidate.settings, weights=candidate.weights)
    lock.hold()
    move = begin(client, name, "promote", before=old, version="", why=proof.claim)
    version = register(client, name, source=source, run_id=candidate.run, tags=tags, move=move.number)
    lock.hold()
    finish(client, name, move, version)
    return candidate.promoted(tags, version, old or None)


def roll_back(store: Store, home: Path, name: str, why: str, tell: Callable[[str], None]) -> tuple[str, str]:
    """Let the alias mean the version that was champion before; return the version that was, empty for none, and is.

    Raises PromotionRefused where there was none, or where it was deleted.
    """
    client = store.client()
    with only_promotion(optuna_url(home), name, tell) as lock:
        settle(client, name, tell)
        now, before = to_roll_back_to(client, name)
        lock.hold()
        finish(client, name, begin(client, name, "rollback", before=now, version=before, why=why), before)
    return now, before


def _means(version: Version, study: str, trial: int) -> bool:
    return (version.tags.get(STUDY_TAG), version.tags.get(TRIAL_TAG)) == (study, str(trial))


def show_looks(store: Store, ledger: Path, tell: Callable[[str], None]) -> None:
    """Let report and study's run in MLflow say what was seen of held-out groups, where anything was."""
    board, work = read_leaderboard(ledger), ledger.parent
    if board.looks:
        folder, key = write_report(board, work), board.facts["key"]
        runs = own_runs(store, store.client(), key, home_id(work.parents[1], store, tell))
        show_report(runs, key, folder, as_note(board))


def _candidate(board: Leaderboard, store: Store, work: Path, tell: Callable[[str], None]) -> _Candidate:
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
    attached = attached_report(runs, facts["key"])
    _refuse_another_report(facts, attached, {f"trial {trial}": referred_report(client, run)})
    refuse_altered_report(runs, facts["key"])
    threshold = AT_HEADLINE if best.get("threshold") is None else float(best["threshold"])
    weights = [fold.weights for fold in folds]
    return _Candidate(facts, best, run, threshold, model_settings(study, threshold), weights)


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


def probability(logit: float) -> float:
    """Return the probability that a logit stands for."""
    return 1 / (1 + math.exp(-logit))


def model_settings(study: Study, threshold: float) -> dict[str, Any]:
    """Return what the served model reads: its network, how pictures are shown to it, and the threshold (a logit)."""
    network, _ = architecture(study.network)
    return {
        "schema": 1,
        "network": network,
        "size": study.data.size,
        "white": study.data.white,
        "mean": list(MEAN),
        "std": list(STD),
        "threshold": probability(threshold),
    }
