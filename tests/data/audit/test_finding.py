from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from harness.data.audit.finding import STATUSES, Finding, more, passed, warned, worst


def finding(status, severity="fail"):
    return Finding("X", "title", severity, status, 0, 0.0, "summary")


def test_the_worst_status_wins_and_what_was_not_looked_at_is_worse_than_a_pass():
    for number, status in enumerate(STATUSES):
        for better in STATUSES[: number + 1]:
            assert worst((finding(better), finding(status))) == status
            assert worst((finding(status), finding(better))) == status
    assert STATUSES[0] == "pass"


def test_a_finding_that_only_tells_never_decides():
    assert worst((finding("pass"), finding("fail", "info"))) == "pass"


def test_nothing_checked_is_no_pass():
    assert worst(()) == worst((finding("pass", "info"),)) == "not run"


def test_a_passed_check_affects_nobody():
    assert passed("X", "title", "warn", "fine") == Finding("X", "title", "warn", "pass", 0, 0.0, "fine", ())


@pytest.mark.parametrize(("count", "text"), [(0, ""), (1, " (and 1 more pair)"), (2, " (and 2 more pairs)")])
def test_the_rest_is_counted(count, text):
    assert more(count, "pair") == text


def test_bounded_evidence_keeps_the_first_and_says_how_many_there_were():
    whole = replace(finding("warn"), items=tuple({"row": row} for row in range(5)))
    assert (whole.bounded(2).items, whole.bounded(2).total) == (({"row": 0}, {"row": 1}), 5)
    assert (whole.bounded(9).items, whole.bounded(9).total) == (whole.items, 5)
    assert replace(whole, total=70).bounded(2).total == 70


def test_evidence_of_samples_is_ordered_by_rank_then_by_name():
    table = pd.DataFrame({"sample": ["c", "b", "a", "d"], "px": [1, 2, 3, 4]})
    hit = np.array([True, True, True, False])
    found = warned(("X", "title"), table, hit, "summary", {"size": "px"}, np.array([5, 9, 5, 99]))
    assert found.items == ({"image": "b", "size": 2}, {"image": "a", "size": 3}, {"image": "c", "size": 1})
    assert [item["image"] for item in warned(("X", "title"), table, hit, "summary", {}).items] == [
        "a",
        "b",
        "c",
    ]
