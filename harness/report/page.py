"""The report of a study as one HTML page: what was found, how far it may be believed, and all that it rests on."""

from html import escape
from pathlib import Path

from harness.errors import DataError
from harness.report.curves import OF_PREDICTIONS, learning
from harness.report.details import details
from harness.report.foldfiles import TrialFiles, read_trial
from harness.report.gallery import gallery
from harness.report.leaderboard import Leaderboard
from harness.report.leaks import Leakage, leaks, read_leakage
from harness.report.looks import looks
from harness.report.markup import document, listed, pairs, paragraph, part, section
from harness.report.plot import Plot, scripts
from harness.report.searched import contour, history, importance, losses_by_strength, shares, slices, space_of
from harness.report.sheet import reproduce, sheet
from harness.report.standing import standing
from harness.report.words import verdict, warnings
from harness.search.importance import FEWEST

MOST_WARNINGS = 20
TONES = {"pass": "pass", "warn": "warn", "fail": "fail"}


def as_page(board: Leaderboard, work: Path, report: Path) -> str:
    """Return the page of a study with this work folder; `report` is the folder that the page is written to.

    What is gone from the disk is said in its section.
    """
    files, leakage = _best_files(board, work), _leakage(work)
    return document(
        f"{board.facts['name']}: study report",
        _head(board),
        section("Leaderboard", standing(board)),
        section("The best trial in detail", _details(board, files, work)),
        section("What the search did", _search(board)),
        section("Curves of the best trial", _curves(files)),
        section("Pictures", gallery(report)),
        section("Leakage", leaks(board.facts, leakage)),
        section("Looks at unseen groups", looks(board)),
        section("Protocol as it was run", sheet(board, files, leakage)),
        section("To run it again", reproduce(board.facts)),
        scripts=scripts(),
    )


def _head(board: Leaderboard) -> str:
    facts = board.facts
    first, second = verdict(board)
    said = warnings(board)
    more = len(said) - MOST_WARNINGS
    shown = [*said[: MOST_WARNINGS - 1], said[-1]] if more > 0 else said  # the last one is always true
    rest = paragraph(f"{more:,} more warnings are in report.md.", "soft") if more > 0 else ""
    known = {
        "Study": f"{facts['key']}, profile {facts['profile']}, seed {facts['seed']}",
        "Data": f"{facts['samples']:,} samples in {facts['groups']:,} groups, {facts['positive_groups']:,} positive",
        "Leakage check": str(facts["leakage"]),
    }
    tone = TONES.get(str(facts["leakage"]), "unverifiable")
    return (
        f'<header class="{tone}"><h1>{escape(str(facts["name"]))}</h1><p><strong>{escape(first)}</strong> '
        f"{escape(second)}</p>{paragraph(facts['description']) if facts['description'] else ''}{pairs(known)}</header>"
        f"<section><h3>Before believing it</h3>{listed(shown, 'warnings')}{rest}"
        "</section><noscript><p>The plots need scripts; most have their numbers below.</p></noscript>"
    )


def _best_files(board: Leaderboard, work: Path) -> TrialFiles | None:
    if board.best is None:
        return None
    folds = sorted(
        int(name.rpartition("_")[2])
        for name, value in board.best.items()
        if name.startswith("iou_fold_") and value is not None
    )
    return read_trial(work, board.best["trial"], folds)


def _leakage(work: Path) -> Leakage | None:
    try:
        return read_leakage(work)
    except DataError:
        return None


def _details(board: Leaderboard, files: TrialFiles | None, work: Path) -> str:
    if board.best is None or files is None:
        return paragraph("No trial ran all its folds, so there is none to tell of.")
    title = f"Trial {board.best['trial']}, {board.best['loss']}: "
    params = ", ".join(f"{name} {_short(value)}" for name, value in board.best["params"].items())
    return paragraph(title + params) + details(board.best, files, work / "samples.parquet")


def _search(board: Leaderboard) -> str:
    if not board.complete:
        return paragraph("No trial ran all its folds, so there is nothing to draw.")
    space = space_of(board)
    found = shares(board, space)
    heat = losses_by_strength(board)
    parts = [_drawn([history(board), *([heat] if heat else [])])]
    if found:
        parts.append(_drawn([importance(found)]))
    elif len(board.complete) < FEWEST:
        parts.append(
            paragraph(
                f"Importance of parameters and a contour are left out: of {len(board.complete)} complete trials they "
                f"would be noise; {FEWEST} are the fewest."
            )
        )
    else:
        parts.append(
            paragraph("Importance is left out: this version of the code cannot read the study's settings.")
        )
    order = list(found)
    if (field := contour(board, space, order)) is not None:
        parts.append(_drawn([field]))
    parts.append(part("By parameter", _drawn(slices(board, space, order))))
    return "".join(parts)


def _curves(files: TrialFiles | None) -> str:
    if files is None:
        return paragraph("No trial ran all its folds, so there is nothing to draw.")
    plots = learning(files)
    said = "" if plots else paragraph("Its epochs are not on the disk, so there are no learning curves.")
    if files.kept:
        plots += [draw(files) for draw in OF_PREDICTIONS]
    else:
        said += paragraph(
            "Its tables of predictions are not on the disk, so there are no curves over thresholds."
        )
    if files.kept and files.lost:
        said += paragraph("Some folds are not whole on the disk (above): pooled curves are of the others.")
    return said + _drawn(plots)


def _drawn(plots: list[Plot]) -> str:
    return f'<div class="plots">{"".join(plot.to_html() for plot in plots)}</div>' if plots else ""


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
