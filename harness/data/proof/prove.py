"""Prove that a recipe keeps masks true, on planted pictures, before anything is trained with it."""

import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import albumentations as A

from harness.data.augment import Augmentation
from harness.data.proof.draws import Path, acting, apply, at, name_of, paths
from harness.data.proof.observe import DRAWS, Culprit, broken, find_culprit, observe
from harness.data.proof.pictures import beside, panel, to_png
from harness.data.proof.planted import Planted, plant
from harness.data.proof.rules import FORM, RULES, RUNNING, Measured
from harness.data.proof.streams import Build, Repeated, Subject, repeated
from harness.errors import ConfigError

STRENGTHS = (0.0, 0.5, 1.0)  # nothing, the recipe as named, the most that may be searched
ACTING = 8  # draws of the pipeline in which a certain transform acts

Recipe = Callable[[float, bool], list[Any]]


@dataclass(frozen=True)
class Violation:
    """A rule broken: by which transform, by how much, where, and a picture (PNG) of it."""

    recipe: str
    transform: str
    rule: str
    figure: float
    limit: float
    strength: float
    color: bool
    note: str
    picture: bytes = field(repr=False)

    @property
    def line(self) -> str:
        """Return recipe, transform, rule, figure and limit in one line."""
        return (
            f"augment.recipe {self.recipe!r}: {self.transform} breaks {self.rule!r} at strength {self.strength:g} "
            f"({'color' if self.color else 'gray'}): {self.figure:.3g} {RULES[self.rule].says}, "
            f"at most {self.limit:g} may{f'; {self.note}' if self.note else ''}"
        )


@dataclass(frozen=True)
class Proof:
    """What came out for one recipe; `figures` has the worst of each rule over strengths, gray and color."""

    recipe: str
    strengths: tuple[float, ...]
    figures: dict[str, float]
    violations: tuple[Violation, ...]


@dataclass(frozen=True)
class _Case:
    recipe: str
    strength: float
    color: bool
    planted: Planted


def prove(
    recipe: Recipe,
    name: str,
    *,
    strengths: Sequence[float] = STRENGTHS,
    build: Build = Augmentation,
) -> Proof:
    """Return what became of the planted scenes under `recipe`, which takes (2 * strength, color) as Augmentation does.

    `build` makes the augmentation that training will use of a recipe and a strength. ConfigError of the recipe
    itself passes; whatever else it, or a transform, raises is a violation. The first strength, gray before color,
    at which something is wrong is the last one looked at. The same recipe gives the same proof.
    """
    figures: dict[str, float] = {}
    violations: dict[tuple[str, str], Violation] = {}
    cases = [_Case(name, strength, color, plant(color)) for strength in strengths for color in (False, True)]
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # of unknown arguments the library only warns; here they are violations
        for case in cases:
            for violation in _violations(recipe, case, build, figures):
                violations.setdefault((violation.transform, violation.rule), violation)
            if violations:
                break
    return Proof(name, tuple(strengths), figures, tuple(violations.values()))


def refuse_untrue(proof: Proof) -> None:
    """Raise ConfigError with the first violation in one line, and the names of the others."""
    if proof.violations:
        first, *others = proof.violations
        rest = f" Also: {', '.join(f'{v.transform} ({v.rule})' for v in others)}." if others else ""
        raise ConfigError(f"{first.line}.{rest}")


def _violations(recipe: Recipe, case: _Case, build: Build, figures: dict[str, float]) -> Iterator[Violation]:
    try:
        transforms = recipe(2 * case.strength, case.color)
    except ConfigError:
        raise
    except Exception as error:  # whatever a constructor raises
        yield _of_settings(case, _raised_in(error.__traceback__), " ".join(str(error).split())[:200])
        return
    unknown = [
        (name_of(one), one.invalid_args) for one in _all(transforms) if getattr(one, "invalid_args", [])
    ]
    if unknown:
        yield from (_of_settings(case, name, f"unknown: {', '.join(found)}") for name, found in unknown)
        return
    untrue = list(_untrue(transforms, case, figures)) if case.strength else []
    yield from untrue
    if not any(violation.rule in (RUNNING | FORM) for violation in untrue):
        subject = Subject(recipe, transforms, case.strength, case.planted, build)
        yield from (_of_streams(case, found) for found in repeated(subject))


def _untrue(transforms: Sequence[Any], case: _Case, figures: dict[str, float]) -> Iterator[Violation]:
    """Yield what the pipeline breaks as it is, and what it breaks when each of its transforms acts."""
    known: set[str] = set()
    for suspect, pipeline, draws in _scenarios(transforms):
        outcomes = observe(pipeline, case.planted, draws)
        for rule, outcome in outcomes.items():
            figures[rule] = max(figures.get(rule, 0.0), outcome.figure if suspect is None else 0.0)
        for rule, outcome in broken(outcomes, pipeline, case.planted).items():
            if rule not in known:
                known.add(rule)
                culprit = find_culprit(pipeline, rule, case.planted, suspect=suspect, outcome=outcome)
                yield _of_rule(case, rule, culprit)


def _scenarios(transforms: Sequence[Any]) -> Iterator[tuple[Path | None, Sequence[Any], int]]:
    """Yield the pipeline as it is, and with each transform that may stay away made to act: who, what, how often."""
    yield None, transforms, DRAWS
    for path in paths(transforms):
        if len(path) > 1 or at(transforms, path).p < 1:
            yield path, acting(transforms, path), ACTING


def _all(transforms: Sequence[Any]) -> Iterator[Any]:
    for transform in transforms:
        yield transform
        yield from _all(getattr(transform, "transforms", ()))


def _raised_in(trace: TracebackType | None) -> str:
    """Return the name of the transform whose constructor raised, else `the recipe`."""
    built = [frame.f_locals.get("self") for frame, _ in traceback.walk_tb(trace)]
    return next(
        (name_of(one) for one in built if isinstance(one, A.BasicTransform | A.BaseCompose)), "the recipe"
    )


def _of_settings(case: _Case, transform: str, note: str) -> Violation:
    before = panel(case.planted.image, case.planted.mask, "before; nothing was run")
    return _violation(case, transform, Measured(1.0, note=note), ("settings", to_png(beside([before]))))


def _of_rule(case: _Case, rule: str, culprit: Culprit) -> Violation:
    planted, outcome, marks = case.planted, culprit.outcome, culprit.outcome.worst.marks
    before_marks, after_marks = (marks, None) if RULES[rule].before else (None, marks)
    panels = [panel(planted.image, planted.mask, "before", before_marks)]
    if rule not in RUNNING:
        shown = apply(culprit.transforms, planted.image, planted.mask, outcome.seed)
        panels.append(panel(shown["image"], shown["mask"], f"after {culprit.name}: {rule}", after_marks))
    measured = Measured(outcome.figure, note=outcome.worst.note)
    return _violation(case, culprit.name, measured, (rule, to_png(beside(panels))))


def _of_streams(case: _Case, found: Repeated) -> Violation:
    before = panel(case.planted.image, case.planted.mask, "before")
    after = panel(*found.shown, f"after {found.transform}: {found.rule}")
    shown = found.rule, to_png(beside([before, after]))
    return _violation(case, found.transform, Measured(found.figure), shown)


def _violation(case: _Case, transform: str, measured: Measured, shown: tuple[str, bytes]) -> Violation:
    rule, picture = shown
    return Violation(
        recipe=case.recipe,
        transform=transform,
        rule=rule,
        figure=measured.figure,
        limit=RULES[rule].limit,
        strength=case.strength,
        color=case.color,
        note=measured.note,
        picture=picture,
    )
