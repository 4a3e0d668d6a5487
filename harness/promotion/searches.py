"""Nested cross-validation as proof: the candidate's search against the champion's, in folds that neither saw."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from harness.config import Promote
from harness.errors import DataError, PromotionRefused
from harness.evaluate.groups import GroupCounts, counts_of_rows, headline
from harness.evaluate.heldout import HeldOutTest
from harness.evaluate.nested import nested_test
from harness.evaluate.version import scores_digest
from harness.prepare import Prepared
from harness.promotion.contenders import made_as
from harness.promotion.looks import FOLD_GROUPS, Look, Looks, Side
from harness.promotion.pictures import fold_groups
from harness.promotion.readable import Readable, readable, result_digest
from harness.promotion.rule import NOT_PROVABLE
from harness.report.leaderboard import Leaderboard, read_leaderboard
from harness.search.nested import as_served, read_nested
from harness.tracking.aliases import MADE_TAG, STUDY_TAG, TRIAL_TAG, Version


@dataclass(frozen=True)
class Searched:
    """A search that promoted, or would promote, a model: what it is called, its facts, and its nested result."""

    who: str
    trial: int
    facts: Mapping[str, Any]
    nested: Mapping[str, Any]

    @property
    def key(self) -> str:
        return str(self.facts["key"])

    @property
    def studies(self) -> set[str]:
        """Return the study, and the searches without a fold that its result is made of."""
        return {self.key, *(str(one["study"]) for one in self.nested["chosen"])}

    @property
    def rows(self) -> pd.DataFrame:
        """Return a row for each group: fold, group, tp, fp, fn at the thresholds that each search chose."""
        return as_served(pd.DataFrame(self.nested["counts"]))

    @property
    def counts(self) -> GroupCounts:
        return counts_of_rows(self.rows)

    @property
    def side(self) -> Side:
        digest = hashlib.sha256(f"{self.key} {self.result}".encode()).hexdigest()
        return Side(f"the search of {self.who}", digest, self.key, self.trial)

    @property
    def result(self) -> str:
        return result_digest(self.nested["counts"])


@dataclass(frozen=True)
class Searches:
    """The searches of a home that nested cross-validation scored. `work` is of the candidate's study.

    made: of what the candidate is made, see `made_as`.
    """

    today: Prepared
    work: Path
    made: str
    tell: Callable[[str], None]

    @property
    def are_nested(self) -> bool:
        """Tell whether the candidate's study asks for it."""
        return self.today.study.protocol.nested

    def pair(self, trial: int, champion: Version) -> tuple[Searched, Searched]:
        """Return the candidate's search and the champion's.

        Raises PromotionRefused where one of them has no result that is of its model, or the two cannot be paired.
        """
        tags, who = champion.tags, f"version {champion.version}, the champion"
        if tags.get(STUDY_TAG) == self.work.name:
            raise _refusal(f"{who}, is of the same search, {self.work.name}, which has one result for both")
        own = self._searched(self.work, f"trial {trial}", str(trial))
        rival = self._searched(self._work_of(champion, who), who, tags.get(TRIAL_TAG, ""))
        _refuse_unlike(own, rival)
        ensemble = made_as(Promote(), self.today.split.count)
        _refuse_made(own, self.made, ensemble)
        _refuse_made(rival, tags.get(MADE_TAG, ensemble), ensemble)
        return own, rival

    def look(self, own: Searched, rival: Searched) -> Look:
        """Return the look at what the two found in the folds.

        Raises PromotionRefused where looks are spent: what can be read of these pictures is paid for, as it may have
        been what the candidate was chosen by.
        """
        home, groups = self.work.parents[1], fold_groups(self.today.split, self.today.samples)

        def known() -> Readable:
            return readable(home, groups, studies=own.studies | rival.studies, champion=rival.result)

        def show(number: int) -> tuple[HeldOutTest, dict[str, Any]]:
            scores = [float(headline(side.counts)) for side in (own, rival)]
            return nested_test(own.counts, rival.counts, look=number), {"scores": scores}

        return Looks(home, groups, self.tell, FOLD_GROUPS, known).take(own.side, rival.side, show)

    def _work_of(self, champion: Version, who: str) -> Path:
        """Return the work folder of the champion's study, which is one of this home."""
        key, works = champion.tags.get(STUDY_TAG, ""), self.work.parent
        if key not in {path.name for path in works.iterdir()}:
            raise _refusal(f"{who}, is of study {key or 'unknown'}, which is not under this home")
        return works / key

    def _searched(self, work: Path, who: str, trial: str) -> Searched:
        """Return the search of a model, as nested cross-validation scored it, or refuse it."""
        try:
            board, nested = read_leaderboard(work / "ledger"), read_nested(work / "ledger")
        except DataError as error:
            raise _refusal(f"{who}: {error}") from error
        if reason := _unproven(board, nested, trial):
            raise _refusal(f"{who}: {work.name} {reason}")
        assert nested is not None  # else it were unproven
        return Searched(who, int(trial), board.facts, nested)


def _unproven(board: Leaderboard, nested: Mapping[str, Any] | None, trial: str) -> str:
    """Return why the nested result of a study is not of the search that found this trial; empty where it is."""
    search, chosen = board.facts["settings"]["search"], board.chosen
    trials = search["trials"]
    if board.nested is None or nested is None:
        trials, looked = max(trials, len(board.trials)), max(search.get("second_look", 0), len(board.looked))
        asked = f"trials: {trials}, second looks: {looked}"
        return f"has no such result with all it has or asks for ({asked}); run it with protocol.nested: true"
    if "counts" not in nested:
        return "has a result by older code; run that study again, which begins its nested search anew"
    if len(board.trials) < trials:
        return f"has {len(board.trials)} of {trials} trials; run it again, which goes on"
    if chosen is None or str(chosen["trial"]) != trial:
        now = chosen["trial"] if chosen else "none"
        return f"would promote trial {now} now, and this is trial {trial or 'unknown'}"
    return ""


def _refuse_unlike(own: Searched, rival: Searched) -> None:
    """Raise PromotionRefused unless both were counted alike, on the same groups in the same folds."""
    both = f"{own.who} and {rival.who}"
    if (one := own.facts["split"]) != (other := rival.facts["split"]):
        raise _refusal(f"{both}, were searched on other folds (splits {one} and {other})")
    if old := [side.key for side in (own, rival) if side.nested["code"] != scores_digest()]:
        raise _refusal(
            f"{' and '.join(old)}: counted by other code; run it again, which trains nothing that is there"
        )
    if _truth(own) != _truth(rival):
        raise _refusal(f"{both}, were counted on other groups or other masks")


def _refuse_made(of: Searched, made: str, ensemble: str) -> None:
    if made != ensemble:
        raise _refusal(
            f"{of.who}: is made as {made}, and what is scored there is the mean of fold models (promote.model: "
            "ensemble, without further views)"
        )


def _truth(one: Searched) -> dict[tuple[int, str], int]:
    rows = one.rows
    return dict(zip(zip(rows["fold"], rows["group"], strict=True), rows["tp"] + rows["fn"], strict=True))


def _refusal(why: str) -> PromotionRefused:
    return PromotionRefused(f"{NOT_PROVABLE} by nested cross-validation: {why}")
