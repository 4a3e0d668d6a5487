"""What a study file may say: read once, checked whole, frozen. One trial's settings are a study too."""

import hashlib
import json
from typing import Annotated, Any, Literal, Self, TypeGuard

from pydantic import Field, ValidationError, model_validator

from harness.choices import nearest
from harness.complaint import explain
from harness.errors import ConfigError
from harness.paths import put, setting_type
from harness.ranges import Alternatives, Dimension, Value, parse
from harness.settings import Choice, Count, Pixel, Positive, Settings, Share

__all__ = ["Choice", "Data", "Folds", "MaskValues", "Search", "Settings", "Study", "is_group", "known_paths"]

FIXED = frozenset(
    {"name", "description", "profile", "execute", "search", "folds", "data", "seed", "report", "protocol"}
)  # over all trials


class MaskValues(Settings):
    """Which stored values mean what; every mask file is held to them."""

    background: Pixel = 0
    target: Pixel = 255
    ignore: Pixel | None = None

    @model_validator(mode="after")
    def _differ(self) -> Self:
        values = [v for v in (self.background, self.target, self.ignore) if v is not None]
        if len(set(values)) < len(values):
            raise ValueError("background, target and ignore must be different values")
        return self


class Data(Settings):
    """Which pictures, and how they are read."""

    dataset: Choice
    masks: MaskValues = MaskValues()
    white: Count | None = None  # stored value shown as white; default 255, or 65535 for 16 bits
    size: Annotated[int, Field(ge=32)] | None = None  # longest side, px after resizing; None keeps it
    groups: Literal["repair", "trust"] = "repair"  # join groups whose pictures show one thing, or refuse them
    rare_classes: Literal["report", "drop"] = "report"
    rare_below: Count = 30  # source images


class Folds(Settings):
    """How groups are split."""

    version: Count = 1  # raise it to place all groups anew, frozen ones too
    scheme: Literal["groups", "repeated", "leave_one_group_out"] = "groups"
    count: Annotated[int, Field(ge=2)] = (
        5  # of each repeat; leave_one_group_out has one for each positive group
    )
    repeats: Annotated[int, Field(ge=1, le=20)] = 1  # different assignments of the same groups
    held_out: Annotated[float, Field(ge=0, le=0.5)] = 0.2
    held_out_positive: Count = 8  # fewest positive groups worth holding out
    held_out_from: Count = 40  # positive groups needed to hold any out
    positive_floor: Count = 1  # fewest positive groups in a fold

    @model_validator(mode="after")
    def _repeats_fit_the_scheme(self) -> Self:
        if (self.scheme == "repeated") != (self.repeats > 1):
            raise ValueError(
                f"scheme {self.scheme} and repeats {self.repeats} do not fit: write scheme: repeated with repeats of 2 "
                "or more, or leave repeats out"
            )
        return self


class Augment(Settings):
    """Recipe and strength; 0 changes nothing."""

    recipe: Choice = Choice(name="reference")
    strength: Share = 0.5


class Train(Settings):
    """One fold run."""

    epochs: Count = 60
    batch_size: Count = 8
    lr: Positive = 1e-3
    weight_decay: Annotated[float, Field(ge=0)] = 1e-2
    warmup: Share = 0.1  # share of all steps
    clip: Positive = 1.0  # largest gradient norm
    skip_steps: Annotated[int, Field(ge=0)] = 5  # in an epoch, whose loss or gradient is not a number
    average: Annotated[float, Field(ge=0, lt=1)] | None = None  # decay of averaged weights an optimizer step
    precision: Literal["fp32", "bf16"] = "fp32"
    channels_last: bool = False
    # side of a training crop, px after resizing; encoders halve it five times
    crop: Annotated[int, Field(ge=32, multiple_of=32)] = 512
    positive_crops: Share = 0.8  # share of positive samples whose crop is sure to hold an object
    zoom: Annotated[float, Field(ge=1, le=4)] = 1.25  # a crop shows crop/zoom to crop*zoom px of the picture
    sampler: Choice = Choice(name="spread")
    loader_workers: Annotated[int, Field(ge=0)] = 0
    loader_timeout: Positive = 120.0  # s without a batch after which loader workers are given up
    validate_every: Count = 1  # epochs
    checkpoint_every: Count = 1  # epochs after which a fold run saves what it goes on from
    collapse_after: Share = 0.6  # share of the epochs from which one class everywhere is a collapse


class Search(Settings):
    """Budget, sampler and space; every key that is no setting here is a path of the space."""

    trials: Count = 20
    second_look: Annotated[int, Field(ge=0, le=20)] = (
        0  # best trials that run again, with fresh seeds and folds
    )
    window: Count = 4
    startup: Annotated[int, Field(ge=0)] = 8  # trials drawn at random before TPE starts
    pruner: Choice = Choice(name="median")
    baselines: tuple[dict[str, Any], ...] = ()
    space: dict[str, Any] = Field(default={})

    @model_validator(mode="before")
    @classmethod
    def _paths_are_the_space(cls, value: Any) -> Any:
        if not isinstance(value, dict) or "space" in value:
            return value
        own = set(cls.model_fields) - {"space"}
        return {k: v for k, v in value.items() if k in own} | {
            "space": {k: v for k, v in value.items() if k not in own}
        }


class Protocol(Settings):
    """How the best trial is proven; it decides no trial's result."""

    nested: bool = False  # search again without each fold in turn, and score what is found on that fold


class Report(Settings):
    """What is shown of the best trials; it decides no result."""

    maps: Annotated[int, Field(ge=0)] = 3  # best trials whose out-of-fold probability maps are kept
    gallery: Annotated[int, Field(ge=0, le=50)] = 6  # pictures of each kind


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
        tree = self.model_dump(mode="json", exclude={"name", "description", "execute", "report", "protocol"})
        for name in ("trials", "second_look"):
            tree["search"].pop(name)
        tree["data"].pop("dataset")  # the split's id covers the content
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
