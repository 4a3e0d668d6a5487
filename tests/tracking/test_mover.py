"""Moves of the champion: written before they are made, ended after a kill, and told where a person moved it."""

import contextlib
import json
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
    Action,
    Move,
    aliases,
    champion,
    disagreement,
    moves,
    standing,
    write_move,
)
from harness.tracking.mover import Mover

NAME, HOME = "parts", "home1234"
WRITES = (
    "create_registered_model",
    "create_model_version",
    "delete_model_version",
    "set_registered_model_tag",
    "set_registered_model_alias",
    "delete_registered_model_alias",
)


@dataclass
class Registry:
    """A registry on disk; `promote` and `roll_back` are what a promotion does in it, without a model's files."""

    client: MlflowClient
    home: str = HOME
    told: list[str] = field(default_factory=list)

    @property
    def mover(self) -> Mover:
        return Mover(self.client, NAME, self.home, self.told.append)

    def begin(self, why: str = "better", action: Action = "promote") -> tuple[Move, str]:
        """Do what a promotion does before it moves the alias."""
        before = self.mover.settle()
        move = self.mover.begin(action, before=before, version="", why=why)
        made = self.client.create_model_version(
            NAME, "/models/m-1", tags={MADE_BY: move.id}, await_creation_for=0
        )
        return move, str(made.version)

    def promote(self, why: str = "better") -> str:
        move, version = self.begin(why)
        self.mover.finish(move, version)
        return version

    def challenge(self) -> str:
        move, version = self.begin("", "challenge")
        self.mover.finish(move, version)
        return version

    def roll_back(self) -> str:
        return self.mover.roll_back("worse")[1]

    def by_hand(self, version: str, alias: str = "champion") -> None:
        self.client.set_registered_model_alias(NAME, alias, version)

    @property
    def aliases(self) -> dict[str, str]:
        return aliases(self.client, NAME)

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


@pytest.fixture
def three(registry: Registry) -> Registry:
    """Return a registry in which three versions became champion one after the other."""
    assert [registry.promote() for _ in range(3)] == ["1", "2", "3"]
    return registry


def test_champion_and_previous_follow_promotions_and_rollbacks(three: Registry) -> None:
    assert three.aliases == {"champion": "3", "previous": "2"}
    assert three.roll_back() == "2"
    assert three.aliases == {"champion": "2", "previous": "1"}
    assert three.roll_back() == "1"
    assert three.aliases == {"champion": "1"}
    with pytest.raises(
        PromotionRefused, match="parts: no champion before version 1 is there; nothing is moved"
    ):
        three.roll_back()
    assert three.promote("another") == "4"
    assert three.aliases == {"champion": "4", "previous": "1"}
    assert [move.number for move in moves(three.client, NAME)] == [1, 2, 3, 4, 5, 6]
    last = moves(three.client, NAME)[-1]
    assert (last.before, last.version, last.state, last.why) == ("1", "4", "done", "another")
    assert last.sentence == f"6. {last.at} promote: version 1 -> version 4. another"
    assert not three.told


def test_a_rollback_passes_over_versions_that_were_deleted(three: Registry) -> None:
    three.client.delete_model_version(NAME, "2")
    assert (three.mover.settle() is not None, three.aliases) == (True, {"champion": "3", "previous": "1"})
    three.client.delete_model_version(NAME, "3")  # the natural thing to do with a bad one
    assert three.roll_back() == "1"
    assert three.aliases == {"champion": "1"}
    assert three.states[-2:] == [("by hand", "", "done"), ("rollback", "1", "done")]


def test_an_alias_moved_by_hand_is_told_written_down_and_taken_as_it_is(three: Registry) -> None:
    three.by_hand("1")
    assert disagreement(three.client, NAME).endswith(
        "means version 1, and by the moves written down version 3"
    )
    three.mover.settle()
    assert "the alias champion means version 1, and by the moves written down version 3" in three.told[0]
    assert three.states[-1] == ("by hand", "1", "done")
    assert three.aliases == {"champion": "1", "previous": "3"}
    three.mover.settle()
    assert (len(three.told), disagreement(three.client, NAME)) == (1, "")
    assert three.roll_back() == "3"
    three.client.delete_registered_model_alias(NAME, "champion")
    assert three.mover.settle() is None
    assert three.aliases == {"previous": "3"}
    assert three.roll_back() == "3"
    assert three.aliases["champion"] == "3"


