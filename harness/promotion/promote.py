"""Promote the best complete trial: its fold models become one model, and the alias `champion` means it."""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from harness.config import Promote
from harness.data.audit.report import Report, refuse_leaks
from harness.errors import LeakageError, ModelRefused, NotBetter, PromotionRefused
from harness.prepare import Prepared
from harness.promotion.candidate import CLAIM_TAG, Candidate, Promotion, read_candidate
from harness.promotion.card import DOCUMENT, Card, Written, read_card, use_of, write_card
from harness.promotion.contenders import made_as, model_contender
from harness.promotion.gate import Gate, by_the_interval, evidence_of
from harness.promotion.making import Made, made_of
from harness.promotion.proof import Court, Place, Proof, is_provable
from harness.promotion.rule import NOT_PROVABLE
from harness.promotion.searches import Searches
from harness.report.files import write_report
from harness.report.leaderboard import Leaderboard, read_leaderboard
from harness.report.table import as_note
from harness.search.database import optuna_url
from harness.search.lock import DriverLock, only_promotion
from harness.tracking.aliases import CHALLENGER, STUDY_TAG, Action, Version, named_version, versions
from harness.tracking.home import home_id
from harness.tracking.mover import Mover
from harness.tracking.registry import flaw, log_model, register
from harness.tracking.runs import forget_refusal, own_runs, show_card, show_gate, show_report, shown_card
from harness.tracking.store import Store


