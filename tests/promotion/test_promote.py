"""Promotion: its refusals, and what held-out groups must prove before the alias moves."""

import hashlib
import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import cv2
import pandas as pd
import pytest

from benchmarks.promoted import ALIKE, MIDDLE, PLAIN, STRONG, WEAK, Ran, run_study
from harness.config import Study
from harness.data.audit import HELD_OUT
from harness.data.audit.finding import Finding, Status
from harness.data.audit.report import Report
from harness.data.split import freeze, new_split, read_split
from harness.errors import PromotionRefused
from harness.evaluate.heldout import level_of_look
from harness.prepare import Prepared
from harness.promotion import contenders
from harness.promotion.candidate import Promotion, _refuse_another_report, model_settings, probability
from harness.promotion.looks import FOLDER
from harness.promotion.promote import _refuse_leaks_of_today, promote_best
from harness.promotion.proof import Place
from harness.promotion.rule import NOT_PROVABLE
from harness.report.leaderboard import Leaderboard
from harness.tracking.aliases import aliases, champion, moves, versions
from harness.tracking.registry import open_model
from harness.tracking.store import Store


def test_without_a_complete_trial_nothing_is_promoted_and_the_way_out_is_named(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'mlflow.db'}", tmp_path)
    board = Leaderboard({"key": "tiny-1", "name": "tiny"}, [], {})
    with pytest.raises(
        PromotionRefused, match="tiny-1: no trial ran all its folds; raise the budget"
    ) as caught:
        promote_best(Place(store, tmp_path, tmp_path, print), board, never, PLAIN)
    assert caught.value.exit_code == 4
    assert not list(tmp_path.iterdir())


def never() -> Prepared:
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
    settings = model_settings(study, threshold=0.0)
    assert (settings["size"], settings["white"], settings["threshold"]) == (96, 4095, 0.5)
    assert model_settings(study, threshold=-2.5)["threshold"] == pytest.approx(0.0758582, abs=1e-7)
    assert settings["network"]["encoder_name"] == "resnet18"
    assert "weights" not in settings["network"]  # those of the folds are loaded, nothing is fetched


def refused(ran: Ran, trial: int, said: str) -> str:
    """Refuse with 4 and without another champion, or a new version but a challenger; return the sentence."""
    before, holder = {one.version for one in versions(ran.client, "tiny")}, ran.champion()
    with pytest.raises(PromotionRefused, match=said) as caught:
        ran.promote(trial)
    assert caught.value.exit_code == 4
    new = [one for one in versions(ran.client, "tiny") if one.version not in before]
    named = aliases(ran.client, "tiny")
    assert [(one.version, one.tags["harness.trial"]) for one in new] in (
        [],
        [(named.get("challenger"), str(trial))],
    )
    assert ran.champion() == holder
    return str(caught.value)


def test_the_alias_moves_on_evidence_only_and_every_look_is_counted(ran: Ran) -> None:
    first = ran.promote(WEAK)
    assert first.claim.startswith("Better on held-out groups: +")
    assert "look 1 of 4. Held against the baseline without learning (top-hat " in first.claim
    tags = ran.client.get_model_version("tiny", first.version).tags
    assert (tags["harness.claim"], tags["harness.heldout_look"]) == (first.claim, "1")
    assert float(tags["harness.heldout_iou"]) == first.heldout_iou
    assert (tags["harness.split"], tags["harness.threshold"]) == (
        ran.board.facts["split"],
        repr(first.threshold),
    )

    better = ran.promote(STRONG)
    assert (ran.champion(), better.previous, better.look) == (str(STRONG), first.version, 2)
    assert "look 2 of 4. Held against the champion, version 1, at 10 groups." in better.claim
    assert better.heldout_iou is not None
    assert first.heldout_iou is not None
    assert better.heldout_iou > first.heldout_iou + 0.1

    said = [(move.action, move.before, move.version, move.state) for move in moves(ran.client, "tiny")]
    assert said == [
        ("promote", "", first.version, "done"),
        ("promote", first.version, better.version, "done"),
    ]
    assert moves(ran.client, "tiny")[1].why == better.claim
    assert aliases(ran.client, "tiny") == {"champion": better.version, "previous": first.version}
    assert ran.promote(STRONG) == Promotion(**{**vars(better), "previous": None})
    assert len(ran.looks()) == 2
    said = refused(ran, ALIKE, "Not shown to be better on held-out groups: .*look 3 of 4")
    assert said.endswith("Version 2 stays the champion.")
    assert ran.tags(ALIKE)["harness.promotion_refused"] == said
    assert "harness.promotion_refused" not in ran.tags(STRONG)
    assert refused(ran, ALIKE, "look 3 of 4") == said
    refused(ran, WEAK, "look 4 of 4")
    refused(ran, MIDDLE, "they are spent after 4; hold out new groups")
    assert ran.promote(STRONG).claim == better.claim
    named = aliases(ran.client, "tiny")
    assert named["challenger"] == named["previous"] == first.version, "the last one that was looked at"
    former = ran.client.get_model_version("tiny", first.version)
    assert former.tags["harness.claim"] == first.claim, "it challenged, and what was proven of it stays"
    told = [(move.version, move.action) for move in moves(ran.client, "tiny")[2:]]
    assert told == [("3", "challenge"), (first.version, "challenge")]

    shown = json.loads((ran.work / "ledger" / "looks.json").read_text())
    assert [(look["look"], look["candidate"]["trial"], look["better"]) for look in shown] == [
        (1, WEAK, True),
        (2, STRONG, True),
        (3, ALIKE, False),
        (4, WEAK, False),
    ]
    assert [look["level"] for look in shown] == [level_of_look(look) for look in (1, 2, 3, 4)]
    assert shown[0]["rival"].startswith("the baseline without learning")
    assert shown[0]["sentence"] in first.claim
    assert all(look["low"] < look["gain"] < look["high"] for look in shown)


