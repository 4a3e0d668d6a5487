"""What a study file may say: read once, checked whole, frozen. One trial's settings are a study too."""

import hashlib
import json
from typing import Annotated, Any, Self, TypeGuard

from pydantic import Field, ValidationError, model_validator

from harness.choices import nearest
from harness.complaint import explain
from harness.errors import ConfigError
from harness.paths import put, setting_type
from harness.ranges import Alternatives, Dimension, Value, parse
from harness.sections import Augment, Data, Folds, MaskValues, Promote, Protocol, Report, Search, Train
from harness.settings import Choice, Settings

__all__ = [
    "Augment",
    "Choice",
    "Data",
    "Folds",
    "MaskValues",
    "Promote",
    "Search",
    "Settings",
    "Study",
    "Train",
    "is_group",
    "known_paths",
]

FIXED = frozenset(  # over all trials
    [
        "name",
        "description",
        "profile",
        "execute",
        "search",
        "folds",
        "data",
        "seed",
        "report",
        "protocol",
        "promote",
    ]
)


class Study(Settings):
    """Everything that decides a study's result, with one profile applied."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$")]
    description: str = ""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 17
    profile: str = "auto"
    data: Data
    folds: Folds = Folds()
    network: Choice
    loss: Choice = Choice(name="dice_bce")
    augment: Augment = Augment()
    train: Train = Train()
    execute: Choice = Choice(name="local")
    search: Search = Search()
    report: Report = Report()
    protocol: Protocol = Protocol()
    promote: Promote = Promote()

    @model_validator(mode="after")
    def _space_is_sound(self) -> Self:
        dimensions = self.dimensions()
        for number, baseline in enumerate(self.search.baselines):
            for path in baseline:
                field_of(path, where=f"search.baselines[{number}].{path}")
        if self.search.baselines and len(self.search.baselines) > self.search.trials:
            raise ConfigError(
                f"search.trials: {self.search.trials} is below the {len(self.search.baselines)} baselines, "
                "which are trials too; raise it"
            )
        if not dimensions and self.search.trials > max(1, len(self.search.baselines)):
            raise ConfigError(
                "search: no range to search in, yet more than one trial; add one, as augment.strength: [0, 1]"
            )
        return self

    def dimensions(self) -> dict[str, Dimension]:
        """Return the search space, parsed; every path is a setting of this file."""
        kinds = {path: field_of(path, where=f"search.{path}") for path in self.search.space}
        return {
            path: parse(path, value, whole=kinds[path] is int, names=kinds[path] is Choice)
            for path, value in self.search.space.items()
        }

    def with_params(self, params: dict[str, Value]) -> "Study":
        """Return this study with a trial's parameters in place, checked by the same rules."""
        tree = self.model_dump()
        space = self.dimensions()
        for path, value in params.items():
            dimension = space.get(path)
            if isinstance(dimension, Alternatives):
                drawn = {
                    key.removeprefix(f"{path}.{value}."): v
                    for key, v in params.items()
                    if key.startswith(f"{path}.{value}.")
                }
                value = {"name": value, "settings": dimension.settings(value, drawn)}
            elif any(path.startswith(f"{choice}.") for choice in space):
                continue  # a setting of that choice
            put(tree, path, value)
        return _checked(tree)

    def with_settings(self, settings: dict[str, Value]) -> "Study":
        """Return this study with some dotted settings replaced, such as those of a baseline."""
        tree = self.model_dump()
        for path, value in settings.items():
            put(tree, path, value)
        return _checked(tree)

    def decisive(self) -> dict[str, Any]:
        """Return the settings that decide the result, nested: all but names, budget, paths and where it is computed."""
        tree = self.model_dump(
            mode="json", exclude={"name", "description", "execute", "report", "protocol", "promote"}
        )
        for name in ("trials", "second_look"):
            tree["search"].pop(name)
        for name in ("dataset", "group"):  # the split's id covers content and groups
            tree["data"].pop(name)
        for name in ("loader_workers", "loader_timeout", "checkpoint_every"):
            tree["train"].pop(name)
        return tree

    def identity(self, split_id: str) -> str:
        """Return the study's id: SHA-256 of its split and of the settings that decide its result."""
        text = json.dumps([self.decisive(), split_id], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def field_of(path: str, *, where: str) -> Any:
    """Return the type of the setting at a dotted path, `Choice` for a choice. Raises ConfigError."""
    model: Any = Study
    for depth, part in enumerate(path.split(".")):
        fields = getattr(model, "model_fields", None)
        if fields is None or model is Choice or part not in fields:
            known = known_paths()
            raise ConfigError(f"{where}: no such setting{nearest(path, known)}")
        model = setting_type(fields[part].annotation)
        if depth == 0 and part in FIXED:
            raise ConfigError(f"{where}: {part!r} cannot be searched; it decides what trials are compared on")
    if is_group(model):
        inner = ", ".join(f"{path}.{name}" for name in model.model_fields)
        raise ConfigError(f"{where}: is a group of settings; name one of {inner}")
    return model


def known_paths() -> list[str]:
    """Return the dotted path of every setting of a study."""

    def walk(model: Any, prefix: str) -> list[str]:
        found = []
        for name, field in model.model_fields.items():
            inner = setting_type(field.annotation)
            if is_group(inner):
                found += walk(inner, f"{prefix}{name}.")
            else:
                found.append(f"{prefix}{name}")
        return found

    return walk(Study, "")


def _checked(tree: dict[str, Any]) -> Study:
    try:
        return Study.model_validate(tree)
    except ValidationError as error:
        raise ConfigError(explain(error, known_paths())) from None


def is_group(model: Any) -> TypeGuard[type[Settings]]:
    """Tell whether a setting's type is a group of settings, such as `train`; a choice is not."""
    return isinstance(model, type) and issubclass(model, Settings) and model is not Choice
