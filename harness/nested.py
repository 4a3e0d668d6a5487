"""Nested cross-validation: the whole search again without each fold in turn, and what it finds scored on that fold.

The searches know nothing of the groups that score them, so their mean says what such a search finds, without the luck
of the best of many (Varma & Simon 2006; Cawley & Talbot 2010). It is of the procedure, not of one model. Each search
has a seed of its own, so that no luck of a seed is in all folds.
"""

import contextlib
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from harness.data.audit import HELD_OUT
from harness.data.cache import build_cache
from harness.data.split import Split, new_split
from harness.errors import ConfigError, DataError, TrainingError
from harness.evaluate.groups import counts_of_rows, fold_scores, headline
from harness.evaluate.intervals import headline_interval
from harness.evaluate.version import scores_digest
from harness.model.metrics import count_pixels
from harness.model.predict import Photo
from harness.prepare import Prepared
from harness.promotion.pictures import fold_groups
from harness.promotion.readable import note_result
from harness.report.leaderboard import Leaderboard
from harness.search.ledger import second_looks, trials_there
from harness.search.nested import COUNTED, NESTED, SERVED, as_served, is_of_budget, read_nested
from harness.train.checkpoint import write_synced
from harness.train.foldrun import committed_result, fold_folder
from harness.train.maps import predicted
from harness.train.start import FoldData

FEWEST = 3  # folds: two are left for each inner search

Drive = Callable[[Prepared], Leaderboard]


def refuse_unnestable(prepared: Prepared) -> None:
    """Raise ConfigError where there are too few folds, or several repeats of them."""
    split = prepared.split
    if len(split.assignments) > 1 or split.count < FEWEST:
        raise ConfigError(
            f"protocol.nested: needs one repeat of {FEWEST} folds or more, and the split has {split.count} in "
            f"{len(split.assignments)}; change folds, or leave nested out"
        )


def outer(prepared: Prepared, fold: int) -> Prepared:
    """Return the study without a fold: its groups are held out as well, under a name of its own."""
    settings: Mapping[str, Any] = {
        "name": f"{prepared.study.name}.outer{fold}",
        "seed": _seed(prepared.study.seed, fold),
        "report.maps": 0,
        "report.gallery": 0,
        "protocol.nested": False,
    }
    return replace(
        prepared, study=prepared.study.with_settings(dict(settings)), split=_without(prepared.split, fold)
    )


def _seed(seed: int, fold: int) -> int:
    return int(np.random.SeedSequence([seed, fold]).generate_state(1)[0])


def _without(split: Split, fold: int) -> Split:
    def number(own: int) -> int:
        return HELD_OUT if own in (fold, HELD_OUT) else own - (own > fold)

    folds = {group: number(own) for group, own in split.folds.items()}
    settings = split.settings.model_copy(update={"scheme": "groups", "count": split.count - 1})
    note = f"fold {fold} of split {split.id} is held out, to score what is found without it"
    return new_split(split.manifest, settings, folds, notes=[*split.notes, note], parent=split.id)


def nest(prepared: Prepared, home: Path, caches: Path, drive: Drive) -> dict[str, Any]:
    """Search without each fold in turn, score the fold, and write the result into the study's ledger; return it.

    iou_mean, iou_std, low, high (95 % interval over groups), and for each fold its score, and the trial that was chosen
    without it, by its second look where the study asks for one. The fold models of that trial predict together, by mean
    probability, at .5, and at the threshold that this search would promote them with (`served_`). `counts`: of each
    group in its fold, both ways. Done again it goes on where it stopped; a result of this budget and code is returned
    as it is, and a damaged one made anew. Raises what a run raises.
    """
    ledger, prepared = home / "work" / prepared.key / "ledger", _with_all_there_is(prepared, home)
    search, known = prepared.study.search, _known(ledger)
    current = known is not None and is_of_budget(known, search.trials, search.second_look)
    if known is None or not current or known.get("code") != scores_digest():
        known = _searched(prepared, home, caches, drive)
    note_result(home, prepared.key, fold_groups(prepared.split, prepared.samples), known)
    ledger.mkdir(parents=True, exist_ok=True)
    write_synced(ledger / NESTED, json.dumps(known, indent=1).encode())
    return known