def test_a_look_that_was_killed_is_paid_for_and_gone_on_with(
    ran: Ran, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict = contenders.predict_photos

    def killed(*arguments: Any, **named: Any) -> Any:
        yield next(predict(*arguments, **named))
        assert [look.get("sentence") for look in ran.looks()] == [None], "it is counted before"
        raise KeyboardInterrupt

    monkeypatch.setattr(contenders, "predict_photos", killed)
    with pytest.raises(KeyboardInterrupt):
        ran.promote(WEAK)
    monkeypatch.undo()
    (shown,) = json.loads((ran.work / "ledger" / "looks.json").read_text())
    assert (shown["look"], shown["sentence"]) == (1, None)
    assert ran.promote(WEAK).look == 1
    assert len(ran.looks()) == 1
    assert ran.looks()[0]["better"]


def test_what_is_tested_is_what_is_served(ran: Ran) -> None:
    done = ran.promote(STRONG)
    today = ran.audited()
    found = champion(ran.client, "tiny")
    assert found is not None
    place = Path(found.source.removeprefix("file://"))
    weights = sorted((place / "artifacts").rglob("*.safetensors"))
    model = open_model(json.loads(next(place.rglob("model.json")).read_text()), weights)
    tp = union = 0
    for position in today.split.held_out(today.samples):
        row = today.samples.iloc[position]
        image, mask = (
            cv2.imread(str(today.root / row[name]), cv2.IMREAD_GRAYSCALE) for name in ("sample", "mask")
        )
        (predicted,) = model.predict(None, pd.DataFrame({"image": [image]}))["mask"]
        tp += int((predicted & (mask > 0)).sum())
        union += int((predicted | (mask > 0)).sum())
    assert done.heldout_iou == pytest.approx(tp / union, abs=1e-12)
    assert model.settings["threshold"] == probability(done.threshold)
    assert done.threshold_chosen


def test_the_threshold_of_the_ledger_decides_and_without_one_it_is_a_half_and_said(ran: Ran) -> None:
    low = ran.promote(STRONG, threshold=-8.0)
    assert (low.threshold, low.heldout_iou is not None) == (-8.0, True)
    older = ran.promote(ALIKE, threshold=None)  # better than one that calls nearly everything target
    assert (older.threshold, older.threshold_chosen) == (0.0, False)
    assert older.heldout_iou is not None
    assert low.heldout_iou is not None
    assert older.heldout_iou > low.heldout_iou
    assert "target from probability 0.5000 (logit 0): the headline's" in older.threshold_sentence
    assert "at it this model (ensemble of 2 folds) has IoU" in low.threshold_sentence
    assert "at the best threshold for these alone (logit " in low.threshold_sentence
    assert set(low.heldout_worth) == {"best_threshold", "best_iou", "calibration_error"}
    assert low.heldout_worth["best_iou"] > low.heldout_iou + 0.1


def test_without_held_out_groups_a_first_promotion_says_that_nothing_is_proven_and_a_second_one_is_refused(
    before: Ran, tmp_path: Path
) -> None:
    ran = run_study(before.folder, tmp_path / "home", **{"folds.held_out": 0.0})
    first = ran.promote(WEAK)
    assert first.claim == f"{NOT_PROVABLE}: no groups are held out, and fewer than six prove nothing"
    assert ran.client.get_model_version("tiny", first.version).tags["harness.claim"] == first.claim
    assert (first.look, first.heldout_iou, first.heldout_worth) == (None, None, {})
    assert first.threshold_sentence.endswith("(ensemble of 2 folds) and its calibration are not measured")
    card = Path(
        ran.client.download_artifacts(ran.run_of(WEAK), "promotion/version-1/card.md", str(tmp_path))
    ).read_text()
    for score in ("IoU on held-out groups", "Threshold", "Calibration error"):
        assert f"| {score} | not measured |" in card
    said = refused(ran, STRONG, f"{NOT_PROVABLE}: no groups are held out.*version 1 stays the champion")
    assert "folds.held_out" in said
    assert "a study of another name" in said
    assert not (ran.home / FOLDER).exists()


def test_a_champion_that_was_trained_on_held_out_groups_is_no_rival(ran: Ran) -> None:
    first = ran.promote(WEAK)
    own = read_split(ran.home / "folds" / f"{ran.board.facts['split']}.json")

    def champion_of(parent: str | None, fold: int) -> None:
        """Let the champion be of a split in which the first held-out group is in this fold."""
        held = next(group for group, of in own.folds.items() if of == HELD_OUT)
        folds = {**own.folds, held: fold}
        other = new_split(own.manifest, own.settings, folds, notes=["another"], parent=parent)
        freeze(other, ran.home / "folds")
        ran.client.set_model_version_tag("tiny", first.version, "harness.split", other.id)

    champion_of(own.id, fold=0)
    refused(
        ran, STRONG, "version 1, the champion, was trained on 1 of 10 held-out groups, the first is 'source-"
    )
    champion_of(None, fold=1)
    refused(ran, STRONG, "was trained on split .*, which has nothing to do with split ")
    ran.client.set_model_version_tag("tiny", first.version, "harness.split", "lost")
    refused(ran, STRONG, "what version 1, the champion, was trained on is not known under this home")
    assert len(ran.looks()) == 1
    ran.client.delete_model_version_tag("tiny", first.version, "harness.split")  # as older versions left it
    assert ran.promote(STRONG).look == 2
