"""Decide whether two pictures show the same thing: key points that agree on one movement, then the pixels under it."""

from dataclasses import dataclass
from typing import Any, ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from harness.data.copies.fingerprint import SIDE, SMALL, Fingerprint, Floats

RATIO = 0.85  # a match is nearer than this share of the next best (Lowe, 2004)
REACH = 3.0  # px at SIDE; how far a key point may lie from where the movement puts it
SMALLEST, LARGEST = 0.35, 1 / 0.35  # scales between two pictures of one thing, both at SIDE
FEWEST = 5  # matches that are worth a search for a movement
TURN, GROWTH = 25.0, 0.6  # degrees, octaves; how far two matches of one movement differ in turn and scale
BLOCK = 8  # px at SMALL; side of the blocks whose pixels are compared
WHOLE, STRAIGHT, SAME_SCALE = (
    0.9,
    1.5,
    0.1,
)  # overlap, degrees and octaves within which a picture is a whole copy
SAME = 0.6  # agreement from which two textures are one
FEWEST_BLOCKS = 4  # with a texture, of which an agreement can be told
TEXTURED = 12.0  # gray levels; a block of less spread says nothing

# the mirrored patch: rows of cells in reverse, directions of gradients negated
MIRRORED = np.arange(128).reshape(4, 4, 8)[::-1][:, :, -np.arange(8) % 8].reshape(-1)

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Alignment:
    """The movement (2, 3) that takes px of the first picture to px of the second, both at SIDE.

    `inliers` key points agree on it; `agreement` in [-1, 1] is the median correlation of textured blocks under it,
    `overlap` in [0, 1] the share of the smaller picture that both show.
    """

    DESCRIBED: ClassVar = ("how", "turn", "scale", "mirrored", "inliers", "agreement", "overlap")

    movement: Matrix
    mirrored: bool
    inliers: int
    agreement: float
    overlap: float

    def described(self) -> dict[str, Any]:
        """Return how the second picture differs, in words and numbers: turn in degrees, scale at SIDE."""
        turn = float(np.degrees(np.arctan2(self.movement[1, 0], self.movement[0, 0])))
        scale = float(np.hypot(self.movement[0, 0], self.movement[1, 0]))
        quarters = round(turn / 90) % 4
        whole, straight = self.overlap > WHOLE, abs(turn - 90 * round(turn / 90)) < STRAIGHT
        if not whole or not straight or abs(np.log2(scale)) > SAME_SCALE:
            how = "overlap"
        else:
            how = "turned or mirrored" if self.mirrored or quarters else "copy"
        numbers = {"turn": round(turn, 1) + 0.0, "scale": round(scale, 3), "mirrored": self.mirrored}
        evidence = {"agreement": round(self.agreement, 3), "overlap": round(self.overlap, 3)}
        return {"how": how, **numbers, "inliers": self.inliers, **evidence}


def align(first: Fingerprint, second: Fingerprint, *, mirrored: bool) -> Alignment | None:
    """Return the movement that most key points agree on, `second` mirrored left to right first if asked."""
    points, descriptors = _mirror(second) if mirrored else (second.points, second.descriptors)
    matches = _matches(first.descriptors, descriptors)
    ours, theirs = _turned_alike(first.points[matches[:, 0]], points[matches[:, 1]])
    if len(ours) < FEWEST:
        return None
    estimated, kept = cv2.estimateAffinePartial2D(
        ours, theirs, ransacReprojThreshold=REACH, maxIters=500, confidence=0.999
    )
    movement = np.asarray(estimated, np.float64)
    if estimated is None or not SMALLEST <= np.hypot(movement[0, 0], movement[1, 0]) <= LARGEST:
        return None
    inliers = len(np.unique(np.round(ours[kept.ravel() > 0]), axis=0))  # a point may have two directions
    if inliers < FEWEST:
        return None
    agreement, overlap = compare(first, second, movement, mirrored=mirrored)
    return Alignment(movement, mirrored, inliers, agreement, overlap)


def matched_points(first: Fingerprint, second: Fingerprint, movement: Matrix) -> tuple[Floats, Floats]:
    """Return the places (M, 2) in both pictures, at SIDE, of the matches that follow the movement."""
    rows = followers(first, second, movement)
    return first.points[rows[:, 0], :2], second.points[rows[:, 1], :2]


def followers(first: Fingerprint, second: Fingerprint, movement: Matrix) -> NDArray[np.intp]:
    """Return rows (M, 2) of key points in both pictures, matches that follow the movement."""
    rows = _matches(first.descriptors, second.descriptors)
    there = first.points[rows[:, 0], :2] @ movement[:, :2].T + movement[:, 2]
    near: NDArray[np.intp] = rows[np.linalg.norm(there - second.points[rows[:, 1], :2], axis=1) < REACH]
    return near


def compare(
    first: Fingerprint, second: Fingerprint, movement: Matrix, *, mirrored: bool
) -> tuple[float, float]:
    """Return agreement and overlap of two textures under a movement between them, given at SIDE."""
    moved, seen, scale = _under(first, second, movement, mirrored)
    smaller = min(first.texture.size, second.texture.size / scale)
    correlation = _correlation(first.texture.astype(np.float32), moved, seen)
    told = correlation[~np.isnan(correlation)]
    agreement = float(np.median(told)) if len(told) >= FEWEST_BLOCKS else 0.0
    return agreement, float(min(1.0, seen.sum() / max(smaller, 1.0)))


def compare_blocks(first: Fingerprint, second: Fingerprint, movement: Matrix, *, mirrored: bool) -> Floats:
    """Return how each block (rows, columns) of the first texture agrees; NaN where the second tells nothing."""
    moved, seen, _ = _under(first, second, movement, mirrored)
    return _correlation(first.texture.astype(np.float32), moved, seen)


def _under(
    first: Fingerprint, second: Fingerprint, movement: Matrix, mirrored: bool
) -> tuple[Floats, NDArray[np.bool_], float]:
    """Return the second texture where the first is, where it is seen, and by how much it is larger."""
    ours, theirs = first.texture, second.texture[:, ::-1] if mirrored else second.texture
    shrink, there = SMALL / SIDE, movement.copy()
    there[:, 2] = shrink * movement[:, 2] + (1 - shrink) / 2 * (
        movement[:, :2].sum(1) - 1
    )  # of pixels' centers
    size = (ours.shape[1], ours.shape[0])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    moved = cv2.warpAffine(np.ascontiguousarray(theirs), there, size, flags=flags).astype(np.float32)
    seen = cv2.warpAffine(np.full(theirs.shape, 255, np.uint8), there, size, flags=flags) == 255
    return moved, seen, float(np.linalg.det(there[:, :2]))


def _correlation(ours: Floats, theirs: Floats, seen: NDArray[np.bool_]) -> Floats:
    """Return the correlation of each block's pixels (rows, columns); NaN where one has no texture or is not seen."""
    rows, columns = (length // BLOCK for length in ours.shape)
    if not rows * columns:  # a strip
        return np.full((rows, columns), np.nan, np.float32)
    blocks = [_blocks(part, rows, columns) for part in (ours, theirs, seen)]
    a, b = (part - part.mean(1, keepdims=True) for part in blocks[:2])
    spread_a, spread_b = (np.sqrt((part**2).mean(1)) for part in (a, b))
    usable = blocks[2].all(1) & (spread_a > TEXTURED) & (spread_b > TEXTURED)
    correlation = np.full(rows * columns, np.nan, np.float32)
    correlation[usable] = (a * b).mean(1)[usable] / (spread_a * spread_b)[usable]
    return correlation.reshape(rows, columns)


def _blocks(part: NDArray[np.generic], rows: int, columns: int) -> Floats:
    cut = part[: rows * BLOCK, : columns * BLOCK].reshape(rows, BLOCK, columns, BLOCK)
    return np.asarray(cut.swapaxes(1, 2).reshape(rows * columns, -1), np.float32)


def _mirror(mark: Fingerprint) -> tuple[Floats, NDArray[np.uint8]]:
    points = mark.points
    points[:, 0] = mark.width - 1 - points[:, 0]
    points[:, 3] = (180 - points[:, 3]) % 360
    return points, mark.descriptors[:, MIRRORED]


def _turned_alike(ours: Floats, theirs: Floats) -> tuple[Floats, Floats]:
    """Return the places (M, 2) of the most numerous matches that tell of one turn and one change of scale."""
    if not len(ours):
        return ours[:, :2], theirs[:, :2]
    turn = theirs[:, 3] - ours[:, 3]
    growth = np.log2(theirs[:, 2] / ours[:, 2])
    apart = np.abs((turn[:, None] - turn + 180) % 360 - 180)
    alike = (apart < TURN) & (np.abs(growth[:, None] - growth) < GROWTH)
    most = alike[alike.sum(1).argmax()]
    return ours[most, :2], theirs[most, :2]


def _matches(ours: NDArray[np.uint8], theirs: NDArray[np.uint8]) -> NDArray[np.intp]:
    """Return rows (M, 2) of descriptors that are each other's nearest, and clearly nearer than the next."""
    if min(len(ours), len(theirs)) < FEWEST:
        return np.zeros((0, 2), np.intp)
    near = ours.astype(np.float32) @ theirs.astype(np.float32).T
    rows = np.arange(len(near))
    best = near.argmax(1)
    top = near[rows, best]
    near[rows, best] = -1
    clear = (255**2 - top) < RATIO**2 * (255**2 - near.max(1))  # half the squared distances
    near[rows, best] = top
    rows, best = rows[clear], best[clear]
    mutual = near[:, best].argmax(0) == rows
    return np.asarray(np.stack([rows, best], 1)[mutual], np.intp)
