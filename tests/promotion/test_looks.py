"""Looks at held-out groups are counted before they are taken, once for two models, and four times in all."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from harness.config import Folds
from harness.data.audit import HELD_OUT
from harness.data.split import Split, freeze, new_split
from harness.errors import DataError, PromotionRefused
from harness.evaluate.groups import GroupCounts, group_counts
from harness.evaluate.heldout import held_out_test
from harness.promotion.looks import (
    FOLDER,
    Groups,
    Looks,
    Side,
    for_reports,
    held_out_groups,
    looks_of,
    note_looks,
)
from harness.search.ledger import read_looks

GROUPS: Groups = {f"g{number}": [f"{number} front", f"{number} back"] for number in range(10)}
CHAMPION = Side("the champion, version 1", "c")


def side(digest: str) -> Side:
    return Side("trial 3", digest, "tiny-1", 3)


def looks(home: Path, groups: Groups = GROUPS) -> Looks:
    return Looks(home, groups, print)


def of_shares(shares: "np.typing.NDArray[np.float64]") -> GroupCounts:
    return group_counts(shares * 100, 0 * shares, 100 - shares * 100, np.zeros(shares.size))


def test_a_look_is_on_the_disk_before_anything_is_predicted_and_taken_up_again_after_a_kill(
    tmp_path: Path,
) -> None:
    begun = looks(tmp_path).count(side("a"), CHAMPION)
    assert (begun["look"], begun["level"]) == (1, 0.02)
    (path,) = (tmp_path / FOLDER).glob("*.jsonl")
    assert [json.loads(line)["look"] for line in path.read_text().splitlines()] == [1]
    assert looks(tmp_path).count(side("a"), CHAMPION) == begun
    assert looks(tmp_path).count(side("b"), CHAMPION)["look"] == 2
    assert looks(tmp_path).count(side("a"), Side("another champion", "d"))["look"] == 3
    assert [look["look"] for look in looks(tmp_path).all()] == [1, 2, 3]


def test_what_a_look_showed_is_kept_and_never_replaced(tmp_path: Path) -> None:
    begun = looks(tmp_path).count(side("a"), CHAMPION)
    gains = np.linspace(0.1, 0.3, 10)
    better = held_out_test(of_shares(0.5 + gains), of_shares(0.5 + 0 * gains), look=1)
    kept = looks(tmp_path).conclude(begun, better, {"iou": 0.7})
    assert (kept["better"], kept["iou"], kept["tell_apart"]) == (True, 0.7, 10)
    worse = held_out_test(of_shares(0.5 - gains), of_shares(0.5 + 0 * gains), look=1)
    assert looks(tmp_path).conclude(begun, worse, {"iou": 0.3}) == kept
    assert looks(tmp_path).count(side("a"), CHAMPION) == kept
    assert looks(tmp_path).all() == [kept]
    looks(tmp_path).count(side("b"), CHAMPION)
    shown, killed = for_reports(looks(tmp_path).all())
    assert shown["candidate"] == {"study": "tiny-1", "trial": 3}
    assert shown["rival"] == "the champion, version 1"
    assert shown["low"] < shown["gain"] < shown["high"]
    assert shown["sentence"] == better.sentence
    assert (killed["look"], killed["better"], killed["sentence"]) == (2, None, None)


def test_after_four_looks_there_is_none_left_and_nothing_is_written(tmp_path: Path) -> None:
    for digest in "abcd":
        looks(tmp_path).count(side(digest), CHAMPION)
    (path,) = (tmp_path / FOLDER).glob("*.jsonl")
    before = path.read_bytes()
    with pytest.raises(PromotionRefused, match="spent after 4") as refused:
        looks(tmp_path).count(side("e"), CHAMPION)
    assert refused.value.exit_code == 4
    assert path.read_bytes() == before


def test_groups_too_few_for_the_level_of_the_next_look_are_not_looked_at(tmp_path: Path) -> None:
    six = {name: GROUPS[name] for name in list(GROUPS)[:6]}
    assert looks(tmp_path, six).count(side("a"), CHAMPION)["look"] == 1
    with pytest.raises(
        PromotionRefused, match=r"6 of them can prove nothing at look 2, which asks for p <= 0\.007"
    ):
        looks(tmp_path, six).count(side("b"), CHAMPION)
    assert len(looks(tmp_path, six).all()) == 1


def test_looks_at_some_of_the_same_pictures_count_and_those_at_others_do_not(tmp_path: Path) -> None:
    looks(tmp_path).count(side("a"), CHAMPION)
    renamed = {f"new {name}": [back, "one more"] for name, (_, back) in list(GROUPS.items())[5:]}
    more = renamed | {f"h{number}": [f"other {number}"] for number in range(5)}
    assert looks(tmp_path, more).count(side("a"), CHAMPION)["look"] == 2
    others = {name: [f"unseen {name}"] for name in GROUPS}
    assert looks(tmp_path, others).count(side("a"), CHAMPION)["look"] == 1


def test_two_promotions_at_once_never_share_a_look(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:  # a lock of a file keeps threads apart as it does processes
        list(pool.map(lambda digest: looks(tmp_path).count(side(digest), CHAMPION), "abcd"))
    assert [look["look"] for look in looks(tmp_path).all()] == [1, 2, 3, 4]


def test_a_damaged_count_is_told_and_gives_no_free_look(tmp_path: Path) -> None:
    looks(tmp_path).count(side("a"), CHAMPION)
    (path,) = (tmp_path / FOLDER).glob("*.jsonl")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(
        DataError, match=r"jsonl, line 1: counts no look \(JSONDecodeError\); restore the file"
    ):
        looks(tmp_path).count(side("b"), CHAMPION)


def split() -> tuple[Split, pd.DataFrame]:
    names = [f"g{number}" for number in range(4)]
    samples = pd.DataFrame({"group": [*names, "g3"], "pixels_sha256": ["p0", "p1", "p2", "p3", "p4"]})
    folds = dict(zip(names, [0, 1, HELD_OUT, HELD_OUT], strict=True))
    return new_split("m", Folds(count=2), folds, notes=[], parent=None), samples


def test_held_out_groups_are_known_by_their_pictures_in_any_order(tmp_path: Path) -> None:
    made, samples = split()
    found = held_out_groups(made, samples)
    assert held_out_groups(made, samples.iloc[::-1]) == found
    assert found == {"g2": ["p2"], "g3": ["p3", "p4"]}
    assert looks_of(tmp_path, made, samples) == []
    Looks(tmp_path, GROUPS | found, print).count(side("a"), CHAMPION)
    assert [look["look"] for look in looks_of(tmp_path, made, samples)] == [1]


def test_looks_for_another_study_at_the_same_groups_are_in_a_ledger_that_was_not_promoted(
    tmp_path: Path,
) -> None:
    made, samples = split()
    work, facts = tmp_path / "work" / "b-1", {"split": made.id, "settings": {}}
    (work / "ledger").mkdir(parents=True)
    note_looks(tmp_path, work, facts)  # neither split nor samples are there
    freeze(made, tmp_path / "folds")
    samples.to_parquet(work / "samples.parquet")
    note_looks(tmp_path, work, facts)
    assert read_looks(work / "ledger") == []
    Looks(tmp_path, GROUPS | held_out_groups(made, samples), print).count(side("a"), CHAMPION)
    note_looks(tmp_path, work, facts)
    (look,) = read_looks(work / "ledger")
    assert (look["look"], look["sentence"]) == (1, None)
