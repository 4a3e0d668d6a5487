"""Every variant of a study built once, before anything trains: its own settings, its baselines, what it searches."""

import contextlib
import hashlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from harness.config import Choice, Study
from harness.data.augment import AUGMENTATIONS, build_augmentation
from harness.data.kept import Kept
from harness.data.proof.prove import Proof, Recipe, prove, refuse_untrue
from harness.data.sampler import build_order
from harness.data.split import Split
from harness.errors import ConfigError
from harness.execute.executors import build_executor
from harness.model.losses import build_loss, check_loss
from harness.model.networks import architecture, build_network
from harness.ranges import Range, Value, corners
from harness.search.pruner import build_pruner
from harness.search.slots import baseline_params
from harness.train.start import coverage_of
from harness.train.version import code_digest

BUILT_WITH = ("segmentation-models-pytorch", "timm", "torch")
PROVEN_WITH = ("albumentations", "albucore", "opencv-python-headless", "numpy", "scipy")


def build_every_choice(study: Study, caches: Path | None = None) -> None:
    """Build the study's own settings, its baselines, all ends and options of its search space; prove its augmentation.

    `caches` as in `prove_recipes`; there it is noted too which networks of random weights were built.
    Raises ConfigError with the path as it stands in the study file.
    """
    build_pruner(study.search.pruner)
    build_executor(study.execute, log=Path("worker.log")).close()
    _refuse_gaps(study)
    seen: set[str] = set()
    for where, params in _variants(study):
        with _stands_at(where, study):
            _build(study.with_params(params), seen, caches)
    for proof in prove_recipes(study, caches):
        refuse_untrue(proof)


def prove_recipes(study: Study, caches: Path | None = None) -> tuple[Proof, ...]:
    """Return the proof of each augmentation recipe the study may train with, at the proof's own strengths.

    A proof takes seconds and is kept for as long as the process lives. That of a recipe of ours, where no rule is
    broken, is kept under `caches` too, until any of our code or a library it was found with changes.
    """
    return tuple(_proof(function, name, settings, caches) for name, function, settings in _recipes(study))


def recipes_of(study: Study) -> Iterator[tuple[str, Recipe]]:
    """Yield the name and settings, in words, and the function of each augmentation recipe the study may train with."""
    for name, function, settings in _recipes(study):
        yield name if settings == "{}" else f"{name} {settings}", partial(function, **json.loads(settings))


def _recipes(study: Study) -> list[tuple[str, Callable[..., list[Any]], str]]:
    recipes = [study.with_params(params).augment.recipe for _, params in _variants(study)]
    distinct = dict.fromkeys((one.name, json.dumps(one.settings, sort_keys=True)) for one in recipes)
    return [(name, AUGMENTATIONS[name], settings) for name, settings in distinct]


@cache
def _proof(function: Callable[..., list[Any]], name: str, settings: str, caches: Path | None) -> Proof:
    recipe = partial(function, **json.loads(settings))
    if caches is None or not function.__module__.startswith("harness."):  # its code has a version we know
        return prove(recipe, name)
    key = _kept_as("proof", PROVEN_WITH, name, settings)
    with contextlib.closing(Kept(caches)) as kept:
        with contextlib.suppress(ValueError, TypeError):  # of what is not there, or damaged
            strengths, figures = json.loads(kept.get(key) or b"")
            return Proof(name, tuple(strengths), figures, ())
        proof = prove(recipe, name)
        if not proof.violations:
            kept.put({key: json.dumps([proof.strengths, proof.figures]).encode()})
        return proof


def _kept_as(kind: str, libraries: Sequence[str], *of: str) -> str:
    """Return the key of what holds until any of our code, or one of these libraries, changes."""
    versions = [code_digest(), *(version(package) for package in libraries), sys.version, *of]
    return f"{kind} {hashlib.sha256(json.dumps(versions).encode()).hexdigest()}"


def build_losses(study: Study, samples: pd.DataFrame, split: Split) -> None:
    """Build every loss with the coverage of each fold's training samples. Raises ConfigError."""
    for fold in range(split.count):
        coverage = coverage_of(samples.iloc[split.train(samples, fold)])
        for where, params in _variants(study):
            with _stands_at(where, study, f" (training samples of fold {fold})"):
                build_loss(study.with_params(params).loss, coverage)


def _variants(study: Study) -> Iterator[tuple[str, dict[str, Value]]]:
    """Yield where each variant stands in the study file, and its parameters."""
    yield "", {}
    for number, params in enumerate(baseline_params(study)):
        yield f"search.baselines[{number}].", params
    for params in corners(study.dimensions()):
        yield "search.", params


@contextlib.contextmanager
def _stands_at(where: str, study: Study, more: str = "") -> Iterator[None]:
    """Put the place in the study file before what is wrong; what is not searched stands outside the space."""
    try:
        yield
    except ConfigError as error:
        searched = str(error).startswith(tuple(f"{path}{end}" for path in study.search.space for end in ".:"))
        raise ConfigError(f"{where if searched else ''}{error}{more}") from None


def _refuse_gaps(study: Study) -> None:
    """Refuse a range with whole numbers inside that its setting does not take; only its ends are tried later."""
    for path, dimension in study.dimensions().items():
        if not isinstance(dimension, Range) or not dimension.whole:
            continue
        low, high = int(dimension.low), int(dimension.high)
        if _takes(study, path, low) and not _takes(study, path, low + 1):
            taken = [value for value in range(low, high + 1) if _takes(study, path, value)]
            raise ConfigError(
                f"search.{path}: {dimension} holds numbers that {path} does not take, such as {low + 1}; "
                f"write {{choice: {taken}}}"
            )


def _takes(study: Study, path: str, value: int) -> bool:
    try:
        study.with_params({path: value})
    except ConfigError:
        return False
    return True


def _build(study: Study, seen: set[str], caches: Path | None) -> None:
    builders: dict[str, Callable[[], object]] = {
        "network": lambda: _build_network(study.network, caches),
        "loss": lambda: check_loss(study.loss),
        "augment": lambda: build_augmentation(study.augment),
        "train": lambda: build_order(study.train.sampler),
    }
    for part, build in builders.items():
        text = f"{part} {json.dumps(getattr(study, part).model_dump(mode='json'), sort_keys=True)}"
        if text not in seen:
            build()
            seen.add(text)


def _build_network(choice: Choice, caches: Path | None) -> None:
    """Build a network, unless it is noted that this one was built."""
    settings, weights = architecture(choice)
    if caches is None or weights is not None:  # a file may be gone since
        build_network(choice)
        return
    key = _kept_as("network", BUILT_WITH, json.dumps(settings, sort_keys=True))
    with contextlib.closing(Kept(caches)) as kept:
        if kept.get(key) is None:
            build_network(choice)
            kept.put({key: b""})
