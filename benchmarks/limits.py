"""What the search for copies must reach, and which measured cells do not."""

from collections.abc import Iterable, Iterator, Sequence

from benchmarks.clean import Clean
from benchmarks.recall import Cell

RECALL = 0.99
PARTLY = {"quarter overlap, corner": 0.90, "quarter overlap, strip": 0.90, "tilted and scaled": 0.90}
VERIFIABLE = {"grain": 0.95, "woven": 0.95, "skin": 0.95}
HASH_SHARE = 0.01  # of all pairs of a clean set: what an average hash must confuse for the set to be hard


def missed(cells: Iterable[Cell], cleans: Sequence[Clean]) -> list[str]:
    """Return a sentence for each limit that is missed; none where all are met."""
    return [*_missed_by_cells(cells), *_missed_by_clean(cleans), *_not_verifiable(cleans)]


def verifiable_share(cleans: Iterable[Clean], texture: str, form: str) -> float | None:
    """Return the share of verifiable pictures of a texture in a form; None where there is no picture."""
    rows = [clean for clean in cleans if (clean.texture, clean.form) == (texture, form)]
    pictures = sum(clean.pictures for clean in rows)
    return sum(clean.verifiable for clean in rows) / pictures if pictures else None


def _missed_by_cells(cells: Iterable[Cell]) -> Iterator[str]:
    for cell in cells:
        name = f"{cell.texture}, {cell.form}, {cell.kind}"
        limit = PARTLY.get(cell.kind, RECALL)
        if cell.recall is not None and cell.recall < limit:
            yield f"{name}: {cell.found} of {cell.verifiable} found, {limit:.0%} asked for"
        if cell.false_merges:
            yield f"{name}: {cell.false_merges} false merges"


def _missed_by_clean(cleans: Iterable[Clean]) -> Iterator[str]:
    for clean in cleans:
        name = f"clean set, {clean.texture}, {clean.form}"
        if clean.sure:
            yield f"{name}: {clean.sure} merges"
        if clean.hash_pairs < HASH_SHARE * clean.pictures * (clean.pictures - 1) / 2:
            yield f"{name}: the average hash confuses {clean.hash_pairs} pairs only, the set is easy"


def _not_verifiable(cleans: Sequence[Clean]) -> Iterator[str]:
    for texture, form in dict.fromkeys((clean.texture, clean.form) for clean in cleans):
        share = verifiable_share(cleans, texture, form)
        if share is not None and share < VERIFIABLE.get(texture, 0):
            yield f"{texture}, {form}: {share:.1%} of the pictures verifiable, {VERIFIABLE[texture]:.0%} asked for"
