"""What the search for copies must reach, and which measured cells do not."""

from collections.abc import Iterable, Iterator, Sequence

from benchmarks.clean import Clean
from benchmarks.recall import Cell

RECALL = 0.99
PARTLY = {"quarter overlap, corner": 0.90, "quarter overlap, strip": 0.90, "tilted and scaled": 0.90}
BEYOND = ("fine_weave",)  # harder than what the limits are for: shown, and held to no false merge only
FEWEST = 30  # verifiable pairs that a share can be told of
VERIFIABLE = {"grain": 0.95, "woven": 0.95, "skin": 0.95}
HASH_SHARE = 0.01  # of all pairs of a clean set: what an average hash must confuse for the set to be hard


def missed(cells: Iterable[Cell], cleans: Sequence[Clean]) -> list[str]:
    """Return a sentence for each limit that is missed; none where all are met."""
    return [*_missed_by_cells(cells), *_missed_by_clean(cleans), *_not_verifiable(cleans)]


def below(cells: Iterable[Cell]) -> list[str]:
    """Return a sentence for each cell that finds less than the limits, and is not held to them."""
    return [_too_few(cell) for cell in cells if not _is_held(cell) and _finds_too_few(cell)]


def verifiable_share(cleans: Iterable[Clean], texture: str, form: str) -> float | None:
    """Return the share of verifiable pictures of a texture in a form; None where there is no picture."""
    rows = [clean for clean in cleans if (clean.texture, clean.form) == (texture, form)]
    pictures = sum(clean.pictures for clean in rows)
    return sum(clean.verifiable for clean in rows) / pictures if pictures else None


def _missed_by_cells(cells: Iterable[Cell]) -> Iterator[str]:
    for cell in cells:
        if _is_held(cell) and _finds_too_few(cell):
            yield _too_few(cell)
        if cell.false_merges:
            yield f"{_name(cell)}: {cell.false_merges} false merges"


def _is_held(cell: Cell) -> bool:
    return cell.texture not in BEYOND and cell.verifiable >= FEWEST


def _finds_too_few(cell: Cell) -> bool:
    return cell.recall is not None and cell.recall < _limit(cell)


def _too_few(cell: Cell) -> str:
    return f"{_name(cell)}: {cell.found} of {cell.verifiable} found, {_limit(cell):.0%} asked for"


def _limit(cell: Cell) -> float:
    return PARTLY.get(cell.kind, RECALL)


def _name(cell: Cell) -> str:
    return f"{cell.texture}, {cell.form}, {cell.kind}"


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
