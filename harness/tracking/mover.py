"""The only one who moves `champion` and `previous`: each move is written on the registered model before it is made.

Whoever uses it holds the model's lock of its home (`harness/search/lock.py`). Homes that share a registry have no lock
in common: a move of another home that is under way is left alone, and stops a move of this one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from mlflow import MlflowClient

from harness.errors import PromotionRefused
from harness.tracking.aliases import (
    CHALLENGER,
    CHAMPION,
    MADE_BY,
    PREVIOUS,
    Action,
    Move,
    State,
    Version,
    aliases,
    champion,
    disagreement,
    ensure_registered,
    moves,
    named,
    standing,
    told_champion,
    version_of,
    write_move,
)

WHY_LENGTH = 2000  # characters; MLflow's databases take 5,000 in a tag, and quoted some take two


@dataclass(frozen=True)
class Mover:
    """Moves the champion of one registered model, for one home; `tell` gets a line of what was found and mended."""

    client: MlflowClient
    name: str
    home: str  # its id
    tell: Callable[[str], None]

    def settle(self) -> Version | None:
        """Let moves and aliases agree, and return the champion: what was killed is ended, what was moved is named.

        A promotion that was killed before its alias moved is left, after that it is done. So is a rollback, unless
        somebody moved the alias or deleted its version since. What was moved in MLflow is written down and taken as it
        is. Raises PromotionRefused while another home is moving it.
        """
        for move in self._written():
            if move.state == "begun":
                self._end(move)
        if said := disagreement(self.client, self.name):
            self.tell(f"{self.name}: {said}: it was moved in MLflow, or by older code; it is taken as it is")
            now = aliases(self.client, self.name).get(CHAMPION, "")
            self._write_next("by hand", told_champion(self._written()), now, said, done=True)
        self._set_previous()
        self._end_challenge()
        return champion(self.client, self.name)

    def begin(self, action: Action, *, before: Version | None, version: str, why: str) -> Move:
        """Write down a move that is to be made. Raises PromotionRefused where `before` is no longer the champion."""
        now = self.settle()
        then = before.version if before else ""
        if (now.version if now else "") != then:
            raise PromotionRefused(
                f"{self.name}: the champion was {named(then)}, and while this was judged it was moved to "
                f"{named(now.version if now else '')}; the same command judges anew"
            )
        return self._write_next(action, then, version, why)

    def finish(self, move: Move, version: str) -> None:
        """Move the aliases to the version that a move is for, and write that it is done."""
        aimed = replace(move, version=version)
        write_move(self.client, self.name, aimed)  # from here on it tells whether the alias has moved
        self.client.set_registered_model_alias(self.name, move.alias, version)
        write_move(self.client, self.name, replace(aimed, state="done"))
        self._set_previous()
        self._end_challenge()

    def roll_back(self, why: str) -> tuple[str, str]:
        """Let `champion` mean the last version before that is still there; return both, the one that was first.

        One that was killed is finished, and no second one made. Raises PromotionRefused where there is none.
        """
        begun = [
            move.number for move in self._written() if move.action == "rollback" and move.state == "begun"
        ]
        held = self.settle()
        for move in self._written():
            if move.number in begun and move.state == "done":
                return move.before, move.version
        now = held.version if held else ""
        before = self._before()
        if before is None:
            raise PromotionRefused(f"{self.name}: no champion before {named(now)} is there; nothing is moved")
        self.finish(self.begin("rollback", before=held, version=before, why=why), before)
        return now, before

    def _written(self) -> list[Move]:
        return moves(self.client, self.name)

    def _write_next(self, action: Action, before: str, version: str, why: str, *, done: bool = False) -> Move:
        ensure_registered(self.client, self.name)
        number = max((move.number for move in self._written()), default=0) + 1
        at = datetime.now(UTC).isoformat(timespec="seconds")
        state: State = "done" if done else "begun"
        move = Move(number, action, before, version, at, why[:WHY_LENGTH], state, self.home)
        write_move(self.client, self.name, move)
        if move not in self._written():
            raise PromotionRefused(f"{self.name}: another home moves its champion at this moment; try again")
        return move

    def _end(self, move: Move) -> None:
        """End a move that was killed."""
        if move.home != self.home:
            raise PromotionRefused(
                f"{self.name}: a {move.action} of {move.at} by home {move.home[:8]} is not finished; wait for it, or "
                "repeat it there if it was killed"
            )
        now = aliases(self.client, self.name).get(move.alias, "")
        moved = bool(move.version) and now == move.version
        may_move = move.action == "rollback" and now == move.before
        if moved or (may_move and version_of(self.client, self.name, move.version) is not None):
            self.tell(f"{self.name}: the {move.action} of {move.at} was killed: it is finished")
            self.finish(move, move.version)
            return
        if not move.version:
            self._delete_made_for(move)
        write_move(self.client, self.name, replace(move, state="left"))
        self.tell(
            f"{self.name}: the {move.action} of {move.at} was killed before its alias moved: it is left"
        )

    def _delete_made_for(self, move: Move) -> None:
        """Delete the version that was made for a move, unless somebody gave it a name of his own since."""
        meant = set(aliases(self.client, self.name).values())
        for one in self.client.search_model_versions(f"name='{self.name}'"):
            if one.tags.get(MADE_BY) == move.id and str(one.version) not in meant:
                self.client.delete_model_version(self.name, str(one.version))

    def _before(self) -> str | None:
        """Return the version that a rollback goes to: the last one before the champion that is still there."""
        held = standing([move for move in self._written() if move.state == "done"])
        now = told_champion(self._written())
        older: Sequence[str] = held[:-1] if held[-1:] == [now] else held
        there = (version for version in reversed(older) if version_of(self.client, self.name, version))
        return next((version for version in there if version != now), None)

    def _set_previous(self) -> None:
        """Let `previous` mean what a rollback goes to."""
        before, meant = self._before(), aliases(self.client, self.name).get(PREVIOUS)
        if before is not None and before != meant:
            self.client.set_registered_model_alias(self.name, PREVIOUS, before)
        elif before is None and meant is not None:
            self.client.delete_registered_model_alias(self.name, PREVIOUS)

    def _end_challenge(self) -> None:
        """Let no version be the champion and its own challenger."""
        now = aliases(self.client, self.name)
        if CHALLENGER in now and now[CHALLENGER] == now.get(CHAMPION):
            self.client.delete_registered_model_alias(self.name, CHALLENGER)
