"""Moves of the champion: written before they are made, ended after a kill, and told where a person moved it."""

import contextlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from harness.errors import PromotionRefused, TrackingError
from harness.tracking.aliases import (
    MADE_BY,
    Move,
    aliased,
    begin,
    champion,
    finish,
    moves,
    settle,
    standing,
    to_roll_back_to,
)

NAME = "parts"
WRITES = (
    "create_registered_model",
    "create_model_version",
    "set_registered_model_tag",
    "set_registered_model_alias",
    "delete_registered_model_alias",
)


@dataclass
class Registry:
    """A registry on disk; `promote` and `roll_back` are what a promotion does in it, without a model's files."""

    client: MlflowClient
    told: list[str] = field(default_factory=list)

    def settle(self) -> None:
        settle(self.client, NAME, self.told.append)

    def promote(self, why: str = "better") -> str:
        self.settle()
        held = champion(self.client, NAME)
        move = begin(self.client, NAME, "promote", before=held.version if held else "", version="", why=why)
        tags = {MADE_BY: str(move.number)}
        made = self.client.create_model_version(NAME, "/models/m-1", tags=tags, await_creation_for=0)
        finish(self.client, NAME, move, str(made.version))
        return str(made.version)

    def roll_back(self) -> str:
        self.settle()
        now, before = to_roll_back_to(self.client, NAME)
        finish(
            self.client,
            NAME,
            begin(self.client, NAME, "rollback", before=now, version=before, why="w"),
            before,
        )
        return before

    @property
    def aliases(self) -> dict[str, str]:
        found = self.client.get_registered_model(NAME).aliases
        return {alias: str(version) for alias, version in found.items()}

    @property
    def states(self) -> list[tuple[str, str, str]]:
        return [(move.action, move.version, move.state) for move in moves(self.client, NAME)]

    @property
    def versions(self) -> set[str]:
        return {str(one.version) for one in self.client.search_model_versions(f"name='{NAME}'")}


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return MLflow's database with nothing in it."""
    path = tmp_path_factory.mktemp("registry") / "mlflow.db"
    MlflowClient(registry_uri=f"sqlite:///{path}").search_registered_models()
    return path


@pytest.fixture
def registry(empty: Path, tmp_path: Path) -> Registry:
    uri = f"sqlite:///{shutil.copy(empty, tmp_path / 'mlflow.db')}"
    return Registry(MlflowClient(tracking_uri=uri, registry_uri=uri))


def test_champion_and_previous_follow_promotions_and_rollbacks(registry: Registry) -> None:
    assert moves(registry.client, NAME) == []
    assert [registry.promote() for _ in range(3)] == ["1", "2", "3"]
    assert registry.aliases == {"champion": "3", "previous": "2"}
    assert registry.roll_back() == "2"
    assert registry.aliases == {"champion": "2", "previous": "1"}
    assert registry.roll_back() == "1"
    assert registry.aliases == {"champion": "1"}
    with pytest.raises(PromotionRefused, match="parts: no champion was before version 1; nothing is moved"):
        registry.roll_back()
    assert registry.promote("another") == "4"
    assert registry.aliases == {"champion": "4", "previous": "1"}
    assert [move.number for move in moves(registry.client, NAME)] == [1, 2, 3, 4, 5, 6]
    last = moves(registry.client, NAME)[-1]
    assert (last.before, last.version, last.state, last.why) == ("1", "4", "done", "another")
    assert last.sentence == f"6. {last.at} promote: version 1 -> version 4. another"
    assert not registry.told


def test_a_version_that_was_deleted_is_no_way_back(registry: Registry) -> None:
    for _ in range(2):
        registry.promote()
    registry.client.delete_model_version(NAME, "1")
    with pytest.raises(PromotionRefused, match="version 1, the champion before, was deleted in MLflow"):
        registry.roll_back()
    assert registry.aliases["champion"] == "2"
    assert (registry.promote(), registry.aliases) == ("3", {"champion": "3", "previous": "2"})


