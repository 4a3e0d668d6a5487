"""Twenty-four candidates with one defect each are refused for it, and the same candidate without one passes."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.promoted import ALIKE, MIDDLE, PLAIN, STRONG, WEAK, Ran, draw, in_own_home, run_study
from harness.config import Promote
from harness.data.audit import HELD_OUT
from harness.data.audit.finding import Finding
from harness.data.split import freeze, new_split, read_split
from harness.errors import HarnessError
from harness.promotion.promote import promote_best
from harness.report.leaderboard import Leaderboard
from harness.search.ledger import read_facts
from harness.tracking import graphs
from harness.tracking.home import home_id
from harness.tracking.runs import fullest_first, own_runs
from harness.train.checkpoint import drop

pytestmark = pytest.mark.slow

PICTURES = 40  # of which 16 groups are held out, each with an object

Attempt = Callable[[], Any]
Defect = Callable[[Ran, pytest.MonkeyPatch], Attempt]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    folder = tmp_path_factory.mktemp("candidates")
    draw(folder / "data", PICTURES)
    held = {"folds.held_out": 0.4, "folds.held_out_positive": 16}
    short = {"train.epochs": 7, "train.validate_every": 7}
    return run_study(folder, folder / "home", **held, **short)


@pytest.fixture
def copy(good: Ran, tmp_path: Path) -> Ran:
    """Return the study in a home, with data and with files in MLflow, of its own."""
    return in_own_home(good, tmp_path)


def attached(ran: Ran, name: str) -> Path:
    """Return a file of the leakage report as it lies in MLflow's store."""
    runs = own_runs(ran.store, ran.client, ran.key, home_id(ran.home, ran.store, print))
    assert runs is not None
    run = fullest_first(runs.with_key(ran.key))[0]
    return Path(run.info.artifact_uri.removeprefix("file://")) / "leakage" / name


def append(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b" ")


def by(promote: Callable[[Ran], Any]) -> Callable[[Ran, pytest.MonkeyPatch], Attempt]:
    """Return a defect that is in how it is promoted."""
    return lambda ran, patch: lambda: promote(ran)


def after(harm: Callable[[Ran], Any]) -> Callable[[Ran, pytest.MonkeyPatch], Attempt]:
    """Return a defect that something does to the study before."""

    def harmed(ran: Ran, patch: pytest.MonkeyPatch) -> Attempt:
        harm(ran)
        return lambda: ran.promote(STRONG)

    return harmed


def against(
    champion: int, candidate: int = ALIKE, **wanted: Any
) -> Callable[[Ran, pytest.MonkeyPatch], Attempt]:
    """Return a candidate that is held against a champion."""

    def promoted(ran: Ran, patch: pytest.MonkeyPatch) -> Attempt:
        ran.promote(champion)
        return lambda: ran.promote(candidate, wanted=Promote(graphs=(), **wanted))

    return promoted


def repainted(folder: str) -> Callable[[Ran], None]:
    import cv2

    def harm(ran: Ran) -> None:
        path = str(ran.folder / "data" / folder / "3.png")
        pixels = cv2.imread(path, cv2.IMREAD_UNCHANGED)
        cv2.imwrite(path, pixels[::-1].copy())

    return harm


def leaking(ran: Ran) -> Any:
    today = ran.audited()
    leak = Finding("D1", "No copies", "fail", "fail", 1, 0.1, "two folds hold copies of one picture.")
    report = replace(today.report, findings=(*today.report.findings, leak))
    return promote_best(ran.place, only(ran), lambda: replace(today, report=report), PLAIN)


def only(ran: Ran, **changes: Any) -> Leaderboard:
    board = ran.board
    row = next(row for row in board.trials if row["trial"] == STRONG)
    return Leaderboard(board.facts, [{**row, **changes}], board.baselines)


def unfinished(ran: Ran) -> Any:
    return promote_best(ran.place, only(ran, iou_mean=None, state="collapsed"), ran.audited, PLAIN)


def without_second_look(ran: Ran) -> Any:
    board = only(ran)
    search = {**board.facts["settings"]["search"], "second_look": 2}
    facts = {**board.facts, "settings": {**board.facts["settings"], "search": search}}
    return promote_best(ran.place, replace(board, facts=facts), ran.audited, PLAIN)


def other_report(ran: Ran) -> None:
    ran.client.set_tag(ran.run_of(STRONG), "harness.leakage_sha256", "0" * 64)


def champion_that_knows(ran: Ran, patch: pytest.MonkeyPatch) -> Attempt:
    first = ran.promote(WEAK)
    own = read_split(ran.home / "folds" / f"{read_facts(ran.work / 'ledger')['split']}.json")
    held = next(group for group, fold in own.folds.items() if fold == HELD_OUT)
    other = new_split(own.manifest, own.settings, {**own.folds, held: 0}, notes=["other"], parent=own.id)
    freeze(other, ran.home / "folds")
    ran.client.set_model_version_tag("tiny", first.version, "harness.split", other.id)
    return lambda: ran.promote(STRONG)


