"""The card of a promoted model says what is known, what is not, and cannot be broken by what it quotes."""

import re
from pathlib import Path

from benchmarks.promoted import STRONG, Ran
from harness.config import Promote
from harness.tracking.aliases import moves

STATED = Promote(graphs=(), license="CC-BY-4.0", intended_use="rings | on <b>line 2</b>")


def card(ran: Ran, folder: Path, name: str) -> str:
    return Path(
        ran.client.download_artifacts(ran.run_of(STRONG), f"promotion/{name}", str(folder))
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


def test_the_card_follows_what_the_study_file_says_of_use_and_licenses(ran: Ran, tmp_path: Path) -> None:
    first = ran.promote(STRONG, wanted=STATED)
    rules = ran.gate(STRONG)["rules"]
    assert ran.promote(STRONG, wanted=STATED.model_copy(update={"license": "MIT"})).version == first.version
    text = card(ran, tmp_path, "card.md")
    assert "| License of the model | MIT |" in text
    assert f"{first.heldout_iou:.4f}, at look 1" in text, "what was proven stays"
    assert all(f"| {rule['name']} | yes |" in text for rule in rules)
    assert "MIT" in ran.client.get_model_version("tiny", first.version).description
    assert (len(ran.looks()), len(moves(ran.client, "tiny"))) == (1, 1)
    changed = ran.client.get_model_version("tiny", first.version).last_updated_timestamp
    ran.promote(STRONG, wanted=STATED.model_copy(update={"license": "MIT"}))
    assert ran.client.get_model_version("tiny", first.version).last_updated_timestamp == changed


def test_the_card_of_a_forced_promotion_says_why_and_what_the_look_showed(ran: Ran, tmp_path: Path) -> None:
    done = ran.promote(STRONG, "no time to wait", wanted=STATED, threshold=20.0)
    text = card(ran, tmp_path, "card.md")
    assert "It was promoted against its rules, for this reason: no time to wait" in text
    assert (done.look, done.heldout_iou) == (1, 0.0), "it finds nothing at this threshold"
    assert "| IoU on held-out groups | 0.0000, at look 1 |" in text
    assert "| unseen data | no |" in text
