"""Which searched parameters the scores depend on, as Optuna tells it from trials that a ledger has."""

from collections.abc import Mapping, Sequence

import optuna
from optuna.trial import FixedTrial, FrozenTrial, create_trial

from harness.ranges import Dimension, Value
from harness.search.space import suggest

FEWEST = 10  # complete trials below which importance is noise

optuna.logging.set_verbosity(optuna.logging.WARNING)


def importances(
    trials: Sequence[tuple[Mapping[str, Value], float]], space: Mapping[str, Dimension]
) -> dict[str, float]:
    """Return the share of each parameter in what tells the best tenth of complete trials from all, largest first.

    `trials` are parameters with scores. Optuna's PED-ANOVA (Watanabe et al. 2023); the shares sum to 1.
    """
    study = optuna.create_study(direction="maximize")  # in memory
    study.add_trials([_frozen(params, score, space) for params, score in trials])
    found = optuna.importance.get_param_importances(study)
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def _frozen(params: Mapping[str, Value], score: float, space: Mapping[str, Dimension]) -> FrozenTrial:
    fixed = FixedTrial(dict(params))
    suggest(fixed, space)  # type: ignore[arg-type]  # it suggests as a trial does
    return create_trial(params=fixed.params, distributions=fixed.distributions, value=score)
