"""Hold new pictures against those that a champion was trained on: the story of `monitor`."""

import math
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.data.kept import Kept
from harness.data.split import Split, read_split
from harness.errors import ConfigError, DataError
from harness.monitor.answers import SCORES, answers, out_of_fold
from harness.monitor.arrivals import Arrival, read_arrivals
from harness.monitor.copies import Searched, find_copies
from harness.monitor.drift import FEWEST_GROUPS, Difference, Sample, differences, noticed, too_few
from harness.monitor.facts import plain_facts
from harness.monitor.nearest import Nearest, nearest
from harness.monitor.reference import Reference, read_reference
from harness.monitor.words import STRANGEST, Monitoring
from harness.search.ledger import STUDY, read_facts
from harness.tracking.aliases import STUDY_TAG, TRIAL_TAG, Version
from harness.tracking.trusted import Parts
from harness.train.foldrun import FoldResult, committed_result, fold_folder


@dataclass(frozen=True)
class Known:
    """A champion, its study in this home, and its parts as they were fetched and verified."""

    version: Version
    work: Path
    facts: dict[str, Any]
    split: Split
    parts: Parts

    @property
    def trial(self) -> int:
        return int(self.version.tags[TRIAL_TAG])

    @property
    def white(self) -> int | None:
        white: int | None = self.parts.settings["white"]
        return white

    def folds(self) -> list[FoldResult]:
        """Return the fold runs of the first repeat, as they were committed."""
        count = self.split.count // len(self.split.assignments)
        return [committed_result(fold_folder(self.work, self.trial, fold)) for fold in range(count)]

    def weights(self, folds: Sequence[FoldResult]) -> list[Path]:
        """Return the weights of the fold models: the champion's own, or those it was made beside, of one model."""
        if len(self.parts.weights) >= len(folds) > 1:
            return self.parts.weights[: len(folds)]
        return [fold.weights for fold in folds]


def known_champion(version: Version, home: Path, parts: Parts) -> Known:
    """Return what this home knows of a champion. Raises ConfigError, DataError where that is nothing."""
    if not {STUDY_TAG, TRIAL_TAG} <= set(version.tags):
        raise ConfigError(
            f"{version.name}: version {version.version} is of no trial, so its training data are not known"
        )
    work = home / "work" / version.tags[STUDY_TAG]
    if not (work / "ledger" / STUDY).is_file():
        raise DataError(
            f"{work}: is gone, so what version {version.version} of {version.name} was trained on is not known here; "
            "name the home that it was trained in by --home"
        )
    facts = read_facts(work / "ledger")
    return Known(version, work, facts, read_split(home / "folds" / f"{facts['split']}.json"), parts)


def compare(
    known: Known, paths: Sequence[Path], caches: Path, root: Callable[[], Path]
) -> tuple[Monitoring, pd.DataFrame]:
    """Return what new pictures are beside the training data, and a table with a row each.

    `root` finds the training pictures, which are read only where what was measured of them is not kept. Raises
    DataError where no new picture can be read, or the training data are needed and gone.
    """
    with closing(Kept(caches)) as kept:
        split = known.work.parents[1] / "folds" / f"{known.split.id}.json"
        reference = read_reference(known.work, split, known.white, kept, root)
        arrivals, bad = read_arrivals(paths, known.white, kept)
        if not arrivals:
            raise DataError(
                f"none of {len(paths)} pictures can be read; the first: {next(iter(bad.values()))}"
            )
        searched = find_copies(reference, arrivals, kept)
    return _compared(known, reference, arrivals, searched, bad)


