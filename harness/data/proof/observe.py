"""Measure a pipeline over many draws, and find the transform that breaks a rule."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.data.proof.draws import Path, alone, at, draw, name_of, paths, ready
from harness.data.proof.facts import Facts
from harness.data.proof.planted import Planted
from harness.data.proof.rules import FORM, RULES, TRUTH, Measured

DRAWS = 24  # of the whole pipeline; as many of a transform alone
AGAIN, DOUBT = 4, 1.5  # times the draws for a mean that exceeds its limit, but not by this factor


@dataclass(frozen=True)
class Outcome:
    """What a rule found over all draws: the figure to judge, and the worst draw's seed and measurement."""

    figure: float
    seed: int
    worst: Measured


@dataclass(frozen=True)
class Culprit:
    """The transform that breaks a rule, what was run to find it, and how that came out."""

    name: str
    transforms: Sequence[Any]
    outcome: Outcome


def observe(transforms: Sequence[Any], planted: Planted, draws: int) -> dict[str, Outcome]:
    """Return the outcome of every rule over that many draws. A draw that ends in an error breaks `runs` alone."""
    carrying = ready(transforms)
    found: dict[str, list[Measured]] = {}
    seeds: dict[str, list[int]] = {}
    for seed in range(draws):
        for rule, measured in _measure(carrying, planted, seed).items():
            found.setdefault(rule, []).append(measured)
            seeds.setdefault(rule, []).append(seed)
    return {rule: _outcome(rule, found[rule], seeds[rule]) for rule in found}


def broken(outcomes: dict[str, Outcome], transforms: Sequence[Any], planted: Planted) -> dict[str, Outcome]:
    """Return the outcomes that break their rule; a mean slightly above its limit is taken again over more draws."""
    first = _exceeding(outcomes)
    if not any(
        RULES[rule].over == "mean" and first[rule].figure < DOUBT * RULES[rule].limit for rule in first
    ):
        return first
    again = _exceeding(observe(transforms, planted, AGAIN * DRAWS))
    return {
        rule: again.get(rule, first[rule]) for rule in first if rule in again or RULES[rule].over == "worst"
    }


def find_culprit(
    transforms: Sequence[Any], rule: str, planted: Planted, *, suspect: Path | None, outcome: Outcome
) -> Culprit:
    """Return who breaks `rule`: a transform by itself, else the first that does so after those before it.

    `suspect` is tried first. `outcome` is what the whole pipeline came to, for a rule that no part of it breaks.
    """
    for name, part in _suspects(transforms, suspect):
        if rule in (guilty := broken(observe(part, planted, DRAWS), part, planted)):
            return Culprit(name, part, guilty[rule])
    name = name_of(at(transforms, suspect)) if suspect else name_of(transforms[-1])
    return Culprit(name, transforms, outcome)


def _suspects(transforms: Sequence[Any], suspect: Path | None) -> Iterator[tuple[str, Sequence[Any]]]:
    first = [suspect] if suspect else []
    for path in [*first, *(path for path in paths(transforms) if path != suspect)]:
        yield name_of(at(transforms, path)), alone(transforms, path)
    for count in range(1, len(transforms) + 1):
        yield name_of(transforms[count - 1]), transforms[:count]


def _measure(carrying: Sequence[Any], planted: Planted, seed: int) -> dict[str, Measured]:
    try:
        facts = Facts(planted, draw(carrying, planted, seed))
    except Exception as error:  # of other people's making, it may raise anything
        return {"runs": Measured(1.0, note=f"{type(error).__name__}: {' '.join(str(error).split())}"[:200])}
    measured: dict[str, Measured] = {}
    for name, rule in FORM.items():
        measured[name] = rule.measure(facts)
        if measured[name].figure and name != "size":
            return measured
    return measured | {name: rule.measure(facts) for name, rule in TRUTH.items()}


def _outcome(rule: str, found: Sequence[Measured], seeds: Sequence[int]) -> Outcome:
    figures = [measured.figure for measured in found]
    worst = int(np.argmax(figures))
    figure = float(np.mean(figures)) if RULES[rule].over == "mean" else figures[worst]
    return Outcome(figure, seeds[worst], found[worst])


def _exceeding(outcomes: dict[str, Outcome]) -> dict[str, Outcome]:
    return {rule: outcome for rule, outcome in outcomes.items() if outcome.figure > RULES[rule].limit}