def promote_best(
    place: Place,
    board: Leaderboard,
    audit_again: Callable[[], Prepared],
    wanted: Promote,
    force: str | None = None,
) -> Promotion:
    """Register a model of a study's best trial, made as `wanted`, and set the alias, where its rules allow it.

    Nothing is trained, but a refit. Of the model that is the champion it changes nothing but the use that its card
    states, and looks at nothing where that is the candidate.
    Promotions of one model wait for each other, so each is held against the champion that the one before it left. The
    rules, passed or not, are attached to the trial's run. `force`, a reason, promotes against the rules of evidence,
    never against those of integrity, and stands on the version and in the history. What is not shown to be better than
    the champion becomes the challenger.

    Raises PromotionRefused without a complete trial; of integrity, where the leakage report on the study's run is not
    the one that the trial refers to, or not as it was attached, where data or split are no longer those it was trained
    on, or leak; of evidence, see `evidence_of`, `Made.rules` and `Court.prove`. ModelRefused where a graph is not equal
    to the networks. DataError where a fold's files are not those that were committed.
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
        made = made_as(wanted, len(candidate.folds))
        with only_promotion(optuna_url(place.home), facts["name"], place.tell) as lock:
            if (before := mover.settle()) is not None:
                _state_use(place, before, facts, wanted)
            held = before if before and candidate.is_in(before, made) else None
            why = flaw(client, held, wanted.graphs) if held else ""
            if held and not why:
                forget_refusal(client, candidate.run)
                return candidate.promoted(held.tags, held.version, None)
            if not held:
                gate.weigh(evidence_of(board, candidate.best, unseen=is_provable(today)))
            with made_of(candidate, wanted, today, place) as model:
                card = partial(Card, board, model, gate, wanted)
                step = _Step(
                    candidate, model, made, before, mover, lock, partial(_show_card, place, candidate, card)
                )
                if held:
                    known = _card_of(place.store, held)
                    gate.take_over(known.rules if known else [])
                    place.tell(f"{why}: it is registered anew, from the trial's own files")
                    return step.promote(_known_tags(candidate, made, held))
                gate.weigh(model.rules(wanted, candidate.best.get("calibration_error")))
                searches = Searches(today, place.work, made, place.tell)
                court = Court(today, place, searches, wanted.margin, by_the_interval(board))
                proof = _judged(step, court, gate)
                return step.promote(candidate.tags(proof, force if gate.was_forced else None, made))


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


@dataclass(frozen=True)
class _Step:
    """One move that is to be made: with which model, from which champion, by whom."""

    candidate: Candidate
    model: Made
    made: str
    before: Version | None
    mover: Mover
    lock: DriverLock
    show_card: Callable[[Mapping[str, str], str], None]  # of a version with these tags

    def promote(self, tags: Mapping[str, str]) -> Promotion:
        """Make the candidate the champion."""
        version = self._carry_out("promote", tags)
        return self.candidate.promoted(tags, version, self.before.version if self.before else None)

    def challenge(self, why: str) -> None:
        """Make the candidate the challenger, unless it is; a version of it that is there keeps its tags."""
        mover, claim = self.mover, f"Challenger, not shown to be better. {why}"
        now = named_version(mover.client, mover.name, CHALLENGER)
        if now is not None and self.candidate.is_in(now, self.made):
            return
        known = next((one for one in versions(mover.client, mover.name) if self._is(one)), None)
        if known is None:
            self._carry_out("challenge", self.candidate.tags(Proof(claim), None, self.made))
        else:
            move = mover.begin("challenge", before=self.before, version=known.version, why=claim)
            mover.finish(move, known.version)

    def _is(self, version: Version) -> bool:
        return self.candidate.is_in(version, self.made) and not flaw(
            self.mover.client, version, sorted(self.model.graphs.files)
        )

    def _carry_out(self, action: Action, tags: Mapping[str, str]) -> str:
        """Write the move down, then make it, so that one that is killed is known; return the version."""
        client, name, run = self.mover.client, self.mover.name, self.candidate.run
        model = self.model
        source = log_model(
            client,
            run,
            settings=model.settings,
            weights=model.weights,
            graphs=model.graphs,
            example=model.example,
        )
        self.lock.hold()
        move = self.mover.begin(action, before=self.before, version="", why=tags[CLAIM_TAG])
        version = register(client, name, source=source, run_id=run, tags=tags, made_by=move.id)
        if action == "promote":
            self.show_card(tags, version)
        self.lock.hold()
        self.mover.finish(move, version)
        return version


def _show_card(
    place: Place,
    candidate: Candidate,
    card: Callable[[Promotion, Mapping[str, str]], Card],
    tags: Mapping[str, str],
    version: str,
) -> None:
    """Attach the card of a version that is promoted to the trial's run, and begin it on the version's page."""
    done = candidate.promoted(tags, version, None)
    _attach_card(place.store, card(done, tags).written(), place.work, candidate.run, version)


def _attach_card(store: Store, card: Written, work: Path, run: str, version: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        text = write_card(card, work, Path(folder))
        show_card(store.client(), run, Path(folder), (card.model, version), text)


def _card_of(store: Store, version: Version) -> Written | None:
    """Return the card that a version was promoted with; None where it has none that can be read."""
    text = shown_card(store.client(), version.run_id, version.version, DOCUMENT)
    return None if text is None else read_card(text, version.name, version.version)


def _state_use(place: Place, champion: Version, facts: Mapping[str, Any], wanted: Promote) -> None:
    """Let the card of a champion of this very study state use and licenses as the study file does today."""
    if champion.tags.get(STUDY_TAG) != facts["key"]:  # licenses of other data, perhaps
        return
    card, use = _card_of(place.store, champion), use_of(wanted, facts["description"])
    if card is None:
        place.tell(
            f"version {champion.version}: its card cannot be read, and states use and licenses as it did"
        )
    elif card.use != use:
        place.tell(
            f"version {champion.version}: its card states use and licenses as the study file does today"
        )
        _attach_card(place.store, card.with_use(use), place.work, champion.run_id, champion.version)


def _judged(step: _Step, court: Court, gate: Gate) -> Proof:
    """Return what unseen data prove; what they do not prove against a champion becomes the challenger."""
    candidate, model = step.candidate, step.model
    name, of = f"trial {candidate.trial}", {"study": candidate.facts["key"], "trial": candidate.trial}
    contender = model_contender(name, model.settings, model.weights, court.today, **of)
    try:
        return gate.judge(partial(court.prove, contender, step.before))
    except NotBetter as error:
        step.challenge(str(error))
        raise


def _known_tags(candidate: Candidate, made: str, before: Version) -> dict[str, str]:
    """Return what the champion carries, for its registration anew: what was proven of it stays."""
    known = {name: value for name, value in before.tags.items() if name.startswith("harness.")}
    return candidate.tags(Proof(known.get(CLAIM_TAG, NOT_PROVABLE)), None, made) | known


def roll_back(store: Store, home: Path, name: str, why: str, tell: Callable[[str], None]) -> tuple[str, str]:
    """Let the alias mean the version that was champion before; return the version that was, empty for none, and is.

    Raises PromotionRefused where none is there.
    """
    mover = Mover(store.client(), name, home_id(home, store, tell), tell)
    with only_promotion(optuna_url(home), name, tell):
        return mover.roll_back(why)


def show_looks(store: Store, ledger: Path, tell: Callable[[str], None]) -> None:
    """Let report and study's run in MLflow say what was seen of held-out groups, where anything was."""
    board, work = read_leaderboard(ledger), ledger.parent
    if board.looks:
        folder, key = write_report(board, work), board.facts["key"]
        runs = own_runs(store, store.client(), key, home_id(work.parents[1], store, tell))
        show_report(runs, key, folder, as_note(board))


def _refuse_leaks_of_today(facts: Mapping[str, Any], today: Report) -> str:
    """Return the verdict of today's audit, which may know more than the one before training; refuse what leaks."""
    if today.split != facts["split"]:
        raise PromotionRefused(
            f"{facts['key']}: was trained on split {facts['split']}, which is lost (today it would be {today.split}); "
            "restore its file in folds/, or run the study again"
        )
    try:
        refuse_leaks(today)
    except LeakageError as error:
        raise PromotionRefused(f"{facts['key']}: audited again, its data leak: {error}") from error
    return today.verdict
