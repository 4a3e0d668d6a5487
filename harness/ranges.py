"""What a study may vary: the search space as plain values, parsed from the study file and checked.

Grammar of one entry, `path: value` (paths are dotted settings, such as `train.lr`):
    [low, high]                 uniform; whole numbers where the setting is one
    {log: [low, high]}          log-uniform
    {int: [low, high]}          whole numbers
    {choice: [a, b]}            one of these values
    {choice: {name: {...}}}     one of these named choices, each with entries of its own; names alone may be a list
    1 - other                   (inside a named choice) tied to the setting `other` beside it
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from harness.errors import ConfigError

Value = Any  # what YAML can hold: a number, a string, a bool, None, or a list of these


@dataclass(frozen=True)
class Range:
    """A number between `low` and `high`, both included."""

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def ends(self) -> tuple[Value, Value]:
        return self.low, self.high

    def __str__(self) -> str:
        return f"{self.low} to {self.high}"

    def holds(self, value: Value) -> bool:
        return isinstance(value, int | float) and self.low <= value <= self.high


@dataclass(frozen=True)
class Options:
    """One of `values`."""

    values: tuple[Value, ...]

    def ends(self) -> tuple[Value, ...]:
        return self.values

    def __str__(self) -> str:
        return ", ".join(str(value) for value in self.values)

    def holds(self, value: Value) -> bool:
        return value in self.values


@dataclass(frozen=True)
class OneMinus:
    """Not searched: `1 - other`, rounded to 12 digits."""

    other: str


@dataclass(frozen=True)
class Fixed:
    """Not searched: always `value`."""

    value: Value


Entry = Range | Options | OneMinus | Fixed


@dataclass(frozen=True)
class Alternatives:
    """One of several named choices; the entries of a name exist only with it."""

    entries: Mapping[str, Mapping[str, Entry]]

    def settings(self, name: str, drawn: Mapping[str, Value]) -> dict[str, Value]:
        """Return the settings of choice `name`, given the values drawn for its ranges."""
        settings = dict(drawn)
        for setting, entry in self.entries[name].items():
            if isinstance(entry, Fixed):
                settings[setting] = entry.value
        for setting, entry in self.entries[name].items():
            if isinstance(entry, OneMinus):
                settings[setting] = round(1.0 - settings[entry.other], 12)
        return settings


Dimension = Range | Options | Alternatives


def parse(path: str, value: Value, *, whole: bool = False, names: bool = False) -> Dimension:
    """Return the dimension that `value` describes: of whole numbers, of names. Raises ConfigError naming `path`."""
    if (
        isinstance(value, Mapping)
        and set(value) == {"choice"}
        and (names or isinstance(value["choice"], Mapping))
    ):
        named = _named(path, value["choice"])
        if not named:
            raise ConfigError(f"search.{path}: an empty choice; name at least one")
        return Alternatives({name: _parse_settings(f"{path}.{name}", s or {}) for name, s in named.items()})
    dimension = _parse_entry(path, value, whole=whole)
    if isinstance(dimension, Fixed | OneMinus):
        raise ConfigError(
            f"search.{path}: {value!r} is no range; "
            "write [low, high], {log: [low, high]}, {int: [low, high]} or {choice: [...]}"
        )
    return dimension


def corners(space: Mapping[str, Dimension]) -> Iterator[dict[str, Value]]:
    """Yield parameters that together visit both ends of every range, every option and every choice."""
    visits = [list(_visits(path, dimension)) for path, dimension in space.items()]
    for number in range(max(map(len, visits), default=0)):
        params: dict[str, Value] = {}
        for visit in visits:
            params |= visit[number % len(visit)]
        yield params


def _visits(path: str, dimension: Dimension) -> Iterator[dict[str, Value]]:
    if not isinstance(dimension, Alternatives):
        yield from ({path: value} for value in dimension.ends())
        return
    for name, entries in dimension.entries.items():
        searched = {
            f"{path}.{name}.{s}": e.ends() for s, e in entries.items() if isinstance(e, Range | Options)
        }
        for number in range(max(map(len, searched.values()), default=1)):
            yield {path: name} | {s: ends[number % len(ends)] for s, ends in searched.items()}


def _named(path: str, choices: Value) -> Mapping[str, Value]:
    if isinstance(choices, list) and all(isinstance(name, str) for name in choices):
        return dict.fromkeys(choices)
    if isinstance(choices, Mapping):
        return choices
    raise ConfigError(
        f"search.{path}: choice {choices!r}; write a list of names, or each name with its settings: {{name: {{}}}}"
    )


def _parse_settings(path: str, settings: Mapping[str, Value]) -> dict[str, Entry]:
    if not isinstance(settings, Mapping):
        raise ConfigError(f"search.{path}: {settings!r} is no mapping of settings; write {{}} for none")
    entries = {name: _parse_entry(f"{path}.{name}", value) for name, value in settings.items()}
    for name, entry in entries.items():
        if isinstance(entry, OneMinus) and not isinstance(entries.get(entry.other), Range | Fixed):
            raise ConfigError(
                f"search.{path}.{name}: '1 - {entry.other}' needs a range {entry.other!r} beside it; "
                f"there is: {', '.join(n for n in entries if n != name) or 'nothing'}"
            )
    return entries


def _parse_entry(path: str, value: Value, *, whole: bool = False) -> Entry:
    if isinstance(value, str) and (tied := re.fullmatch(r"1\s*-\s*(\w+)", value)):
        return OneMinus(tied[1])
    if isinstance(value, list):
        return _parse_range(path, value, whole=whole)
    if isinstance(value, Mapping):
        return _parse_kind(path, value, whole=whole)
    return Fixed(value)


def _parse_kind(path: str, value: Mapping[str, Value], *, whole: bool) -> Entry:
    if len(value) != 1 or next(iter(value)) not in ("log", "int", "choice"):
        raise ConfigError(
            f"search.{path}: {dict(value)!r}; write {{log: [low, high]}}, {{int: ...}} or {{choice: ...}}"
        )
    ((kind, inner),) = value.items()
    if kind != "choice":
        return _parse_range(path, inner, log=kind == "log", whole=whole or kind == "int")
    if not isinstance(inner, list) or not inner:
        raise ConfigError(f"search.{path}: choice {inner!r}; write a list of at least one value")
    return Options(tuple(inner))


def _parse_range(path: str, value: Value, *, log: bool = False, whole: bool = False) -> Range:
    numbers = [_number(v) for v in value] if isinstance(value, list) else []
    if len(numbers) != 2 or not all(math.isfinite(n) for n in numbers):
        raise ConfigError(f"search.{path}: {value!r} is no range; write two numbers, [low, high]")
    low, high = numbers
    if low >= high:
        raise ConfigError(
            f"search.{path}: the range starts at {low:g} and ends at {high:g}; low must be below high"
        )
    if log and low <= 0:
        raise ConfigError(f"search.{path}: a log range starts above 0, not at {low:g}")
    if whole and not (low.is_integer() and high.is_integer()):
        raise ConfigError(f"search.{path}: {value!r}; this setting takes whole numbers")
    return Range(int(low) if whole else low, int(high) if whole else high, log=log, whole=whole)


def _number(value: Value) -> float:
    try:
        return math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        return math.nan
