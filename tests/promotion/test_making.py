"""What is made of a trial: weights, views and graphs, within the study's limits."""

import os
import shutil
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest

from benchmarks.promoted import MIDDLE, PLAIN, STRONG, WEAK, Ran
from harness.config import Promote
from harness.data.audit import HELD_OUT
from harness.data.split import read_split
from harness.errors import ConfigError, Interrupted, ModelRefused, PromotionRefused
from harness.promotion import making
from harness.promotion.contenders import made_as
from harness.promotion.proof import Place
from harness.tracking import graphs
from harness.tracking.aliases import aliases, champion, named_version
from harness.tracking.meant import find_model, open_version
from harness.tracking.registry import fetch_model, open_model
from harness.tracking.trusted import Parts
from harness.train import foldrun
from harness.train.checkpoint import verify
from harness.train.foldrun import FoldJob, ShouldStop, committed_result
from harness.train.refit import refit
from harness.train.resume import restore
from harness.train.snapshot import Snapshot


def parts(ran: Ran, folder: Path) -> Parts:
    found = champion(ran.client, "tiny")
    assert found is not None
    return fetch_model(ran.client, found, folder)


def rule(ran: Ran, trial: int, name: str, of: str = "gate") -> dict[str, Any]:
    return next(rule for rule in ran.gate(trial, of)["rules"] if rule["name"] == name)


def test_every_way_of_making_a_model_has_words_of_its_own() -> None:
    wanted = [
        Promote(),
        Promote(model="refit"),
        Promote(model="best_fold"),
        Promote(flips=True),
        Promote(scales=(1.0, 1.25)),
        Promote(flips=True, scales=(1.25,)),
    ]
    assert len({made_as(one, 5) for one in wanted}) == len(wanted)
    assert made_as(Promote(graphs=(), margin=0.1), 5) == made_as(Promote(), 5), "it predicts the same"


def test_the_best_fold_is_one_model_with_the_files_of_that_fold(ran: Ran, tmp_path: Path) -> None:
    done = ran.promote(STRONG, wanted=Promote(model="best_fold", graphs=()))
    folds = [committed_result(ran.work / str(STRONG) / str(fold)) for fold in (0, 1)]
    best = max(folds, key=lambda fold: fold.iou)
    (own,) = parts(ran, tmp_path).weights
    assert own.read_bytes() == best.weights.read_bytes()
    assert "this model (best fold) has IoU" in done.threshold_sentence


def test_a_refit_trains_on_every_group_but_the_held_out_ones_and_is_done_once(
    ran: Ran, tmp_path: Path
) -> None:
    wanted = Promote(model="refit", graphs=())
    done = ran.promote(STRONG, wanted=wanted)
    assert done.look == 1
    assert done.heldout_iou is not None
    assert done.heldout_iou > 0.5, "it learned"
    folder = ran.work / "refit" / str(STRONG)
    verify(folder)
    (own,) = parts(ran, tmp_path).weights
    assert own.read_bytes() == (folder / "weights.safetensors").read_bytes()
    frozen = [read_split(path) for path in (ran.home / "folds").glob("*.json")]
    split = next(one for one in frozen if any("for a refit" in note for note in one.notes))
    before = read_split(ran.home / "folds" / f"{ran.board.facts['split']}.json")
    assert {g for g, fold in split.folds.items() if fold == HELD_OUT} == {
        g for g, fold in before.folds.items() if fold == HELD_OUT
    }
    assert {fold for fold in split.folds.values() if fold != HELD_OUT} == {0}
    changed = (folder / "weights.safetensors").stat().st_mtime_ns
    assert ran.promote(STRONG, wanted=wanted).version == done.version
    assert (folder / "weights.safetensors").stat().st_mtime_ns == changed


