"""What held-out groups prove of a candidate before it is promoted. Each look at them is counted and paid for."""

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.data.audit import HELD_OUT
from harness.data.split import Split, read_split
from harness.errors import DataError, NotBetter, PromotionRefused
from harness.evaluate.groups import pooled
from harness.evaluate.heldout import LOOKS, can_be_proven, held_out_test
from harness.prepare import Prepared
from harness.promotion.contenders import Contender, classical_contender, model_contender
from harness.promotion.looks import Groups, Look, Looks, held_out_groups, write_looks
from harness.promotion.rule import Rule
from harness.search.ledger import read_facts
from harness.tracking.aliases import SPLIT_TAG, STUDY_TAG, Version
from harness.tracking.registry import fetch_model
from harness.tracking.store import Store

NOT_PROVABLE = "not provable on these data"
WAY_OUT = (
    "to prove more, hold out groups that no fold of the champion held (folds.held_out, held_out_positive and "
    "held_out_from in the study file, or fold -1 in the table) in a study of another name"
)


@dataclass(frozen=True)
class Proof:
    """What may be claimed of a promoted model; without a look nothing was looked at."""

    claim: str
    look: int | None = None
    iou: float | None = None  # pooled, on the held-out groups
    worth: Mapping[str, float] = field(default_factory=dict)  # see Seen; of a look alone


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

    margin: the least gain of IoU over the champion, which the whole interval must show. otherwise: what a first model
    is held to where its look cannot prove anything.
    """

    today: Prepared
    place: Place
    margin: float = 0.0
    otherwise: Sequence[Rule] = ()

    def prove(self, candidate: Contender, champion: Version | None) -> Proof:
        """Hold a candidate against the champion, or where there is none against the baseline without learning.

        Raises PromotionRefused unless it is better, or there is no champion and nothing can be proven.
        """
        groups = held_out_groups(self.today.split, self.today.samples)
        if not is_provable(self.today):
            few = (
                f"{NOT_PROVABLE}: {len(groups) or 'no'} groups are held out, and fewer than six prove nothing"
            )
            if champion is None:
                return Proof(few)
            raise PromotionRefused(f"{few}; version {champion.version} stays the champion; {WAY_OUT}")
        looks = Looks(self.place.home, groups, self.place.tell)
        with self._rival(champion, groups) as rival:
            try:
                return _judged(self._look(candidate, rival, looks), champion, self.margin, self.otherwise)
            finally:
                write_looks(self.place.work, looks.all())

    def _look(self, candidate: Contender, rival: Contender, looks: Looks) -> Look:
        """Return the look at these two; one that was finished is not repeated, one that was killed is gone on with."""
        look = looks.count(candidate.side, rival.side)
        if "sentence" in look:
            self.place.tell(
                f"held-out groups: these two were held against each other at look {look['look']} already"
            )
            return look
        self.place.tell(
            f"held-out groups: look {look['look']} of {LOOKS} at {len(looks.groups)} groups, {candidate.side.name} "
            f"against {rival.side.name}"
        )
        seen = candidate.look()
        test = held_out_test(seen.counts, rival.look().counts, look=look["look"])
        return looks.conclude(look, test, {"iou": float(pooled(seen.counts)), "worth": dict(seen.worth)})

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


def _judged(look: Look, champion: Version | None, margin: float, otherwise: Sequence[Rule]) -> Proof:
    """Return what a look proves. Raises PromotionRefused, with what it showed."""
    claim = f"{look['sentence']} Held against {look['rival']['name']}, at {len(look['groups'])} groups."
    proof = Proof(claim, int(look["look"]), float(look["iou"]), look.get("worth", {}))
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
    if margin and look["low"] < margin:
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
