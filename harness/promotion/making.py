"""The model that a trial is promoted as: which weights, with which views and graphs, how fast and how large."""

import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.config import Promote
from harness.data.audit import HELD_OUT
from harness.data.cache import build_cache
from harness.data.split import freeze
from harness.errors import Blocked, DataError, Interrupted, LeakageError, PromotionRefused, TrainingError
from harness.prepare import Prepared
from harness.promotion.candidate import Candidate
from harness.promotion.contenders import Stored
from harness.promotion.proof import Place
from harness.promotion.rule import Rule
from harness.promotion.views import PLAIN, gain_of_views
from harness.stopping import noting_stops
from harness.tracking.graphs import Graphs, make_graphs
from harness.tracking.registry import open_model
from harness.tracking.served_model import Segmenter
from harness.train.checkpoint import is_committed
from harness.train.foldrun import FoldJob
from harness.train.refit import NOTHING, refit, whole

LOOKED_AT = 5  # pictures that were trained on, for graphs and time
REFITS = "refit"  # below the work folder


@dataclass(frozen=True)
class Made:
    """A model that may be promoted; `weights` are in the order of the folds."""

    settings: Mapping[str, Any]
    weights: Sequence[Path]
    graphs: Graphs
    example: NDArray[Any]  # a real picture
    seconds: float  # a picture, median
    views: Rule | None  # what further views add, where there are any

    @property
    def megabytes(self) -> float:
        return sum(path.stat().st_size for path in self.weights) / 1e6

    def rules(self, wanted: Promote, calibration_error: float | None) -> list[Rule]:
        """Return what it is held to before a look; a limit that the study does not set is not asked for."""
        error = "not measured" if calibration_error is None else f"{calibration_error:.4f}, of fold models"
        measured = (
            ("calibration error", calibration_error, wanted.calibration_error, error, ""),
            ("seconds a picture", self.seconds, wanted.seconds, f"{self.seconds:.3g}, median here", " s"),
            ("size of weights", self.megabytes, wanted.megabytes, f"{self.megabytes:.1f} MB", " MB"),
        )
        rules = [] if self.views is None else [self.views]
        for name, value, limit, found, unit in measured:
            passed = limit is None or (value is not None and value <= limit)
            rules.append(
                Rule(name, passed, found, "no limit" if limit is None else f"at most {limit:g}{unit}")
            )
        rules += [Rule(f"graph {one.graph}", True, one.sentence, one.limits) for one in self.graphs.equal]
        return rules


@contextmanager
def made_of(candidate: Candidate, wanted: Promote, today: Prepared, place: Place) -> Iterator[Made]:
    """Make the model of a candidate; its graphs are there until this ends.

    Raises ModelRefused where a graph is not equal to the networks, PromotionRefused where a refit fails, Interrupted
    where it is stopped (the step is saved).
    """
    settings, weights = candidate.settings(wanted), _weights(candidate, wanted, today, place)
    pictures = _pictures(today)
    with tempfile.TemporaryDirectory() as folder:
        model = open_model(settings, weights)
        graphs = make_graphs(model, wanted.graphs, pictures, Path(folder))
        seconds = _median_seconds(model, pictures)
        views = None
        if wanted.flips or wanted.scales != (1.0,):
            gain = gain_of_views(settings, [fold.weights for fold in candidate.folds], today)
            plain = open_model({**settings, **PLAIN}, weights)
            views = gain.rule(seconds / _median_seconds(plain, pictures))
        yield Made(settings, weights, graphs, pictures[0], seconds, views)


def _weights(candidate: Candidate, wanted: Promote, today: Prepared, place: Place) -> list[Path]:
    if wanted.model == "ensemble":
        return [fold.weights for fold in candidate.folds]
    if wanted.model == "best_fold":
        return [max(candidate.folds, key=lambda fold: (fold.iou, -fold.fold)).weights]
    job = _refit_job(candidate, today, place)
    if not is_committed(job.final):
        place.tell(
            f"{candidate.key}: trained once more on every group but the held-out ones (promote.model: refit)"
        )
    try:
        with noting_stops(place.tell) as should_stop:
            weights = [refit(job, should_stop)]
    except (TrainingError, DataError, LeakageError) as error:
        raise PromotionRefused(f"{candidate.key}: cannot be refitted: {error}") from error
    except Blocked:
        raise
    except Interrupted as error:
        raise Interrupted(
            f"{candidate.key}: its refit is stopped, and is kept up to its last step"
        ) from error
    if should_stop():
        raise Interrupted(f"{candidate.key}: stopped with the refit done, and nothing promoted yet")
    return weights


def _refit_job(candidate: Candidate, today: Prepared, place: Place) -> FoldJob:
    cache = build_cache(today.samples, today.root, today.study.data, place.caches)
    return FoldJob(
        trial=candidate.trial,
        fold=NOTHING,
        study=candidate.study.model_dump(mode="json"),
        samples=str(place.work / "samples.parquet"),
        split=str(freeze(whole(today.split), place.home / "folds")),
        cache=str(cache.folder),
        folder=str(place.work / REFITS / str(candidate.trial)),
    )


def _pictures(today: Prepared) -> list[NDArray[Any]]:
    """Return some pictures that were trained on, at their stored depth and size."""
    rows = np.flatnonzero(today.split.of(today.samples) != HELD_OUT)
    stored = Stored(today.samples, today.root, today.study.data)
    places = np.unique(np.linspace(0, len(rows) - 1, LOOKED_AT).astype(int))
    return [stored.image(int(row)) for row in rows[places]]


def _median_seconds(model: Segmenter, pictures: Sequence[NDArray[Any]]) -> float:
    def taken(picture: NDArray[Any]) -> float:
        began = time.perf_counter()
        model.probability(picture)
        return time.perf_counter() - began

    taken(pictures[0])  # the first one is slow
    return statistics.median(taken(picture) for picture in pictures)