def spent(ran: Ran, patch: pytest.MonkeyPatch) -> Attempt:
    ran.promote(STRONG)
    best_fold = Promote(graphs=(), model="best_fold")
    for trial, wanted in ((WEAK, PLAIN), (MIDDLE, PLAIN), (WEAK, best_fold)):
        with pytest.raises(HarnessError):
            ran.promote(trial, wanted=wanted)
    return lambda: ran.promote(MIDDLE, wanted=best_fold)


def wrong_graph(ran: Ran, patch: pytest.MonkeyPatch) -> Attempt:
    patch.setitem(graphs.RUNNERS, "pt2", lambda path, device: lambda batch: batch[:, :2].float() / 100)
    return lambda: ran.promote(STRONG, wanted=Promote(graphs=("pt2",)))


def limited(**limits: float) -> Callable[[Ran, pytest.MonkeyPatch], Attempt]:
    return by(lambda ran: ran.promote(STRONG, wanted=Promote(graphs=(), **limits)))


def fold(ran: Ran) -> Path:
    return ran.work / str(STRONG) / "1"


DEFECTS: dict[str, tuple[Defect, str]] = {
    "its leakage report was altered": (
        after(lambda ran: append(attached(ran, "leakage_report.json"))),
        "one was changed; run the study again",
    ),
    "the page of the report was altered": (
        after(lambda ran: append(attached(ran, "leakage_report.html"))),
        "leakage_report.html on its run is not what was attached",
    ),
    "it refers to another report": (after(other_report), "trial 1 refers to 0000000000000000"),
    "a picture was altered": (after(repainted("images")), "the data are not those"),
    "a mask was altered": (after(repainted("masks")), "the data are not those"),
    "a picture is gone": (
        after(lambda ran: (ran.folder / "data/images/3.png").unlink()),
        "its data cannot be audited again",
    ),
    "its data leak, as is known today": (by(leaking), "audited again, its data leak"),
    "its split was altered": (
        after(lambda ran: (ran.home / "folds" / f"{ran.board.facts['split']}.json").write_text("{}")),
        "is no frozen split|was altered",
    ),
    "a fold collapsed": (by(unfinished), "no trial ran all its folds"),
    "its run is not in MLflow": (
        after(lambda ran: ran.client.delete_run(ran.run_of(STRONG))),
        "no run of trial 1",
    ),
    "weights of a fold were altered": (
        after(lambda ran: append(fold(ran) / "weights.safetensors")),
        "weights.safetensors: holds .*, was committed as",
    ),
    "weights of a fold were dropped": (
        after(lambda ran: drop(fold(ran), "weights.safetensors")),
        "weights.safetensors: was dropped to make room",
    ),
    "what was kept of its predictions was altered": (
        after(lambda ran: append(fold(ran) / "out_of_fold.parquet")),
        "out_of_fold.parquet: holds .*, was committed as",
    ),
    "it is below the baseline": (
        by(lambda ran: ran.promote(STRONG, iou_mean=0.0)),
        "mean IoU: 0.0000 .asked for: above",
    ),
    "it had no second look": (by(without_second_look), "second look: none yet"),
    "its probabilities are off": (limited(calibration_error=1e-6), "calibration error: .*at most 1e-06"),
    "it is slow": (limited(seconds=1e-6), "seconds a picture: .*at most 1e-06 s"),
    "it is large": (limited(megabytes=0.1), "size of weights: .*at most 0.1 MB"),
    "a graph computes something else": (wrong_graph, "graph pt2: .* of pixels differ"),
    "it finds nothing": (
        by(lambda ran: ran.promote(STRONG, threshold=20.0)),
        "That it is better than no learning is not shown",
    ),
    "it is not better than the champion": (
        against(STRONG, MIDDLE),
        "Not shown to be better on held-out groups",
    ),
    "it is better by less than the margin": (against(WEAK, margin=0.9), "asks for a gain of 0.9 or more"),
    "the champion knows a held-out group": (champion_that_knows, "was trained on 1 of 16 held-out groups"),
    "the held-out groups are spent": (spent, "they are spent after 4|can prove nothing at look"),
}


def test_the_candidate_without_a_defect_passes(copy: Ran) -> None:
    first = copy.promote(WEAK)
    done = copy.promote(STRONG)
    assert (done.look, copy.champion()) == (2, str(STRONG))
    assert done.heldout_iou is not None
    assert first.heldout_iou is not None
    print(f"gain {done.heldout_iou - first.heldout_iou:+.4f} on {len(copy.looks()[0]['groups'])} groups")
    assert done.heldout_iou - first.heldout_iou > 0.15


@pytest.mark.parametrize("defect", list(DEFECTS))
def test_a_candidate_with_one_defect_is_refused_for_it(
    copy: Ran, defect: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    harm, said = DEFECTS[defect]
    attempt = harm(copy, monkeypatch)
    holder = copy.champion()
    with pytest.raises(HarnessError, match=said) as caught:
        attempt()
    print(f"{defect}: {caught.value}")
    assert caught.value.exit_code in (3, 4)
    assert copy.champion() == holder
