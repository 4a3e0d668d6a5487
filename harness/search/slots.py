"""Trials as numbered slots in Optuna's database; what a trial is asked from does not depend on who finished first."""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from harness.config import Study
from harness.errors import ConfigError
from harness.paths import take
from harness.ranges import Value
from harness.search.database import opened_by_optuna
from harness.search.pruner import build_pruner
from harness.search.second import read_second
from harness.search.space import params_of, suggest
from harness.search.trial import State, TrialPlan, TrialResult
from harness.train.foldrun import FoldResult, fold_folder

optuna.logging.set_verbosity(optuna.logging.WARNING)
# for the whole process: warnings.catch_warnings here would race with those of the threads that train
warnings.filterwarnings(
    "ignore", "Argument ``(multivariate|group)`` is an experimental", optuna.exceptions.ExperimentalWarning
)

STATES: dict[State, TrialState] = {
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}


@dataclass(frozen=True)
class Slot:
    """A trial in progress: its plan, Optuna's record of it, and its twin in the window it was asked from."""

    plan: TrialPlan
    stored: optuna.Trial
    twin: optuna.Trial

    def should_prune(self, mean: float, fold: int) -> bool:
        """Report the mean over folds 0..fold and ask the pruner, which sees the same window as the sampler."""
        known = self.stored.storage.get_trial(self.stored._trial_id).intermediate_values
        if fold not in known:  # else it was reported before a restart
            self.stored.report(mean, fold)
        self.twin.report(mean, fold)
        return self.twin.should_prune()


class Slots:
    """The trials of one study, 0 to its budget; asking, telling, and reading back after a restart.

    `guard` is called before anything is written.
    """

    def __init__(
        self,
        study: Study,
        identity: str,
        url: str,
        work: Path,
        guard: Callable[[], None] = lambda: None,
    ) -> None:
        self.study, self._work, self._guard = study, work, guard
        self._space = study.dimensions()
        self._baselines = baseline_params(study)
        self._storage = opened_by_optuna(url)
        self._stored = optuna.create_study(
            storage=self._storage,
            study_name=f"{study.name}-{identity[:8]}",
            sampler=optuna.samplers.RandomSampler(seed=0),  # never draws: parameters are enqueued
            direction="maximize",
            load_if_exists=True,
        )

    def results(self) -> dict[int, TrialResult]:
        """Return the finished trials by number."""
        finished = {t.number: t for t in self._stored.get_trials(deepcopy=False) if t.state.is_finished()}
        return {number: self._result(trial) for number, trial in sorted(finished.items())}

    def ask(self, number: int) -> Slot:
        """Open slot `number`, or open it again after a restart. Trials 0 to number - window must be finished.

        Raises ConfigError when it was opened with other parameters, which means that the code of the search changed.
        """
        self._guard()
        twin = self._window(number).ask()
        params = suggest(twin, self._space)
        plan = self._plan(number, params)
        stored = self._running(number) or self._create(number, params)
        found = suggest(stored, self._space)
        if found != params:
            raise ConfigError(
                f"trial {number}: was begun with {found} and is now asked as {params}; "
                "the search changed since: give the study a new name to start afresh"
            )
        return Slot(plan, stored, twin)

    def tell(self, slot: Slot, result: TrialResult) -> None:
        """Store how a trial ended; a failed one has no value."""
        self._guard()
        slot.stored.set_user_attr("reason", result.reason)
        slot.stored.set_user_attr("folds", [_without_place(fold) for fold in result.folds])
        self._stored.tell(slot.stored, result.iou_mean, STATES[result.state])

    def unfinished(self) -> list[int]:
        """Return the numbers of the trials that were begun and have no end."""
        return [t.number for t in self._stored.get_trials(deepcopy=False) if not t.state.is_finished()]

    def close(self) -> None:
        """Let go of the database."""
        self._storage.remove_session()
        self._storage.engine.dispose()

    def _plan(self, number: int, params: Mapping[str, Value]) -> TrialPlan:
        try:
            study = self.study.with_params(dict(params))
        except ConfigError as error:
            raise ConfigError(f"trial {number}: {error}; narrow what is searched") from None
        return TrialPlan(number, params, study, number < len(self._baselines))

    def _window(self, number: int) -> optuna.Study:
        """Return an in-memory study of exactly the trials 0 to number - window, its sampler seeded by the number."""
        search = self.study.search
        seed = int(np.random.SeedSequence([self.study.seed, number]).generate_state(1)[0])
        sampler = optuna.samplers.TPESampler(
            seed=seed, multivariate=True, group=True, n_startup_trials=search.startup
        )
        window = optuna.create_study(
            direction="maximize", sampler=sampler, pruner=build_pruner(search.pruner)
        )
        seen = [t for t in self._stored.get_trials() if t.number <= number - search.window]
        window.add_trials(sorted(seen, key=lambda t: t.number))
        if number < len(self._baselines):
            window.enqueue_trial(dict(self._baselines[number]))
        return window

    def _running(self, number: int) -> optuna.Trial | None:
        for trial in self._stored.get_trials(deepcopy=False):
            if trial.number == number and trial.state == TrialState.RUNNING:
                return optuna.Trial(self._stored, trial._trial_id)
        return None

    def _create(self, number: int, params: Mapping[str, Value]) -> optuna.Trial:
        waiting = [t for t in self._stored.get_trials(deepcopy=False) if t.state == TrialState.WAITING]
        if not waiting:  # else a driver stopped between these two lines
            self._stored.enqueue_trial(dict(params))
        trial = self._stored.ask()
        assert trial.number == number, (trial.number, number)
        return trial

    def _result(self, trial: FrozenTrial) -> TrialResult:
        states = {stored: state for state, stored in STATES.items()}
        plan = self._plan(trial.number, dict(trial.params))
        folds = [
            FoldResult(**fold, folder=str(fold_folder(self._work, trial.number, fold["fold"])))
            for fold in trial.user_attrs.get("folds", [])
        ]
        state, reason = states[trial.state], trial.user_attrs.get("reason", "")
        second = read_second(self._work, trial.number) if state == "complete" else None
        return TrialResult(plan, state, folds, reason, second)


def _without_place(fold: FoldResult) -> dict[str, Any]:
    """Return what is stored of a fold: not its folder, since the home may move."""
    return {name: value for name, value in asdict(fold).items() if name != "folder"}


def baseline_params(study: Study) -> list[dict[str, Value]]:
    """Return the parameters of the baselines, which are the first trials. Raises ConfigError if out of the space."""
    found = []
    for number, baseline in enumerate(study.search.baselines):
        try:
            wanted = study.with_settings(baseline)
            _refuse_unsearched(baseline, wanted, study)
            found.append(params_of(wanted))
        except ConfigError as error:
            raise ConfigError(f"search.baselines[{number}].{error}") from None
    return found


def _refuse_unsearched(baseline: Mapping[str, Value], wanted: Study, study: Study) -> None:
    """A baseline is a trial, and trials differ in what is searched only."""
    before, after = study.model_dump(), wanted.model_dump()
    for path, value in baseline.items():
        if path not in study.search.space and take(after, path) != take(before, path):
            raise ConfigError(
                f"{path}: {value!r}, but {path} is not searched and the study has {take(before, path)!r}; "
                f"add {path} to the space, or leave it out here"
            )


def is_stored(url: str, study: str) -> bool:
    """Tell whether the database holds this study (<name>-<id8>)."""
    storage = opened_by_optuna(url)
    try:
        return study in optuna.get_all_study_names(storage)
    finally:
        storage.remove_session()
        storage.engine.dispose()
