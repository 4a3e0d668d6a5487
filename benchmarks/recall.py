"""How many planted leaks the search for copies finds, kind by kind, in sets of otherwise distinct surfaces."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks.planted import ENDINGS, FORMS, KINDS, Scene, copy_of, scene
from harness.data.copies.canary import plant
from harness.data.copies.find import Found, find_pairs
from harness.data.copies.fingerprint import Fingerprint
from harness.data.copies.recognize import recognize

SEED = 1


@dataclass(frozen=True)
class PlantedSet:
    """`pictures` distinct surfaces of one texture; each gets one copy of one kind at a time."""

    texture: str
    form: str
    first: int  # number of the first surface
    pictures: int


@dataclass(frozen=True)
class Cell:
    """What became of the planted pairs of one kind, texture and form.

    `verifiable` pairs are those of two verifiable pictures, `found` the sure ones among these; of the others
    `others_found` are sure. `false_merges` are sure pairs nobody planted.
    """

    texture: str
    form: str
    kind: str
    planted: int
    verifiable: int
    found: int
    others_found: int
    false_merges: int

    @property
    def recall(self) -> float | None:
        """The share found among verifiable pairs; None where there are none."""
        return self.found / self.verifiable if self.verifiable else None


def run_planted(planted: PlantedSet) -> list[Cell]:
    """Plant every kind in turn and search: `pictures` originals and as many copies a search."""
    numbers = range(planted.first, planted.first + planted.pictures)
    scenes = [scene(planted.texture, SEED, number, planted.form) for number in numbers]
    originals = [recognize(at.stored) for at in scenes]
    canary = plant(
        originals, [f"a{ENDINGS[planted.form]}"] * len(scenes), lambda at: scenes[at].stored, threads=1
    )
    cells = []
    for kind in KINDS:
        copies = list(_marks_of_copies(scenes, numbers, kind, planted.form))
        groups = [str(i) for i in range(2 * len(scenes))]
        found = find_pairs([*originals, *copies], groups, canary, threads=1)
        cells.append(count(planted.texture, planted.form, kind, found))
    return cells


def count(texture: str, form: str, kind: str, found: Found) -> Cell:
    """Count a search in which picture i is the origin of picture i + n."""
    half = len(found.verifiable) // 2
    both = found.verifiable[:half] & found.verifiable[half:]
    sure = [(pair.first, pair.second) for pair in found.pairs if pair.sure]
    hit = np.zeros(half, bool)
    hit[[first for first, second in sure if second == first + half]] = True
    return Cell(
        *(texture, form, kind),
        planted=half,
        verifiable=int(both.sum()),
        found=int((both & hit).sum()),
        others_found=int((~both & hit).sum()),
        false_merges=sum(second != first + half for first, second in sure),
    )


def summed(cells: Iterable[Cell]) -> list[Cell]:
    """Return one cell for each texture, form and kind, in the order of their first."""
    sums: dict[tuple[str, str, str], list[int]] = {}
    for cell in cells:
        key = (cell.texture, cell.form, cell.kind)
        numbers = [cell.planted, cell.verifiable, cell.found, cell.others_found, cell.false_merges]
        sums[key] = [a + b for a, b in zip(sums.get(key, [0] * 5), numbers, strict=True)]
    return [Cell(*key, *numbers) for key, numbers in sums.items()]


def _marks_of_copies(
    scenes: list[Scene], numbers: Iterable[int], kind: str, form: str
) -> Iterator[Fingerprint]:
    stream = (list(KINDS).index(kind), list(FORMS).index(form))
    for origin, number in zip(scenes, numbers, strict=True):
        rng = np.random.default_rng([SEED, *stream, number])
        yield recognize(copy_of(origin, kind, form, rng))
