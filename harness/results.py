"""What is done with a study's results: shown again, trials compared, a fold trained again, the best promoted."""

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from harness.errors import ConfigError, NotReproduced
from harness.prepare import audit_again
from harness.promotion.looks import note_looks
from harness.report.comparison import compare_trials
from harness.report.comparisonpage import write_comparison
from harness.report.files import PAGE, write_report
from harness.report.leaderboard import read_leaderboard
from harness.screen import console, show, warn_of_changes
from harness.search.ledger import find_ledger, read_facts
from harness.studyfile import CACHES, load
from harness.tracking.store import answering, open_store


def report(name: str, home: Path) -> dict[str, Any]:
    """Print the leaderboard of a study's last run and write it as a page."""
    study, file = load(name)
    ledger = find_ledger(home / "work", study.name)
    note_looks(home, ledger.parent, read_facts(ledger))
    board = read_leaderboard(ledger)
    warn_of_changes(console, study, file, board)
    page = write_report(board, ledger.parent) / PAGE
    show(console, board)
    console.print(f"written to {page}", highlight=False)
    return board.as_dict()


def compare(name: str, home: Path, trials: Sequence[int]) -> dict[str, Any]:
    """Tell trials of a study's last run apart, each pair on the same groups, in words and as a page."""
    study, file = load(name)
    ledger = find_ledger(home / "work", study.name)
    board = read_leaderboard(ledger)
    warn_of_changes(console, study, file, board)
    comparison = compare_trials(board, ledger, trials)
    for pair in comparison.pairs:
        console.print(f"- {pair['sentence']}", highlight=False, markup=False)
    console.print(comparison.reading, highlight=False, markup=False)
    page = write_comparison(comparison, ledger.parent)
    console.print(f"written to {page}", highlight=False)
    return comparison.as_dict()


def reproduce(
    name: str, home: Path, trial: int | None, run: str | None, model: bool, fold: int | None
) -> dict[str, Any]:
    """Train one fold again from what is logged of it, and say whether it is what was committed."""
    from harness.reproduce import fold_of_champion, fold_of_run, fold_of_trial, reproduce_fold

    study, file = load(name)
    tell = partial(console.print, highlight=False, markup=False, soft_wrap=True)
    if trial is not None:
        wanted = fold_of_trial(home, study.name, trial, fold or 0)
    elif model:
        wanted = fold_of_champion(answering(open_store(home)), home, study.name, fold or 0)
    else:
        if fold is not None:
            raise ConfigError("--fold: a run is of one fold already; leave it out")
        wanted = fold_of_run(answering(open_store(home)), home, study.name, str(run), tell)
    places = {"base": file.parent.resolve(), "home": home, "caches": CACHES}
    found = reproduce_fold(wanted, study.data.dataset, **places, tell=tell)
    document = asdict(found) | {"sentence": found.sentence}
    if not found.matches:
        error = NotReproduced(found.sentence)
        error.document = document
        raise error
    tell(found.sentence)
    return document


def rollback(name: str, home: Path, why: str) -> dict[str, Any]:
    """Let the alias `champion` mean the version that it meant before."""
    from harness.promotion.promote import roll_back

    study, _ = load(name)
    store = answering(open_store(home))
    tell = partial(console.print, highlight=False, markup=False, soft_wrap=True)
    before, now = roll_back(store, home, study.name, why, tell)
    tell(
        f"models:/{study.name}@champion is version {now} again (before: {f'version {before}' if before else 'none'})"
    )
    return {"model": study.name, "version": now, "before": before}


def history(name: str, home: Path) -> list[dict[str, Any]]:
    """Print every move of the alias `champion`: promotions, rollbacks, and what was moved by hand."""
    from harness.tracking.aliases import disagreement, moves

    study, _ = load(name)
    client = answering(open_store(home)).client()
    found = moves(client, study.name)
    for move in found:
        console.print(move.sentence, highlight=False, markup=False, soft_wrap=True)
    if said := disagreement(client, study.name):
        console.print(f"now {said}: it was moved in MLflow", highlight=False, markup=False, soft_wrap=True)
    elif not found:
        console.print(f"{study.name}: nothing was promoted yet", highlight=False)
    return [asdict(move) for move in found]


def promote(name: str, home: Path, force: str | None) -> dict[str, Any]:
    """Let the alias `champion` mean the best trial of a study's last run, if audit and held-out groups allow it."""
    from harness.promotion.promote import promote_best, show_looks
    from harness.promotion.proof import Place

    if force is not None and not force.strip():
        raise ConfigError("--force: without a reason; say why, it stays on the version")

    study, file = load(name)
    ledger = find_ledger(home / "work", study.name)
    board = read_leaderboard(ledger)
    warn_of_changes(console, study, file, board)
    store = answering(open_store(home))
    places = {"base": file.parent.resolve(), "home": home, "caches": CACHES}
    again = partial(audit_again, board.facts, study.data.dataset, **places)
    tell = partial(console.print, highlight=False, markup=False, soft_wrap=True)
    try:
        done = promote_best(Place(store, ledger.parent, CACHES, tell), board, again, study.promote, force)
    finally:  # a refusal is a result too
        show_looks(store, ledger, tell)
    console.print(
        f"{done.uri} is version {done.version}: trial {done.trial}, IoU {done.iou_mean:.4f} ± {done.iou_std:.4f}"
        f"{f' (before: version {done.previous})' if done.previous else ''}\n{done.claim}\n{done.threshold_sentence}\n"
        f"load it:  MLFLOW_TRACKING_URI={store.shown} python -c "
        f"'import mlflow; model = mlflow.pyfunc.load_model(\"{done.uri}\")'",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
    return asdict(done) | {"uri": done.uri, "tracking_uri": store.shown}
