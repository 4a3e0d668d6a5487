"""Promotions that meet, that are killed, and that are rolled back."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import mlflow
import pytest

from benchmarks.promoted import STRONG, WEAK, Ran
from harness.errors import ModelRefused, PromotionRefused
from harness.promotion.candidate import Promotion
from harness.promotion.promote import roll_back
from harness.tracking.aliases import champion, moves
from harness.tracking.mover import Mover


def test_two_promotions_at_once_wait_for_each_other_and_the_better_one_wins(ran: Ran) -> None:
    with ThreadPoolExecutor(2) as pool:
        ended = [pool.submit(ran.promote, trial) for trial in (WEAK, STRONG)]
    refusals = [error for one in ended if (error := one.exception()) is not None]
    assert ran.champion() == str(STRONG)
    told = moves(ran.client, "tiny")
    if refusals:  # the better one went first
        (refusal,) = refusals
        assert isinstance(refusal, PromotionRefused)
        assert "Held against the champion, version 1" in str(refusal)
    else:
        assert told[1].before == told[0].version
        assert "Held against the champion, version 1" in told[1].why
    assert [move.action for move in told] == ["promote", "challenge" if refusals else "promote"]
    assert all(move.state == "done" for move in told)
    assert len(ran.client.search_model_versions("name='tiny'")) == len(told)


def test_killed_between_version_and_alias_nothing_is_left_and_a_rollback_goes_back(
    ran: Ran, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = ran.promote(WEAK)

    def dies(*arguments: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Mover, "finish", dies)
        with pytest.raises(KeyboardInterrupt):
            ran.promote(STRONG)
    assert (ran.champion(), len(ran.client.search_model_versions("name='tiny'"))) == (str(WEAK), 2)
    again = ran.promote(STRONG)
    assert (again.look, len(ran.looks())) == (2, 2), "the look that was paid for counts"
    assert [move.state for move in moves(ran.client, "tiny")] == ["done", "left", "done"]
    versions = {str(one.version) for one in ran.client.search_model_versions("name='tiny'")}
    assert versions == {first.version, again.version}
    assert roll_back(ran.store, ran.home, "tiny", "false alarms", print) == (again.version, first.version)
    assert ran.champion() == str(WEAK)
    assert moves(ran.client, "tiny")[-1].why == "false alarms"
    with pytest.raises(PromotionRefused, match="no champion before version 1 is there"):
        roll_back(ran.store, ran.home, "tiny", "", print)
    assert ran.promote(STRONG).version == again.version
    assert ran.champion() == str(STRONG)
    assert len(ran.looks()) == 2


def test_a_champion_that_was_loaded_or_altered_is_still_the_one_to_beat(ran: Ran) -> None:
    first = ran.promote(WEAK)
    mlflow.set_tracking_uri(ran.store.uri)
    mlflow.pyfunc.load_model(first.uri)  # which leaves files in the model's folder
    assert ran.promote(WEAK) == Promotion(**{**vars(first), "previous": None})

    found = champion(ran.client, "tiny")
    assert found is not None
    weights = next(Path(found.source.removeprefix("file://")).rglob("*.safetensors"))
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(ModelRefused, match=r"weights\.safetensors' is gone, or is not what was registered"):
        ran.promote(STRONG)
    assert "is not what was registered" in ran.tags(STRONG)["harness.promotion_refused"]
    assert len(ran.looks()) == 1
    again = ran.promote(WEAK)
    assert (again.claim, again.look, len(ran.looks())) == (first.claim, 1, 1)
    assert ran.promote(STRONG).previous == again.version
    assert "harness.promotion_refused" not in ran.tags(STRONG)


def test_a_champion_of_an_older_version_of_this_code_is_registered_anew(ran: Ran) -> None:
    first = ran.promote(WEAK)
    ran.client.delete_model_version_tag("tiny", first.version, "harness.manifest")
    with pytest.raises(ModelRefused, match=r"has no tag harness\.manifest.*promote its trial again"):
        ran.promote(STRONG)
    assert ran.promote(WEAK).claim == first.claim
    assert ran.promote(STRONG).previous == first.version
