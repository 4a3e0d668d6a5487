from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.nn import functional

from harness.data.audit.protocol import fitted_on_training_rows
from harness.data.cache import build_cache
from harness.data.sampler import Batches, build_order
from harness.data.split import new_split
from harness.errors import Collapsed, Interrupted, LeakageError, NotFinite
from harness.model.histogram import THRESHOLDS
from harness.model.losses import Loss, Term
from harness.model.metrics import count_pixels, iou
from harness.model.networks import output_layer, set_output_bias
from harness.model.predict import normalize
from harness.train.fold import train_fold
from harness.train.resume import capture
from harness.train.start import Epoch, FoldData, FoldTraining, coverage_of, prepare
from harness.train.validation import check_indices, out_of_fold, validate
from tests.conftest import SIDE, Tiny

CPU = torch.device("cpu")
NOTHING = 1e-12  # a learning rate that changes no prediction
ONE_STEP = 16  # a batch that holds a whole epoch


def ready(tiny: Tiny, fold: int = 0, **settings: Any) -> FoldTraining:
    return prepare(tiny.with_settings(**settings), tiny.data(), fold, device=CPU)


def unchanging(tiny: Tiny, *, bias: float, epochs: int, **settings: Any) -> FoldTraining:
    """Return a fold run whose predictions stay what the bias of its output says."""
    settings = {"train__lr": NOTHING, "train__batch_size": ONE_STEP} | settings
    training = ready(tiny, train__epochs=epochs, **settings)
    for module in training.network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.0  # its statistics stay, too
    set_output_bias(training.network, bias)
    return training


def even(training: FoldTraining) -> float:
    """Return an output bias with which the predictions hold both classes."""
    for bias in np.linspace(-8, 8, 33):
        set_output_bias(training.network, bias)
        counts = validate(training)
        if 0.1 < (counts.tp + counts.fp) / counts.valid < 0.9:
            return float(bias)
    raise AssertionError("no bias parts the pixels")


@pytest.fixture(scope="module")
def learned(tiny: Tiny) -> tuple[FoldTraining, list[Epoch]]:
    training = ready(
        tiny,
        train__epochs=12,
        train__lr=0.01,
        train__validate_every=4,
        train__average=0.5,
        augment__strength=0.0,
    )
    return training, list(train_fold(training))


def test_it_learns_what_a_constant_cannot(learned: tuple[FoldTraining, list[Epoch]]) -> None:
    training, epochs = learned
    everywhere = coverage_of(training.data.samples)  # IoU of all foreground, the best constant
    last = epochs[-1].iou
    assert last is not None
    assert last > 0.6 > 5 * everywhere
    assert epochs[-1].loss < 0.6 * epochs[0].loss


def test_only_validated_epochs_have_a_score_and_the_last_one_always_has(
    learned: tuple[FoldTraining, list[Epoch]], tiny: Tiny
) -> None:
    assert [e.number for e in learned[1]] == list(range(1, 13))
    assert [e.number for e in learned[1] if e.iou is not None] == [4, 8, 12]
    training = ready(tiny, train__epochs=2, train__validate_every=5)
    with closing(train_fold(training)) as running:
        assert [e.iou is None for e in islice(running, 2)] == [True, False]


def test_the_score_is_that_of_the_averaged_weights(learned: tuple[FoldTraining, list[Epoch]]) -> None:
    training, epochs = learned
    assert training.averaged is not None
    assert training.kept() is training.averaged.module
    assert iou(validate(training)) == epochs[-1].iou
    assert validate(replace(training, averaged=None)) != validate(training)


def test_the_rows_out_of_fold_add_up_to_the_score(learned: tuple[FoldTraining, list[Epoch]]) -> None:
    training, epochs = learned
    rows = out_of_fold(training).rows
    counts = rows[["tp", "fp", "fn", "valid"]].sum()
    assert counts["tp"] / (counts["tp"] + counts["fp"] + counts["fn"]) == epochs[-1].iou
    assert (counts["tp"] + counts["fp"]) / counts["valid"] == epochs[-1].predicted_share
    validated = training.data.split.validation(training.data.samples, 0)
    assert sorted(rows["photo"]) == sorted(training.data.samples["photo"].iloc[validated].unique())
    assert set(rows["fold"]) == {0}


