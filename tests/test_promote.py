"""Promotion's refusals; the way that succeeds is in test_study.py."""

import hashlib
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from harness.config import Study
from harness.data.audit.finding import Finding, Status
from harness.data.audit.report import Report
from harness.errors import PromotionRefused
from harness.promote import _refuse_another_report, _refuse_leaks_of_today, model_settings, promote_best
from harness.tracking.store import Store


def test_without_a_complete_trial_nothing_is_promoted_and_the_way_out_is_named(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'mlflow.db'}", tmp_path)
    with pytest.raises(
        PromotionRefused, match="tiny-1: no trial ran all its folds; raise the budget"
    ) as caught:
        promote_best(store, {"key": "tiny-1", "name": "tiny"}, None, tmp_path, never, print)
    assert caught.value.exit_code == 4
    assert not list(tmp_path.iterdir())


def never() -> Report:
    raise AssertionError("nothing to audit")


FACTS = {"key": "tiny-1", "split": "s", "leakage_sha256": hashlib.sha256(b"report").hexdigest()}


def test_a_report_that_trial_or_ledger_do_not_refer_to_is_refused_with_both_digests() -> None:
    digest = FACTS["leakage_sha256"]
    _refuse_another_report(FACTS, b"report", {"trial 3": digest})
    for attached, referred, where in ((b"other", digest, "trial 3"), (b"report", "0" * 64, "trial 3")):
        with pytest.raises(PromotionRefused, match=rf"{where} refers to .*run the study again"):
            _refuse_another_report(FACTS, attached, {where: referred})
    with pytest.raises(PromotionRefused, match="its ledger refers to 11"):
        _refuse_another_report(FACTS | {"leakage_sha256": "1" * 64}, b"report", {"trial 3": digest})


def today(split: str, *statuses: Status) -> Report:
    findings = (Finding(f"D{n}", "No copy", "fail", s, 0, 0.0, "x and y.") for n, s in enumerate(statuses))
    values: dict[str, Any] = dict.fromkeys(field.name for field in fields(Report))
    return Report(**values | {"split": split, "findings": tuple(findings)})


def test_what_leaks_as_the_audit_of_today_sees_it_is_refused_and_warnings_are_not() -> None:
    _refuse_leaks_of_today(FACTS, today("s", "pass", "warn", "not run"))
    with pytest.raises(PromotionRefused, match=r"tiny-1: audited again, its data leak: audit D1: x and y\."):
        _refuse_leaks_of_today(FACTS, today("s", "pass", "fail"))
    with pytest.raises(PromotionRefused, match="was trained on split s, which is lost"):
        _refuse_leaks_of_today(FACTS, today("t", "pass"))


def test_the_model_is_told_how_pictures_were_shown_in_training() -> None:
    study = Study.model_validate(
        {
            "name": "t",
            "data": {"dataset": "demo", "size": 96, "white": 4095},
            "network": {"unet": {"encoder": "resnet18", "weights": "imagenet"}},
            "search": {"trials": 1},
        }
    )
    settings = model_settings(study)
    assert (settings["size"], settings["white"], settings["threshold"]) == (96, 4095, 0.5)
    assert settings["network"]["encoder_name"] == "resnet18"
    assert "weights" not in settings["network"]  # those of the folds are loaded, nothing is fetched
