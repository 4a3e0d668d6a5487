"""Pictures of the chains that were not joined: each picture beside the one it shows a part of."""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.data.audit.drawing import Figure, beside, outlined, to_jpeg
from harness.data.audit.finding import Finding
from harness.data.audit.joins import FROZEN, RUNAWAYS

EACH = 2  # chains shown of a check
LONGEST = 6  # pictures shown of a chain, its ends


def chain_figures(findings: Sequence[Finding], read: Callable[[str], NDArray[Any]]) -> Iterator[Figure]:
    """Yield figures of the first chains of G6 and D10; `read` gives the picture of a sample, 8 bits."""
    for finding in findings:
        if finding.id not in (FROZEN[0], RUNAWAYS[0]):
            continue
        for number, chain in groupby(finding.items, key=lambda item: item["chain"]):
            if number < EACH:
                yield _figure(finding.id, list(chain), read)


def _figure(check: str, chain: Sequence[dict[str, Any]], read: Callable[[str], NDArray[Any]]) -> Figure:
    shown = [*chain] if len(chain) <= LONGEST else [*chain[: LONGEST // 2], *chain[-LONGEST // 2 :]]
    panels = [outlined(np.asarray(read(one["image"]), np.uint8)) for one in shown]
    names = "; ".join(_named(one) for one in shown)
    left = (
        f" {len(chain) - len(shown)} pictures between them are left out." if len(shown) < len(chain) else ""
    )
    caption = f"A chain of {len(chain)} pictures, each showing a part of the next: {names}.{left}"
    return Figure(caption, to_jpeg(beside(panels)), check)


def _named(one: dict[str, Any]) -> str:
    fold = f", {one['frozen fold']}" if one["frozen fold"] else ""
    return f"{one['image']} (group {one['group']}{fold})"
