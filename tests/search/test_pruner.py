import optuna
import pytest

from harness.config import Choice
from harness.errors import ConfigError
from harness.search.pruner import PRUNERS, build_pruner


def verdicts(pruner: optuna.pruners.BasePruner, earlier: list[list[float]], means: list[float]) -> list[bool]:
    """Return what the pruner says after each fold of a trial that follows these complete ones."""
    stored = optuna.create_study(direction="maximize", pruner=pruner)
    for values in earlier:
        trial = stored.ask()
        for fold, value in enumerate(values):
            trial.report(value, fold)
        stored.tell(trial, values[-1])
    trial, said = stored.ask(), []
    for fold, mean in enumerate(means):
        trial.report(mean, fold)
        said.append(trial.should_prune())
    return said


EARLIER = [[0.4, 0.4, 0.4], [0.5, 0.5, 0.5], [0.6, 0.6, 0.6]]


@pytest.mark.parametrize("name", PRUNERS)
def test_every_pruner_is_built(name: str) -> None:
    assert verdicts(build_pruner(Choice(name=name)), [], [0.1, 0.1]) == [False, False]


def test_median_stops_what_is_below_the_median_after_the_folds_it_waits_for() -> None:
    settings = {"after_trials": 3, "after_folds": 2}
    pruner = build_pruner(Choice(name="median", settings=settings))
    assert verdicts(pruner, EARLIER, [0.45, 0.45, 0.45]) == [False, True, True]
    assert verdicts(pruner, EARLIER, [0.55, 0.55, 0.55]) == [False, False, False]
    assert verdicts(pruner, EARLIER, [0.55, 0.45, 0.45]) == [False, False, False]  # was above once
    assert verdicts(pruner, EARLIER[:2], [0.1, 0.1, 0.1]) == [False, False, False]


def test_never_stops_nothing() -> None:
    assert verdicts(build_pruner(Choice(name="never")), EARLIER, [0.0, 0.0, 0.0]) == [False] * 3


@pytest.mark.parametrize("settings", [{"after_trials": 0}, {"after_folds": 0}])
def test_settings_below_one_are_errors(settings: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=r"^search\.pruner\.median: .*both take 1 or more"):
        build_pruner(Choice(name="median", settings=settings))
