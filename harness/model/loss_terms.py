"""What losses are made of: functions of logits and target that end in one float32 number."""

import torch
from torch import Tensor
from torch.nn import functional

IGNORED = 255
TINY = 1e-7  # added to denominators; it shows only where nothing is valid
CHORD = 1e-6  # errors below this are raised to a power along a straight line


def tversky(
    logits: Tensor, target: Tensor, *, fp_weight: float, fn_weight: float, coverage: float, gamma: float = 1.0
) -> Tensor:
    """Return (1 - Tversky index) ** gamma of the batch; 0 is perfect, 1 misses everything.

    error = fp FP + fn FN;  1 - index = error / (TP + error + imagined), with soft counts TP, FP, FN.
    Both weights .5: Dice, summed over the batch as nnU-Net's `batch_dice`. Below an error of 1e-6 a straight
    line to 0 replaces the power: its slope is finite for gamma < 1.
    Source: Salehi et al. 2017 (arXiv 1706.05721; alpha = fp, beta = fn), Abraham & Khan 2019 (arXiv
    1810.07842; the exponent is their 1 / gamma).
    """
    margin, positive, valid = pixels(logits, target)
    error = torch.sigmoid(-margin)
    positives = positive.sum()
    missed = (error * positive).sum()
    false_alarms = (error * (valid - positive)).sum()
    weighted = fp_weight * false_alarms + fn_weight * missed
    found = positives - missed + _imagined(positives, valid, coverage)
    return _power(weighted / (found + weighted + TINY), gamma)


def reference_dice(logits: Tensor, target: Tensor) -> Tensor:
    """Return smp 0.6.0's binary DiceLoss(ignore_index=255): 1 - Dice, 0 for a batch without target pixels."""
    dice = tversky(logits, target, fp_weight=0.5, fn_weight=0.5, coverage=0.0)
    return dice * target.eq(1).any()


def cross_entropy(logits: Tensor, target: Tensor, *, positive_weight: float = 1.0) -> Tensor:
    """Return the mean over valid pixels of w softplus(-m), with w = `positive_weight` on target, else 1."""
    margin, positive, valid = pixels(logits, target)
    weight = 1.0 + (positive_weight - 1.0) * positive
    return _mean(functional.softplus(-margin) * weight, valid)


def focal(logits: Tensor, target: Tensor, *, gamma: float, positive_share: float) -> Tensor:
    """Return the mean over valid pixels of a sigmoid(-m) ** gamma softplus(-m).

    a is `positive_share` on target and 1 - `positive_share` on background. The power is taken as
    exp(gamma log sigmoid(-m)): no gamma > 0 and no logit makes its gradient infinite.
    Source: Lin et al. 2017 (arXiv 1708.02002; alpha = positive_share).
    """
    margin, positive, valid = pixels(logits, target)
    weight = (1.0 - positive_share) + (2.0 * positive_share - 1.0) * positive
    hardness = torch.exp(gamma * functional.logsigmoid(-margin))
    return _mean(hardness * functional.softplus(-margin) * weight, valid)


def lovasz_hinge(logits: Tensor, target: Tensor, *, coverage: float) -> Tensor:
    """Return the Lovasz hinge of the batch: the convex surrogate of 1 - IoU on logits.

    sum_i max(0, 1 - m_i) (J_i - J_(i-1)), pixels from the largest hinge down, J_i = 1 - IoU once the first i
    are wrong. The steps of J are constants for the gradient: the extension is linear while the order holds.
    Ignored pixels have hinge 0, so they stand behind every pixel that counts.
    Source: Berman et al. 2018 (arXiv 1705.08790), Algorithm 1.
    """
    margin, positive, valid = pixels(logits, target)
    hinge = (functional.relu(1.0 - margin) * valid).flatten()
    with torch.no_grad():
        positives = positive.sum()
        order = torch.argsort(hinge, descending=True, stable=True)
        steps = _jaccard_steps(positive.flatten()[order], positives, _imagined(positives, valid, coverage))
        weights = torch.empty_like(steps).scatter_(0, order, steps)
    return (hinge * weights).sum()


def pixels(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return margin, positive (1 or 0) and valid (1 or 0), each (B, H, W) float32.

    logits (B, 1, H, W) of any float type; target (B, H, W) of integers 0, 1, 255 = ignored. The margin m is
    the logit on target and -logit elsewhere: sigmoid(-m) is a pixel's error, softplus(-m) its cross-entropy,
    1 - m its hinge.
    """
    if logits.dim() != 4 or logits.shape[1] != 1 or logits.shape[:1] + logits.shape[2:] != target.shape:
        raise ValueError(
            f"loss: logits {tuple(logits.shape)} and target {tuple(target.shape)}; "
            "pass logits (B, 1, H, W) and target (B, H, W)"
        )
    positive = target.eq(1).float()
    margin = logits.squeeze(1).float() * (2.0 * positive - 1.0)
    return margin, positive, target.ne(IGNORED).float()


def _imagined(positives: Tensor, valid: Tensor, coverage: float) -> Tensor:
    """Return how many target pixels the batch falls short of `coverage`; overlaps count them as found.

    So an empty batch is scored as one of ordinary coverage whose target is found: false alarms are all that
    is left to learn, at the gradient that they have there. A batch of ordinary coverage or more is untouched.
    """
    return functional.relu(coverage * valid.sum() - positives)


def _mean(values: Tensor, valid: Tensor) -> Tensor:
    return (values * valid).sum() / valid.sum().clamp_min(1.0)


def _power(error: Tensor, gamma: float) -> Tensor:
    if gamma == 1.0:
        return error
    return torch.where(error > CHORD, error.clamp_min(CHORD) ** gamma, error * CHORD ** (gamma - 1.0))


def _jaccard_steps(positive: Tensor, positives: Tensor, imagined: Tensor) -> Tensor:
    """Return J_i - J_(i-1) of the ordered pixels, (N,), in closed form: a difference of J loses digits."""
    wrong_positives = positive.cumsum(0, dtype=torch.int32)
    wrong_negatives = (1.0 - positive).cumsum(0, dtype=torch.int32)
    known = positives + imagined
    union = (known + wrong_negatives).clamp_min(TINY)
    union_before = (known + (wrong_negatives - 1)).clamp_min(TINY)
    intersection = known - wrong_positives
    return torch.where(positive > 0, 1.0 / union, intersection / (union * union_before))