def test_what_is_kept_gives_the_score_at_every_threshold(learned: tuple[FoldTraining, list[Epoch]]) -> None:
    training, epochs = learned
    pixels = out_of_fold(training).pixels
    tp, fp = (np.stack(pixels[name].tolist()).sum(axis=0) for name in ("tp", "fp"))
    scores = dict(zip(THRESHOLDS.tolist(), tp / (pixels["positive"].sum() + fp), strict=True))
    assert scores[0.0] == epochs[-1].iou
    bias = output_layer(training.kept()).bias
    for logit in (-1.5, 2.0):
        with torch.no_grad():
            bias -= logit
        shifted = iou(validate(training))
        with torch.no_grad():
            bias += logit
        assert scores[logit] == pytest.approx(shifted, abs=1e-3)  # the sums are rounded otherwise
        assert abs(scores[logit] - scores[0.0]) > 2e-3


def test_averaging_is_an_exponential_mean_of_parameters_and_batch_statistics(tiny: Tiny) -> None:
    training = ready(tiny, train__epochs=3, train__average=0.75, train__batch_size=ONE_STEP)
    expected: dict[str, torch.Tensor] = {}
    with closing(train_fold(training)) as running:
        for epoch in islice(running, 3):
            assert training.step == epoch.number
            for name, value in training.network.state_dict().items():
                before = expected.get(name, value)
                expected[name] = 0.75 * before + 0.25 * value.clone()
    averaged, last = training.kept().state_dict(), training.network.state_dict()
    names = [name for name, value in averaged.items() if value.is_floating_point()]
    assert any("running_mean" in name for name in names)
    for name in names:
        torch.testing.assert_close(averaged[name], expected[name], rtol=1e-4, atol=1e-6)
    assert not torch.equal(averaged[names[0]], last[names[0]])


def test_the_score_is_counted_at_the_files_own_size(tiny: Tiny, tmp_path: Path) -> None:
    data, study = tiny.data(), tiny.with_settings(data__size=32, train__batch_size=ONE_STEP)
    root = Path(study.data.dataset.settings["root"])
    small = replace(data, cache=build_cache(data.samples, root, study.data, tmp_path))
    training = prepare(study, small, 0, device=CPU)
    set_output_bias(training.network, 0.0)  # so that some pixels are predicted
    rows = out_of_fold(training).rows.set_index("photo")
    assert (rows["valid"] == SIDE * SIDE).all()
    for position in data.split.validation(data.samples, 0):
        assert small.cache.image(position).shape == (32, 32)
        gray = torch.from_numpy(small.cache.image(position).copy())
        with torch.no_grad():
            logits = training.network(normalize(gray.expand(1, 3, 32, 32)))
        full = functional.interpolate(logits, size=(SIDE, SIDE), mode="bilinear", align_corners=False)
        counts = count_pixels((full > 0)[0, 0].numpy(), data.cache.truth(position))
        found = rows.loc[data.samples["photo"].iloc[position], ["tp", "fp", "fn"]].tolist()
        assert np.abs(np.array(found) - [counts.tp, counts.fp, counts.fn]).max() <= 2  # ties at logit 0


def test_leaving_early_ends_the_training(tiny: Tiny) -> None:
    training = ready(tiny, train__epochs=5)
    with closing(train_fold(training)) as running:
        next(running)
    assert running.gi_frame is None
    assert training.step == len(training.batches)


def test_a_wish_to_stop_is_met_at_the_next_step(tiny: Tiny) -> None:
    training = ready(tiny, train__epochs=5)
    with pytest.raises(Interrupted, match="fold 0: stopped in epoch 2"):
        list(train_fold(training, lambda: training.step == 3))
    assert training.step == 3


def test_a_huge_learning_rate_is_not_finite_and_says_where(tiny: Tiny) -> None:
    training = ready(tiny, fold=1, train__epochs=3, train__lr=1e30, train__skip_steps=0)
    with pytest.raises(NotFinite, match=r"fold 1: .* at step [2-4] of 6, .*; lower train.lr \(now 1e\+30\)"):
        list(train_fold(training))


def with_bad_steps(training: FoldTraining, *bad: int) -> FoldTraining:
    """Return the fold run with a loss that is not a number in these steps, counted from 1."""
    dice, steps = training.loss.terms[0].function, iter(range(1, 1000))

    def sometimes(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return dice(logits, target) * (float("nan") if next(steps) in bad else 1.0)

    return replace(
        training, loss=Loss((Term("sometimes", 1.0, sometimes),), balanced=False, output_bias=None)
    )


def copied(training: FoldTraining) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in capture(training).tensors.items() if "random" not in name}


