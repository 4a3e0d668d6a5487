"""The leakage report in short: what did not pass, and whether it is the one that the study was begun with."""

import hashlib
import json
from pathlib import Path

import pytest

from harness.errors import DataError
from harness.report.leaks import leaks, read_leakage
from tests.report.drawn import FACTS
from tests.report.reading import read_page


def finding(id: str, status: str) -> dict[str, str]:
    return {"id": id, "status": status, "title": f"Check {id}", "severity": "warn", "summary": f"<{id}> said"}


@pytest.fixture
def work(tmp_path: Path) -> Path:
    findings = [finding("G1", "pass"), finding("T1", "not run"), finding("M2", "warn")]
    (tmp_path / "leakage").mkdir()
    content = json.dumps({"verdict": "warn", "findings": findings})
    (tmp_path / "leakage" / "leakage_report.json").write_text(content)
    return tmp_path


def test_what_did_not_pass_is_told_worst_first_with_the_digest_and_a_link(work: Path) -> None:
    digest = hashlib.sha256((work / "leakage" / "leakage_report.json").read_bytes()).hexdigest()
    facts = FACTS | {"leakage": "warn", "leakage_sha256": digest}
    page = read_page(leaks(facts, read_leakage(work)))
    assert [(row["id"], row["status"]) for row in page.table("id")] == [("M2", "! warn"), ("T1", "– not run")]
    assert page.table("id")[0]["what came out"] == "<M2> said"
    assert "Checks that passed: 1." in page.text
    assert digest in page.text
    assert "another one" not in page.text
    assert page.of("a") == [{"href": "../leakage/leakage_report.html"}]


def test_another_report_than_that_of_the_study_is_said_to_be_one(work: Path) -> None:
    assert "on the disk is another one" in leaks(FACTS, read_leakage(work))


def test_statuses_are_those_of_the_checks_asked_for(work: Path) -> None:
    assert read_leakage(work).statuses("G1 M2 X9") == "G1 pass, M2 warn"


@pytest.mark.parametrize("content", ["", "[]", '{"verdict": "pass"}'])
def test_a_damaged_report_is_a_data_error_and_the_facts_still_tell(work: Path, content: str) -> None:
    (work / "leakage" / "leakage_report.json").write_text(content)
    with pytest.raises(DataError, match=r"leakage_report\.json cannot be read"):
        read_leakage(work)
    assert "✓ No leak found." in leaks(FACTS, None)
