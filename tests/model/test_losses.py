"""Every loss of the table on every hard batch, the balance of terms, and refused settings."""

import math

import pytest
import torch
from torch import Tensor

from harness.choices import choose
from harness.errors import ConfigError
from harness.model import loss_terms
from harness.model.losses import LOSSES, Loss, Term, balance, gradient_norms

COVERAGE = 0.04
# Every loss with its default settings, and the corners of the search space.
CASES = [(name, {}) for name in LOSSES] + [
    ("dice_focal", {"gamma": 0.5}),
    ("dice_focal", {"gamma": 4.0}),
    ("focal", {"gamma": 0.25, "positive_share": 0.9}),
    ("tversky", {"fn_weight": 0.9, "fp_weight": 0.1}),
    ("focal_tversky", {"fn_weight": 0.5, "gamma": 0.6}),
    ("focal_tversky", {"fn_weight": 0.9, "gamma": 1.5}),
]
every_loss = pytest.mark.parametrize(
    ("name", "settings"),
    CASES,
    ids=[f"{name}-{'-'.join(map(str, s.values())) or 'default'}" for name, s in CASES],
)


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


def toward(target: Tensor, logit: float = 4.0) -> Tensor:
    """Logits (B, 1, H, W) that say `target` with confidence `logit`."""
    return (logit * (2.0 * target.eq(1).float() - 1.0)).unsqueeze(1)


def half_ignored(target: Tensor) -> Tensor:
    return torch.cat([target, torch.full_like(target, 255)], dim=2)


def gradient(loss: Loss, logits: Tensor, target: Tensor) -> Tensor:
    leaf = logits.detach().clone().requires_grad_()
    loss(leaf, target).backward()
    assert leaf.grad is not None
    return leaf.grad


def hard_batches() -> dict[str, tuple[Tensor, Tensor]]:
    ordinary = ordinary_target()
    empty, full = torch.zeros_like(ordinary), torch.ones_like(ordinary)
    padded, ignored = half_ignored(ordinary), torch.full_like(ordinary, 255)
    batches = {
        "ordinary": (noise(ordinary), ordinary),
        "empty": (noise(empty), empty),
        "full": (noise(full), full),
        "ignored": (noise(ignored), ignored),
        "half padded": (noise(padded), padded),
        "one pixel": (torch.tensor([[[[0.3]]]]), torch.ones(1, 1, 1, dtype=torch.long)),
        "unsigned": (noise(ordinary), ordinary.to(torch.uint8)),
    }
    for size in (30.0, 100.0):
        batches[f"right at {size:g}"] = toward(ordinary, size), ordinary
        batches[f"wrong at {size:g}"] = toward(ordinary, -size), ordinary
        batches[f"empty, right at {size:g}"] = toward(empty, size), empty
        batches[f"empty, wrong at {size:g}"] = toward(empty, -size), empty
        batches[f"full, wrong at {size:g}"] = toward(full, -size), full
    return batches


HARD = hard_batches()


@every_loss
@pytest.mark.parametrize("batch", list(HARD))
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
def test_value_and_gradient_are_finite(name, settings, batch, dtype):
    logits, target = HARD[batch]
    leaf = logits.to(dtype, copy=True).requires_grad_()
    value = build(name, settings)(leaf, target)
    value.backward()
    assert value.dtype == torch.float32
    assert value.shape == ()
    assert value.isfinite()
    assert value >= 0
    assert leaf.grad.isfinite().all()


@every_loss
def test_losses_fall_as_predictions_get_better(name, settings):
    loss, target = build(name, settings), ordinary_target()
    half_found, false_alarm = target.clone(), target.clone()
    half_found[:, :8] = 0
    false_alarm[:, 26:30, 2:28] = 1
    perfect = loss(toward(target), target)
    assert perfect < loss(toward(half_found), target) < loss(toward(torch.zeros_like(target)), target)
    assert perfect < loss(toward(false_alarm), target) < loss(toward(1 - target), target)
    assert loss(toward(target, 8.0), target) < perfect < loss(toward(target, 1.0), target)


@every_loss
def test_descent_finds_the_truth(name, settings):
    target = half_ignored(ordinary_target())
    start = build(name, settings)
    logits = ((start.output_bias or 0.0) + noise(target, 0.1)).requires_grad_()
    loss = balance(start, logits, target)
    optimizer = torch.optim.Adam([logits], lr=0.3)
    for _ in range(60):
        optimizer.zero_grad()
        loss(logits, target).backward()
        optimizer.step()
    found, truth = (logits[:, 0] > 0) & (target != 255), target == 1
    assert (found & truth).sum() / (found | truth).sum() > 0.9


