"""Promotion by nested cross-validation: of two searches that were scored on the same folds, and only of those."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from benchmarks.promoted import PLAIN, Ran
from harness.errors import NotBetter
from harness.evaluate.groups import fold_scores, headline
from harness.evaluate.nested import nested_test
from harness.promotion.looks import FOLD_GROUPS, FOLDER, Looks
from harness.promotion.pictures import fold_groups
from harness.report.leaderboard import read_leaderboard
from harness.report.words import verdict
from harness.search.nested import read_nested
from harness.tracking.aliases import aliases
from tests.promotion.searched import change, pair, refused


def test_a_search_that_finds_better_models_in_folds_it_never_saw_replaces_the_champion(
    both: tuple[Ran, Ran],
) -> None:
    _, strong = both
    done = strong.promote(0)
    assert (done.version, done.previous, done.look, done.heldout_iou) == ("2", "1", 1, None)
    assert done.claim.startswith(
        "Better by nested cross-validation, at the thresholds that the searches chose: +0."
    )
    assert (
        "Held against the search of version 1, the champion, at 20 groups. It is of the searches"
        in done.claim
    )
    assert "its calibration are not measured" in done.threshold_sentence
    tags = strong.client.get_model_version("tiny", "2").tags
    assert (tags["harness.nested_look"], tags["harness.claim"]) == ("1", done.claim)
    assert not [name for name in tags if name.startswith("harness.heldout")]
    board = read_leaderboard(strong.work / "ledger")
    assert [look["sentence"] for look in board.looks] == [done.claim.split(" Held against")[0]]
    assert f"Trial 0 against the search of version 1, the champion: {board.looks[0]['sentence']}" in " ".join(
        verdict(board)
    )
    assert strong.promote(0).version == "2"
    assert len(strong.looks()) == 1, "the champion is not looked at again"


def test_the_weaker_search_becomes_the_challenger_and_the_same_pair_costs_one_look(
    both: tuple[Ran, Ran],
) -> None:
    weak, strong = both
    strong.promote(0)
    for _ in range(2):
        with pytest.raises(
            NotBetter, match=r"Not shown to be better by nested .* Version 2 stays the champion"
        ):
            weak.promote(0)
    assert aliases(weak.client, "tiny") == {"champion": "2", "previous": "1", "challenger": "1"}
    assert [look["look"] for look in weak.looks()] == [1, 2]


def test_the_test_is_that_of_the_counts_which_the_searches_left_at_their_own_thresholds(
    both: tuple[Ran, Ran],
) -> None:
    own, rival = pair(both[1])
    nested = read_nested(both[1].work / "ledger")
    assert nested is not None
    counts = nested["counts"]
    served = [sum(counts[f"served_{name}"]) for name in ("tp", "fp", "fn")]
    assert [int(own.counts.tp.sum()), int(own.counts.union.sum())] == [served[0], sum(served)]
    assert served[0] != sum(counts["tp"]), "the threshold is another one than .5"
    found = nested_test(own.counts, rival.counts, look=1)
    assert found.better
    both[1].promote(0)
    (look,) = both[1].looks()
    assert (look["gain"], look["p_value"]) == (found.gain, found.p_value)
    assert look["gain"] == pytest.approx(float(headline(own.counts) - headline(rival.counts)))


def test_a_margin_is_asked_of_the_wider_interval_of_folds_and_groups(both: tuple[Ran, Ran]) -> None:
    _, strong = both
    own, rival = pair(strong)
    gains = fold_scores(own.counts) - fold_scores(rival.counts)
    with pytest.raises(NotBetter, match=r"asks for a gain of 0\.\d+ or more \(promote\.margin\)"):
        strong.promote(0, wanted=PLAIN.model_copy(update={"margin": float(gains.mean())}))
    (look,) = strong.looks()
    half = 4.3027 * gains.std(ddof=1) * np.sqrt(1 / 3 + 1 / 2)
    assert look["low"] <= gains.mean() - half + 1e-4
    assert aliases(strong.client, "tiny")["challenger"] == "2"
    assert strong.promote(0).look == 1, "with a smaller margin the same look is told again"


def test_forced_against_an_unprovable_pair_the_reason_is_the_claim(both: tuple[Ran, Ran]) -> None:
    weak, strong = both
    (weak.work / "ledger" / "nested.json").unlink()
    done = strong.promote(0, force="the line has changed")
    assert done.claim.startswith("not provable on these data: forced (the line has changed) against: ")
    assert (done.look, strong.looks()) == (None, [])


CASES: dict[str, tuple[str, Callable[[Ran, Ran], None]]] = {
    "the champion's search was not nested": (
        r"has no such result .*\(trials: 1, second looks: 0\); run it with protocol\.nested: true",
        lambda weak, strong: (weak.work / "ledger" / "nested.json").unlink(),
    ),
    "it is of another budget": (
        r"version 1, the champion: tiny-\w+ has no such result with all it has",
        lambda weak, strong: change(weak, lambda nested: nested.update(trials=2)),
    ),
    "the candidate's is": (
        r"trial 0: tiny-\w+ has no such result with all it has",
        lambda weak, strong: change(strong, lambda nested: nested.update(trials=2)),
    ),
    "older code kept no counts": (
        "has a result by older code; run that study again, which begins its nested search anew",
        lambda weak, strong: change(weak, lambda nested: nested.pop("counts")),
    ),
    "other code counted": (
        r"tiny-\w+: counted by other code; run it again, which trains nothing that is there",
        lambda weak, strong: change(weak, lambda nested: nested.update(code="0")),
    ),
    "the file is damaged": (
        r"nested\.json",
        lambda weak, strong: (weak.work / "ledger" / "nested.json").write_text("{"),
    ),
    "masks were others": (
        "were counted on other groups or other masks",
        lambda weak, strong: change(weak, one_pixel_more),
    ),
    "folds were others": (
        r"were searched on other folds \(splits \w+ and another\)",
        lambda weak, strong: change(weak, lambda facts: facts.update(split="another"), "study.json"),
    ),
    "the search has not ended": (
        "has 1 of 2 trials; run it again, which goes on",
        lambda weak, strong: (change(weak, two_trials, "study.json"), change(weak, lambda n: n.update(trials=2)))[0],
    ),
    "the champion is another trial": (
        "would promote trial 0 now, and this is trial 7",
        lambda weak, strong: weak.client.set_model_version_tag("tiny", "1", "harness.trial", "7"),
    ),
    "its study is not known": (
        r"is of study \.\./elsewhere, which is not under this home",
        lambda weak, strong: weak.client.set_model_version_tag("tiny", "1", "harness.study", "../elsewhere"),
    ),
    "the champion is a refit": (
        "is made as refit on all folds, and what is scored there is the mean of fold models",
        lambda weak, strong: weak.client.set_model_version_tag("tiny", "1", "harness.model", "refit on all folds"),
    ),
}  # fmt: skip


def one_pixel_more(nested: dict[str, Any]) -> None:
    nested["counts"]["served_fn"][3] += 1


def two_trials(facts: dict[str, Any]) -> None:
    facts["settings"]["search"]["trials"] = 2


@pytest.mark.parametrize("case", CASES)
def test_a_result_that_is_not_of_the_two_models_proves_nothing_and_costs_no_look(
    both: tuple[Ran, Ran], case: str
) -> None:
    why, spoil = CASES[case]
    spoil(*both)
    said = refused(both[1])
    assert said.startswith("not provable on these data by nested cross-validation: ")
    assert re.search(why, said), said
    assert "version 1 stays the champion; to prove more, hold out groups" in said


def test_a_candidate_that_is_no_mean_of_fold_models_is_not_what_was_scored(both: tuple[Ran, Ran]) -> None:
    wanted = PLAIN.model_copy(update={"model": "best_fold"})
    assert "trial 0: is made as best fold, and what is scored there" in refused(both[1], wanted)


def test_two_models_of_one_search_have_one_result(both: tuple[Ran, Ran]) -> None:
    weak, _ = both
    wanted = PLAIN.model_copy(update={"model": "best_fold"})
    assert f"is of the same search, {weak.key}, which has one result for both" in refused(weak, wanted)


def test_without_a_nested_search_the_refusal_says_that_one_would_do(both: tuple[Ran, Ran]) -> None:
    _, strong = both
    change(strong, lambda facts: facts["settings"]["protocol"].update(nested=False), "study.json")
    said = refused(strong)
    assert "no groups are held out" in said
    assert said.endswith("or let both searches run with protocol.nested: true, on the same folds")


def test_a_look_that_was_killed_is_gone_on_with(both: tuple[Ran, Ran]) -> None:
    _, strong = both
    own, rival = pair(strong)
    today = strong.audited()
    groups = fold_groups(today.split, today.samples)
    Looks(strong.home, groups, print, FOLD_GROUPS).count(own.side, rival.side)
    assert strong.promote(0).look == 1
    assert len(list((strong.home / FOLDER).glob("*.jsonl"))) == 1
