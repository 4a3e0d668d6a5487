import pytest

from harness.data.audit.finding import STATUSES, Finding, more, passed, worst


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
