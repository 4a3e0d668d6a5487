"""Looks at unseen groups: each one told, and none when nobody looked."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.errors import DataError
from harness.report.leaderboard import Leaderboard, read_leaderboard
from harness.report.looks import looks
from harness.report.words import verdict
from tests.report.drawn import drawn_groups, write_ledger
from tests.report.reading import read_page

LOOK = {
    "look": 1,
    "level": 0.025,
    "candidate": {"study": "tiny-1", "trial": 3},
    "rival": "the champion, version 1",
    "gain": 0.0312,
    "low": -0.001,
    "high": 0.0634,
    "p_value": 0.0312,
    "better": False,
    "sentence": "Trial 3 is not proven to be better.",
}


def board_of(folder: Path, told: list[dict[str, Any]] | None, held_out: int = 9) -> Leaderboard:
    write_ledger(folder, drawn_groups((0.5, 0.6)), held_out_groups=held_out)
    if told is not None:
        (folder / "looks.json").write_text(json.dumps(told))
    return read_leaderboard(folder)


def test_each_look_is_a_row_and_a_sentence(tmp_path: Path) -> None:
    first_of_all = LOOK | {"look": 2, "rival": "the baseline", "better": True}
    page = read_page(looks(board_of(tmp_path, [LOOK, first_of_all])))
    one, other = page.table("look")
    assert one == {
        "look": "1",
        "level": "0.025",
        "candidate": "tiny-1, trial 3",
        "rival": "the champion, version 1",
        "gain": "+0.0312",
        "95 % interval": "-0.0010 to +0.0634",
        "p": "0.0312",
        "better": "no",
    }
    assert (other["rival"], other["better"]) == ("the baseline", "yes")
    assert page.text.count("Trial 3 is not proven to be better.") == 2


def test_a_look_that_was_killed_is_shown_and_counts(tmp_path: Path) -> None:
    nothing = dict.fromkeys(("gain", "low", "high", "p_value", "better", "sentence"))
    page = read_page(looks(board_of(tmp_path, [LOOK | nothing])))
    (row,) = page.table("look")
    assert row["better"] == "stopped before it showed anything; it counts"
    assert row["gain"] == ""


def test_nobody_looked_or_nothing_is_held_out(tmp_path: Path) -> None:
    assert "9 groups are held out; nobody has looked at them." in looks(board_of(tmp_path, None))
    assert "No group is held out" in looks(board_of(tmp_path, None, held_out=0))


NESTED = {"chosen": [], "iou_folds": [], "iou_mean": 0.5, "iou_std": 0.1, "low": 0.4, "high": 0.6}


@pytest.mark.parametrize(
    ("held_out", "said"),
    [
        (
            0,
            "No group is held out; only its search can be held against a champion's, if what can be read of its "
            "pictures leaves a look.",
        ),
        (
            3,
            "3 held-out groups are too few to prove anything; only its search can be held against a champion's, "
            "if what can be read of its pictures leaves a look.",
        ),
    ],
)
def test_a_search_that_was_scored_can_be_held_against_another(
    tmp_path: Path, held_out: int, said: str
) -> None:
    board = board_of(tmp_path, None, held_out=held_out)
    assert "Not provable on these data" in verdict(board)[1]
    nested = replace(board, nested=NESTED)
    assert verdict(nested)[1].endswith(said)
    if not held_out:
        assert "no search was held against a champion" in looks(nested)
    assert "at the threshold" not in verdict(nested)[1]
    both = NESTED | {"served_iou_mean": 0.7, "served_iou_std": 0.1}
    assert "0.7000 ± 0.1000 at the threshold that it chooses" in verdict(replace(board, nested=both))[1]
    spent = replace(nested, looks=[LOOK] * 4)
    assert verdict(spent)[1].endswith("and the groups of the folds are spent after 4 looks.")


def test_a_damaged_file_is_one_line(tmp_path: Path) -> None:
    board_of(tmp_path, None)
    (tmp_path / "looks.json").write_text("[{")
    with pytest.raises(DataError, match=r"looks\.json: cannot be read \("):
        read_leaderboard(tmp_path)


def test_the_verdict_is_what_held_out_groups_said_of_the_chosen_trial(tmp_path: Path) -> None:
    chosen = {"study": "tiny-12345678", "trial": 1}
    other = LOOK | {"sentence": "Of another trial."}
    said = verdict(board_of(tmp_path, [LOOK | {"candidate": chosen, "rival": "the champion"}, other]))[1]
    assert said.endswith("Trial 1 against the champion: Trial 3 is not proven to be better.")
    assert verdict(board_of(tmp_path, [other]))[1].endswith("only they can prove that it is better.")


@pytest.mark.parametrize(
    ("held_out", "looked", "words"),
    [
        (None, 0, "Whether groups are held out is not recorded."),
        (0, 0, "none is held out."),
        (2, 0, "2 held-out groups are too few to prove anything."),
        (9, 0, "9 held-out groups wait, and only they can prove that it is better."),
        (9, 4, "the 9 held-out groups are spent after 4 looks."),
    ],
)
def test_without_a_look_of_its_own_the_verdict_says_what_held_out_groups_can_do(
    tmp_path: Path, held_out: int | None, looked: int, words: str
) -> None:
    board = board_of(tmp_path, [LOOK | {"look": 1 + number} for number in range(looked)])
    facts = {k: v for k, v in board.facts.items() if k != "held_out_groups"}
    told = facts if held_out is None else facts | {"held_out_groups": held_out}
    assert verdict(replace(board, facts=told))[1].endswith(words)
    assert held_out is not None or "not recorded" in looks(replace(board, facts=told))
