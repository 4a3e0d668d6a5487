"""The card of a promoted model says what is known, what is not, and cannot be broken by what it quotes."""

import re
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from benchmarks.promoted import STRONG, WEAK, Ran, run_study
from harness.config import Promote
from harness.errors import PromotionRefused
from harness.promotion.promote import roll_back
from harness.tracking.aliases import moves

STATED = Promote(graphs=(), license="CC-BY-4.0", intended_use="rings | on <b>line 2</b>")


def card(ran: Ran, folder: Path, name: str, version: str = "1") -> str:
    run = ran.client.get_model_version("tiny", version).run_id
    return Path(
        ran.client.download_artifacts(run, f"promotion/version-{version}/{name}", str(folder))
    ).read_text()


def test_a_promoted_model_has_a_card_on_its_run_and_on_the_page_of_its_version(
    ran: Ran, tmp_path: Path
) -> None:
    done = ran.promote(STRONG, wanted=STATED)
    text, page = (card(ran, tmp_path, name) for name in ("card.md", "card.html"))
    best = next(row for row in ran.board.trials if row["trial"] == STRONG)
    assert done.claim in text.replace("\\[", "[")
    assert f"| {best['iou_mean']:.4f} ± {best['iou_std']:.4f} | {best['iou_low']:.4f} to" in text
    assert f"{done.heldout_iou:.4f}, at look 1" in text
    assert f"| Calibration error | {done.heldout_worth['calibration_error']:.4f} |" in text
    assert "| License of the model | CC-BY-4.0 |" in text
    assert "| License of the data | not stated |" in text
    for rule in ran.gate(STRONG)["rules"]:
        assert f"| {rule['name']} | yes |" in text
    assert "rings \\| on &lt;b>line 2&lt;/b>" in text
    assert "rings | on &lt;b&gt;line 2&lt;/b&gt;" in page
    assert "<img alt=" in page, "the gallery"
    assert not re.search(r"(src|href)=\"?https?:", page)
    described = ran.client.get_model_version("tiny", done.version).description
    assert described.startswith("# Model card: tiny, version 1\n")
    assert len(described) <= 4000


def test_the_card_of_the_champion_follows_what_the_study_file_says_of_use_and_licenses(
    ran: Ran, tmp_path: Path
) -> None:
    first = ran.promote(STRONG, wanted=STATED)
    fold = STATED.model_copy(update={"model": "best_fold"})
    second = ran.promote(STRONG, "to have another version of the same trial", wanted=fold)
    own = {n: (card(ran, tmp_path, "card.md", n), card(ran, tmp_path, "card.html", n)) for n in ("1", "2")}
    assert roll_back(ran.store, ran.home, "tiny", "", print) == (second.version, first.version)
    looks, told = ran.looks(), moves(ran.client, "tiny")

    changed = STATED.model_copy(update={"license": "MIT <1>"})
    assert ran.promote(STRONG, wanted=changed).version == first.version
    for n, name in enumerate(("card.md", "card.html")):
        stated = "MIT &lt;1>" if name == "card.md" else "MIT &lt;1&gt;"
        assert card(ran, tmp_path, name) == own["1"][n].replace("CC-BY-4.0", stated)
        assert card(ran, tmp_path, name, "2") == own["2"][n]
    assert "MIT" in ran.client.get_model_version("tiny", "1").description
    assert "MIT" not in ran.client.get_model_version("tiny", "2").description
    assert (ran.looks(), moves(ran.client, "tiny")) == (looks, told), "nothing else changed"

    with pytest.raises(PromotionRefused):
        ran.promote(WEAK, wanted=changed.model_copy(update={"intended_use": "line 3"}))
    assert "| Intended use | line 3 |" in card(ran, tmp_path, "card.md"), "whichever trial is held against it"


def test_a_card_that_was_half_written_is_written_again_and_a_damaged_one_is_left_alone(
    ran: Ran, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = ran.promote(STRONG, wanted=STATED)
    changed = STATED.model_copy(update={"license": "MIT"})

    def dies(*arguments: Any, **named: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "update_model_version", dies)
        with pytest.raises(KeyboardInterrupt):
            ran.promote(STRONG, wanted=changed)
    ran.promote(STRONG, wanted=changed)
    assert "MIT" in ran.client.get_model_version("tiny", first.version).description
    whole = card(ran, tmp_path, "card.json")
    for damaged in (
        "[" * 100_000,
        '{"title": 5}',
        whole.replace("tiny", "other"),
        whole.replace('"facts": {', '"facts": null, "other": {', 1),
        whole.replace('"MIT"', "5"),
        whole.replace('"yes",', ""),
    ):
        (tmp_path / "card.json").write_text(damaged)
        ran.client.log_artifact(ran.run_of(STRONG), str(tmp_path / "card.json"), "promotion/version-1")
        assert ran.promote(STRONG, wanted=STATED).version == first.version
        assert "| License of the model | MIT |" in card(ran, tmp_path, "card.md")


def test_the_license_of_another_study_is_not_the_champions(ran: Ran, tmp_path: Path) -> None:
    ran.promote(STRONG, wanted=STATED)
    other = run_study(ran.folder, ran.home, **{"train.epochs": 6, "train.validate_every": 6})
    with pytest.raises(PromotionRefused):
        other.promote(WEAK, wanted=STATED.model_copy(update={"license": "of other data"}))
    assert "| License of the model | CC-BY-4.0 |" in card(ran, tmp_path, "card.md")


def test_the_card_of_a_forced_promotion_says_why_and_what_the_look_showed(ran: Ran, tmp_path: Path) -> None:
    done = ran.promote(STRONG, "no time to wait", wanted=STATED, threshold=20.0)
    text = card(ran, tmp_path, "card.md")
    assert "It was promoted against its rules, for this reason: no time to wait" in text
    assert (done.look, done.heldout_iou) == (1, 0.0), "it finds nothing at this threshold"
    assert "| IoU on held-out groups | 0.0000, at look 1 |" in text
    assert "| unseen data | no |" in text
