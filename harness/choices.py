"""Pick a named function from a table; its keyword-only signature is the schema of its settings."""

import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from harness.errors import ConfigError

T = TypeVar("T")
WORDS: Mapping[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    type(None): "null",
}
YAML = {True: "true", False: "false"}


def nearest(name: object, known: Iterable[str]) -> str:
    """Return `, did you mean 'x'?` for a near miss, else nothing."""
    close = difflib.get_close_matches(str(name), list(known), n=1, cutoff=0.5)
    return f", did you mean {close[0]!r}?" if close else ""


def choose(
    table: Mapping[str, Callable[..., T]], where: str, name: str, settings: Mapping[str, Any]
) -> Callable[..., T]:
    """Return `table[name]` with `settings` bound to its keyword-only arguments.

    `where` is the dotted path of the choice in the study file, used in messages.
    Raises ConfigError for an unknown name, an unknown or missing setting, or a value of the wrong type.
    """
    if name not in table:
        known = ", ".join(sorted(table))
        raise ConfigError(f"{where}: {name!r} is not known{nearest(name, table)}; known: {known}")
    function = table[name]
    takes = settings_of(function)
    for setting, value in settings.items():
        if setting not in takes:
            raise ConfigError(
                f"{where}.{name}.{setting}: {name!r} has no such setting{nearest(setting, takes)}; "
                f"it takes: {', '.join(takes) or 'no settings'}"
            )
        _check_type(f"{where}.{name}.{setting}", value, takes[setting])
    for setting, parameter in takes.items():
        if parameter.default is inspect.Parameter.empty and setting not in settings:
            raise ConfigError(f"{where}.{name}.{setting}: missing; {name!r} needs it")
    return _bound(function, dict(settings))


def settings_of(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """Return the keyword-only parameters of `function`, annotations resolved."""
    hints = get_type_hints(function)
    return {
        name: parameter.replace(annotation=hints.get(name, Any))
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }


def _bound(function: Callable[..., T], settings: dict[str, Any]) -> Callable[..., T]:
    def chosen(*arguments: Any) -> T:
        return function(*arguments, **settings)

    return chosen


def _check_type(where: str, value: object, parameter: inspect.Parameter) -> None:
    if not _fits(value, parameter.annotation):
        came = YAML[value] if isinstance(value, bool) else repr(value)
        raise ConfigError(f"{where}: {came}; it must be {_words(parameter.annotation)}")


def _words(annotation: Any) -> str:
    """Return in words of YAML what a value of a type is."""
    options = get_args(annotation)
    if get_origin(annotation) in (list, tuple):
        return f"a list, each of it {_words(options[0])}"
    if options:  # a union; the shorter word first, so that a list's words end it
        return " or ".join(sorted(map(_words, options), key=len))
    return WORDS.get(annotation, str(annotation))


def _fits(value: object, annotation: Any) -> bool:
    if annotation is Any:
        return True
    if get_origin(annotation) in (list, tuple):
        inner = [a for a in get_args(annotation) if a is not Ellipsis]
        return isinstance(value, list | tuple) and all(_fits(item, inner[0]) for item in value)
    if get_args(annotation):  # a union such as float | None
        return any(_fits(value, option) for option in get_args(annotation))
    if annotation is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if annotation is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, annotation)
