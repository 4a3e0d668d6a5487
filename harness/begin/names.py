"""Rules that names, folders and cameras' clocks suggest for which pictures show one thing."""

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from harness.config import Choice
from harness.data.grouping import GROUPS, Source, taken_at
from harness.errors import ConfigError, DataError

DEEPEST, MOST_FIELDS = 4, 4
LOOKED_AT = 20  # pictures of which all must have a time before every one is opened for it
FIELD, GAP = r"[^/_. -]+", "[_. -]+"
NUMBER = r"(\d+)[^/\d]*\.\w+$"  # the last one of a name


class Rule(NamedTuple):
    """A rule of `data.group`, in words, and whether it is taken only where pictures confirm it."""

    choice: Choice
    words: str
    doubtful: bool = False


class Placed(NamedTuple):
    """A rule and the source of each picture by it."""

    rule: Rule
    sources: tuple[Source, ...]

    @property
    def groups(self) -> list[str]:
        return [source.group for source in self.sources]


def image_alone() -> Rule:
    """Return the rule that joins nothing."""
    return Rule(Choice(name="image"), "each picture shows a thing of its own")


def from_names(names: Sequence[str], root: Path) -> list[Placed]:
    """Return the rules that fit every name, each with another partition of the pictures; plainer ones first."""
    placed = [place(rule, names, root) for rule in _suggested(names)]
    fitting = [one for one in placed if one is not None and 1 < len(set(one.groups)) < len(names)]
    alone = place(image_alone(), names, root)
    return without_repeats([*([alone] if alone else []), *fitting])


def without_repeats(placed: Sequence[Placed]) -> list[Placed]:
    """Return one rule of each partition of the pictures: the first, of those that are not doubtful if there are any."""
    sure_first = sorted(placed, key=lambda one: one.rule.doubtful)
    return list({_partition(one): one for one in reversed(sure_first)}.values())[::-1]


def place(rule: Rule, names: Sequence[str], root: Path) -> Placed | None:
    """Return the rule with what it gives; None where it does not fit."""
    try:
        sources = GROUPS[rule.choice.name](names, root, **rule.choice.settings)
    except (ConfigError, DataError):
        return None
    return Placed(rule, tuple(sources))


def times(names: Sequence[str], root: Path) -> list[float] | None:
    """Return when each picture was taken in s, if the cameras say it of all."""
    if any(taken_at(root / name) is None for name in names[:LOOKED_AT]):
        return None
    taken = [taken_at(root / name) for name in names]
    return None if None in taken else [at.timestamp() for at in taken if at is not None]


def _partition(placed: Placed) -> tuple[int, ...]:
    first: dict[str, int] = {}
    return tuple(first.setdefault(group, len(first)) for group in placed.groups)


def _suggested(names: Sequence[str]) -> Iterator[Rule]:
    yield from _crops(names)
    for count in range(1, MOST_FIELDS + 1):
        more = {1: "", 2: f"{GAP}{FIELD}"}.get(count, f"(?:{GAP}{FIELD}){{{count - 1}}}")
        field = f"{FIELD}{more}"
        words = "the first part of a name" if count == 1 else f"the first {count} parts of a name"
        yield _regex(rf"^(?:.*/)?({field}){GAP}{FIELD}.*\.\w+$", words)
        yield _regex(rf"^((?:.*/)?{field}){GAP}{FIELD}.*\.\w+$", f"its folder and {words}")
    yield _regex(r"^(?:.*/)?(\D*\d+)\D", "a name up to its first number")
    yield _regex(r"^(?:.*/)?(\D*\d+\D+\d+)\D", "a name up to its second number")
    for depth in range(1, DEEPEST + 1):
        if all(len(PurePosixPath(name).parts) > depth for name in names):
            settings = {"depth": depth} if depth > 1 else {}
            yield Rule(
                Choice(name="folder", settings=settings),
                f"the first {depth} folders" if settings else "its folder",
            )
    yield _regex(rf"^(?:.*/)?{FIELD}{GAP}(.*)\.\w+$", "a name without its first part", doubtful=True)
    yield _regex(r"^(?:[^\d/]*/)*[^/]*?(\d+)", "the first number of a name", doubtful=True)
    yield _regex(NUMBER, "the last number of a name", doubtful=True)


def _crops(names: Sequence[str]) -> Iterator[Rule]:
    """Yield rules for names that say where in its source a crop lies."""
    words = "a name up to where the crop lies, its x and y"
    yield _regex(r"(?P<group>^.+?)[_. -]*[_. -]x(?P<x0>\d+)[_. -]*y(?P<y0>\d+)", words)
    yield _regex(r"(?P<group>^.+?)[_. -]*[_. -]y(?P<y0>\d+)[_. -]*x(?P<x0>\d+)", words)
    box = r"(?P<group>^.+?)[_. -]+(?P<x0>\d+)[_. -]+(?P<y0>\d+)[_. -]+(?P<w>\d+)[_. -]+(?P<h>\d+)\.\w+$"
    yield _regex(box, "a name up to its crop's x, y, width and height", doubtful=True)


def _regex(text: str, words: str, *, doubtful: bool = False) -> Rule:
    return Rule(Choice(name="regex", settings={"id": text}), words, doubtful)
