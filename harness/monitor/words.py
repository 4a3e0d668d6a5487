"""What was found of new pictures, in words: what an engineer must know first, then numbers, then single pictures."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from harness.monitor.drift import LEAST, LEVEL, Difference

SHOWN, STRANGEST = 10, 5
TURNED = 0.1  # spreads; a median that moved by less says nothing of a direction
HEAD = (
    "| measure | trained on | new | shift, spreads | distance | usual | p | p of all |",
    "|---|---|---|---|---|---|---|---|",
)
MEANING = {  # of a measure that is lower, and higher
    "brightness": ("darker", "brighter"),
    "contrast": ("flatter", "of more contrast"),
    "sharpness": ("blurred", "sharper"),
    "noise": ("smoother", "noisier"),
    "texture": ("of coarser texture", "of finer texture"),
    "direction": ("of less directed texture", "of more directed texture"),
    "color": ("bluer", "redder"),
    "blocks": ("with weaker JPEG blocks", "with stronger JPEG blocks"),
    "score": ("answered with lower highest scores", "answered with higher highest scores"),
    "share": ("with fewer predicted pixels", "with more predicted pixels"),
    "objects": ("with fewer objects", "with more objects"),
}


@dataclass(frozen=True)
class Monitoring:
    """What new pictures are beside those that a model was trained on; plain values, for JSON.

    used: new pictures that were compared, in `units` that show one thing each as far as is known; copies, strangest: of
    pictures, as rows. undecided: why nothing can be said, if so. noticed: the shift, in spreads, that would be seen
    four times of five.
    """

    model: str
    version: str
    study: str
    trial: int
    images: int
    used: int
    units: int
    trained_on: int
    groups: int
    undecided: str
    noticed: float | None
    differences: Sequence[Difference]
    facts: Sequence[str]
    copies: Sequence[Mapping[str, Any]]
    strangest: Sequence[Mapping[str, Any]]
    unreadable: Mapping[str, str]

    @property
    def alarms(self) -> list[Difference]:
        return [one for one in self.differences if one.alarm]

    @property
    def verdict(self) -> str:
        """Return drift, no drift, or too few."""
        if self.undecided:
            return "too few"
        return "drift" if self.alarms else "no drift"

    @property
    def sentence(self) -> str:
        """Return the result in one line."""
        if self.undecided:
            return f"Too few to say: {self.undecided}."
        if self.alarms:
            return f"Drift: the new pictures are {', '.join(map(meaning, self.alarms))}."
        return (
            f"No drift seen. In {self.units} pictures or groups of them a shift of about {self.noticed:.1f} spreads "
            "would have been noticed four times of five; a smaller one may be there."
        )


def meaning(one: Difference) -> str:
    """Return in which way a measure differs."""
    if one.shift is None or abs(one.shift) < TURNED:
        return f"otherwise spread in {one.name}"
    return MEANING[one.name][one.shift > 0]


def lines(found: Monitoring) -> Iterator[str]:
    """Yield what a screen shows."""
    read = found.images - len(found.unreadable)
    yield (
        f"{found.model} version {found.version} (trial {found.trial}): {found.images} pictures, "
        f"{found.images - read} cannot be read, {len(found.copies)} show what the study's own pictures show; "
        f"{found.used} are held against {found.trained_on} in {found.groups} groups that it was trained on"
    )
    yield found.sentence
    for one in found.differences:
        yield f"  {_mark(one):12} {numbers(one)}"
    yield from (f"- {fact}" for fact in found.facts)
    yield from _some("close to the study's own, and left out of the comparison", map(copied, found.copies))
    yield from _some("strangest", map(strange, found.strangest))
    yield from _some("cannot be read", found.unreadable.values())


def note(found: Monitoring) -> str:
    """Return the same in Markdown, for MLflow's page."""
    first, *rest = lines(found)
    head = f"**{found.sentence}**\n\n{first}.\n"
    table = "\n".join(HEAD)
    rows = [f"| {' | '.join(_cells(one))} |" for one in found.differences]
    after = [line.strip() for line in rest[1 + len(found.differences) :]]
    listed = "\n".join(line if line.startswith("- ") else f"- {line}" for line in after)
    return "\n".join([head, table, *rows, "", listed]) if rows else "\n".join([head, listed])


def numbers(one: Difference) -> str:
    """Return the numbers of a measure in a line."""
    moved = "" if one.shift is None else f" ({one.shift:+.2f} spreads)"
    return (
        f"{one.name}: median {one.new:.4g}, trained on {one.training:.4g}{moved}; distance {one.distance:.2f}, usually "
        f"up to {one.usual:.2f}; p = {one.p:.4f}, of all measures {one.adjusted:.4f}"
    )


def copied(row: Mapping[str, Any]) -> str:
    """Return which picture of the study a new one shows."""
    whose = "held-out picture" if row["held_out"] else "training picture"
    return f"{row['image']}: shows {whose} {row['original']} ({row['how']})"


def strange(row: Mapping[str, Any]) -> str:
    """Return how far from all training pictures a new one is."""
    return (
        f"{row['image']}: further from {row['nearest']}, the nearest training picture, than {row['strangeness']:.0%} "
        f"of training pictures are from those of other groups; mostly by {row['measure']}"
    )


def _mark(one: Difference) -> str:
    if one.alarm:
        return "DRIFT"
    return f"below {LEAST:g}" if one.proven else "as usual" if one.p > LEVEL else "not proven"


def _cells(one: Difference) -> list[str]:
    shift = "" if one.shift is None else f"{one.shift:+.2f}"
    values = [f"{value:.4g}" for value in (one.training, one.new)]
    rest = [f"{one.distance:.2f}", f"{one.usual:.2f}", f"{one.p:.4f}", f"{one.adjusted:.4f}"]
    return [f"**{one.name}**" if one.alarm else one.name, *values, shift, *rest]


def _some(what: str, said: Iterator[str] | Any) -> Iterator[str]:
    every = list(said)
    if every:
        yield f"{what} ({len(every)}):"
        yield from (f"  {one}" for one in every[:SHOWN])
        if len(every) > SHOWN:
            yield f"  and {len(every) - SHOWN} more"


def as_dict(found: Monitoring) -> dict[str, Any]:
    """Return all of it for JSON; `drift` is null where nothing can be said."""
    measured = [asdict(one) | {"alarm": one.alarm} for one in found.differences]
    drift = None if found.undecided else bool(found.alarms)
    said = {"drift": drift, "verdict": found.verdict, "sentence": found.sentence}
    return asdict(found) | said | {"differences": measured}
