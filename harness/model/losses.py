"""The losses a study may choose: their terms, the balance of these, and the output bias they start from."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from harness.choices import choose
from harness.config import Choice
from harness.errors import ConfigError
from harness.model import loss_terms

LIKELY_COVERAGE = 0.01  # of small objects
WEIGHT_TOLERANCE = 0.1  # a given class weight may differ from the computed one by this share


@dataclass(frozen=True)
class Term:
    """One summand; `function` makes a float32 scalar of logits (B, 1, H, W) and target (B, H, W)."""

    name: str
    weight: float
    function: Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Loss:
    """A weighted sum of terms.

    `balanced`: the terms are to be scaled to one initial gradient norm before training, by `balance`.
    `output_bias`: logit at which the bias of the network's output starts; None leaves it as built.
    """

    terms: tuple[Term, ...]
    balanced: bool
    output_bias: float | None

    def __call__(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the float32 scalar for logits (B, 1, H, W) and target (B, H, W) of 0, 1, 255 = ignored."""
        return torch.stack([term.weight * term.function(logits, target) for term in self.terms]).sum()


def gradient_norms(loss: Loss, logits: Tensor, target: Tensor) -> dict[str, float]:
    """Return by term the sum of |d(weight * term) / d(logit)| over the pixels.

    The 1-norm, since it does not change with the number of pixels; the 2-norm falls with its square root.
    """
    return {term.name: _gradient_norm(term, logits, target) for term in loss.terms}


def balance(loss: Loss, logits: Tensor, target: Tensor) -> Loss:
    """Return `loss` with weights that make each term's gradient norm on this batch its declared share of 1.

    So equally weighted terms pull equally at the start, and losses of all families start at one scale. A term
    without a usable norm (zero, not finite) keeps its weight. `balanced` is False in the result: nothing is
    left to be scaled. A loss that is not to be balanced comes back unchanged; so does any loss on a batch
    without target or without background, which says nothing: `balanced` is still True, try the next.
    """
    if not loss.balanced or not _holds_both(target):
        return loss
    norms = gradient_norms(loss, logits, target)
    usable = {term.name: term.weight for term in loss.terms if 0.0 < norms[term.name] < math.inf}
    if not usable:
        return loss
    shares = {name: weight / sum(usable.values()) for name, weight in usable.items()}
    terms = tuple(
        replace(term, weight=term.weight * shares[term.name] / norms[term.name])
        if term.name in shares
        else term
        for term in loss.terms
    )
    return replace(loss, terms=terms, balanced=False)


def build_loss(choice: Choice, coverage: float) -> Loss:
    """Return the loss a study names, for training samples of this coverage. Raises ConfigError."""
    return choose(LOSSES, "loss", choice.name, choice.settings)(coverage)


def check_loss(choice: Choice) -> None:
    """Build the loss before the data are read: everything is checked but a class weight against the coverage."""
    settings = {name: value for name, value in choice.settings.items() if name != "positive_weight"}
    choose(LOSSES, "loss", choice.name, choice.settings)
    choose(LOSSES, "loss", choice.name, settings)(LIKELY_COVERAGE)


def dice(coverage: float) -> Loss:
    """1 - soft Dice of the batch."""
    return _build("dice", coverage, _dice_term(1.0, coverage))


def dice_bce(coverage: float) -> Loss:
    """Dice and cross-entropy in equal parts, nnU-Net's pair."""
    return _build("dice_bce", coverage, _dice_term(0.5, coverage), Term("bce", 0.5, loss_terms.cross_entropy))


def dice_focal(coverage: float, *, gamma: float = 2.0) -> Loss:
    """Dice and focal loss in equal parts; the focal term weights both classes alike."""
    return _build(
        "dice_focal",
        coverage,
        _dice_term(0.5, coverage),
        _focal_term(0.5, "dice_focal", gamma=gamma, positive_share=0.5),
    )


def dice_focal_reference(coverage: float) -> Loss:
    """0.5 Dice + 0.5 focal (alpha .25, gamma 2) with smp 0.6.0's values: no balance, no output bias."""
    focal_term = _focal_term(0.5, "dice_focal_reference", gamma=2.0, positive_share=0.25)
    loss = _build("dice_focal_reference", coverage, Term("dice", 0.5, loss_terms.reference_dice), focal_term)
    return replace(loss, balanced=False, output_bias=None)


def tversky(coverage: float, *, fn_weight: float = 0.7, fp_weight: float | None = None) -> Loss:
    """1 - Tversky index; `fn_weight` (beta) prices a miss, `fp_weight` (alpha; 1 - beta) a false alarm."""
    term = _tversky_term("tversky", coverage, fn_weight=fn_weight, fp_weight=fp_weight)
    return _build("tversky", coverage, term)