def test_a_champion_moved_while_another_was_judged_is_no_longer_the_one_to_replace(three: Registry) -> None:
    before = three.mover.settle()
    three.by_hand("2")
    with pytest.raises(
        PromotionRefused, match="was version 3, and while this was judged it was moved to version 2"
    ):
        three.mover.begin("promote", before=before, version="", why="")
    assert three.states[-1] == ("by hand", "2", "done")


def test_a_champion_from_before_moves_were_written_down_is_known(registry: Registry) -> None:
    registry.client.create_registered_model(NAME)
    registry.client.create_model_version(NAME, "/models/m-1", await_creation_for=0)
    registry.by_hand("1")
    assert registry.promote() == "2"
    assert registry.states == [("by hand", "1", "done"), ("promote", "2", "done")]
    assert registry.roll_back() == "1"


def test_standing_takes_rollbacks_away() -> None:
    def move(action: Any, version: str) -> Move:
        return Move(0, action, "", version, "", "", "done", HOME)

    told = [move("promote", "1"), move("promote", "2"), move("promote", "2"), move("by hand", "")]
    assert standing(told) == ["1", "2"]
    assert standing([*told, move("rollback", "1")]) == ["1"]
    assert standing([*told, move("rollback", "1"), move("promote", "3")]) == ["1", "3"]
    assert standing([]) == []


@pytest.mark.parametrize(
    "change",
    [{"number": "1"}, {"number": 7}, {"version": 2}, {"why": None}, {"state": "?"}, {"more": 1}, None, [], 1],
    ids=str,
)
def test_a_move_that_was_altered_is_named(registry: Registry, change: Any) -> None:
    registry.promote()
    known = json.loads(registry.client.get_registered_model(NAME).tags["harness.move.0001"])
    text = json.dumps(known | change if isinstance(change, dict) else change)
    registry.client.set_registered_model_tag(NAME, "harness.move.0001", text)
    with pytest.raises(TrackingError, match=r"parts: its tag harness\.move\.0001 was altered"):
        registry.promote()


def test_moves_are_in_the_order_of_their_numbers_however_many(registry: Registry) -> None:
    registry.promote()
    for number in (9999, 10000):
        write_move(registry.client, NAME, Move(number, "promote", "1", "1", "", "ы" * 2000, "done", HOME))
    assert [move.number for move in moves(registry.client, NAME)] == [1, 9999, 10000]
    assert all(len(text) < 5000 for text in registry.client.get_registered_model(NAME).tags.values())


def test_another_homes_move_is_left_alone_and_waited_for(three: Registry) -> None:
    other = Registry(three.client, "other567")
    move, version = three.begin()
    for act in (other.promote, other.roll_back):
        with pytest.raises(PromotionRefused, match=r"a promote of .* by home home1234 is not finished"):
            act()
    three.mover.finish(move, version)
    assert three.aliases == {"champion": version, "previous": "3"}
    assert other.promote() == str(int(version) + 1)


def test_a_version_that_somebody_named_is_not_deleted(three: Registry) -> None:
    for alias in ("champion", "challenger"):
        _, version = three.begin()
        three.by_hand(version, alias)
        three.mover.settle()
        assert three.aliases[alias] == version
        assert version in three.versions
    assert [state for _, _, state in three.states[3:]] == ["left", "done", "left"]
    assert three.states[4] == ("by hand", "4", "done")


def test_a_version_that_was_served_is_kept_though_its_move_was_killed(three: Registry) -> None:
    move, version = three.begin()
    with contextlib.suppress(KeyboardInterrupt), pytest.MonkeyPatch.context() as patch:
        killed(patch, 2, after=True)  # the alias has moved
        three.mover.finish(move, version)
    three.by_hand("3")
    three.mover.settle()
    assert (three.states[-1], version in three.versions) == (("promote", version, "left"), True)


