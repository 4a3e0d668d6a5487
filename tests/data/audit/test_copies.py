import json
from dataclasses import replace

import pytest

from harness.config import Folds
from harness.data.audit.copies import SHOWN_PAIRS, copy_checks
from harness.data.split import new_split
from tests.data.audit.conftest import STILL


def by_id(samples, split, search):
    return {finding.id: finding for finding in copy_checks(samples, split, search)}


def with_canary(search, **planted):
    """Return the search with more kinds of planted copies: how many there were and were found."""
    return replace(search, copies=replace(search.copies, canary=search.copies.canary | planted))


def test_a_clean_search_passes_everywhere(samples, split, searched):
    assert {f.status for f in by_id(samples, split, searched(samples)).values()} == {"pass"}


def test_a_sure_copy_across_folds_fails_and_names_both_files_groups_and_folds(samples, split, searched):
    found = by_id(samples, split, searched(samples, (0, 6, True, STILL), done="trusted"))["D3"]
    assert found.status == "fail"
    for part in (
        "'g00/0.png' (group 'g00', fold 0)",
        "'g02/0.png' (group 'g02', fold 1)",
        "data.groups: repair",
    ):
        assert part in found.summary
    assert (found.affected, found.share_of_validation) == (2, 2 / len(samples))


def test_copies_in_two_groups_of_one_fold_warn(samples, split, searched):
    assert split.folds["g00"] == split.folds["g01"]
    found = by_id(samples, split, searched(samples, (0, 3, True, STILL)))["D3"]
    assert (found.status, found.share_of_validation) == ("warn", 0)


def test_groups_that_were_joined_are_a_warning_that_tells_of_it(samples, split, searched):
    samples.loc[samples["group"] == "g02", "group"] = "g00"
    found = by_id(samples, split, searched(samples, (0, 6, True, STILL)))["D3"]
    assert found.status == "warn"
    assert "1 pair stood in two declared groups, which were joined" in found.summary
    assert found.items[0]["decision"] == "joined"


def test_suspects_warn_and_are_not_counted_as_leaks(samples, split, searched):
    found = by_id(samples, split, searched(samples, (0, 3, False, STILL)))["D3"]
    assert (found.status, found.items[0]["decision"]) == ("warn", "suspected")


def test_pairs_go_to_the_check_of_their_kind(samples, split, searched):
    shifted = [[1.0, 0.0, 90.0], [0.0, 1.0, 0.0]]
    for movement, id in ((STILL, "D3"), (shifted, "D5")):
        statuses = {
            k: f.status for k, f in by_id(samples, split, searched(samples, (0, 6, True, movement))).items()
        }
        assert [k for k, status in statuses.items() if status == "fail"] == [id]


def test_pictures_that_cannot_be_verified_are_listed_and_never_green(samples, split, searched):
    findings = by_id(samples, split, searched(samples, blank=(4, 5)))
    assert findings["D9"].status == findings["D5"].status == "unverifiable"
    assert [item["image"] for item in findings["D9"].items] == ["g01/1.png", "g01/2.png"]


def test_with_pictures_without_key_points_no_kind_of_copy_is_called_absent(samples, split, searched):
    findings = by_id(samples, split, searched(samples, blank=(4,)))
    assert {findings[id].status for id in ("D3", "D5", "D6", "D9")} == {"unverifiable"}


def test_where_nothing_could_be_planted_nothing_is_green(samples, split, searched):
    findings = by_id(samples, split, searched(samples, canary=None))
    assert {findings[id].status for id in ("D3", "D5", "D6", "D9", "C1")} == {"unverifiable"}


def test_pictures_are_not_called_recognizable_where_planted_copies_are_missed(samples, split, searched):
    assert by_id(samples, split, searched(samples, canary=(24, 12)))["D9"].status == "unverifiable"


def test_many_strangers_that_look_alike_are_a_warning(samples, split, searched):
    for above, status in ((5, "pass"), (6, "warn")):
        found = by_id(samples, split, searched(samples, above=above))["C1"]
        assert found.status == status
        assert ("6 of them the threshold" in found.summary) == (status == "warn")


def test_a_search_that_misses_its_planted_copies_is_never_green(samples, split, searched):
    findings = by_id(samples, split, searched(samples, (0, 6, True, STILL), canary=(24, 22)))
    assert findings["C1"].status == "unverifiable"
    assert (findings["D3"].status, findings["D6"].status) == ("fail", "unverifiable")
    assert "22 of 24" in findings["C1"].summary


