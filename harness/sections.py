"""The sections of a study file: their settings, limits and defaults."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from harness.settings import Choice, Count, Pixel, Positive, Settings, Share


class MaskValues(Settings):
    """Which stored values mean what; every mask file is held to them.

    With `above`, for masks whose edges are gray, larger values are target and the others background.
    """

    background: Pixel = 0
    target: Pixel = 255
    ignore: Pixel | None = None
    above: Pixel | None = None

    @model_validator(mode="after")
    def _differ(self) -> Self:
        values = [v for v in (self.background, self.target, self.ignore) if v is not None]
        if len(set(values)) < len(values):
            raise ValueError("background, target and ignore must be different values")
        if self.above is not None and (self.background, self.target) != (0, 255):
            raise ValueError("above says what is target: leave background and target out")
        return self


class Data(Settings):
    """Which pictures, and how they are read."""

    dataset: Choice
    group: Choice | None = None  # which pictures show one thing, where the data set does not say
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
    # side of the tiles that larger pictures are validated in, px after resizing; None takes them whole
    tile: Annotated[int, Field(ge=128, le=4096, multiple_of=32)] | None = None
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


class Promote(Settings):
    """What is made of the best trial, and what it is held to before it becomes the champion; it decides no result."""

    # all fold models, one trained anew on all folds, or that of the fold with the highest score
    model: Literal["ensemble", "refit", "best_fold"] = "ensemble"
    flips: bool = False  # average the four mirrored views of a picture
    scales: tuple[Annotated[float, Field(ge=0.25, le=4)], ...] = (1.0,)  # average views resized by these
    graphs: tuple[Literal["pt2", "onnx"], ...] = ("pt2", "onnx")  # beside the weights
    margin: Annotated[float, Field(ge=0, lt=1)] = 0.0  # least gain of IoU over the champion
    calibration_error: Share | None = None  # largest, of fold models on their own folds
    seconds: Positive | None = None  # most a picture, median, where it is promoted
    megabytes: Positive | None = None  # most, of all weights
    license: str = "not stated"  # of the model, for its card
    data_license: str = "not stated"  # of what it was trained on
    intended_use: str = "not stated"

    @model_validator(mode="after")
    def _nothing_is_named_twice(self) -> Self:
        if not self.scales or list(self.scales) != sorted(set(self.scales)):
            raise ValueError(
                "scales must be one or more different numbers, the smallest first, as [1.0, 1.25]"
            )
        if len(set(self.graphs)) < len(self.graphs):
            raise ValueError("graphs names one twice; write [pt2, onnx], or leave one out")
        return self
