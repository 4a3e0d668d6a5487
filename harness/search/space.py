"""The search space in Optuna's words: suggest a trial's parameters, and say what a baseline's are."""

from collections.abc import Mapping

import optuna

from harness.config import Choice, Study
from harness.errors import ConfigError
from harness.paths import take
from harness.ranges import Alternatives, Dimension, Entry, Options, Range, Value


def suggest(trial: optuna.Trial, space: Mapping[str, Dimension]) -> dict[str, Value]:
    """Return the parameters of a trial by dotted name; a choice's own exist only with it.

    They are drawn in the order of their names: the order in the study file is not part of its identity.
    """
    params: dict[str, Value] = {}
    for path, dimension in sorted(space.items()):
        if isinstance(dimension, Alternatives):
            name = trial.suggest_categorical(path, sorted(dimension.entries))
            params[path] = name
            for setting, entry in sorted(dimension.entries[str(name)].items()):
                if isinstance(entry, Range | Options):
                    params[f"{path}.{name}.{setting}"] = _suggest(trial, f"{path}.{name}.{setting}", entry)
        else:
            params[path] = _suggest(trial, path, dimension)
    return params


def _suggest(trial: optuna.Trial, name: str, entry: Range | Options) -> Value:
    if isinstance(entry, Options):
        return trial.suggest_categorical(name, list(entry.values))
    if entry.whole:
        return trial.suggest_int(name, int(entry.low), int(entry.high), log=entry.log)
    return trial.suggest_float(name, entry.low, entry.high, log=entry.log)


def params_of(study: Study) -> dict[str, Value]:
    """Return the parameters that give this study's own settings; what a choice leaves unsaid is as in the space.

    Raises ConfigError where they lie outside.
    """
    tree, params = study.model_dump(), dict[str, Value]()
    for path, dimension in study.dimensions().items():
        value = take(tree, path)
        if isinstance(dimension, Alternatives):
            params |= _params_of_choice(path, dimension, Choice.model_validate(value))
        else:
            params[path] = _inside(path, dimension, value)
    return params


def _params_of_choice(path: str, dimension: Alternatives, choice: Choice) -> dict[str, Value]:
    if choice.name not in dimension.entries:
        known = ", ".join(dimension.entries)
        raise ConfigError(
            f"{path}: {choice.name!r} is not among the choices searched ({known}); add it to the space"
        )
    entries = dimension.entries[choice.name]
    params: dict[str, Value] = {path: choice.name}
    for setting, entry in entries.items():
        if isinstance(entry, Range | Options):
            name = f"{path}.{choice.name}.{setting}"
            if setting not in choice.settings:
                raise ConfigError(f"{name}: is searched, so a baseline must say its value")
            params[name] = _inside(name, entry, choice.settings[setting])
    drawn = {
        name.removeprefix(f"{path}.{choice.name}."): value for name, value in params.items() if name != path
    }
    wanted = dimension.settings(choice.name, drawn)
    for setting, value in choice.settings.items():
        if setting not in wanted or value != wanted[setting]:
            raise ConfigError(
                f"{path}.{choice.name}.{setting}: {value!r} cannot be reached; "
                f"the space gives {wanted.get(setting, 'its default')!r}"
            )
    return params


def _inside(name: str, entry: Entry, value: Value) -> Value:
    if isinstance(entry, Range | Options) and not entry.holds(value):
        raise ConfigError(f"{name}: {value!r} lies outside what is searched ({entry})")
    return value
