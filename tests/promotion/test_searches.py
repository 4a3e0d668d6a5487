"""Promotion by nested cross-validation: of two searches that were scored on the same folds, and only of those."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from benchmarks.promoted import PLAIN, Ran, run_study
from harness.config import Promote
from harness.errors import NotBetter, PromotionRefused
from harness.evaluate.groups import fold_scores, headline
from harness.evaluate.nested import nested_test
from harness.promotion.looks import FOLDER, Looks, fold_groups
from harness.promotion.searches import Searched, Searches
from harness.report.leaderboard import read_leaderboard
from harness.report.words import verdict
from harness.search.ledger import read_nested
from harness.tracking.aliases import aliases, champion

WORSE = 4  # times less is found by the weak search, so that the folds tell in every case


def run_nested(folder: Path, home: Path, rate: float, epochs: int) -> Ran:
    """Run a search of one trial, and the nested one; no group is held out."""
    settings: dict[str, Any] = {
        "folds.count": 3,
        "folds.held_out": 0.0,
        "protocol.nested": True,
        "search.trials": 1,
        "search.baselines": [{"train.lr": rate}],
        "train.epochs": epochs,
        "train.validate_every": epochs,
    }
    return run_study(folder, home, **settings)


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> tuple[Ran, Ran]:
    """Return two searches of one home: a weak one, whose trial is the champion, and a strong one."""
    folder = tmp_path_factory.mktemp("nested")
    weak = run_nested(folder, folder / "home", 1e-3, 6)
    strong = run_nested(folder, folder / "home", 8e-3, 12)
    weak.promote(0)
    return weak, strong


@pytest.fixture
def both(before: tuple[Ran, Ran], tmp_path: Path) -> tuple[Ran, Ran]:
    """Return copies; the weak search finds a quarter of what it found, in every group."""
    shutil.copytree(before[0].home, tmp_path / "home")
    weak, strong = (Ran(one.folder, tmp_path / "home", one.key) for one in before)
    change(weak, find_less)
    return weak, strong


def change(ran: Ran, how: Callable[[dict[str, Any]], None], name: str = "nested.json") -> None:
    """Change a JSON file of a study's ledger."""
    path = ran.work / "ledger" / name
    content = json.loads(path.read_text())
    how(content)
    path.write_text(json.dumps(content))


def find_less(nested: dict[str, Any]) -> None:
    counts = nested["counts"]
    for place, tp in enumerate(counts["served_tp"]):
        counts["served_fn"][place] += tp - tp // WORSE
        counts["served_tp"][place] = tp // WORSE


def searches(ran: Ran, tell: Callable[[str], None] = print) -> Searches:
    return Searches(ran.audited(), ran.work, "ensemble of 3 folds", tell)


def pair(ran: Ran) -> tuple[Searched, Searched]:
    held = champion(ran.client, "tiny")
    assert held is not None
    return searches(ran).pair(0, held)


def refused(ran: Ran, wanted: Promote = PLAIN) -> str:
    """Return why a trial is refused before a look; the champion stays."""
    now, looks = ran.champion(), len(ran.looks())
    with pytest.raises(PromotionRefused) as caught:
        ran.promote(0, wanted=wanted)
    assert not isinstance(caught.value, NotBetter)
    assert (ran.champion(), len(ran.looks())) == (now, looks)
    return str(caught.value)


def test_a_search_that_finds_better_models_in_folds_it_never_saw_replaces_the_champion(
    both: tuple[Ran, Ran],
) -> None:
    _, strong = both
    done = strong.promote(0)
    assert (done.version, done.previous, done.look, done.heldout_iou) == ("2", "1", 1, None)
    assert done.claim.startswith("Better by nested cross-validation: +0.")
    assert (
        "Held against the search of version 1, the champion, at 20 groups. It is of the searches"
        in done.claim
    )
    assert "its calibration are not measured" in done.threshold_sentence
    tags = strong.client.get_model_version("tiny", "2").tags
    assert (tags["harness.heldout_look"], tags["harness.claim"]) == ("1", done.claim)
    assert "harness.heldout_iou" not in tags
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
        r"has no such result of its 1 trials; run that study with protocol\.nested: true",
        lambda weak, strong: (weak.work / "ledger" / "nested.json").unlink(),
    ),
    "it is of another budget": (
        r"version 1, the champion: tiny-\w+ has no such result of its 1 trials",
        lambda weak, strong: change(weak, lambda nested: nested.update(trials=2)),
    ),
    "the candidate's is": (
        r"trial 0: tiny-\w+ has no such result of its 1 trials",
        lambda weak, strong: change(strong, lambda nested: nested.update(trials=2)),
    ),
    "older code kept no counts": (
        "has no such result",
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


def another(ran: Ran, number: int, **changes: Any) -> Path:
    """Leave the result of another search on the same pictures; return its ledger."""
    other = ran.work.parent / f"other-{number}"
    shutil.copytree(ran.work / "ledger", other / "ledger")
    shutil.copy(ran.work / "samples.parquet", other)
    change(Ran(ran.folder, ran.home, other.name), lambda nested: nested.update(changes))
    return other / "ledger"


def test_each_result_of_another_search_on_these_pictures_is_worth_a_look(both: tuple[Ran, Ran]) -> None:
    _, strong = both
    another(strong, 1)
    another(strong, 2)
    own, rival = pair(strong)
    assert searches(strong).look(own, rival)["look"] == 3
    assert strong.looks()[0]["level"] == 0.002


@pytest.mark.parametrize("left", ["damaged", "of other pictures", "of two budgets"])
def test_results_count_by_their_pictures_and_budgets(both: tuple[Ran, Ran], left: str) -> None:
    _, strong = both
    ledger = another(strong, 1, results=2 if left == "of two budgets" else 1)
    if left == "damaged":
        (ledger / "nested.json").write_text("{")
    if left == "of other pictures":
        table = pd.read_parquet(ledger.parent / "samples.parquet")
        table.assign(pixels_sha256=[f"{n:064x}" for n in range(len(table))]).to_parquet(
            ledger.parent / "samples.parquet"
        )
    expected = {"damaged": 2, "of other pictures": 1, "of two budgets": 3}[left]
    assert searches(strong).look(*pair(strong))["look"] == expected


def test_where_more_results_are_known_than_there_are_looks_nothing_can_be_proven(
    both: tuple[Ran, Ran],
) -> None:
    _, strong = both
    for number in range(4):
        another(strong, number)
    said = refused(strong)
    assert said.startswith("groups of the folds: 5 results on them are known, and they are spent after 4")


def test_a_look_that_was_killed_is_gone_on_with(both: tuple[Ran, Ran]) -> None:
    _, strong = both
    own, rival = pair(strong)
    today = strong.audited()
    Looks(strong.home, fold_groups(today.split, today.samples), print).count(own.side, rival.side)
    assert strong.promote(0).look == 1
    assert len(list((strong.home / FOLDER).glob("*.jsonl"))) == 1
