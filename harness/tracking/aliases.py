"""What `champion` and `previous` mean in MLflow's registry, and every move of them: written before it is made.

Moves are tags of the registered model, `harness.move.0001` and on, so they are read in MLflow too and go where its
database goes. Whoever writes holds the model's lock (`harness/search/lock.py`).
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Literal, get_args

from mlflow import MlflowClient
from mlflow.entities.model_registry import RegisteredModel
from mlflow.exceptions import MlflowException

from harness.errors import PromotionRefused, TrackingError

CHAMPION, PREVIOUS = "champion", "previous"
STUDY_TAG, TRIAL_TAG = "harness.study", "harness.trial"
SPLIT_TAG = "harness.split"
MADE_BY = "harness.made_by"  # of a version: the number of the move that it was made for
MOVE = "harness.move."
WHY_LENGTH = 3000  # characters; MLflow takes 5,000 in a tag

Action = Literal["promote", "rollback", "by hand"]
State = Literal["begun", "done", "left"]
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Version:
    """A version of a registered model, and the run (a trial) that it came from."""

    name: str
    version: str
    run_id: str
    source: str
    tags: Mapping[str, str]


@dataclass(frozen=True)
class Move:
    """How the champion changed: from version `before` to `version`, either empty for none; `at` in UTC.

    begun: written, and perhaps killed; done: the aliases are moved; left: they were not and will not be.
    """

    number: int
    action: Action
    before: str
    version: str  # of a promotion that is begun still empty
    at: str
    why: str
    state: State

    @property
    def sentence(self) -> str:
        """Return the move in one line."""
        what = f"{_named(self.before)} -> {_named(self.version)}"
        ended = {"done": "", "begun": " (not finished yet)", "left": " (was killed; nothing was moved)"}[
            self.state
        ]
        return f"{self.number}. {self.at} {self.action}: {what}{ended}. {self.why}"


def champion(client: MlflowClient, name: str) -> Version | None:
    """Return the version that holds the alias `champion`, None where there is none."""
    return aliased(client, name, CHAMPION)


def aliased(client: MlflowClient, name: str, alias: str) -> Version | None:
    """Return the version that holds an alias, None where there is none."""
    number = _aliases(client, name).get(alias)
    return None if number is None else version_of(client, name, number)


def version_of(client: MlflowClient, name: str, number: str) -> Version | None:
    """Return a version, None where it was deleted."""
    try:
        found = client.get_model_version(name, number)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise
    return Version(name, str(found.version), found.run_id or "", found.source or "", dict(found.tags))


def aliased_trials(client: MlflowClient, name: str) -> set[tuple[str, int]]:
    """Return key of the study and number of each trial that an alias of this model means."""
    found = [version_of(client, name, number) for number in _aliases(client, name).values()]
    tags = [version.tags for version in found if version is not None]
    return {(each[STUDY_TAG], int(each[TRIAL_TAG])) for each in tags if TRIAL_TAG in each}


def moves(client: MlflowClient, name: str) -> list[Move]:
    """Return every move, oldest first. Raises TrackingError for one that was altered and cannot be read."""
    model = _registered(client, name)
    return [] if model is None else list(_moves(model))


def begin(client: MlflowClient, name: str, action: Action, *, before: str, version: str, why: str) -> Move:
    """Write down a move that is to be made, after `settle`; the registered model is made where there is none."""
    ensure_registered(client, name)
    number = max((move.number for move in moves(client, name)), default=0) + 1
    at = datetime.now(UTC).isoformat(timespec="seconds")
    move = Move(number, action, before, version, at, why[:WHY_LENGTH], "begun")
    _write(client, name, move)
    return move


def finish(client: MlflowClient, name: str, move: Move, version: str) -> None:
    """Move the aliases to the version that a move is for, and write that it is done."""
    aimed = replace(move, version=version)
    _write(client, name, aimed)  # killed from here on, it is told by the version whether the alias moved
    held = standing([*_done(client, name), aimed])
    _set_previous(client, name, held)
    client.set_registered_model_alias(name, CHAMPION, version)  # last, as it is what people load
    _write(client, name, replace(aimed, state="done"))


def settle(client: MlflowClient, name: str, tell: Tell) -> None:
    """End what was killed, and write down what was moved by hand, so that moves and aliases agree.

    A promotion that was killed before the alias moved is left, and the version that was made for it is deleted; after
    that it is done, as is a rollback that was begun.
    """
    for move in moves(client, name):
        if move.state == "begun":
            _end(client, name, move, tell)
    held, done = champion(client, name), _done(client, name)
    told = done[-1].version if done else ""
    now = held.version if held else ""
    if now != told:
        why = f"the alias champion means {_named(now)}, and by the moves written down {_named(told)}"
        tell(
            f"{name}: {why}: it was moved in MLflow, or by an older version of this code; it is taken as it is"
        )
        move = begin(client, name, "by hand", before=told, version=now, why=why)
        _write(client, name, replace(move, state="done"))
        _set_previous(client, name, standing([*done, move]))


def to_roll_back_to(client: MlflowClient, name: str) -> tuple[str, str]:
    """Return the champion's version, empty for none, and that of the one before it, by the moves, after `settle`.

    Raises PromotionRefused where there is none, or where it was deleted.
    """
    done = _done(client, name)
    held, now = standing(done), done[-1].version if done else ""
    before = held[:-1] if held[-1:] == [now] else held
    if not before:
        raise PromotionRefused(f"{name}: no champion was before {_named(now)}; nothing is moved")
    if version_of(client, name, before[-1]) is None:
        raise PromotionRefused(f"{name}: version {before[-1]}, the champion before, was deleted in MLflow")
    return now, before[-1]


def standing(done: Sequence[Move]) -> list[str]:
    """Return the versions that became champion one after the other, the last one last; a rollback takes some away."""
    held: list[str] = []
    for move in done:
        while move.action == "rollback" and held and held[-1] != move.version:
            held.pop()
        if move.version and held[-1:] != [move.version]:
            held.append(move.version)
    return held


def ensure_registered(client: MlflowClient, name: str) -> None:
    """Make the registered model unless it is there."""
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _end(client: MlflowClient, name: str, move: Move, tell: Tell) -> None:
    """Finish a move that was killed where its alias stands already, or where nothing but aliases is to be moved."""
    held, made = champion(client, name), _made_by(client, name, move)
    if move.action == "rollback" or (held is not None and held.version == move.version):
        finish(client, name, move, move.version)
        return
    if made is not None:
        client.delete_model_version(name, made)
    _write(client, name, replace(move, version=made or move.version, state="left"))
    _set_previous(client, name, standing(_done(client, name)))
    tell(f"{name}: the promotion of {move.at} was killed before its alias moved: it is left, promote again")


def _made_by(client: MlflowClient, name: str, move: Move) -> str | None:
    """Return the version that was made for a move."""
    found = client.search_model_versions(f"name='{name}'")
    numbers = [str(one.version) for one in found if one.tags.get(MADE_BY) == str(move.number)]
    return numbers[0] if numbers else None


def _set_previous(client: MlflowClient, name: str, held: Sequence[str]) -> None:
    before = held[-2] if len(held) > 1 else ""
    if before and version_of(client, name, before) is not None:
        client.set_registered_model_alias(name, PREVIOUS, before)
    elif PREVIOUS in _aliases(client, name):
        client.delete_registered_model_alias(name, PREVIOUS)


def _done(client: MlflowClient, name: str) -> list[Move]:
    return [move for move in moves(client, name) if move.state == "done"]


def _moves(model: RegisteredModel) -> Iterator[Move]:
    tags = {key: str(value) for key, value in model.tags.items() if key.startswith(MOVE)}
    for key in sorted(tags):
        try:
            move = Move(**json.loads(tags[key]))
            if move.action not in get_args(Action) or move.state not in get_args(State):
                raise ValueError("unknown action or state")
        except (ValueError, TypeError) as error:
            raise TrackingError(
                f"registered model {model.name}: its tag {key} was altered and cannot be read ({error}); restore it, "
                "or delete it in MLflow"
            ) from None
        yield move


def _write(client: MlflowClient, name: str, move: Move) -> None:
    client.set_registered_model_tag(name, f"{MOVE}{move.number:04}", json.dumps(asdict(move)))


def _aliases(client: MlflowClient, name: str) -> dict[str, str]:
    model = _registered(client, name)
    return {} if model is None else {alias: str(number) for alias, number in model.aliases.items()}


def _registered(client: MlflowClient, name: str) -> RegisteredModel | None:
    try:
        return client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise


def _named(version: str) -> str:
    return f"version {version}" if version else "none"