def _with_all_there_is(prepared: Prepared, home: Path) -> Prepared:
    """Return the study with as many trials and second looks as it, or an inner search, has: more than are asked for.

    They are there where fewer are asked for than before, and take part in the choice.
    """
    search, own = prepared.study.search, [prepared]
    own += [outer(prepared, fold) for fold in range(prepared.split.count)]
    ledgers = [home / "work" / one.key / "ledger" for one in own]
    settings = {
        "search.trials": max(search.trials, *map(trials_there, ledgers)),
        "search.second_look": max(search.second_look, *map(second_looks, ledgers)),
    }
    return replace(prepared, study=prepared.study.with_settings(dict(settings)))


def _known(ledger: Path) -> dict[str, Any] | None:
    with contextlib.suppress(DataError):
        return read_nested(ledger)
    return None


def _searched(prepared: Prepared, home: Path, caches: Path, drive: Drive) -> dict[str, Any]:
    """Search without each fold in turn, and return what that scores."""
    rows, chosen, search = [], [], prepared.study.search
    for fold in range(prepared.split.count):
        inner = outer(prepared, fold)
        try:
            board = drive(inner)
        except TrainingError as error:
            raise TrainingError(f"nested search without fold {fold}: {error}") from error
        if (best := board.chosen) is None:
            raise TrainingError(_none_sound(fold, board))
        rows.append(_scored(prepared, inner, home, caches, best).assign(fold=fold))
        chosen.append({"fold": fold, "study": inner.key, "trial": best["trial"], "loss": best["loss"]})
    return {
        "trials": search.trials,
        "second_look": search.second_look,
        "code": scores_digest(),
        **_summary(pd.concat(rows)),
        "chosen": chosen,
    }


def _none_sound(fold: int, board: Leaderboard) -> str:
    reasons = "; ".join(f"trial {row['trial']}: {row['second_reason']}" for row in board.looked)
    return (
        f"nested search without fold {fold}: no trial ended well in its second look ({reasons}); raise search.trials, "
        "or leave second looks out"
    )


def _summary(rows: pd.DataFrame) -> dict[str, Any]:
    counts = counts_of_rows(rows)
    scores, found = fold_scores(counts), headline_interval(counts)
    at_own = fold_scores(counts_of_rows(as_served(rows)))
    summed = rows.groupby(["fold", "group"], sort=True).sum().reset_index()
    return {
        "iou_mean": float(headline(counts)),
        "iou_std": float(scores.std(ddof=1)),
        "low": found.low,
        "high": found.high,
        "iou_folds": scores.tolist(),
        f"{SERVED}iou_mean": float(at_own.mean()),
        f"{SERVED}iou_std": float(at_own.std(ddof=1)),
        "counts": {str(name): column.tolist() for name, column in summed.items()},
    }


def _scored(
    prepared: Prepared, inner: Prepared, home: Path, caches: Path, best: Mapping[str, Any]
) -> pd.DataFrame:
    """Return the counts of the photographs that the study has in a fold and its inner search held out."""
    folders = [
        fold_folder(home / "work" / inner.key, best["trial"], fold) for fold in range(inner.split.count)
    ]
    weights = [committed_result(folder).weights for folder in folders]
    study, cut = inner.study.with_params(best["params"]), best.get("threshold") or 0.0
    cache = build_cache(prepared.samples, prepared.root, study.data, caches)
    data = FoldData(prepared.samples, prepared.split, cache)
    held_out = set(inner.split.held_out(prepared.samples)) - set(prepared.split.held_out(prepared.samples))
    rows = []
    for photo in predicted(study, data, weights, sorted(int(row) for row in held_out)):
        rows.append({"group": photo.group, **_counted(photo, 0, ""), **_counted(photo, cut, SERVED)})
    return pd.DataFrame(rows)


def _counted(photo: Photo, cut: float, prefix: str) -> dict[str, int]:
    counts = count_pixels(photo.logits > cut, photo.truth)
    return {f"{prefix}{name}": getattr(counts, name) for name in COUNTED}
