"""Pictures of the worst masks: what the checks of masks and pictures name first, outlined, with the reason."""

from collections.abc import Iterator, Sequence
from typing import Any

import cv2
import numpy as np
import pandas as pd

from harness.data.audit.drawing import Box, Figure, around, beside, outlined, to_jpeg
from harness.data.audit.finding import Finding
from harness.data.audit.masks import Read
from harness.data.audit.twice import Laid, lay
from harness.data.copies.search import Copies
from harness.data.pictures import Pixels

EACH = 4  # pictures a check
ONE = ("M1", "M2", "M3", "M4", "M5", "D9")  # checks whose evidence names one picture
TWO = ("D7", "D11", "M6")  # two, by picture or by mask
LAID = "D12"
LOOKED_AT = ("warn", "fail", "unverifiable")
SIDES = ("first", "second")
NAMES = {"image", *SIDES, *(f"{side} {of}" for side in SIDES for of in ("group", "fold"))}


def worst_figures(
    samples: pd.DataFrame, findings: Sequence[Finding], copies: Copies, image: Read, mask: Read
) -> Iterator[Figure]:
    """Yield the first pictures that each check of masks or pictures names, at most EACH of a check."""
    rows = {str(name): row for row, name in enumerate(samples["sample"])}
    drawn = {str(name): row for row, name in enumerate(samples["mask"]) if name}
    for finding in findings:
        for item in _apart(finding.items) if finding.status in LOOKED_AT else ():
            if finding.id in ONE:
                yield _one(finding, item, rows[item["image"]], image, mask)
            elif finding.id in TWO:
                known = drawn if finding.id == "D7" else rows
                yield _two(finding, item, [known[item[side]] for side in SIDES], image, mask)
            elif finding.id == LAID:
                at = (rows[item["first"]], rows[item["second"]])
                yield from _laid(finding, item, at, copies, (image, mask))


def _apart(items: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the first EACH items, none with a picture that was shown already."""
    chosen: list[dict[str, Any]] = []
    seen: set[str] = set()
    for item in items:
        names = {item[key] for key in ("image", *SIDES) if key in item}
        if len(chosen) < EACH and not names & seen:
            chosen.append(item)
            seen |= names
    return chosen


def _one(finding: Finding, item: dict[str, Any], row: int, image: Read, mask: Read) -> Figure:
    picture, labels = image(row), mask(row)
    panels, more = [outlined(picture, labels)], "Labels are outlined."
    smallest = _smallest(labels) if finding.id == "M1" else None
    if smallest:
        panels.append(outlined(picture, labels, part=around(smallest, labels.shape)))
        more = "Labels are outlined; right: the smallest one, enlarged, contrast stretched."
    return Figure(
        f"{finding.title}? {item['image']}: {_numbers(item)}. {more}", to_jpeg(beside(panels)), finding.id
    )


def _two(finding: Finding, item: dict[str, Any], rows: list[int], image: Read, mask: Read) -> Figure:
    panels = [outlined(image(row), mask(row)) for row in rows]
    names = " and ".join(
        f"{item[side]} (group {item[f'{side} group']}, {item[f'{side} fold']})" for side in SIDES
    )
    said = _numbers(item)
    text = f"{finding.title}? {names}{': ' + said if said else ''}. Labels are outlined."
    return Figure(text, to_jpeg(beside(panels)), finding.id)


def _laid(
    finding: Finding, item: dict[str, Any], at: tuple[int, int], copies: Copies, read: tuple[Read, Read]
) -> Iterator[Figure]:
    pair = next((one for one in copies.found.pairs if (one.first, one.second) == at), None)
    laid = pair and lay(read[1](at[0]), read[1](at[1]), pair.alignment, exact=False)
    if not pair or not laid:
        return
    images = [read[0](row) for row in at]
    if pair.alignment.mirrored:
        images[1] = np.ascontiguousarray(images[1][:, ::-1])
    cuts = [
        _cut(picture, movement, laid)
        for picture, movement in zip(images, (laid.onto, laid.beyond), strict=True)
    ]
    labels, whole = (
        (_known(laid.first), _known(laid.second)),
        (0, 0, laid.first.shape[1], laid.first.shape[0]),
    )
    panels = [outlined(cut, *labels, part=whole) for cut in cuts]
    text = (
        f"{finding.title}? {item['first']} (orange outlines) and {item['second']} (blue), both laid on one another: "
        f"{_numbers(item)}. Left the first picture, right the second, where their labels are, contrast stretched."
    )
    yield Figure(text, to_jpeg(beside(panels)), finding.id)


def _cut(picture: Pixels, movement: np.ndarray[Any, np.dtype[np.float64]], laid: Laid) -> Pixels:
    size = (laid.first.shape[1], laid.first.shape[0])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(picture, movement[:2], size, flags=flags), np.uint8)


def _known(mask: Pixels) -> Pixels:
    return np.where(mask == 255, 0, mask).astype(np.uint8)


def _smallest(labels: Pixels) -> Box | None:
    """Return the box of the smallest object."""
    count, _, stats, _ = cv2.connectedComponentsWithStats((labels == 1).astype(np.uint8), connectivity=8)
    if count < 2:
        return None
    x, y, w, h, _ = stats[1 + int(stats[1:, cv2.CC_STAT_AREA].argmin())].tolist()
    return x, y, w, h


def _numbers(item: dict[str, Any]) -> str:
    shown = {key: value for key, value in item.items() if key not in NAMES}
    return ", ".join(
        f"{key} {value:g}" if isinstance(value, float) else f"{key} {value}" for key, value in shown.items()
    )