@pytest.mark.parametrize("planted", [(24, 24), None])
def test_what_strangers_share_is_told_where_it_was_left_out(samples, split, searched, planted):
    search = searched(samples, canary=planted)
    left = replace(search, copies=replace(search.copies, shared=0.42))
    assert "42% of a picture, shown by unrelated ones too" in by_id(samples, split, left)["C1"].summary
    assert "left out" not in by_id(samples, split, search)["C1"].summary


@pytest.mark.parametrize(
    ("how", "remedy"),
    [
        (
            {"done": "trusted"},
            "give both pictures one group (source_image_id or data.group), or set data.groups: repair",
        ),
        ({"done": "given"}, "give both pictures one source_image_id, and one fold in the column fold"),
        ({"done": "frozen"}, "frozen folds are never changed: raise folds.version"),
        ({"done": "frozen", "runaways": [(0, 6)]}, "frozen folds are never changed: raise folds.version"),
        (
            {"runaways": [(0, 6)]},
            "(D10): give what shows one thing one group (source_image_id or data.group), and leave out",
        ),
        ({"runaways": [(0, 6)], "torn": [((0, 6), ("fold 0", "fold 1"))]}, "(G6): raise folds.version"),
    ],
)
def test_the_advice_on_a_leak_would_end_it(samples, split, searched, how, remedy):
    assert remedy in by_id(samples, split, searched(samples, (0, 6, True, STILL), **how))["D3"].summary


def test_a_leak_of_a_later_repeat_is_told_with_the_folds_that_it_leaks_between(samples, split, searched):
    other = {group: 3 + (fold + (group == "g01")) % 3 for group, fold in split.folds.items()}
    repeated = new_split(
        "m", Folds(count=3, scheme="repeated", repeats=2), split.folds, other, notes=[], parent=None
    )
    assert repeated.folds["g00"] == repeated.folds["g01"]
    found = by_id(samples, repeated, searched(samples, (0, 3, True, STILL), (0, 6, True, STILL)))["D3"]
    assert (found.status, found.affected) == ("fail", 3)
    assert (
        "(group 'g00', fold 3) and 'g01/0.png' (group 'g01', fold 4): 2 pairs across folds, a leak"
        in found.summary
    )
    assert [(item["first fold"], item["second fold"]) for item in found.items] == [
        ("fold 3", "fold 4"),
        ("fold 0", "fold 1"),
    ]


@pytest.mark.parametrize("blank", [(), (4,)])
def test_findings_are_plain_values_in_whole_sentences(samples, split, searched, blank):
    for finding in copy_checks(samples, split, searched(samples, (0, 6, True, STILL), blank=blank)):
        assert json.loads(json.dumps(finding.items)) == list(finding.items)
        assert finding.summary.endswith(".")
        assert "\n" not in finding.summary


def test_pairs_and_pictures_beyond_those_shown_are_counted(make_table, deal, searched):
    samples = make_table(groups=700)
    pairs = [
        (row, row + 6, True, STILL) for row in range(0, 2 * SHOWN_PAIRS, 2) if row // 3 != (row + 6) // 3
    ]
    findings = by_id(samples, deal(samples), searched(samples, *pairs[:1050], blank=range(1200)))
    for id, total in (("D3", len(pairs[:1050])), ("D9", 1200)):
        assert (len(findings[id].items), findings[id].total) == (min(total, SHOWN_PAIRS), total)


def test_leaks_for_two_reasons_are_told_both(samples, split, searched):
    how = {"torn": [((0, 6), ("fold 0", "fold 1"))], "runaways": [(9, 12)]}
    summary = by_id(samples, split, searched(samples, (0, 6, True, STILL), **how))["D3"].summary
    assert all(id in summary for id in ("(G6)", "(D10)"))


def test_parts_that_the_search_misses_here_are_told_and_never_called_absent(samples, split, searched):
    fine = by_id(samples, split, with_canary(searched(samples), zoomed=(24, 22)))
    assert (fine["C1"].status, fine["D5"].status) == ("pass", "pass")
    findings = by_id(samples, split, with_canary(searched(samples), zoomed=(24, 7)))
    assert (findings["C1"].status, findings["D5"].status) == ("warn", "unverifiable")
    assert all("zoomed: 7 of 24" in findings[id].summary for id in ("C1", "D5"))
    assert (findings["D3"].status, findings["D6"].status) == ("pass", "pass")