def test_a_refit_that_is_stopped_goes_on_where_it_was(
    ran: Ran, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted, told = Promote(model="refit", graphs=()), list[str]()
    shutil.copytree(ran.home, tmp_path / "other")
    other = Ran(ran.folder, tmp_path / "other", ran.key)
    folder = ran.work / "refit" / str(STRONG)

    def stopped_at(step: int) -> Callable[[FoldJob, ShouldStop], Path]:
        asked = 0

        def stopped(job: FoldJob, should_stop: ShouldStop) -> Path:
            def ask() -> bool:
                nonlocal asked
                asked += 1
                if asked == step:
                    os.kill(os.getpid(), signal.SIGINT)
                return should_stop()

            return refit(job, ask)

        return stopped

    before = signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patch:
        patch.setattr(making, "refit", stopped_at(5))
        patch.setattr(Ran, "place", property(lambda ran: Place(ran.store, ran.work, ran.folder, told.append)))
        with pytest.raises(Interrupted, match="its refit is stopped, and is kept up to its last step"):
            ran.promote(STRONG, wanted=wanted)
    assert "stopping: training ends at its next step (once more: at once)" in told
    assert signal.getsignal(signal.SIGINT) is before
    assert (ran.champion(), ran.looks(), folder.exists()) == (None, [], False)
    restored = list[Snapshot]()
    with monkeypatch.context() as patch:
        patch.setattr(
            foldrun, "restore", lambda training, found: (restored.append(found), restore(training, found))
        )
        assert ran.promote(STRONG, wanted=wanted).version == "1"
    assert len(restored) == 1
    other.promote(STRONG, wanted=wanted)
    whole, stopped = (one.work / "refit" / str(STRONG) / "weights.safetensors" for one in (other, ran))
    assert stopped.read_bytes() == whole.read_bytes()


def test_the_same_trial_made_otherwise_must_be_better_than_it_was(ran: Ran) -> None:
    first = ran.promote(STRONG, wanted=Promote(model="best_fold", graphs=()))
    with pytest.raises(PromotionRefused, match="Held against the champion, version 1"):
        ran.promote(STRONG)
    assert aliases(ran.client, "tiny") == {"champion": first.version, "challenger": "2"}
    challenger = named_version(ran.client, "tiny", "challenger")
    assert challenger is not None
    assert challenger.tags["harness.model"] == "ensemble of 2 folds"
    assert all(rule["passed"] for rule in ran.gate(STRONG)["rules"]), (
        "those that the champion was promoted by"
    )
    assert "harness.promotion_refused" in ran.tags(STRONG)
    assert ran.promote(STRONG, wanted=Promote(model="best_fold", graphs=())).version == first.version
    assert "harness.promotion_refused" not in ran.tags(STRONG)


def test_further_views_are_measured_out_of_fold_and_held_to_a_gain(ran: Ran, tmp_path: Path) -> None:
    wanted = Promote(flips=True, scales=(1.0, 1.25), graphs=())
    ran.promote(MIDDLE, "they may not gain on this kind of processor", wanted=wanted)
    found = rule(ran, MIDDLE, "further views")
    gain, times = float(found["found"].split()[0]), float(found["found"].split(" at ")[1].split()[0])
    assert found["passed"] == (gain > 0)
    assert times > 2, "four mirrored views of two scales"
    settings = parts(ran, tmp_path).settings
    assert (settings["flips"], settings["scales"]) == (True, [1.0, 1.25])


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"megabytes": 0.1}, r"size of weights: .* MB \(asked for: at most 0.1 MB\)"),
        ({"seconds": 1e-6}, r"seconds a picture: .*, median here \(asked for: at most 1e-06 s\)"),
        ({"calibration_error": 1e-6}, r"calibration error: .*, of fold models \(asked for: at most 1e-06\)"),
    ],
)
def test_what_is_beyond_a_limit_of_the_study_is_refused_before_a_look(
    ran: Ran, limits: dict[str, float], said: str
) -> None:
    with pytest.raises(PromotionRefused, match=said):
        ran.promote(STRONG, wanted=Promote(graphs=(), **limits))
    assert ran.looks() == []
    assert not rule(ran, STRONG, said.split(":")[0], "refused")["passed"]
    wide = Promote(graphs=(), megabytes=1e3, seconds=1e3, calibration_error=1.0)
    assert ran.promote(STRONG, wanted=wide).look == 1


def test_a_champion_is_replaced_only_by_the_margin_of_the_study(ran: Ran) -> None:
    ran.promote(WEAK)
    with pytest.raises(
        PromotionRefused, match=r"asks for a gain of 0.9 or more \(promote.margin\), and the interval"
    ):
        ran.promote(STRONG, wanted=Promote(graphs=(), margin=0.9))
    assert (ran.champion(), len(ran.looks())) == (str(WEAK), 2)
    ran.promote(STRONG, wanted=Promote(graphs=(), margin=0.01))
    assert (ran.champion(), len(ran.looks())) == (str(STRONG), 2), "the same look, held to another margin"


def test_graphs_are_held_to_the_networks_and_travel_with_the_model(ran: Ran) -> None:
    ran.promote(STRONG)
    done = ran.promote(STRONG, wanted=Promote())  # the same model, with graphs
    assert (done.version, aliases(ran.client, "tiny")["champion"]) == ("2", "2")
    assert rule(ran, STRONG, "unseen data")["passed"], "what it was promoted by stays known"
    with tempfile.TemporaryDirectory() as folder:
        found = parts(ran, Path(folder))
        model = open_model(found.settings, found.weights)
        assert sorted(found.graphs) == ["onnx", "pt2"]
        picture = np.random.default_rng(0).integers(0, 255, (70, 133), np.uint8)
        for kind, path in found.graphs.items():
            other = graphs.with_graph(model, graphs.open_graph(kind, path, model.device))
            np.testing.assert_allclose(other.probability(picture), model.probability(picture), atol=1e-5)
            assert b"data.pkl" not in path.read_bytes()
    mlflow.set_tracking_uri(ran.store.uri)
    assert mlflow.pyfunc.load_model(done.uri).predict({"image": [picture]})["mask"][0].shape == (70, 133)
    assert ran.promote(STRONG, wanted=Promote()).version == "2"
    version = find_model(ran.store, done.uri)
    for backend in ("torch", "onnx"):
        found_by = open_version(ran.store, version, backend)
        np.testing.assert_allclose(found_by.probability(picture), model.probability(picture), atol=1e-5)
    before = find_model(ran.store, "models:/tiny/1")
    with pytest.raises(
        ConfigError, match="--backend onnx: version 1 of tiny has no onnx graph; promote it with"
    ):
        open_version(ran.store, before, "onnx")


def test_a_graph_that_computes_something_else_is_refused_before_a_look(
    ran: Ran, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(graphs.RUNNERS, "pt2", lambda path, device: lambda batch: batch[:, :2].float() / 100)
    with pytest.raises(
        ModelRefused, match=r"^graph pt2: .* of pixels differ.*promote.graphs in the study file"
    ):
        ran.promote(STRONG, wanted=Promote(graphs=("pt2",)))
    assert (ran.looks(), ran.champion()) == ([], None)


def test_making_it_plain_again_goes_back_to_the_same_version(ran: Ran) -> None:
    first = ran.promote(WEAK)
    assert ran.promote(WEAK, wanted=PLAIN).version == first.version
