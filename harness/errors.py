"""Every error a user can meet, as a tree; each knows the exit code of the command line.

HarnessError                     1
├── ConfigError                  2   the study file or the command is wrong
├── DataError                    3   the data cannot be used as they are
│   └── LeakageError             3   a group, or a picture, stands on both sides of a fold
├── TrainingError                1   a fold run ended without a usable model
│   ├── Collapsed                    predicts one class everywhere: the trial is pruned
│   └── NotFinite                    loss or gradient is not a number: the trial failed
├── TrackingError                1   MLflow did not take or give what was asked
├── PromotionRefused             4
│   └── NotBetter                4   a look did not show it to be better than the champion
├── ModelRefused                 4   a registered model is not one that this code made, or was altered
├── NotReproduced                4   a fold trained again ended otherwise than it was committed
└── Interrupted                 75   stopped; the same command goes on
    └── Blocked                 75   not on request, but by what somebody must mend first
        ├── DiskFull                 there is no room for what must be kept
        └── TakenOver                another process is at work on the same fold run
"""

from collections.abc import Mapping
from typing import Any


class HarnessError(Exception):
    """One line: where, what came, what to do; `document` is what --json prints of it, if anything."""

    exit_code = 1
    document: Mapping[str, Any] | None = None


class ConfigError(HarnessError):
    """The study file, or what was typed, is wrong."""

    exit_code = 2


class DataError(HarnessError):
    """The data cannot be used as they are."""

    exit_code = 3


class LeakageError(DataError):
    """Something of the validation side is on the training side too."""


class TrainingError(HarnessError):
    """A fold run ended without a usable model."""


class Collapsed(TrainingError):
    """The network predicts one class everywhere."""


class NotFinite(TrainingError):
    """A loss or a gradient is not a number."""


class TrackingError(HarnessError):
    """MLflow did not take or give what was asked."""


class PromotionRefused(HarnessError):
    """No model may be promoted, and the message says why; `proof` is what a look showed of it, if there was one."""

    exit_code = 4
    proof: Any = None


class NotBetter(PromotionRefused):
    """It was held against the champion on unseen data, and is not shown to be better."""


class ModelRefused(HarnessError):
    """A registered model is not one that `promote` made, or not as it was made; nothing of it was run."""

    exit_code = 4


class NotReproduced(HarnessError):
    """A fold that was trained again is not what was committed, and the message says by how much."""

    exit_code = 4


class Interrupted(HarnessError):
    """Stopped; everything committed is kept and the same command goes on."""

    exit_code = 75


class Blocked(Interrupted):
    """Nobody asked for the stop: something must be mended before the same command can go on."""


class DiskFull(Blocked):
    """There is no room for what must be kept."""


class TakenOver(Blocked):
    """Another process works on the same fold run, which is left to that one."""