def focal_tversky(
    coverage: float, *, fn_weight: float = 0.7, fp_weight: float | None = None, gamma: float = 0.75
) -> Loss:
    """(1 - Tversky index) ** gamma; below 1, gamma stresses nearly solved batches, above 1 the others."""
    _above_zero("focal_tversky", "gamma", gamma)
    term = _tversky_term("focal_tversky", coverage, fn_weight=fn_weight, fp_weight=fp_weight, gamma=gamma)
    return _build("focal_tversky", coverage, term)


def focal(coverage: float, *, gamma: float = 2.0, positive_share: float = 0.5) -> Loss:
    """Focal loss; a target pixel weighs `positive_share` (alpha), a background pixel 1 - `positive_share`."""
    if not 0.0 < positive_share < 1.0:
        raise ConfigError(
            f"loss.focal.positive_share: {positive_share:g} is outside (0, 1); .5 weights both classes alike"
        )
    return _build("focal", coverage, _focal_term(1.0, "focal", gamma=gamma, positive_share=positive_share))


def lovasz_bce(coverage: float) -> Loss:
    """Lovasz hinge and cross-entropy in equal parts."""
    return _build(
        "lovasz_bce",
        coverage,
        Term("lovasz", 0.5, partial(loss_terms.lovasz_hinge, coverage=coverage)),
        Term("bce", 0.5, loss_terms.cross_entropy),
    )


def weighted_bce(coverage: float, *, positive_weight: float | None = None) -> Loss:
    """Cross-entropy with a target pixel weighing (1 - coverage) / coverage; another weight is refused.

    With that weight both classes weigh the same and the best constant output is p = .5: the bias starts at 0.
    """
    right = (1.0 - _share("weighted_bce", coverage)) / coverage
    weight = right if positive_weight is None else positive_weight
    if not abs(weight - right) <= WEIGHT_TOLERANCE * right:
        raise ConfigError(
            f"loss.weighted_bce.positive_weight: {weight:g} is not (1 - coverage) / coverage = {right:.4g} "
            f"of the training folds (coverage {coverage:.4g}); write {right:.4g} or leave it out"
        )
    term = Term("weighted_bce", 1.0, partial(loss_terms.cross_entropy, positive_weight=weight))
    return replace(_build("weighted_bce", coverage, term), output_bias=0.0)


def _build(name: str, coverage: float, *terms: Term) -> Loss:
    share = _share(name, coverage)
    return Loss(terms=terms, balanced=True, output_bias=math.log(share / (1.0 - share)))


def _dice_term(weight: float, coverage: float) -> Term:
    return Term("dice", weight, partial(loss_terms.tversky, fp_weight=0.5, fn_weight=0.5, coverage=coverage))


def _tversky_term(
    name: str, coverage: float, *, fn_weight: float, fp_weight: float | None, gamma: float = 1.0
) -> Term:
    _above_zero(name, "fn_weight", fn_weight)
    if fp_weight is None and fn_weight >= 1.0:
        raise ConfigError(
            f"loss.{name}.fn_weight: {fn_weight:g} leaves nothing for fp_weight = 1 - fn_weight; "
            "lower it or give fp_weight too"
        )
    fp_weight = 1.0 - fn_weight if fp_weight is None else fp_weight
    _above_zero(name, "fp_weight", fp_weight)
    function = partial(
        loss_terms.tversky, fp_weight=fp_weight, fn_weight=fn_weight, coverage=coverage, gamma=gamma
    )
    return Term(name, 1.0, function)


def _focal_term(weight: float, name: str, *, gamma: float, positive_share: float) -> Term:
    _above_zero(name, "gamma", gamma)
    return Term("focal", weight, partial(loss_terms.focal, gamma=gamma, positive_share=positive_share))


def _gradient_norm(term: Term, logits: Tensor, target: Tensor) -> float:
    with torch.enable_grad():
        leaf = logits.detach().float().requires_grad_()
        (gradient,) = torch.autograd.grad(term.weight * term.function(leaf, target), leaf)
    return float(gradient.abs().sum())


def _holds_both(target: Tensor) -> bool:
    return bool(target.eq(0).any() and target.eq(1).any())


def _share(name: str, coverage: float) -> float:
    if not 0.0 < coverage < 1.0:
        raise ConfigError(
            f"loss.{name}.coverage: {coverage:g} of the training pixels are target; a loss needs target and "
            "background, so look at the masks and at data.masks"
        )
    return coverage


def _above_zero(name: str, setting: str, value: float) -> None:
    if not 0.0 < value < math.inf:
        raise ConfigError(f"loss.{name}.{setting}: {value:g}; it must be a finite number above 0")


LOSSES: dict[str, Callable[..., Loss]] = {
    "dice": dice,
    "dice_bce": dice_bce,
    "dice_focal": dice_focal,
    "dice_focal_reference": dice_focal_reference,
    "tversky": tversky,
    "focal_tversky": focal_tversky,
    "focal": focal,
    "lovasz_bce": lovasz_bce,
    "weighted_bce": weighted_bce,
}
