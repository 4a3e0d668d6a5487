"""Promote the best complete trial: its fold models become one model, and the alias `champion` means it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from harness.data.audit.report import Report, refuse_leaks
from harness.errors import LeakageError, ModelRefused, PromotionRefused
from harness.prepare import Prepared
from harness.promotion.candidate import CLAIM_TAG, Candidate, Promotion, read_candidate
from harness.promotion.contenders import model_contender
from harness.promotion.gate import Gate, evidence_of
from harness.promotion.proof import NOT_PROVABLE, Court, Place, Proof, is_provable
from harness.report.files import write_report
from harness.report.leaderboard import Leaderboard, read_leaderboard
from harness.report.table import as_note
from harness.search.database import optuna_url
from harness.search.lock import DriverLock, only_promotion
from harness.tracking.aliases import STUDY_TAG, TRIAL_TAG, Version
from harness.tracking.home import home_id
from harness.tracking.mover import Mover
from harness.tracking.registry import flaw, log_model, register
from harness.tracking.runs import own_runs, show_gate, show_report
from harness.tracking.store import Store


def promote_best(
    place: Place, board: Leaderboard, audit_again: Callable[[], Prepared], force: str | None = None
) -> Promotion:
    """Register the fold models of a study's best trial as one model and set the alias, where its rules allow it.

    Nothing is trained. Of the trial that is the champion it changes nothing, and looks at nothing. Promotions of one
    model wait for each other, so each is held against the champion that the one before it left. The rules, passed or
    not, are attached to the trial's run. `force`, a reason, promotes against the rules of evidence, never against
    those of integrity, and stands on the version and in the history.

    Raises PromotionRefused without a complete trial; of integrity, where the leakage report on the study's run is not
    the one that the trial refers to, or not as it was attached, where data or split are no longer those it was trained
    on, or leak; of evidence, see `evidence_of` and `Court.prove`. DataError where a fold's files are not those that
    were committed.
    """
    candidate = read_candidate(board, place.store, place.work, place.tell)
    facts, client, gate = board.facts, place.store.client(), Gate(candidate.key, force)
    mover = Mover(client, facts["name"], home_id(place.home, place.store, place.tell), place.tell)
    with _shown(place.store, candidate, gate):
        asked = "on its run as attached, and the one that the trial refers to"
        gate.hold("leakage report", asked, candidate.refuse_another_report)
        data = f"manifest {str(facts['data'])[:16]}, as it was trained on"
        today = gate.hold("data", data, audit_again, lambda one: f"manifest {one.manifest[:16]}")
        gate.hold("leaks", "none today, on its split", partial(_refuse_leaks_of_today, facts, today.report))
        with only_promotion(optuna_url(place.home), facts["name"], place.tell) as lock:
            before = mover.settle()
            if before and _means(before, facts["key"], candidate.trial):
                return _again(candidate, before, mover, lock)
            gate.weigh(evidence_of(board, candidate.best, unseen=is_provable(today)))
            name, of = f"trial {candidate.trial}", {"study": facts["key"], "trial": candidate.trial}
            contender = model_contender(name, candidate.settings, candidate.weights, today, **of)
            proof = gate.judge(partial(Court(today, place).prove, contender, before))
            tags = candidate.tags(proof, force if gate.was_forced else None)
            return _promoted(candidate, tags, before, mover, lock)


@contextmanager
def _shown(store: Store, candidate: Candidate, gate: Gate) -> Iterator[None]:
    """Attach what the gate found to the trial's run, where it judged or refused, not of a champion that stays."""
    try:
        yield
    except (PromotionRefused, ModelRefused) as error:
        error.document = gate.as_dict()
        show_gate(store.client(), candidate.run, gate.as_dict(), str(error))
        raise
    if gate.has_judged:
        show_gate(store.client(), candidate.run, gate.as_dict(), "")


def _promoted(
    candidate: Candidate, tags: Mapping[str, str], before: Version | None, mover: Mover, lock: DriverLock
) -> Promotion:
    """Make the candidate the champion: the move is written down, then made, so that one that is killed is known."""
    client, name = mover.client, mover.name
    source = log_model(client, candidate.run, settings=candidate.settings, weights=candidate.weights)
    lock.hold()
    move = mover.begin("promote", before=before, version="", why=tags[CLAIM_TAG])
    version = register(client, name, source=source, run_id=candidate.run, tags=tags, made_by=move.id)
    lock.hold()
    mover.finish(move, version)
    return candidate.promoted(tags, version, before.version if before else None)


def _again(candidate: Candidate, before: Version, mover: Mover, lock: DriverLock) -> Promotion:
    """Return what the champion is; one that this code cannot read is registered anew, with what was proven of it."""
    why = flaw(mover.client, before)
    if not why:
        return candidate.promoted(before.tags, before.version, None)
    mover.tell(f"{why}: it is registered anew, from the trial's own files")
    known = {name: value for name, value in before.tags.items() if name.startswith("harness.")}
    tags = candidate.tags(Proof(known.get(CLAIM_TAG, NOT_PROVABLE)), None) | known
    return _promoted(candidate, tags, before, mover, lock)


def roll_back(store: Store, home: Path, name: str, why: str, tell: Callable[[str], None]) -> tuple[str, str]:
    """Let the alias mean the version that was champion before; return the version that was, empty for none, and is.

    Raises PromotionRefused where none is there.
    """
    mover = Mover(store.client(), name, home_id(home, store, tell), tell)
    with only_promotion(optuna_url(home), name, tell):
        return mover.roll_back(why)


def _means(version: Version, study: str, trial: int) -> bool:
    return (version.tags.get(STUDY_TAG), version.tags.get(TRIAL_TAG)) == (study, str(trial))


def show_looks(store: Store, ledger: Path, tell: Callable[[str], None]) -> None:
    """Let report and study's run in MLflow say what was seen of held-out groups, where anything was."""
    board, work = read_leaderboard(ledger), ledger.parent
    if board.looks:
        folder, key = write_report(board, work), board.facts["key"]
        runs = own_runs(store, store.client(), key, home_id(work.parents[1], store, tell))
        show_report(runs, key, folder, as_note(board))


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
