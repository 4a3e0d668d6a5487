"""Values of the losses: hand-computed, and smp's where smp is right."""

import math

import pytest
import segmentation_models_pytorch as smp
import torch
from torch import Tensor
from torch.nn import functional

from harness.choices import choose
from harness.model import loss_terms
from harness.model.losses import LOSSES, Loss, Term, gradient_norms

COVERAGE = 0.04


def build(name: str, settings: dict[str, float] | None = None, coverage: float = COVERAGE) -> Loss:
    return choose(LOSSES, "loss", name, settings or {})(coverage)


def ordinary_target() -> Tensor:
    """Two pictures of 32 x 32: an object of 64 px and one of 24 px, 4.3 % of all."""
    target = torch.zeros(2, 32, 32, dtype=torch.long)
    target[0, 4:12, 4:12] = 1
    target[1, 20:24, 10:16] = 1
    return target


def noise(target: Tensor, scale: float = 1.0) -> Tensor:
    return scale * torch.randn(target.unsqueeze(1).shape, generator=torch.Generator().manual_seed(5))


def half_ignored(target: Tensor) -> Tensor:
    return torch.cat([target, torch.full_like(target, 255)], dim=2)


def gradient(loss: Loss, logits: Tensor, target: Tensor) -> Tensor:
    leaf = logits.detach().clone().requires_grad_()
    loss(leaf, target).backward()
    assert leaf.grad is not None
    return leaf.grad


LOG2, LOG3 = math.log(2), math.log(3)
HALF, QUARTER = [0.0, 0.0, 0.0, 0.0], [-LOG3, -LOG3, -LOG3, -LOG3]  # probabilities 1/2 and 1/4 everywhere
ONE_OF_THREE, NONE_OF_FOUR = [1, 0, 0, 255], [0, 0, 0, 0]
BY_HAND = [  # loss, settings, coverage, logits, target, value
    # TP .5, FP 1, FN .5; at coverage .25 the batch has what it needs (1 of 3)
    ("dice", {}, 0.25, HALF, ONE_OF_THREE, 0.75 / 1.25),
    ("tversky", {"fn_weight": 0.7}, 0.25, HALF, ONE_OF_THREE, 0.65 / 1.15),
    ("tversky", {"fn_weight": 0.3}, 0.25, HALF, ONE_OF_THREE, 0.85 / 1.35),
    ("tversky", {"fn_weight": 0.9, "fp_weight": 0.3}, 0.25, HALF, ONE_OF_THREE, 0.75 / 1.25),
    ("focal_tversky", {"fn_weight": 0.7, "gamma": 2.0}, 0.25, HALF, ONE_OF_THREE, (0.65 / 1.15) ** 2),
    ("focal_tversky", {"fn_weight": 0.7, "gamma": 0.6}, 0.25, HALF, ONE_OF_THREE, (0.65 / 1.15) ** 0.6),
    # coverage .5 wants 1.5 target pixels of 3: half a pixel is imagined and found
    ("dice", {}, 0.5, HALF, ONE_OF_THREE, 0.75 / (0.5 + 0.5 + 0.75)),
    # empty: coverage .25 wants 1 of 4; FP 2 at one half, 1 at one quarter
    ("dice", {}, 0.25, HALF, NONE_OF_FOUR, 1.0 / (1.0 + 1.0)),
    ("dice", {}, 0.25, QUARTER, NONE_OF_FOUR, 0.5 / (1.0 + 0.5)),
    ("tversky", {"fn_weight": 0.9}, 0.25, QUARTER, NONE_OF_FOUR, 0.1 / (1.0 + 0.1)),
    # the mean is over the three valid pixels
    ("dice_bce", {}, 0.25, HALF, ONE_OF_THREE, 0.5 * 0.6 + 0.5 * LOG2),
    ("focal", {"gamma": 2.0}, 0.25, HALF, ONE_OF_THREE, 0.5 * 0.25 * LOG2),
    (
        "focal",
        {"gamma": 1.0, "positive_share": 0.75},
        0.25,
        HALF,
        ONE_OF_THREE,
        (0.75 + 0.5) / 3 * 0.5 * LOG2,
    ),
    ("focal", {"gamma": 0.5}, 0.25, QUARTER, NONE_OF_FOUR, 0.5 * 0.5 * math.log(4 / 3)),
    ("dice_focal", {"gamma": 1.0}, 0.25, HALF, ONE_OF_THREE, 0.5 * 0.6 + 0.5 * 0.5 * 0.5 * LOG2),
    ("weighted_bce", {}, 0.25, HALF, ONE_OF_THREE, (3 + 1 + 1) / 3 * LOG2),
    ("weighted_bce", {}, 0.25, QUARTER, ONE_OF_THREE, (3 * math.log(4) + 2 * math.log(4 / 3)) / 3),
    # hinges 1, 1, 1 in any order end at 1 - IoU = 1
    ("lovasz_bce", {}, 0.25, HALF, ONE_OF_THREE, 0.5 * 1.0 + 0.5 * LOG2),
    # empty, one pixel imagined: J = i / (1 + i) after i wrong pixels
    ("lovasz_bce", {}, 0.25, HALF, NONE_OF_FOUR, 0.5 * 0.8 + 0.5 * LOG2),
]


