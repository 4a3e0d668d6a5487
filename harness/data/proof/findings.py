"""What the leakage report says of augmentation: two findings, and the grid of what training will see."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.data.audit.finding import Finding, more, passed
from harness.data.augment import Augmentation
from harness.data.proof.pictures import below, beside, panel, to_png
from harness.data.proof.planted import plant
from harness.data.proof.prove import STRENGTHS, Proof, Recipe, Violation
from harness.data.proof.rules import RULES, STREAMS

GRID_SEEDS = (0, 1, 2)

Pixels = NDArray[np.uint8]


def findings(proofs: Sequence[Proof]) -> tuple[Finding, ...]:
    """Return A1 (masks stay true) and A2 (streams differ, validation repeats) of all recipes of a study.

    Both fail where a recipe broke a rule, are `not run` without any recipe, and count no samples: what is proven are
    planted pictures. Items of A1 are violations, or else each rule's worst figure and its limit for each recipe.
    """
    violations = [violation for proof in proofs for violation in proof.violations]
    seeds = [v for v in violations if v.rule in STREAMS]
    masks = [v for v in violations if v.rule not in STREAMS]
    said = _names(proofs)
    return (
        _finding(
            ("A1", "Augmentation keeps masks true"),
            proofs,
            masks,
            f"No rule of {len(RULES) - len(STREAMS)} is broken on planted pictures by {said}.",
            _figures(proofs),
        ),
        _finding(
            ("A2", "Epochs differ, validation repeats"),
            proofs,
            seeds,
            f"Epochs and samples draw numbers of their own, a seed gives the same bytes, and validation reads the "
            f"same picture twice, with {said}.",
            (),
        ),
    )


def grid(
    recipe: Recipe,
    *,
    pair: tuple[Pixels, Pixels] | None = None,
    seeds: Sequence[int] = GRID_SEEDS,
    strengths: Sequence[float] = STRENGTHS,
    title: str = "",
) -> bytes:
    """Return a PNG: before augmentation, and one column a strength with one row a seed.

    `pair` is an image (H, W[, 3]) and its mask (H, W); the planted scene in color without it. Labels are outlined,
    255 is hatched.
    """
    planted = plant(True)
    image, mask = pair or (planted.image, planted.mask)
    augmentations = [(strength, Augmentation(recipe, strength)) for strength in strengths]
    rows = []
    for seed in seeds:
        panels = [panel(image, mask, "before")]
        for strength, augmentation in augmentations:
            shown = augmentation(image.copy(), mask.copy(), seed)
            panels.append(panel(*shown, f"strength {strength:g}, seed {seed}"))
        rows.append(beside(panels))
    return to_png(below(rows, title))


def _finding(
    of: tuple[str, str],
    proofs: Sequence[Proof],
    violations: Sequence[Violation],
    success: str,
    figures: tuple[dict[str, Any], ...],
) -> Finding:
    id, title = of
    if not proofs:
        return Finding(id, title, "fail", "not run", 0, 0.0, "No recipe was proven.")
    if not violations:
        good = passed(id, title, "fail", success)
        return Finding(good.id, good.title, good.severity, good.status, 0, 0.0, good.summary, figures)
    summary = (
        f"{violations[0].line}; mend the recipe or choose another{more(len(violations) - 1, 'violation')}."
    )
    return Finding(id, title, "fail", "fail", 0, 0.0, summary, tuple(_item(v) for v in violations))


def _item(violation: Violation) -> dict[str, Any]:
    kind = "color" if violation.color else "gray"
    return {
        "recipe": violation.recipe,
        "transform": violation.transform,
        "rule": violation.rule,
        "figure": violation.figure,
        "limit": violation.limit,
        "strength": violation.strength,
        "pictures": kind,
        "says": RULES[violation.rule].says + (f"; {violation.note}" if violation.note else ""),
    }


def _figures(proofs: Sequence[Proof]) -> tuple[dict[str, Any], ...]:
    return tuple(
        {
            "recipe": proof.recipe,
            "rule": rule,
            "figure": round(figure, 4),
            "limit": RULES[rule].limit,
            "says": RULES[rule].says,
        }
        for proof in proofs
        for rule, figure in proof.figures.items()
    )


def _names(proofs: Sequence[Proof]) -> str:
    strengths = ", ".join(f"{strength:g}" for strength in (proofs[0].strengths if proofs else STRENGTHS))
    return f"{', '.join(proof.recipe for proof in proofs)} at strengths {strengths}"