def test_a_step_that_is_not_finite_leaves_no_trace_but_its_count(tiny: Tiny) -> None:
    training = with_bad_steps(ready(tiny, train__epochs=2, train__batch_size=3, train__average=0.5), 2)
    states: list[dict[str, torch.Tensor]] = []
    with closing(train_fold(training, lambda: bool(states.append(copied(training))))) as running:
        epochs = [next(running)]
        steps = len(training.batches)
        assert training.step == steps > 2
        before, after, later = states[1:4]
        changed = {name for name in before if name != "seen" and not torch.equal(before[name], after[name])}
        assert changed == set()
        assert any(not torch.equal(after[name], later[name]) for name in after if "running_mean" in name)
        epochs.append(next(running))
    assert [e.skipped for e in epochs] == [1, 0]
    assert np.isfinite(epochs[0].loss)


@pytest.mark.parametrize("allowed", [0, 1, 2])
def test_a_bounded_number_of_steps_an_epoch_is_left_out_and_then_it_fails(tiny: Tiny, allowed: int) -> None:
    settings = {"train__epochs": 2, "train__batch_size": 3, "train__skip_steps": allowed}
    count = len(ready(tiny, **settings).batches)
    bad = [*range(1, allowed + 1), *range(count + 1, count + allowed + 1)]  # in each of two epochs
    with closing(train_fold(with_bad_steps(ready(tiny, **settings), *bad))) as running:
        assert [epoch.skipped for epoch in islice(running, 2)] == [allowed] * 2
    one_more = with_bad_steps(ready(tiny, **settings), *bad, count + allowed + 1)
    wanted = f"at step {count + allowed + 1} of {2 * count}, {allowed} steps of this epoch left out before"
    with pytest.raises(NotFinite, match=wanted):
        list(train_fold(one_more))


def test_an_epoch_without_a_single_step_has_no_loss_and_fails(tiny: Tiny) -> None:
    training = with_bad_steps(ready(tiny, train__batch_size=ONE_STEP), 1)
    with pytest.raises(NotFinite, match="not a number in all 1 steps of an epoch"):
        list(train_fold(training))


def test_weights_that_are_no_numbers_are_not_gone_on_with(tiny: Tiny) -> None:
    training = ready(tiny)
    with torch.no_grad():
        next(training.network.parameters()).view(-1)[0] = float("nan")
    with pytest.raises(NotFinite, match="at step 1 of 2, 0 steps of this epoch left out before"):
        list(train_fold(training))


def test_weights_ruined_by_the_last_step_are_not_finite_and_no_collapse(tiny: Tiny) -> None:
    training = ready(tiny, train__epochs=1, train__lr=1e30, train__batch_size=ONE_STEP)
    with pytest.raises(NotFinite, match=r"fold 0: logits of .* after step 1 are not numbers"):
        list(train_fold(training))


@pytest.mark.parametrize(("bias", "name"), [(-50.0, "background"), (50.0, "foreground")])
def test_one_class_everywhere_late_in_training_is_a_collapse(tiny: Tiny, bias: float, name: str) -> None:
    training = unchanging(tiny, bias=bias, epochs=5, train__collapse_after=0.6)
    seen = []
    with pytest.raises(Collapsed, match=f"fold 0: predicts all {name} in epoch 4 of 5"):
        seen.extend(train_fold(training))
    assert training.step == 4


def test_one_class_everywhere_in_the_last_epoch_is_a_collapse(tiny: Tiny) -> None:
    training = unchanging(tiny, bias=-50.0, epochs=1)
    with pytest.raises(Collapsed, match="all background in epoch 1 of 1"):
        list(train_fold(training))


def biases(training: FoldTraining, by_epoch: dict[int, float]) -> Iterator[Epoch]:
    """Train, and after some epochs set the output's bias."""
    for epoch in train_fold(training):
        yield epoch
        if epoch.number in by_epoch:
            set_output_bias(training.network, by_epoch[epoch.number])


def test_a_slow_learner_is_left_alone_until_collapse_after(tiny: Tiny) -> None:
    training = unchanging(tiny, bias=-50.0, epochs=5, train__collapse_after=0.6)
    both = even(training)
    set_output_bias(training.network, -50.0)
    epochs = list(biases(training, {2: both}))
    shares = [e.predicted_share for e in epochs]
    assert shares[:2] == [0.0, 0.0]
    assert all(0.05 < share < 0.95 for share in shares[2:] if share is not None)