def test_an_alias_moved_by_hand_is_told_written_down_and_taken_as_it_is(registry: Registry) -> None:
    for _ in range(3):
        registry.promote()
    registry.client.set_registered_model_alias(NAME, "champion", "1")
    registry.settle()
    assert "the alias champion means version 1, and by the moves written down version 3" in registry.told[0]
    assert registry.states[-1] == ("by hand", "1", "done")
    assert registry.aliases == {"champion": "1", "previous": "3"}
    registry.settle()
    assert len(registry.told) == 1
    assert registry.roll_back() == "3"
    registry.client.delete_registered_model_alias(NAME, "champion")
    registry.settle()
    assert champion(registry.client, NAME) is None
    assert registry.roll_back() == "3"
    assert registry.aliases["champion"] == "3"


def test_a_champion_from_before_moves_were_written_down_is_known(registry: Registry) -> None:
    registry.client.create_registered_model(NAME)
    registry.client.create_model_version(NAME, "/models/m-1", await_creation_for=0)
    registry.client.set_registered_model_alias(NAME, "champion", "1")
    assert registry.promote() == "2"
    assert registry.states == [("by hand", "1", "done"), ("promote", "2", "done")]
    assert registry.roll_back() == "1"


def test_standing_takes_rollbacks_away() -> None:
    def move(action: Any, version: str) -> Move:
        return Move(0, action, "", version, "", "", "done")

    told = [move("promote", "1"), move("promote", "2"), move("promote", "2"), move("by hand", "")]
    assert standing(told) == ["1", "2"]
    assert standing([*told, move("rollback", "1")]) == ["1"]
    assert standing([*told, move("rollback", "1"), move("promote", "3")]) == ["1", "3"]
    assert standing([]) == []


def test_a_move_that_cannot_be_read_is_named(registry: Registry) -> None:
    registry.promote()
    registry.client.set_registered_model_tag(NAME, "harness.move.0001", '{"number": 1}')
    with pytest.raises(TrackingError, match=r"parts: its tag harness\.move\.0001 was altered"):
        moves(registry.client, NAME)


def killed(monkeypatch: pytest.MonkeyPatch, at: int, *, after: bool) -> Callable[[], int]:
    """Let the process die at this write to the registry, before it or after it; return what counts them."""
    count = 0

    def dying(write: Callable[..., Any]) -> Callable[..., Any]:
        def one(*arguments: Any, **named: Any) -> Any:
            nonlocal count
            count += 1
            if count == at and not after:
                raise KeyboardInterrupt
            mine = count
            try:
                return write(*arguments, **named)
            finally:
                if mine == at and after:
                    raise KeyboardInterrupt

        return one

    for name in WRITES:
        monkeypatch.setattr(MlflowClient, name, dying(getattr(MlflowClient, name)))
    return lambda: count


@pytest.mark.parametrize("after", [False, True], ids=["before a write", "after a write"])
@pytest.mark.parametrize("action", ["promote", "roll_back"])
def test_killed_at_any_write_the_alias_is_right_no_version_is_orphaned_and_history_is_whole(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, action: str, after: bool
) -> None:
    for _ in range(3):
        registry.promote()
    for at in range(1, 20):
        before, held = registry.states, registry.aliases["champion"]
        with monkeypatch.context() as patch:
            writes = killed(patch, at, after=after)
            with contextlib.suppress(KeyboardInterrupt):
                getattr(registry, action)()
                assert at > writes() >= 4, "each write was killed once"
                return
        registry.settle()
        now, states = registry.aliases["champion"], registry.states
        done = [version for _, version, state in states if state == "done"]
        assert states[: len(before)] == before
        assert all(state in ("done", "left") for _, _, state in states)
        assert (now, registry.aliases.get("previous")) == (done[-1], _previous(registry))
        assert registry.versions == set(done), "a version that was never champion is gone"
        if now == held:
            assert len(done) == len([state for *_, state in before if state == "done"])
        else:
            registry.promote()  # so that there is something to roll back to
    raise AssertionError("there are not so many writes")


def _previous(registry: Registry) -> str | None:
    held = standing([move for move in moves(registry.client, NAME) if move.state == "done"])
    return held[-2] if len(held) > 1 else None


def test_a_rollback_that_was_killed_is_done(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(2):
        registry.promote()
    with monkeypatch.context() as patch:
        killed(patch, 2, after=True)
        with pytest.raises(KeyboardInterrupt):
            registry.roll_back()
    registry.settle()
    assert registry.aliases == {"champion": "1"}
    assert registry.states[-1] == ("rollback", "1", "done")
    assert aliased(registry.client, NAME, "previous") is None
