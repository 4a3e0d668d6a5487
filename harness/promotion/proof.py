"""What unseen data prove of a candidate before it is promoted. Each look at them is counted and paid for."""

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from harness.data.audit import HELD_OUT
from harness.data.split import Split, read_split
from harness.errors import DataError, NotBetter, PromotionRefused
from harness.evaluate.groups import pooled
from harness.evaluate.heldout import HeldOutTest, can_be_proven, held_out_test
from harness.prepare import Prepared
from harness.promotion.contenders import Contender, classical_contender, model_contender
from harness.promotion.looks import FOLD_GROUPS, Look, Looks, note_looks
from harness.promotion.pictures import Groups, held_out_groups
from harness.promotion.rule import NOT_PROVABLE, Rule
from harness.promotion.searches import Searches
from harness.search.ledger import read_facts
from harness.tracking.aliases import SPLIT_TAG, STUDY_TAG, Version
from harness.tracking.registry import fetch_model
from harness.tracking.store import Store

WAY_OUT = (
    "to prove more, hold out groups that no fold of the champion held (folds.held_out, held_out_positive and "
    "held_out_from in the study file, or fold -1 in the table) in a study of another name"
)
OR_NEST = "; or let both searches run with protocol.nested: true, on the same folds"


@dataclass(frozen=True)
class Proof:
    """What may be claimed of a promoted model; without a look nothing was looked at."""

    claim: str
    look: int | None = None
    iou: float | None = None  # pooled, of the model on held-out groups; None where those were not looked at
    worth: Mapping[str, float] = field(default_factory=dict)  # see Seen; of such a look alone


@dataclass(frozen=True)
class Place:
    """Where a study's results are: MLflow, its work folder, what is kept of pictures; `tell` gets lines for people."""

    store: Store
    work: Path
    caches: Path
    tell: Callable[[str], None]

    @property
    def home(self) -> Path:
        return self.work.parents[1]


def is_provable(today: Prepared) -> bool:
    """Tell whether enough groups are held out to prove anything at a first look."""
    return can_be_proven(len(held_out_groups(today.split, today.samples)), look=1)


@dataclass(frozen=True)
class Court:
    """What a candidate is judged with: the data as audited today, the registered models, where looks are counted.

    searches: what is judged by where too few groups are held out. margin: the least gain of IoU over the champion,
    which the whole interval must show. otherwise: what a first model is held to where its look cannot prove anything.
    """

    today: Prepared
    place: Place
    searches: Searches
    margin: float = 0.0
    otherwise: Sequence[Rule] = ()

    def prove(self, candidate: Contender, champion: Version | None) -> Proof:
        """Hold a candidate against the champion, or where there is none against the baseline without learning.

        Raises PromotionRefused unless it is better, or there is no champion and nothing can be proven.
        """
        place = self.place
        try:
            if is_provable(self.today):
                return self._by_held_out_groups(candidate, champion)
            return self._by_search(candidate, champion)
        finally:
            note_looks(place.home, place.work, read_facts(place.work / "ledger"))

    def _by_held_out_groups(self, candidate: Contender, champion: Version | None) -> Proof:
        groups = held_out_groups(self.today.split, self.today.samples)
        looks = Looks(self.place.home, groups, self.place.tell)
        with self._rival(champion, groups) as rival:
            look = looks.take(candidate.side, rival.side, partial(_seen, candidate, rival))
            return _judged(look, champion, self.margin, self.otherwise)

    def _by_search(self, candidate: Contender, champion: Version | None) -> Proof:
        """Judge by nested cross-validation, if it was asked for; a first model is not held against anything."""
        held_out = len(held_out_groups(self.today.split, self.today.samples)) or "no"
        few = f"{NOT_PROVABLE}: {held_out} groups are held out, and fewer than six prove nothing"
        if champion is None:
            return Proof(few)
        stays = f"version {champion.version} stays the champion"
        if not self.searches.are_nested or candidate.side.trial is None:
            raise PromotionRefused(f"{few}; {stays}; {WAY_OUT}{OR_NEST}")
        try:
            own, rival = self.searches.pair(candidate.side.trial, champion)
        except PromotionRefused as error:
            raise PromotionRefused(f"{error}; {stays}; {WAY_OUT}") from error
        try:
            look = self.searches.look(own, rival)
        except PromotionRefused as error:
            raise PromotionRefused(f"{NOT_PROVABLE}: {error}; {stays}") from error
        return _judged(look, champion, self.margin, self.otherwise)

    @contextmanager
    def _rival(self, champion: Version | None, groups: Groups) -> Iterator[Contender]:
        if champion is None:
            yield classical_contender(self.today, self.place.caches)
            return
        self._refuse_seen(champion, groups)
        with tempfile.TemporaryDirectory() as folder:
            parts = fetch_model(self.place.store.client(), champion, Path(folder))
            name = f"the champion, version {champion.version}"
            yield model_contender(name, parts.settings, parts.weights, self.today)

    def _refuse_seen(self, champion: Version, groups: Groups) -> None:
        """Refuse a champion that was trained on held-out groups, or of which that cannot be told."""
        own, who = self.today.split, f"version {champion.version}, the champion,"
        other = self._split_of(champion)
        if other.id != own.id and not self._are_related(own, other):
            raise PromotionRefused(
                f"{NOT_PROVABLE}: {who} was trained on split {other.id}, which has nothing to do with split {own.id}: "
                f"it may know the held-out groups; {WAY_OUT}"
            )
        seen = [name for name in groups if other.folds.get(name, HELD_OUT) != HELD_OUT]
        if seen:
            raise PromotionRefused(
                f"{NOT_PROVABLE}: {who} was trained on {len(seen)} of {len(groups)} held-out groups, the first is "
                f"{seen[0]!r}; {WAY_OUT}"
            )

    def _split_of(self, champion: Version) -> Split:
        try:
            known = champion.tags.get(SPLIT_TAG)
            if known is None:  # promoted by a version that did not say
                known = read_facts(self.place.home / "work" / champion.tags.get(STUDY_TAG, "-") / "ledger")[
                    "split"
                ]
            return read_split(self.place.home / "folds" / f"{known}.json")
        except (DataError, FileNotFoundError) as error:
            raise PromotionRefused(
                f"{NOT_PROVABLE}: what version {champion.version}, the champion, was trained on is not known under "
                f"this home ({error}); restore it, or promote a study of another name"
            ) from error

    def _are_related(self, one: Split, other: Split) -> bool:
        """Tell whether one split is the other's child, or its child's."""
        return other.id in self._parents(one) or one.id in self._parents(other)

    def _parents(self, split: Split) -> set[str]:
        found: set[str] = set()
        while split.parent and (path := self.place.home / "folds" / f"{split.parent}.json").is_file():
            found.add(split.parent)
            split = read_split(path)
        return found


