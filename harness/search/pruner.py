"""PRUNERS: when a trial stops before its last fold; asked after each fold with the mean of its folds so far.

The mean and not the single fold is reported: Optuna's WilcoxonPruner, which pairs folds, cannot act before the
fourth of five.
"""

from collections.abc import Callable

import optuna

from harness.choices import choose
from harness.config import Choice
from harness.errors import ConfigError


def build_pruner(choice: Choice) -> optuna.pruners.BasePruner:
    """Return the pruner a study names. Raises ConfigError."""
    return choose(PRUNERS, "search.pruner", choice.name, choice.settings)()


def never() -> optuna.pruners.BasePruner:
    """Every trial runs all its folds."""
    return optuna.pruners.NopPruner()


def median(*, after_trials: int = 8, after_folds: int = 2) -> optuna.pruners.BasePruner:
    """Stop where the mean so far, and after every fold before, is below the median of the earlier trials here."""
    if after_trials < 1 or after_folds < 1:
        raise ConfigError(
            f"search.pruner.median: after_trials {after_trials}, after_folds {after_folds}; both take 1 or more"
        )
    return optuna.pruners.MedianPruner(n_startup_trials=after_trials, n_warmup_steps=after_folds - 1)


PRUNERS: dict[str, Callable[..., optuna.pruners.BasePruner]] = {"never": never, "median": median}