def test_a_single_bad_epoch_before_the_last_is_no_collapse(tiny: Tiny) -> None:
    training = unchanging(tiny, bias=-50.0, epochs=4, train__collapse_after=0.0)
    epochs = list(biases(training, {1: -50.0, 2: even(training)}))
    assert [e.predicted_share == 0 for e in epochs] == [False, True, False, False]


def all_rows(training: FoldTraining, positions: np.ndarray) -> FoldTraining:
    """Return the fold run with a loader that delivers these rows, whatever the split says."""
    order = build_order(training.settings.sampler)
    batches = Batches(training.data.samples, positions, 4, order, (0, 0, 0))
    loader = replace(training.loader, batches=batches)
    return replace(training, batches=batches, loader=loader)


def test_a_loader_that_delivers_the_validation_fold_stops_the_run(tiny: Tiny) -> None:
    honest = ready(tiny, train__epochs=1)
    leaking = all_rows(honest, np.arange(len(honest.data.samples)))
    with pytest.raises(LeakageError, match=r"fold 0: training read row \d+ of .* in the validation fold"):
        list(train_fold(leaking))


def test_a_loader_that_delivers_a_held_out_group_stops_the_run(tiny: Tiny) -> None:
    data = tiny.data()
    groups = {**data.split.folds, "source-3": -1, "source-4": -1}
    split = new_split(data.split.manifest, data.split.settings, groups, notes=[], parent=None)
    honest = prepare(tiny.study, replace(data, split=split), 1, device=CPU)
    positions = split.train(data.samples, 1)
    held_out = split.held_out(data.samples)
    assert not set(positions) & set(held_out)
    with pytest.raises(LeakageError, match="held out"):
        list(train_fold(all_rows(honest, np.append(positions, held_out[0]))))


def test_the_digest_of_what_was_read_is_that_of_the_fold(tiny: Tiny) -> None:
    digests = []
    for fold in (0, 1):
        training = unchanging(tiny, bias=0.0, epochs=1)
        training = replace(training, fold=fold)
        training.seen = frozenset(map(int, training.data.split.train(training.data.samples, fold)))
        digests.append(check_indices(training))
    assert digests[0] != digests[1]


def test_positions_are_not_labels(tiny: Tiny) -> None:
    data = tiny.data()
    labeled = data.samples.set_axis(np.arange(len(data.samples))[::-1])
    photos = [
        out_of_fold(prepare(tiny.study, replace(data, samples=samples), 0, device=CPU)).rows
        for samples in (data.samples, labeled)
    ]
    pd.testing.assert_frame_equal(photos[0], photos[1])


def test_biases_and_norms_are_not_decayed(tiny: Tiny) -> None:
    training = ready(tiny, train__weight_decay=0.03)
    decayed, spared = training.optimizer.param_groups
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.03, 0.0)
    norms = [m for m in training.network.modules() if isinstance(m, nn.BatchNorm2d)]
    wanted = {id(p) for m in norms for p in m.parameters()}
    wanted |= {id(p) for name, p in training.network.named_parameters() if name.endswith("bias")}
    assert {id(p) for p in spared["params"]} == wanted
    every = {id(p) for p in training.network.parameters()}
    assert {id(p) for p in decayed["params"]} == every - wanted