def test_a_killed_rollback_neither_blocks_nor_undoes_what_a_person_did(three: Registry) -> None:
    before = three.mover.settle()
    three.mover.begin("rollback", before=before, version="2", why="")
    three.by_hand("1")
    three.mover.settle()
    assert three.aliases["champion"] == "1"
    assert three.states[-2:] == [("rollback", "2", "left"), ("by hand", "1", "done")]
    three.mover.begin("rollback", before=champion(three.client, NAME), version="2", why="")
    three.client.delete_model_version(NAME, "2")
    three.mover.settle()
    assert three.states[-1] == ("rollback", "2", "left")
    three.mover.begin("rollback", before=champion(three.client, NAME), version="3", why="")
    three.mover.settle()
    assert (three.aliases["champion"], three.states[-1]) == ("3", ("rollback", "3", "done"))


def test_a_killed_rollback_that_is_asked_for_again_goes_one_step_back(three: Registry) -> None:
    with contextlib.suppress(KeyboardInterrupt), pytest.MonkeyPatch.context() as patch:
        killed(patch, 1, after=True)  # it is written down
        three.roll_back()
    assert three.mover.roll_back("again") == ("3", "2")
    assert three.aliases == {"champion": "2", "previous": "1"}
    assert three.states[3:] == [("rollback", "2", "done")]
    assert three.roll_back() == "1", "a third one is another"


def test_a_challenger_stands_beside_the_champion_until_it_is_promoted(three: Registry) -> None:
    four = three.challenge()
    assert three.aliases == {"champion": "3", "previous": "2", "challenger": four}
    assert moves(three.client, NAME)[-1].sentence.endswith(
        "challenge: version 3 stays, and beside it version 4. "
    )
    assert three.roll_back() == "2", "a challenge is no champion to go back to"
    move = three.mover.begin("promote", before=champion(three.client, NAME), version=four, why="")
    three.mover.finish(move, four)
    assert three.aliases == {"champion": four, "previous": "2"}


def killed(patch: pytest.MonkeyPatch, at: int, *, after: bool) -> Callable[[], int]:
    """Let the process die at this write to the registry, before it or after it; return what counts them."""
    count = 0

    def dying(write: Callable[..., Any]) -> Callable[..., Any]:
        def one(*arguments: Any, **named: Any) -> Any:
            nonlocal count
            count += 1
            mine = count
            if mine == at and not after:
                raise KeyboardInterrupt
            try:
                return write(*arguments, **named)
            finally:
                if mine == at and after:
                    raise KeyboardInterrupt

        return one

    for name in WRITES:
        patch.setattr(MlflowClient, name, dying(getattr(MlflowClient, name)))
    return lambda: count


def settle_by_hand(registry: Registry) -> None:
    """Settle what a person did: the champion is another, and the version below it is gone."""
    others = sorted(registry.versions - {registry.aliases["champion"]}, key=int)
    registry.by_hand(others[-1])
    registry.mover.settle()


ACTIONS: dict[str, Callable[[Registry], object]] = {
    "challenge": Registry.challenge,
    "promote": Registry.promote,
    "roll back": Registry.roll_back,
    "settle": settle_by_hand,
}


@pytest.mark.parametrize("after", [False, True], ids=["before a write", "after a write"])
@pytest.mark.parametrize("action", ACTIONS)
def test_killed_at_any_write_the_alias_is_right_no_version_is_orphaned_and_history_is_whole(
    three: Registry, action: str, after: bool
) -> None:
    for at in range(1, 20):
        before = moves(three.client, NAME)
        with pytest.MonkeyPatch.context() as patch:
            writes = killed(patch, at, after=after)
            with contextlib.suppress(KeyboardInterrupt):
                ACTIONS[action](three)
                assert at > writes() >= 3, "each write was killed once"
                return
        three.mover.settle()
        written = moves(three.client, NAME)
        done = [move for move in written if move.state == "done"]
        assert written[: len(before)] == before
        assert all(move.state != "begun" for move in written)
        assert three.aliases["champion"] == [move for move in done if move.alias == "champion"][-1].version
        challengers = [move.version for move in done if move.alias == "challenger"]
        assert three.aliases.get("challenger") == (challengers[-1] if challengers else None)
        assert three.aliases.get("previous") == three.mover._before()
        assert three.versions <= {move.version for move in written}, "each version is named by a move"
        if len(standing(done)) < 3:
            three.promote()
            three.promote()
    raise AssertionError("there are not so many writes")