@every_loss
def test_ignored_pixels_have_no_gradient_and_no_say(name, settings):
    loss, target = build(name, settings), ordinary_target()
    target[:, ::3] = 255
    target[0, :, 20:] = 255
    ignored = (target == 255).unsqueeze(1)
    logits = noise(target)
    elsewise = torch.where(ignored, 50.0 * noise(target).flip(0), logits)
    assert loss(logits, target) == loss(elsewise, target)
    assert gradient(loss, elsewise, target)[ignored].eq(0).all()
    assert gradient(loss, logits, target)[~ignored].ne(0).any()


@every_loss
def test_padding_changes_nothing_for_the_valid_half(name, settings):
    loss, target = build(name, settings), ordinary_target()
    padded = half_ignored(target)
    logits = noise(padded)
    inside = logits[..., :32].contiguous()
    assert loss(logits, padded).item() == pytest.approx(loss(inside, target).item(), abs=1e-6)
    torch.testing.assert_close(gradient(loss, logits, padded)[..., :32], gradient(loss, inside, target))


@every_loss
def test_a_batch_without_valid_pixels_gives_zero_and_stays_in_the_graph(name, settings):
    target = torch.full((2, 8, 8), 255)
    logits = noise(target).requires_grad_()
    value = build(name, settings)(logits, target)
    value.backward()
    assert value == 0
    assert logits.grad.eq(0).all()


@every_loss
@pytest.mark.parametrize(
    "start", [math.log(COVERAGE / (1 - COVERAGE)), 0.0], ids=["at coverage", "at one half"]
)
def test_an_empty_batch_pushes_false_alarms_down_as_hard_as_an_ordinary_one(name, settings, start):
    loss, ordinary = build(name, settings), ordinary_target()
    logits = start + noise(ordinary)
    on_empty = gradient(loss, logits, torch.zeros_like(ordinary))
    assert (on_empty >= 0).all()
    background = (ordinary == 0).unsqueeze(1)
    on_ordinary = gradient(loss, logits, ordinary)[background].sum()
    least = 0.05 if name == "dice_focal_reference" else 0.5  # there, only the focal term learns
    assert on_empty[background].sum() > least * on_ordinary


@every_loss
def test_lower_precision_changes_only_the_logits_themselves(name, settings):
    loss, target = build(name, settings), ordinary_target()
    low = noise(target, 3.0).bfloat16()
    assert loss(low, target) == loss(low.float(), target) == loss(low.double(), target)
    assert loss(low.double(), target).dtype == torch.float32
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert loss(low, target) == loss(low.float(), target)
    torch.testing.assert_close(gradient(loss, low, target), gradient(loss, low.float(), target).bfloat16())


@every_loss
def test_the_output_bias_is_the_coverage_unless_the_loss_says_otherwise(name, settings):
    otherwise = {"dice_focal_reference": None, "weighted_bce": 0.0}
    assert build(name, settings, coverage=0.01).output_bias == otherwise.get(
        name, pytest.approx(math.log(0.01 / 0.99))
    )


@every_loss
def test_balance_brings_the_gradients_to_one_scale(name, settings):
    loss, target = build(name, settings), ordinary_target()
    logits = noise(target)
    balanced = balance(loss, logits, target)
    norms = gradient_norms(balanced, logits, target)
    if name == "dice_focal_reference":
        assert balanced is loss
        return
    assert not balanced.balanced
    assert list(norms.values()) == pytest.approx([1 / len(norms)] * len(norms), rel=1e-5)
    assert balance(balanced, 2 * logits, target) is balanced


@every_loss
@pytest.mark.parametrize("coverage", [0.0, 1.0, -0.1, math.nan])
def test_a_coverage_outside_0_to_1_is_refused(name, settings, coverage):
    with pytest.raises(ConfigError, match=rf"^loss\.{name}\.coverage: "):
        build(name, {}, coverage=coverage)


