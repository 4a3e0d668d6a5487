"""How much the descriptor of one place differs between two pictures: measured on overlaps planted in this very set."""

from collections.abc import Sequence

import numpy as np

from harness.data.copies.align import SAME, align, followers
from harness.data.copies.canary import OVERLAPS, Planted
from harness.data.copies.fingerprint import Fingerprint, Floats

FEWEST = 200  # key points found again; of fewer their covariance tells too little


def noise_of(marks: Sequence[Fingerprint], planted: Sequence[Planted]) -> Floats | None:
    """Return the covariance (128, 128) of the differences; None where too few key points were found again."""
    overlaps = [
        copy for copy in planted if copy.kind in OVERLAPS
    ]  # whole copies differ less, and are found anyway
    found = [_differences(marks[copy.origin], copy.mark) for copy in overlaps]
    differences = np.concatenate([np.zeros((0, 128), np.float32), *found])
    if len(differences) < FEWEST:
        return None
    return np.asarray(differences.T @ differences / len(differences), np.float32)


def _differences(origin: Fingerprint, copy: Fingerprint) -> Floats:
    """Return by what descriptors (M, 128) differ; of none where the copy does not lie on its origin."""
    found = align(origin, copy, mirrored=False)
    if found is None or found.agreement < SAME:
        return np.zeros((0, 128), np.float32)
    rows = followers(origin, copy, found.movement)
    ours, theirs = origin.descriptors[rows[:, 0]], copy.descriptors[rows[:, 1]]
    return ours.astype(np.float32) - theirs.astype(np.float32)
