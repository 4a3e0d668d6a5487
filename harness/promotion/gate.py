"""The rules of a promotion: what was found of a candidate, what it is held to, and whether it passes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, TypeVar

from harness.errors import PromotionRefused
from harness.promotion.proof import Proof
from harness.promotion.rule import NOT_PROVABLE, Rule
from harness.report.leaderboard import Leaderboard

T = TypeVar("T")

UNSEEN = "unseen data"


@dataclass
class Gate:
    """The rules of one promotion, in the order in which they were looked at; `force` is the reason to go on anyway."""

    candidate: str
    force: str | None = None
    rules: list[Rule] = field(default_factory=list)

    def hold(self, name: str, asked: str, check: Callable[[], T], say: Callable[[T], str] = str) -> T:
        """Return what a check of integrity returns; its refusal is a rule that nothing can force."""
        try:
            found = check()
        except PromotionRefused as error:
            self.rules.append(Rule(name, False, str(error), asked))
            raise
        self.rules.append(Rule(name, True, say(found), asked))
        return found

    def weigh(self, rules: Sequence[Rule]) -> None:
        """Take rules of evidence. Raises PromotionRefused with all that failed, before a look, unless forced."""
        self.rules += rules
        failed = [rule.sentence for rule in rules if not rule.passed]
        if failed and self.force is None:
            raise PromotionRefused(f"{self.candidate}: {'; '.join(failed)}")

    def judge(self, prove: Callable[[], Proof]) -> Proof:
        """Return what unseen data prove. What they refuse is raised, or becomes the claim of a forced promotion."""
        asked = "better than the champion, or than no learning where there is none"
        try:
            proof = prove()
        except PromotionRefused as error:
            self.rules.append(Rule(UNSEEN, False, str(error), asked))
            if self.force is None:
                raise
            return replace(
                error.proof or Proof(""), claim=f"{NOT_PROVABLE}: forced ({self.force}) against: {error}"
            )
        self.rules.append(Rule(UNSEEN, True, proof.claim, asked))
        failed = ", ".join(rule.name for rule in self.rules if not rule.passed)
        if not failed:
            return proof
        return replace(proof, claim=f"Forced ({self.force}) against: {failed}. {proof.claim}")

    @property
    def has_judged(self) -> bool:
        """Tell whether it came to what unseen data prove, the last rule."""
        return any(rule.name == UNSEEN for rule in self.rules)

    @property
    def was_forced(self) -> bool:
        """Tell whether it went on against a rule."""
        return self.force is not None and not all(rule.passed for rule in self.rules)

    def take_over(self, earlier: Sequence[Rule]) -> None:
        """Take the rules that were looked at when what is registered anew was promoted, but those looked at now."""
        now = {rule.name for rule in self.rules}
        self.rules += [rule for rule in earlier if rule.name not in now]

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as plain values for JSON."""
        return {
            "candidate": self.candidate,
            "forced": self.force,
            "rules": [asdict(rule) for rule in self.rules],
        }


def evidence_of(board: Leaderboard, best: Mapping[str, Any], *, unseen: bool) -> list[Rule]:
    """Return the rules on a trial that need no look at unseen data: what it beats, and whether it was looked at again.

    Cross-validated scores of the study, all on the same folds; baselines are those without learning. Where there are
    no `unseen` data to decide, the corrected best must beat them by its whole interval.
    """
    return [*_above_the_baselines(board, best, unseen), _looked_at_again(board, best)]


def _above_the_baselines(board: Leaderboard, best: Mapping[str, Any], unseen: bool) -> Iterator[Rule]:
    if not board.baselines:
        return
    limit, asked = _limit(board)
    yield Rule("mean IoU", float(best["iou_mean"]) > limit, f"{best['iou_mean']:.4f}", asked)
    if not unseen:
        yield from by_the_interval(board)


def by_the_interval(board: Leaderboard) -> list[Rule]:
    """Return the rule that the corrected best beats the baselines by its whole interval, where both are known."""
    if board.corrected is None or not board.baselines:
        return []
    limit, asked = _limit(board)
    low, trials = float(board.corrected["low"]), board.corrected["trials"]
    return [
        Rule(
            "corrected interval's lower end", low > limit, f"{low:.4f}, of the best of {trials} trials", asked
        )
    ]


def _limit(board: Leaderboard) -> tuple[float, str]:
    name, rival = max(board.baselines.items(), key=lambda one: float(one[1]["iou_mean"]))
    limit = float(rival["iou_mean"])
    return limit, f"above {limit:.4f}, the best without learning ({name})"


def _looked_at_again(board: Leaderboard, best: Mapping[str, Any]) -> Rule:
    """Return that the trial had a second look, where the study asks for any."""
    count = int(board.facts["settings"]["search"].get("second_look", 0))
    score = best.get("second_iou_mean")
    if score is not None:
        return Rule("second look", True, f"IoU {score:.4f}", f"of the best {count}")
    state = best.get("second_look") or "none yet; run the study again, which goes on with it"
    if count == 0:
        return Rule("second look", True, "none", "none (search.second_look: 0)")
    return Rule("second look", False, str(state), f"of the best {count}")