def test_balance_follows_declared_weights_and_spares_terms_without_a_gradient():
    def silent(logits: Tensor, target: Tensor) -> Tensor:
        return 0.0 * logits.float().sum()

    def broken(logits: Tensor, target: Tensor) -> Tensor:
        return math.nan * logits.float().sum()

    def endless(logits: Tensor, target: Tensor) -> Tensor:
        return math.inf * logits.float().sum()

    terms = (
        Term("dice", 3.0, loss_terms.reference_dice),
        Term("bce", 1.0, loss_terms.cross_entropy),
        Term("silent", 5.0, silent),
        Term("broken", 7.0, broken),
        Term("endless", 9.0, endless),
    )
    target = ordinary_target()
    balanced = balance(Loss(terms, balanced=True, output_bias=None), noise(target), target)
    norms = gradient_norms(balanced, noise(target), target)
    assert (norms["dice"], norms["bce"]) == (pytest.approx(0.75), pytest.approx(0.25))
    assert [term.weight for term in balanced.terms[2:]] == [5.0, 7.0, 9.0]


@pytest.mark.parametrize("value", [0, 1, 255])
def test_balance_waits_for_a_batch_with_both_classes(value):
    loss, target = build("dice_focal"), torch.full((1, 8, 8), value)
    assert balance(loss, noise(target), target) is loss
    assert loss.balanced


def test_gradient_norms_are_sums_over_pixels_of_the_weighted_terms():
    target = torch.tensor([[[1, 0, 0, 255]]])
    norms = gradient_norms(build("dice_bce"), torch.zeros(1, 1, 1, 4), target)
    # BCE: .5 * (3 * |p - y|) / 3 = .25.  Dice = 2 TP / (P + G) with TP .5, P 1.5, G 1, p (1 - p) = .25:
    # on target 2 (2.5 - .5) / 2.5**2 = .64, on background 2 * .5 / 2.5**2 = .16 twice; .5 * .25 * .96 = .12.
    assert norms == {"dice": pytest.approx(0.12), "bce": pytest.approx(0.25)}


@pytest.mark.parametrize("name", ["tversky", "focal_tversky"])
def test_a_high_fn_weight_punishes_a_miss_more_than_a_false_alarm(name):
    target = ordinary_target()
    missed, alarmed = target.clone(), target.clone()
    missed[1] = 0  # 24 px
    alarmed[0, 20:24, 10:16] = 1  # 24 px
    misses_cost, alarms_cost = build(name, {"fn_weight": 0.7}), build(name, {"fn_weight": 0.3})
    assert misses_cost(toward(missed, 9.0), target) > misses_cost(toward(alarmed, 9.0), target)
    assert alarms_cost(toward(missed, 9.0), target) < alarms_cost(toward(alarmed, 9.0), target)


@pytest.mark.parametrize(
    ("name", "settings", "where"),
    [
        ("dice_focal", {"gamma": 0.0}, "loss.dice_focal.gamma: 0;"),
        ("focal", {"gamma": -1.0}, "loss.focal.gamma: -1;"),
        ("focal", {"gamma": math.nan}, "loss.focal.gamma: nan;"),
        ("focal", {"positive_share": 1.0}, "loss.focal.positive_share: 1 is"),
        ("focal", {"positive_share": 0.0}, "loss.focal.positive_share: 0 is"),
        ("focal_tversky", {"gamma": 0}, "loss.focal_tversky.gamma: 0;"),
        ("focal_tversky", {"gamma": math.inf}, "loss.focal_tversky.gamma: inf;"),
        ("focal_tversky", {"fn_weight": 1.0}, "loss.focal_tversky.fn_weight: 1 leaves"),
        ("tversky", {"fn_weight": -0.7}, "loss.tversky.fn_weight: -0.7;"),
        ("tversky", {"fp_weight": -0.3}, "loss.tversky.fp_weight: -0.3;"),
        ("tversky", {"fn_weight": 1.0, "fp_weight": 0.0}, "loss.tversky.fp_weight: 0;"),
        ("weighted_bce", {"positive_weight": 2.5}, "loss.weighted_bce.positive_weight: 2.5 is not"),
        ("weighted_bce", {"positive_weight": -24.0}, "loss.weighted_bce.positive_weight: -24 is not"),
        ("weighted_bce", {"positive_weight": math.nan}, "loss.weighted_bce.positive_weight: nan is not"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(name, settings, where):
    with pytest.raises(ConfigError) as error:
        build(name, settings)
    assert str(error.value).startswith(where)


def test_a_wrong_class_weight_is_answered_with_the_right_one():
    with pytest.raises(
        ConfigError, match=r"positive_weight: 2\.5 is not .* = 99 .* write 99 or leave it out"
    ):
        build("weighted_bce", {"positive_weight": 2.5}, coverage=0.01)
    near = build("weighted_bce", {"positive_weight": 95.0}, coverage=0.01)
    assert near(torch.zeros(1, 1, 1, 1), torch.ones(1, 1, 1)).item() == pytest.approx(95 * math.log(2))
