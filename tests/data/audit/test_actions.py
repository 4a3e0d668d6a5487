"""What to do about each finding, most harmful first."""

from dataclasses import replace

import pytest

from harness.data.audit.actions import ACTIONS, KINDS, steps
from harness.data.audit.ceiling import HEAD as TWICE
from harness.data.audit.finding import Finding
from harness.data.audit.report import audit
from harness.data.proof.findings import findings

PLACES = {"folder": "mlruns/audit/x", "study_file": "studies/x.yaml", "root": "/data"}


def finding(id, status="warn", severity="warn", items=()):
    return Finding(id, "title", severity, status, 1, 0.1, "summary", tuple(items))


def test_every_finding_has_an_action_and_every_action_its_finding(make_table, deal, searched):
    samples = make_table(groups=30)
    report = audit(samples, deal(samples), manifest="m", searched=searched(samples), others=findings([]))
    assert {f.id for f in report.findings} | {TWICE[0]} == set(ACTIONS)


@pytest.mark.parametrize("id", ACTIONS)
def test_an_action_is_one_imperative_line_that_names_a_file(id):
    action = ACTIONS[id]
    assert action.kind in KINDS
    for text in filter(None, (action.do, action.failing, action.unsure)):
        assert text[0].islower()
        assert "\n" not in text
        assert len(text) <= 110
        assert not text.endswith(".")
    assert bool(action.setting) == (action.see == "setting" or bool(action.setting and action.unsure))
    (step,) = steps([finding(id)], **PLACES)
    assert step.see.startswith(("mlruns/audit/x/", "studies/x.yaml, "))
    assert step.line == f"[{id}] {step.do}: {step.see}"


def test_the_most_harmful_comes_first():
    found = [finding(id) for id in ("E1", "S1", "F1", "M1", "D9", "D3", "G1")]
    assert [step.id for step in steps(found, **PLACES)] == ["G1", "D3", "D9", "M1", "F1", "S1", "E1"]
    kinds = [step.kind for step in steps(found, **PLACES)]
    assert kinds == sorted(kinds, key=KINDS.index)


def test_whatever_stops_the_study_comes_before_all_that_does_not():
    found = [finding("G1"), finding("A1", "fail", "fail"), finding("D3", "fail", "fail")]
    told = steps(found, **PLACES)
    assert [step.id for step in told] == ["G1", "D3", "A1"]
    assert {step.kind for step in told} == {"leak"}
    assert told[1].do == ACTIONS["D3"].failing != ACTIONS["D3"].do


@pytest.mark.parametrize(
    ("status", "severity", "asks"),
    [
        ("pass", "fail", False),
        ("fail", "fail", True),
        ("warn", "info", True),
        ("unverifiable", "warn", True),
        ("unverifiable", "info", False),
        ("not run", "fail", True),
        ("not run", "info", False),
    ],
)
def test_only_what_is_not_clean_asks_for_something(status, severity, asks):
    assert bool(steps([finding("D9", status, severity)], **PLACES)) == asks


def test_the_file_is_the_picture_the_table_or_the_part_of_the_page():
    items = [{"image": "a/b.png", "px": 1}]
    (setting,) = steps([finding("S1", items=items)], **PLACES)
    assert setting.see == "studies/x.yaml, folds.count"
    (image,) = steps([finding("M5", items=items)], **PLACES)
    assert image.see == "/data/a/b.png, then mlruns/audit/x/leakage_report.html#M5"
    (pair,) = steps([finding("D3", items=[{"first": "a", "second": "b"}])], **PLACES)
    assert pair.see == "mlruns/audit/x/pairs.parquet, drawn in mlruns/audit/x/leakage_report.html#D3"
    (page,) = steps([replace(finding("F1"), items=())], **PLACES)
    assert page.see == "mlruns/audit/x/leakage_report.html"  # without evidence there is no part of it


def test_what_could_not_be_looked_at_asks_for_something_else_than_what_was_found():
    (found,) = steps([finding("D3", "warn", "fail")], **PLACES)
    for id in ("D3", "D5", "D6"):
        assert steps([finding(id, "unverifiable", "fail")], **PLACES)[0].do.startswith("see by hand")
    (unsure,) = steps([finding("D3", "unverifiable", "fail")], **PLACES)
    assert unsure.do == ACTIONS["D3"].unsure != found.do
    assert unsure.see == "mlruns/audit/x/leakage_report.html"
    (trusted,) = steps([finding("D10", "not run", "fail")], **PLACES)
    (frozen,) = steps([finding("D10", "warn", "fail")], **PLACES)
    assert trusted.see == "studies/x.yaml, data.groups"
    assert frozen.see == "mlruns/audit/x/leakage_report.html"
