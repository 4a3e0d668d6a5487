"""Rules of the gate: what each lets pass, what it says, what a reason can force, and where it is written."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from benchmarks.promoted import ALIKE, STRONG, WEAK, Ran
from harness.errors import PromotionRefused
from harness.promotion.gate import Gate, Rule, evidence_of
from harness.promotion.proof import Proof
from harness.promotion.rule import NOT_PROVABLE
from harness.report.leaderboard import Leaderboard
from harness.tracking.aliases import moves

BASELINES = {"all_foreground": {"iou_mean": 0.01}, "classical": {"iou_mean": 0.2}}
CORRECTED = {"iou": 0.5, "low": 0.3, "high": 0.6, "optimism": 0.02, "trials": 12}
BEST = {"trial": 3, "iou_mean": 0.52, "second_iou_mean": 0.5, "second_look": "complete"}


def board(asked: int = 2, **changes: Any) -> Leaderboard:
    facts = {"settings": {"search": {"second_look": asked}}}
    return Leaderboard(
        **{"facts": facts, "trials": [BEST], "baselines": BASELINES, "corrected": CORRECTED, **changes}
    )


def failed(rules: list[Rule]) -> list[str]:
    return [rule.sentence for rule in rules if not rule.passed]


def test_a_good_trial_passes_and_every_rule_says_its_figure_and_limit() -> None:
    rules = evidence_of(board(), BEST, unseen=False)
    assert [rule.sentence for rule in rules] == [
        "mean IoU: 0.5200 (asked for: above 0.2000, the best without learning (classical))",
        "corrected interval's lower end: 0.3000, of the best of 12 trials "
        "(asked for: above 0.2000, the best without learning (classical))",
        "second look: IoU 0.5000 (asked for: of the best 2)",
    ]
    assert failed(rules) == []


@pytest.mark.parametrize(
    ("asked", "best", "corrected", "unseen", "said"),
    [
        (2, {"iou_mean": 0.2}, CORRECTED, True, ["mean IoU: 0.2000 (asked for: above 0.2000"]),
        (
            2,
            {},
            {**CORRECTED, "low": 0.19},
            False,
            ["corrected interval's lower end: 0.1900, of the best of 12"],
        ),
        (2, {}, {**CORRECTED, "low": 0.19}, True, []),
        (2, {}, None, False, []),
        (
            2,
            {"second_iou_mean": None, "second_look": None},
            None,
            True,
            ["second look: none yet; run the study again"],
        ),
        (
            2,
            {"second_iou_mean": None, "second_look": "collapsed"},
            None,
            True,
            ["second look: collapsed (asked for"],
        ),
        (0, {"second_iou_mean": None, "second_look": None}, None, True, []),
    ],
)
def test_each_defect_is_refused_for_its_own_reason(
    asked: int, best: dict[str, Any], corrected: dict[str, Any] | None, unseen: bool, said: list[str]
) -> None:
    found = failed(evidence_of(board(asked, corrected=corrected), BEST | best, unseen=unseen))
    assert len(found) == len(said)
    assert all(sentence.startswith(start) for sentence, start in zip(found, said, strict=True))


BAD = [Rule("mean IoU", False, "0.1", "above 0.2"), Rule("second look", False, "none", "of the best 2")]


def refusing(reason: str) -> Callable[[], Any]:
    def refuse() -> Any:
        raise PromotionRefused(reason)

    return refuse


def test_all_that_failed_is_told_at_once_before_a_look_is_spent() -> None:
    gate = Gate("t-1 trial 3")
    with pytest.raises(PromotionRefused) as caught:
        gate.weigh(BAD)
    assert str(caught.value) == (
        "t-1 trial 3: mean IoU: 0.1 (asked for: above 0.2); second look: none (asked for: of the best 2)"
    )
    assert not gate.was_forced


def test_a_reason_forces_evidence_and_never_integrity() -> None:
    gate = Gate("t-1 trial 3", "the line stands still")
    with pytest.raises(PromotionRefused, match="its data leak"):
        gate.hold("leaks", "none", refusing("its data leak"))
    gate = Gate("t-1 trial 3", "the line stands still")
    gate.weigh(BAD)
    proof = gate.judge(lambda: Proof("Better.", 2, 0.7))
    assert proof == Proof("Forced (the line stands still) against: mean IoU, second look. Better.", 2, 0.7)
    assert gate.was_forced
    gate = Gate("t-1 trial 3", "the line stands still")
    proof = gate.judge(refusing("looks are spent"))
    assert proof == Proof(f"{NOT_PROVABLE}: forced (the line stands still) against: looks are spent")
    assert not Gate("t-1 trial 3", "for nothing").was_forced


def test_the_rules_are_on_the_trials_run_and_a_forced_version_says_so_for_ever(ran: Ran) -> None:
    ran.promote(STRONG)
    assert [(rule["name"], rule["passed"]) for rule in ran.gate(STRONG)["rules"]] == [
        ("leakage report", True),
        ("data", True),
        ("leaks", True),
        ("mean IoU", True),
        ("second look", True),
        ("calibration error", True),
        ("seconds a picture", True),
        ("size of weights", True),
        ("unseen data", True),
    ]
    before = ran.gate(STRONG)
    ran.promote(STRONG)
    assert ran.gate(STRONG) == before, "of the champion nothing is judged anew"
    with pytest.raises(PromotionRefused) as caught:
        ran.promote(WEAK)
    document = json.loads(json.dumps(caught.value.document))
    assert document["rules"] == ran.gate(WEAK, "refused")["rules"]
    (bad,) = (rule for rule in document["rules"] if not rule["passed"])
    assert (bad["name"], bad["found"]) == ("unseen data", str(caught.value))

    with pytest.raises(PromotionRefused, match=r"trial 3: mean IoU: 0\.0000 \(asked for: above 0\."):
        ran.promote(ALIKE, iou_mean=0.0)
    assert len(ran.looks()) == 2, "what fails before costs no look"

    forced = ran.promote(WEAK, force="the line stands still")
    assert forced.claim.startswith(
        f"{NOT_PROVABLE}: forced (the line stands still) against: Not shown to be better"
    )
    tags = ran.client.get_model_version("tiny", forced.version).tags
    assert (tags["harness.forced"], tags["harness.claim"]) == ("the line stands still", forced.claim)
    assert moves(ran.client, "tiny")[-1].why == forced.claim
    assert "harness.forced" not in ran.client.get_model_version("tiny", "1").tags
