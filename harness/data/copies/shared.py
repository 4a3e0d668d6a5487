"""What unrelated pictures of a set share, such as a holder, a frame or a background: it is left out of the search.

It says nothing of what a picture shows, and makes strangers alike. As the commonest words of a language, by which no
text is found (Sivic & Zisserman, ICCV 2003), but told by place: a block is shared where strangers agree there.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.data.copies.align import BLOCK, SAME, align, compare_blocks
from harness.data.copies.calibrate import FEWEST_INLIERS, FEWEST_UNRELATED, aligned, of_few, unrelated_pairs
from harness.data.copies.fingerprint import Fingerprint
from harness.data.copies.recognize import recognize

TRIED = 400  # unrelated pairs that are aligned to see whether anything is shared
OFTEN = 1 / 3  # of them that lie on each other by their key points, from which on something is
STRANGERS = 6  # that a picture is then held against, mirrored too
MOSTLY = 1 / 2  # of them that agree with a block which is shared
NEARLY_ALL = 0.9  # of a picture's blocks with a texture; so much is no holder but the thing itself

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Shared:
    """Tells which part of a picture strangers share, and recognizes pictures without it."""

    marks: Sequence[Fingerprint]
    groups: NDArray[np.object_]
    seed: int

    def recognize(self, pixels: NDArray[Any], group: str) -> tuple[Fingerprint, float]:
        """Return the fingerprint of a picture (H, W) or (H, W, 3) of a group, and how much of it was left out."""
        whole = recognize(pixels)
        blocks = self.blocks(whole, group)
        if not blocks.any():
            return whole, 0.0
        mask = np.zeros(whole.texture.shape, bool)
        filled = blocks.repeat(BLOCK, 0).repeat(BLOCK, 1)
        mask[: filled.shape[0], : filled.shape[1]] = filled
        return recognize(pixels, without=mask), float(mask.mean())

    def blocks(self, mark: Fingerprint, group: str) -> Mask:
        """Return the blocks (rows, columns) of a picture's texture that most of some strangers agree with.

        None where that would be nearly all of them: strangers so alike are copies under wrong ids, not to be hidden.
        """
        others = np.flatnonzero(self.groups != group)
        rng = np.random.default_rng([self.seed, *mark.texture.ravel()[:STRANGERS].tolist()])
        strangers = rng.choice(others, min(STRANGERS, len(others)), replace=False)
        agree = [_agree(mark, self.marks[stranger]) for stranger in strangers]
        shared = np.asarray(np.sum(agree, axis=0) >= MOSTLY * len(strangers))
        textured = ~np.isnan(compare_blocks(mark, mark, np.eye(2, 3), mirrored=False))
        return np.asarray(shared & (shared.sum() < NEARLY_ALL * textured.sum()))


def find_shared(
    marks: Sequence[Fingerprint], groups: Sequence[str], *, seed: int = 0, threads: int = 2
) -> Shared | None:
    """Return what tells the part that pictures of different groups share; None where hardly any two lie on each other.

    In a small set, pictures alike in small families are taken for copies under wrong ids.
    """
    rows, names = np.arange(len(marks)), np.asarray(groups, object)
    rng = np.random.default_rng(seed)
    drawn = rng.permutation(unrelated_pairs(rows, rows, names, rng))[:TRIED]
    with ThreadPoolExecutor(threads) as pool:
        found = aligned(marks, np.column_stack([drawn, np.zeros(len(drawn), np.intp)]), pool)
    alike = np.array([at is not None and at.inliers >= FEWEST_INLIERS for at in found], bool)
    told = ~of_few(drawn, alike)
    if told.sum() < FEWEST_UNRELATED or alike[told].mean() < OFTEN:
        return None
    return Shared(marks, names, seed)


def _agree(mark: Fingerprint, stranger: Fingerprint) -> Mask:
    """Return the blocks in which a stranger agrees, as it lies best or mirrored."""
    agree = np.zeros([length // BLOCK for length in mark.texture.shape], bool)
    for mirrored in (False, True):
        found = align(mark, stranger, mirrored=mirrored)
        if found is not None and found.inliers >= FEWEST_INLIERS:
            agree |= compare_blocks(mark, stranger, found.movement, mirrored=mirrored) > SAME
    return agree