@pytest.mark.parametrize(("name", "settings", "coverage", "logits", "target", "value"), BY_HAND)
def test_values_computed_by_hand(name, settings, coverage, logits, target, value):
    loss = build(name, settings, coverage)
    found = loss(torch.tensor(logits).reshape(1, 1, 1, 4), torch.tensor(target).reshape(1, 1, 4))
    assert found.item() == pytest.approx(value, abs=1e-6)


def test_the_lovasz_hinge_by_hand():
    # Hinges: target 1 - .5 = .5 and 1 + 1 = 2; background 1 + .2 = 1.2 and 1 - 3 < 0. Two target pixels.
    # In order 2 (target), 1.2 (background), .5 (target): J = 1/2, 2/3, 1.
    logits, target = torch.tensor([[[[0.5, -1.0, 0.2, -3.0]]]]), torch.tensor([[[1, 1, 0, 0]]])
    value = loss_terms.lovasz_hinge(logits, target, coverage=0.1)
    assert value.item() == pytest.approx(2 / 2 + 1.2 / 6 + 0.5 / 3, abs=1e-6)


def test_on_empty_batches_the_lovasz_hinge_moves_more_than_one_pixel():
    target = torch.zeros(1, 16, 16, dtype=torch.long)
    loss = Loss((Term("lovasz", 1.0, LOSSES["lovasz_bce"](COVERAGE).terms[0].function),), False, None)
    moved = gradient(loss, noise(target), target).ne(0).sum()
    assert moved == (noise(target) > -1).sum()


def batches_smp_gets_right() -> list[tuple[Tensor, Tensor]]:
    plain = ordinary_target()
    with_ignored = half_ignored(plain)
    with_ignored[0, 6:9] = 255
    return [(noise(t, scale), t) for t in (plain, with_ignored) for scale in (0.5, 3.0)]


REFERENCE_DICE = smp.losses.DiceLoss("binary", ignore_index=255)
REFERENCE_FOCAL = smp.losses.FocalLoss("binary", alpha=0.25, gamma=2.0, ignore_index=255)
SMP = [
    ("dice", {}, REFERENCE_DICE),
    ("dice_focal_reference", {}, lambda z, t: 0.5 * REFERENCE_DICE(z, t) + 0.5 * REFERENCE_FOCAL(z, t)),
    (
        "tversky",
        {"fn_weight": 0.8, "fp_weight": 0.3},
        smp.losses.TverskyLoss("binary", alpha=0.3, beta=0.8, ignore_index=255),
    ),
    (
        "focal_tversky",
        {"fn_weight": 0.8, "gamma": 0.6},
        smp.losses.TverskyLoss("binary", alpha=0.2, beta=0.8, gamma=0.6, ignore_index=255),
    ),
    (
        "focal",
        {"gamma": 1.5, "positive_share": 0.7},
        smp.losses.FocalLoss("binary", alpha=0.7, gamma=1.5, ignore_index=255),
    ),
]


