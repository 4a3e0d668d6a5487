"""Promotions that meet, that are killed, and that are rolled back."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import harness.promote
from harness.errors import PromotionRefused
from harness.promote import roll_back
from harness.tracking.aliases import moves
from tests.promotion.conftest import STRONG, WEAK, Ran


def test_two_promotions_at_once_wait_for_each_other_and_the_better_one_wins(ran: Ran) -> None:
    with ThreadPoolExecutor(2) as pool:
        ended = [pool.submit(ran.promote, trial) for trial in (WEAK, STRONG)]
    refusals = [error for one in ended if (error := one.exception()) is not None]
    assert ran.champion() == str(STRONG)
    assert all(isinstance(error, PromotionRefused) for error in refusals)
    told = moves(ran.client, "tiny")
    assert [move.number for move in told] == list(range(1, 3 - len(refusals)))
    assert all(move.state == "done" for move in told)
    assert len(ran.client.search_model_versions("name='tiny'")) == len(told)


def test_killed_between_version_and_alias_nothing_is_left_and_a_rollback_goes_back(
    ran: Ran, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = ran.promote(WEAK)

    def dies(*arguments: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(harness.promote, "finish", dies)
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
    with pytest.raises(PromotionRefused, match="no champion was before version 1"):
        roll_back(ran.store, ran.home, "tiny", "", print)
    assert ran.promote(STRONG).version == again.version
    assert ran.champion() == str(STRONG)
    assert len(ran.looks()) == 2