def _compared(
    known: Known,
    reference: Reference,
    arrivals: Sequence[Arrival],
    searched: Searched,
    bad: dict[str, str],
) -> tuple[Monitoring, pd.DataFrame]:
    used = np.array([row for row in range(len(arrivals)) if row not in searched.copies], np.intp)
    fresh = [arrivals[row] for row in used]
    unit = units_of(searched.unit[used], size_of_group(reference.group))
    measures = pd.DataFrame([one.measures for one in arrivals])
    folds = known.folds()
    fold = unit % len(folds)
    # pictures of the study are shown to no model: of those held out that would be a look, the others were learned
    scores = answers(fresh, fold, known.weights(folds), known.parts.settings).set_axis(used)
    undecided = too_few(reference.groups, len(np.unique(unit)))
    before = _told(folds, reference)
    near = nearest(reference.measures, reference.group, measures)
    shown = searched.unit[used]
    numbers = pd.concat([measures.iloc[used], scores], axis=1)
    found = [] if undecided else _differences(reference, before, numbers, unit, 1 / np.bincount(shown)[shown])
    table = _table(reference, arrivals, searched, near, measures.join(scores))
    strangest = table[table["copy_of"] == ""].sort_values("distance", ascending=False).head(STRANGEST)
    made = Monitoring(
        model=known.version.name,
        version=known.version.version,
        study=known.facts["key"],
        trial=known.trial,
        images=len(arrivals) + len(bad),
        used=len(used),
        units=len(np.unique(unit)),
        trained_on=len(reference.trained),
        groups=reference.groups,
        undecided=undecided,
        noticed=None if undecided else noticed(reference.groups, len(np.unique(unit)), len(found)),
        differences=found,
        facts=plain_facts(reference, fresh, searched, compared=before is not None),
        copies=_rows(table[table["copy_of"] != ""], ["image", "copy_of", "held_out", "how"]),
        strangest=_rows(strangest, ["image", "nearest", "distance", "strangeness", "strange_by"]),
        unreadable=bad,
    )
    return made, table


def size_of_group(group: NDArray[np.intp]) -> int:
    """Return how many pictures prove as much as one group does: Kish's mean size, in which large groups count more."""
    sizes = np.bincount(group).astype(float)
    return math.ceil(float((sizes**2).sum() / sizes.sum()) - 1e-9)


def units_of(shown: NDArray[np.intp], size: int) -> NDArray[np.intp]:
    """Return the unit of each new picture, in the order of their names: what shows one thing is one.

    Of new pictures nobody says which belong together. They are taken to be grouped as those trained on are, each `size`
    that follow each other by name being one: so as many of them prove no more than that many groups would.
    """
    return np.asarray(pd.factorize(shown)[0] // size, np.intp)


def _told(folds: Sequence[FoldResult], reference: Reference) -> pd.DataFrame | None:
    """Return what fold models said out of fold, where that is of enough groups to compare with."""
    before = out_of_fold(folds, reference.samples)
    return before if before is not None and before["group"].nunique() >= FEWEST_GROUPS else None


def _differences(
    reference: Reference,
    before: pd.DataFrame | None,
    new: pd.DataFrame,
    unit: NDArray[np.intp],
    weights: NDArray[np.float64],
) -> list[Difference]:
    """Return the differences of new pictures, of which shots of one thing count as one together."""
    old = {
        str(name): Sample(values.to_numpy(), reference.group) for name, values in reference.measures.items()
    }
    if before is not None:
        groups = np.asarray(pd.factorize(before["group"])[0], np.intp)
        old |= {name: Sample(before[name].to_numpy(float), groups) for name in SCORES}
    return differences(old, {name: Sample(new[name].to_numpy(float), unit, weights) for name in old})


def _table(
    reference: Reference,
    arrivals: Sequence[Arrival],
    searched: Searched,
    near: Nearest,
    numbers: pd.DataFrame,
) -> pd.DataFrame:
    """Return a row for each new picture; scores only of those that show nothing of the study."""
    copies = [searched.copies.get(row) for row in range(len(arrivals))]
    names, seen = reference.samples["sample"], reference.seen
    columns = {
        "image": [str(one.path) for one in arrivals],
        "copy_of": [names[one.original] if one else "" for one in copies],
        "held_out": [bool(one and not seen[one.original]) for one in copies],
        "how": [one.how if one else "" for one in copies],
        "verifiable": searched.verifiable,
        "nearest": reference.trained["sample"].to_numpy()[near.row],
        "distance": near.distance.round(4),
        "strangeness": near.strangeness.round(4),
        "strange_by": near.measure,
    }
    return pd.concat([pd.DataFrame(columns), numbers.reset_index(drop=True)], axis=1)


def _rows(table: pd.DataFrame, columns: list[str]) -> list[dict[str, Any]]:
    names = {"copy_of": "original", "strange_by": "measure"}
    return [
        {str(name): value for name, value in row.items()}
        for row in table[columns].rename(columns=names).to_dict("records")
    ]