@pytest.mark.parametrize(("name", "settings", "theirs"), SMP, ids=[case[0] for case in SMP])
def test_values_and_gradients_are_smps_where_smp_is_right(name, settings, theirs):
    loss = build(name, settings, coverage=0.01)
    for logits, target in batches_smp_gets_right():
        assert loss(logits, target).item() == pytest.approx(theirs(logits, target).item(), abs=1e-6)
        leaf = logits.clone().requires_grad_()
        theirs(leaf, target).backward()
        torch.testing.assert_close(gradient(loss, logits, target), leaf.grad, atol=1e-7, rtol=1e-4)


def test_the_lovasz_hinge_is_smps_where_the_batch_has_its_coverage():
    theirs = smp.losses.LovaszLoss("binary", ignore_index=255)
    for logits, target in batches_smp_gets_right():
        ours = loss_terms.lovasz_hinge(logits, target, coverage=0.01)
        assert ours.item() == pytest.approx(theirs(logits, target).item(), rel=1e-5)


def test_the_reference_keeps_smps_value_on_empty_batches_where_only_focal_learns():
    target = torch.zeros(2, 16, 16, dtype=torch.long)
    logits, loss = noise(target), build("dice_focal_reference")
    assert loss(logits, target).item() == pytest.approx(
        0.5 * REFERENCE_FOCAL(logits, target).item(), abs=1e-6
    )
    assert gradient_norms(loss, logits, target)["dice"] == 0
    assert gradient_norms(loss, logits, target)["focal"] > 0


def test_the_class_weight_is_torchs_pos_weight_over_valid_pixels():
    logits, target = batches_smp_gets_right()[3]
    valid = target != 255
    theirs = functional.binary_cross_entropy_with_logits(
        logits[:, 0][valid], target[valid].float(), pos_weight=torch.tensor(24.0)
    )
    assert build("weighted_bce")(logits, target).item() == pytest.approx(theirs.item(), rel=1e-6)


def test_with_the_class_weight_one_half_is_the_best_constant_output():
    target = torch.zeros(1, 10, 10, dtype=torch.long)
    target[0, 0, :4] = 1
    flat = gradient(build("weighted_bce"), torch.zeros(1, 1, 10, 10), target).sum()
    assert flat.item() == pytest.approx(0.0, abs=1e-6)


def test_the_focal_tversky_power_is_continuous_where_the_straight_line_takes_over():
    loss = build("focal_tversky", {"fn_weight": 0.5, "gamma": 0.6})
    target = torch.ones(1, 10, 10, dtype=torch.long)
    values = torch.stack(
        [loss(torch.full((1, 1, 10, 10), z), target) for z in torch.linspace(10, 18, 200).tolist()]
    )
    ratios = values[1:] / values[:-1]
    assert ((ratios > 0.95) & (ratios < 1)).all()


@pytest.mark.parametrize("name", list(LOSSES))
@pytest.mark.parametrize("shape", [(2, 32, 30), (1, 32, 32), (2, 1, 32, 32), (2, 30, 32)])
def test_shapes_that_do_not_fit_are_refused(name, shape):
    with pytest.raises(ValueError, match="logits"):
        build(name)(torch.zeros(2, 1, 32, 32), torch.zeros(shape, dtype=torch.long))
    with pytest.raises(ValueError, match="logits"):
        build(name)(torch.zeros(2, 2, 32, 32), torch.zeros(2, 32, 32, dtype=torch.long))