def _seen(candidate: Contender, rival: Contender, look: int) -> tuple[HeldOutTest, dict[str, Any]]:
    """Let both predict the held-out groups; return the test of this look, and what is of the candidate alone."""
    seen = candidate.look()
    test = held_out_test(seen.counts, rival.look().counts, look=look)
    return test, {"iou": float(pooled(seen.counts)), "worth": dict(seen.worth)}


def _judged(look: Look, champion: Version | None, margin: float, otherwise: Sequence[Rule]) -> Proof:
    """Return what a look proves. Raises PromotionRefused, with what it showed."""
    claim = f"{look['sentence']} Held against {look['rival']['name']}, at {len(look['groups'])} groups."
    if look.get("what") == FOLD_GROUPS:
        own, other = look["scores"]
        claim = (
            f"{claim} It is of the searches, which scored {own:.4f} and {other:.4f} and trained on fewer groups; the "
            "models themselves are not scored there."
        )
    proof = Proof(claim, int(look["look"]), look.get("iou"), look.get("worth", {}))
    try:
        if champion is None:
            return _first(look, proof, otherwise)
        _refuse_not_better(look, proof, champion, margin)
        return proof
    except PromotionRefused as error:
        error.proof = proof
        raise


def _refuse_not_better(look: Look, proof: Proof, champion: Version, margin: float) -> None:
    stays = f"version {champion.version} stays the champion."
    if not look["better"]:
        raise NotBetter(f"{proof.claim} {stays.capitalize()}")
    if look["low"] < margin:
        raise NotBetter(
            f"{proof.claim} The study asks for a gain of {margin:g} or more (promote.margin), and the interval begins "
            f"at {look['low']:+.4f}: {stays}"
        )


def _first(look: Look, proof: Proof, otherwise: Sequence[Rule]) -> Proof:
    """Return what is proven of a first model; where so few groups cannot tell, it is held to other rules."""
    if look["better"]:
        return proof
    if look["gain"] > 0 and not can_be_proven(look["tell_apart"], look=look["look"]):
        failed = [rule.sentence for rule in otherwise if not rule.passed]
        if failed:
            raise PromotionRefused(f"{proof.claim} They are too few to tell, and {'; '.join(failed)}.")
        few = f"{NOT_PROVABLE}: only {look['tell_apart']} held-out groups tell the two apart"
        return replace(proof, claim=f"{few}. {proof.claim}")
    raise PromotionRefused(
        f"{proof.claim} That it is better than no learning is not shown; nothing is promoted."
    )