def test_the_learning_rate_warms_up_and_ends_near_zero(tiny: Tiny) -> None:
    training = ready(
        tiny,
        train__epochs=10,
        train__warmup=0.3,
        train__lr=0.01,
        train__batch_size=ONE_STEP,
        train__validate_every=10,
    )
    with closing(train_fold(training)) as running:
        rates = [epoch.lr for epoch in islice(running, 10)]
    assert rates[:4] == pytest.approx([0.01 / 3, 0.02 / 3, 0.01, 0.01])
    assert rates[3:] == sorted(rates[3:], reverse=True)
    assert rates[3 + 7 // 2] == pytest.approx(0.005, abs=0.0012)  # half a cosine
    assert 0 < rates[-1] < 0.0006


def test_gradients_are_clipped_and_their_norm_is_told_before(tiny: Tiny) -> None:
    moved, norms = [], []
    for clip in (1e-4, 1e-8):  # so small that AdamW's epsilon (1e-8) damps what is clipped harder
        training = ready(tiny, train__clip=clip, train__batch_size=ONE_STEP, train__weight_decay=0.0)
        before = torch.cat([p.detach().flatten().clone() for p in training.network.parameters()])
        with closing(train_fold(training)) as running:
            norms.append(next(running).gradient_norm)
        after = torch.cat([p.detach().flatten() for p in training.network.parameters()])
        moved.append(float((after - before).norm()))
    assert norms[0] == norms[1] > 0.01
    assert moved[1] < 0.1 * moved[0]


@pytest.mark.parametrize("settings", [{"train__precision": "bf16"}, {"train__channels_last": True}])
def test_other_formats_of_numbers_and_memory_train_too(tiny: Tiny, settings: dict[str, Any]) -> None:
    losses = []
    for changed in ({}, settings):
        training = ready(tiny, train__batch_size=ONE_STEP, **changed)
        with closing(train_fold(training)) as running:
            losses.append(next(running).loss)
    assert losses[1] == pytest.approx(losses[0], rel=0.05)
    if "train__precision" in settings:
        assert losses[1] != losses[0]  # else nothing was computed in 8 bits of mantissa


def first_numbers(tiny: Tiny, *, seed: int = 17, repeat: int = 0, fold: int = 0) -> tuple[float, str]:
    """Return a digest of the initial weights and of the first batch."""
    training = prepare(tiny.with_settings(seed=seed), tiny.data(), fold, repeat=repeat, device=CPU)
    weights = sum(float(p.detach().abs().sum()) for p in training.network.parameters())
    training.batches.epoch = 1
    images, _, positions = next(training.loader.deliver())
    return weights, f"{positions.tolist()} {int(images.sum())}"


def test_seed_repeat_and_fold_decide_all_numbers_and_the_state_of_the_process_none(tiny: Tiny) -> None:
    first = first_numbers(tiny)
    torch.rand(3)
    np.random.random(3)
    assert first_numbers(tiny) == first
    for other in (
        first_numbers(tiny, seed=18),
        first_numbers(tiny, repeat=1),
        first_numbers(tiny, fold=1),
    ):
        assert other[0] != first[0]
        assert other[1] != first[1]


def test_the_output_starts_at_the_coverage_of_the_training_folds(tiny: Tiny) -> None:
    data: FoldData = tiny.data()
    training = ready(tiny)
    rows = data.samples.iloc[data.split.train(data.samples, 0)]
    assert training.coverage == rows["positive"].sum() / rows["valid"].sum()
    told = fitted_on_training_rows(data.samples, data.split).items[0]["coverage"]
    assert told == pytest.approx(training.coverage, abs=1e-6)
    assert training.loss.output_bias == pytest.approx(np.log(training.coverage / (1 - training.coverage)))


def test_batches_computed_in_parts_are_the_same_batches_and_nearly_the_same_steps(tiny: Tiny) -> None:
    epochs, gradients = [], []
    for parts in (1, 2):
        training = ready(tiny, train__epochs=3, train__batch_size=ONE_STEP, augment__strength=0.0)
        training.parts = parts
        for module in training.network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
                module.train = lambda mode=True, module=module: module  # type: ignore[method-assign, misc]
        # only what is a mean over pixels is the same in parts; Dice is not
        training.loss = replace(training.loss, terms=(training.loss.terms[1],), balanced=False)
        with closing(train_fold(training)) as running:
            epochs.append(next(running))
        gradients.append(
            torch.cat([p.grad.flatten() for p in training.network.parameters() if p.grad is not None])
        )
    assert [e.parts for e in epochs] == [1, 2]
    assert epochs[1].loss == pytest.approx(epochs[0].loss, rel=0.02)
    assert torch.nn.functional.cosine_similarity(*gradients, dim=0) > 0.99


def test_in_parts_it_learns_what_a_constant_cannot_too(tiny: Tiny) -> None:
    settings = {"train__epochs": 24, "train__lr": 0.01, "train__validate_every": 24}
    training = ready(tiny, **settings, train__batch_size=ONE_STEP, augment__strength=0.0)
    training.parts = 2
    epochs = list(train_fold(training))
    assert epochs[-1].iou is not None
    assert epochs[-1].iou > 5 * coverage_of(training.data.samples)
    assert {e.parts for e in epochs} == {2}
