"""What is done before the first trial."""

from pathlib import Path
from typing import Any

import pandas as pd

from harness.config import Study
from harness.prepare import facts, other_code, prepare, run_tags, write_files
from harness.search.ledger import Ledger
from harness.train.version import code_digest
from tests.conftest import Tiny


def changed(tiny: Tiny, **changes: Any) -> Study:
    return Study.model_validate(tiny.study.model_dump() | changes)


def ran(study: Study, home: Path) -> Any:
    """Prepare and write the ledger's facts, as a run does."""
    prepared = prepare(study, base=home, home=home, caches=home / "cache")
    files = write_files(prepared, home=home, caches=home / "cache")
    Ledger(files.work / "ledger", {}).open_study(facts(prepared), pd.DataFrame({"constant": [0.0]}))
    return prepared


def test_facts_and_tags_name_data_split_leakage_code_and_versions(tiny: Tiny, tmp_path: Path) -> None:
    prepared = ran(tiny.study, tmp_path)
    known, tags = facts(prepared), run_tags(facts(prepared))
    assert (known["samples"], known["groups"], known["positive_groups"]) == (14, 12, 11)
    assert known["rare_classes"] == {"spot": 11}
    assert tags["harness.leakage_sha256"] == prepared.report.digest
    assert tags["harness.code"] == code_digest()
    assert tags["version.torch"].startswith("2.")
    written = prepared.report.to_json()
    assert (tmp_path / "work" / prepared.key / "leakage/leakage_report.json").read_text() == written


def test_a_study_begun_with_other_code_is_noticed(tiny: Tiny, tmp_path: Path) -> None:
    prepared = ran(tiny.study, tmp_path)
    assert other_code(prepared, tmp_path) == ""
    ledger = tmp_path / "work" / prepared.key / "ledger"
    old = facts(prepared) | {"code": "before"}
    Ledger(ledger, {}).open_study(old, pd.DataFrame({"constant": [0.0]}))
    assert other_code(prepared, tmp_path) == "before"
