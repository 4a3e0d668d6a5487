"""A trial's own short page, for its run in MLflow: score, folds, settings, curves, and where its leakage report is."""

from collections.abc import Collection, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from harness.report.details import by_fold
from harness.report.foldfiles import FoldFiles, TrialFiles, read_trial
from harness.report.markup import document, folded, listed, pairs, paragraph, section, table
from harness.report.words import interval, score
from harness.search.trial import TrialResult
from harness.tracking.recorder import flatten
from harness.train.checkpoint import write_synced
from harness.train.maps import FOLDER as MAPS

PAGE = "page.html"  # in a trial's folder
SETTING = ("setting", "value")
MOST_POINTS = 3000  # of all curves together
WIDTH, HEIGHT = 300, 100  # px of a curve's drawing


def write_trial_page(work: Path, facts: Mapping[str, Any], result: TrialResult) -> list[tuple[Path, str]]:
    """Write the page of a complete trial of a study with these facts; return what its run shows.

    That is the page, and its probability maps where they were made, each with the folder it is shown in.
    """
    if result.state != "complete":
        return []
    folder = work / str(result.plan.number)
    write_synced(folder / PAGE, _page(work, facts, result).encode())
    maps = [(folder / MAPS, MAPS)] if (folder / MAPS).is_dir() else []
    return [(folder / PAGE, ""), *maps]


def write_lost_pages(
    work: Path, facts: Mapping[str, Any], results: Mapping[int, TrialResult], but: Collection[int] = ()
) -> list[int]:
    """Write the pages of complete trials that are gone, those in `but` left out; return their numbers."""
    gone = [
        number
        for number, result in results.items()
        if result.state == "complete" and number not in but and not (work / str(number) / PAGE).is_file()
    ]
    for number in gone:
        write_trial_page(work, facts, results[number])
    return gone


def _page(work: Path, facts: Mapping[str, Any], result: TrialResult) -> str:
    number, metrics = result.plan.number, result.metrics()
    files = read_trial(work, number, [fold.fold for fold in result.folds])
    title = f"{facts['name']}, trial {number}"
    loss = result.plan.study.loss.name
    return document(
        title,
        f"<header><h1>{escape(title)}: {escape(loss)}</h1><p><strong>IoU {score(metrics)}</strong> (mean ± std over "
        f"{len(result.folds)} folds; 95 % interval over groups {interval(metrics)})</p>"
        f"{pairs(_known(facts, result))}</header>",
        listed(files.lost, "warnings"),
        section("Folds", by_fold(metrics, files)),
        section("While it learned", _curve(files, "loss", "training loss"), _curve(files, "iou", "IoU")),
        section(
            "Parameters",
            table(("parameter", "value"), _params(result), words=("parameter", "value")),
            folded("All settings", table(SETTING, _settings(result), words=SETTING)),
        ),
        section(
            "Scores",
            table(("name", "value"), _scores(metrics), words=("name",)),
            paragraph("Each is defined in docs/metrics.md.", "soft"),
        ),
    )


def _known(facts: Mapping[str, Any], result: TrialResult) -> dict[str, str]:
    devices = ", ".join(sorted({fold.device for fold in result.folds}))
    return {
        "Study": f"{facts['key']}, seed {facts['seed']}, split {facts['split']}",
        "Computed on": f"{devices}, {sum(fold.seconds for fold in result.folds):,.0f} s",
        "Leakage report": f"{facts['leakage']}, SHA-256 {facts['leakage_sha256']}; leakage/leakage_report.html on the "
        "study's run",
    }


def _params(result: TrialResult) -> list[list[str]]:
    params = dict(result.plan.params) or {"loss": result.plan.study.loss.name}
    return [
        [name, f"{value:g}" if isinstance(value, float) else str(value)] for name, value in params.items()
    ]


def _settings(result: TrialResult) -> list[list[str]]:
    return [[name, str(value)] for name, value in flatten(result.plan.study.decisive()).items()]


def _scores(metrics: Mapping[str, float]) -> list[list[str]]:
    return [[name, f"{value:.4f}"] for name, value in metrics.items() if not name.startswith("iou_fold_")]


def _curve(files: TrialFiles, name: str, title: str) -> str:
    """Return a line for each fold, drawn small, with its ends in words."""
    lines = [(one.fold, _points(one, name, len(files.folds))) for one in files.folds]
    lines = [(fold, points) for fold, points in lines if points]
    if not lines:
        return paragraph(f"No {title} by epoch is kept.", "soft")
    values = [value for _, points in lines for _, value in points]
    low, high, last = min(values), max(values), max(points[-1][0] for _, points in lines)
    drawn = "".join(
        f'<polyline class="curve" points="{_path(points, low, high, last)}"/>' for _, points in lines
    )
    ends = ", ".join(f"{points[-1][1]:.3f}" for _, points in lines)
    label = escape(f"{title} by epoch, a line for each fold: {low:.3f} to {high:.3f}; at the end {ends}")
    return (
        f'<figure><svg role="img" aria-label="{label}" viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" '
        f'width="100%" height="120" style="max-width:40rem"><rect class="edge" width="{WIDTH}" height="{HEIGHT}"/>'
        f"{drawn}</svg><figcaption>{label}. Epochs 1 to {last}.</figcaption></figure>"
    )


def _points(one: FoldFiles, name: str, folds: int) -> list[tuple[int, float]]:
    """Return epochs and values, no more than there is room for, the last one among them."""
    told = [(int(epoch["number"]), float(epoch[name])) for epoch in one.epochs if epoch.get(name) is not None]
    step = -(-len(told) * 2 * folds // MOST_POINTS) or 1
    return told[::-step][::-1]


def _path(points: Sequence[tuple[int, float]], low: float, high: float, last: int) -> str:
    wide, tall = max(1, last - 1), (high - low) or 1.0
    return " ".join(
        f"{WIDTH * (epoch - 1) / wide:.0f},{HEIGHT - HEIGHT * (value - low) / tall:.1f}"
        for epoch, value in points
    )
