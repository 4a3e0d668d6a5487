"""What the aliases of a registered model mean, and the moves of `champion` that are written on it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Literal, get_args

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion, RegisteredModel
from mlflow.exceptions import MlflowException

from harness.errors import TrackingError

CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"
STUDY_TAG, TRIAL_TAG = "harness.study", "harness.trial"
SPLIT_TAG = "harness.split"
MADE_TAG = "harness.model"  # of a version: what it was made of, in words
MADE_BY = "harness.made_by"  # of a version: the `id` of the move that it was made for
MOVE = "harness.move."  # and a number, of a registered model

Action = Literal["promote", "rollback", "by hand", "challenge"]  # the last one leaves the champion
State = Literal["begun", "done", "left"]


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

    A challenge leaves `before` the champion, and `version` is the challenger then.

    begun: written, and under way or killed; done: the aliases are moved; left: they were not and will not be.
    """

    number: int
    action: Action
    before: str
    version: str  # of a promotion that is begun empty until there is one
    at: str
    why: str
    state: State
    home: str  # its id, where the move was made

    @property
    def id(self) -> str:
        return f"{self.home}/{self.number}"

    @property
    def alias(self) -> str:
        """Return the alias that is moved."""
        return CHALLENGER if self.action == "challenge" else CHAMPION

    @property
    def sentence(self) -> str:
        """Return the move in one line."""
        between = "->" if self.alias == CHAMPION else "stays, and beside it"
        what = f"{named(self.before)} {between} {named(self.version)}"
        ended = {"done": "", "begun": " (not finished)", "left": " (was killed; nothing was moved)"}[
            self.state
        ]
        return f"{self.number}. {self.at} {self.action}: {what}{ended}. {self.why}"


def champion(client: MlflowClient, name: str) -> Version | None:
    """Return the version that holds the alias `champion`, None where there is none."""
    return named_version(client, name, CHAMPION)


def named_version(client: MlflowClient, name: str, alias: str) -> Version | None:
    """Return the version that holds an alias, None where there is none."""
    number = aliases(client, name).get(alias)
    return None if number is None else version_of(client, name, number)


def version_of(client: MlflowClient, name: str, number: str) -> Version | None:
    """Return a version, None where it was deleted."""
    try:
        found = client.get_model_version(name, number)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise
    return _version(found)


def versions(client: MlflowClient, name: str) -> list[Version]:
    """Return every version of a model, the newest first."""
    found = [_version(one) for one in client.search_model_versions(f"name='{name}'")]
    return sorted(found, key=lambda one: -int(one.version))


def _version(found: ModelVersion) -> Version:
    return Version(
        found.name, str(found.version), found.run_id or "", found.source or "", dict(found.tags or {})
    )


def aliased_trials(client: MlflowClient, name: str) -> set[tuple[str, int]]:
    """Return key of the study and number of each trial that an alias of this model means."""
    found = [version_of(client, name, number) for number in aliases(client, name).values()]
    tags = [version.tags for version in found if version is not None]
    return {(each[STUDY_TAG], int(each[TRIAL_TAG])) for each in tags if TRIAL_TAG in each}


def aliases(client: MlflowClient, name: str) -> dict[str, str]:
    """Return the version that each alias of a model means; none of a model that is not registered."""
    model = _registered(client, name)
    return {} if model is None else {alias: str(number) for alias, number in model.aliases.items()}


def moves(client: MlflowClient, name: str) -> list[Move]:
    """Return every move, oldest first. Raises TrackingError for one that was altered and cannot be read."""
    model = _registered(client, name)
    return [] if model is None else sorted(_moves(model), key=lambda move: move.number)


def standing(done: Sequence[Move]) -> list[str]:
    """Return the versions that became champion one after the other, the last one last; a rollback takes some away."""
    held: list[str] = []
    for move in (one for one in done if one.alias == CHAMPION):
        while move.action == "rollback" and held and held[-1] != move.version:
            held.pop()
        if move.version and held[-1:] != [move.version]:
            held.append(move.version)
    return held


def disagreement(client: MlflowClient, name: str) -> str:
    """Return in words that `champion` is not where the moves have it; nothing where it is."""
    told, now = told_champion(moves(client, name)), aliases(client, name).get(CHAMPION, "")
    if now == told:
        return ""
    return f"the alias champion means {named(now)}, and by the moves written down {named(told)}"


def told_champion(written: Sequence[Move]) -> str:
    """Return the version that is champion by the moves, empty for none."""
    done = [move for move in written if move.state == "done" and move.alias == CHAMPION]
    return done[-1].version if done else ""


def write_move(client: MlflowClient, name: str, move: Move) -> None:
    """Write a move, or its next state, on the registered model."""
    client.set_registered_model_tag(name, _key(move.number), json.dumps(asdict(move), ensure_ascii=False))


def ensure_registered(client: MlflowClient, name: str) -> None:
    """Make the registered model unless it is there."""
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def named(version: str) -> str:
    """Return how a version is called in sentences."""
    return f"version {version}" if version else "none"


def _key(number: int) -> str:
    return f"{MOVE}{number:04}"


def _moves(model: RegisteredModel) -> Iterator[Move]:
    for key, value in model.tags.items():
        if key.startswith(MOVE):
            try:
                yield _parsed(key, str(value))
            except (ValueError, TypeError, RecursionError) as error:
                raise TrackingError(
                    f"registered model {model.name}: its tag {key} was altered and cannot be read ({error}); "
                    "restore it, or delete it in MLflow"
                ) from None


def _parsed(key: str, value: str) -> Move:
    move = Move(**json.loads(value))
    texts = [getattr(move, field.name) for field in fields(Move) if field.name != "number"]
    known = move.action in get_args(Action) and move.state in get_args(State)
    if not isinstance(move.number, int) or key != _key(move.number) or not known:
        raise ValueError("unknown number, action or state")
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("what should be text is not")
    return move


def _registered(client: MlflowClient, name: str) -> RegisteredModel | None:
    try:
        return client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise
