"""Pictures of the leakage report: two pictures of one thing laid on each other, what differs, and why they are one."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.data.audit.copies import KINDS
from harness.data.audit.drawing import Figure, to_jpeg
from harness.data.copies.align import Alignment, matched_points
from harness.data.copies.fingerprint import fingerprint, gray_at_side
from harness.data.copies.search import Copies
from harness.data.pictures import image_pixels, read_file

EACH = 3  # pairs shown of a kind, sure and suspected ones apart
ZOOM = 2
GAP = 6  # px between panels
MATCHES = 40  # lines drawn

Gray = NDArray[np.uint8]


def pair_figures(samples: pd.DataFrame, root: Path, copies: Copies) -> Iterator[Figure]:
    """Yield figures of some pairs of two declared groups: of each kind, first those that are not joined."""
    table = copies.table(samples)
    group = samples["group"].to_numpy()
    table["joined"] = [bool(group[pair.first] == group[pair.second]) for pair in copies.found.pairs]
    across = table[table["first_group"] != table["second_group"]].sort_values("joined", kind="stable")
    for row, described in across.groupby(["how", "sure"], sort=False).head(EACH).iterrows():
        pair = copies.found.pairs[int(str(row))]
        files = [str(samples["sample"].iloc[at]) for at in (pair.first, pair.second)]
        decision = "sure" if pair.sure else "suspected"
        caption = (
            f"{files[0]} and {files[1]}: {described['how']}, {decision}; turn {described['turn']:g}°, scale "
            f"{described['scale']:g}, {'mirrored, ' if pair.alignment.mirrored else ''}"
            f"{_evidence(pair.alignment)}, "
            f"agreement {pair.alignment.agreement:.2f}, overlap {pair.alignment.overlap:.0%}. "
            "Left to right: the first, the second laid on it, their difference, key points that agree."
        )
        grays = [gray_at_side(image_pixels(read_file(root / file), root / file)) for file in files]
        check = next(id for id, (kind, _) in KINDS.items() if kind == described["how"])
        yield Figure(caption, _panels(grays[0], grays[1], pair.alignment), check)


def _evidence(found: Alignment) -> str:
    if found.inliers:
        return f"{found.inliers} key points"
    return "by the whole texture, without key points" if found.agreement < 1 else "the same pixels"


def _panels(first: Gray, second: Gray, found: Alignment) -> bytes:
    theirs = np.ascontiguousarray(second[:, ::-1]) if found.mirrored else second
    size = (first.shape[1], first.shape[0])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    moved = np.asarray(cv2.warpAffine(theirs, found.movement, size, flags=flags), np.uint8)
    seen = cv2.warpAffine(np.full(theirs.shape, 255, np.uint8), found.movement, size, flags=flags) == 255
    panels = [first, moved, _difference(first, moved, seen), _lines(first, theirs, found)]
    height = max(panel.shape[0] for panel in panels)
    white = [_on_white(panel, height) for panel in panels]
    return to_jpeg(np.hstack(white))


def _difference(first: Gray, moved: Gray, seen: NDArray[np.bool_]) -> Gray:
    """Return 128 where equal, once both have one mean and spread, so that another exposure is no difference."""
    if not seen.any():
        return np.full(first.shape, 128, np.uint8)
    a, b = (part.astype(np.float32) for part in (first, moved))
    spread = max(float(b[seen].std()), 1.0)
    even = (b - b[seen].mean()) * (a[seen].std() / spread) + a[seen].mean()
    return np.where(seen, np.clip(128 + (a - even) / 2, 0, 255), 255).astype(np.uint8)


def _lines(first: Gray, theirs: Gray, found: Alignment) -> NDArray[Any]:
    height = max(first.shape[0], theirs.shape[0])
    canvas = np.hstack([_on_white(first, height, zoom=1), _on_white(theirs, height, zoom=1)])
    ours, others = matched_points(fingerprint(first), fingerprint(theirs), found.movement)
    ends = np.round(np.hstack([ours, others + np.array([first.shape[1] + GAP, 0])])).astype(int)
    for left, top, right, bottom in ends[:MATCHES].tolist():
        cv2.line(canvas, (left, top), (right, bottom), (60, 160, 60), 1, cv2.LINE_AA)
    return canvas


def _on_white(panel: NDArray[Any], height: int, *, zoom: int = ZOOM) -> NDArray[Any]:
    colored = panel if panel.ndim == 3 else cv2.cvtColor(panel, cv2.COLOR_GRAY2BGR)
    below, white = height - colored.shape[0], (255, 255, 255)
    padded = cv2.copyMakeBorder(colored, 0, below, 0, GAP, cv2.BORDER_CONSTANT, value=white)
    return cv2.resize(padded, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_CUBIC)
