"""One picture from bands of probability to its files and its record; nothing larger than a band is held twice."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.predict.bands import Band
from harness.predict.folder import MASKS, OVERLAYS, Folder, Record
from harness.predict.masks import mask_ending, write_mask
from harness.predict.objects import MOST_OBJECTS, Labeler, Object
from harness.predict.overlay import Overlay
from harness.train.room import refuse_full_disk

ROUNDED = 6  # digits of probabilities in tables
ROOM = 4  # px a byte of the disk that a mask may take; compressed, they take far less

Tell = Callable[[float], None]  # how much of the picture is done, 0 to 1


@dataclass
class Draft:
    """What is found out about a picture while its bands pass."""

    shape: tuple[int, int]
    threshold: float
    tell: Tell
    score: float = 0.0
    labeler: Labeler = field(init=False)
    overlay: Overlay = field(init=False)

    def __post_init__(self) -> None:
        self.labeler, self.overlay = Labeler(self.shape), Overlay(self.shape)

    def masks(self, bands: Iterator[Band]) -> Iterator[NDArray[np.uint8]]:
        """Yield the mask of each band, 0 and 255, after having looked at it."""
        for band in bands:
            mask = band.probability > self.threshold
            self.labeler.add(band.top, mask, band.probability)
            self.overlay.add(band.top, band.picture, mask)
            self.score = max(self.score, float(band.probability.max()))
            yield mask.astype(np.uint8) * 255
            self.tell((band.top + len(mask)) / self.shape[0])

    def facts(self) -> Record:
        """Return what was found, in the words of the tables."""
        found = [_named(one) for one in self.labeler.finish()]
        count, (height, width) = self.labeler.count, self.shape
        reason = (
            f"{count:,} objects, more than {MOST_OBJECTS:,}: counted, not listed"
            if count > len(found)
            else ""
        )
        facts = {"state": "done", "reason": reason, "height": height, "width": width}
        facts |= {"score": round(self.score, ROUNDED), "objects": count, "listed": len(found)}
        return facts | {"share": round(self.labeler.positive / (height * width), 9), "found": found}


def finish_picture(folder: Folder, name: str, draft: Draft, bands: Iterator[Band]) -> Record:
    """Write mask and overlay of a picture; return what was found. Raises DataError, DiskFull."""
    refuse_full_disk(folder.root, draft.shape[0] * draft.shape[1] // ROOM)
    mask, overlay = f"{MASKS}/{name}{mask_ending(draft.shape)}", f"{OVERLAYS}/{name}.jpg"
    with folder.writing_to(mask) as path:
        write_mask(path, draft.shape, draft.masks(bands))
    with folder.writing_to(overlay) as path:
        path.write_bytes(draft.overlay.jpeg())
    return draft.facts() | {"mask": mask, "overlay": overlay}


def failed(reason: str) -> Record:
    """Return what stands in the tables for a picture that could not be predicted."""
    nothing = dict.fromkeys(("height", "width", "score", "objects", "listed", "share", "mask", "overlay"), "")
    return {"state": "failed", "reason": reason, "found": [], **nothing}


def _named(one: Object) -> dict[str, Any]:
    shape = {"rings": one.rings, "counts": one.counts}
    return {
        "box": one.box,
        "area": one.area,
        "score": round(one.score, ROUNDED),
        "mean": round(one.mean, ROUNDED),
    } | shape
