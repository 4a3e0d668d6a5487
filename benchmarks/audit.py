"""What the search for copies finds of planted leaks, and what it finds in clean sets, as tables.

make bench-audit
"""

import argparse
import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import cv2

from benchmarks.clean import Clean, CleanSet, run_clean
from benchmarks.limits import BEYOND, below, missed, verifiable_share
from benchmarks.markdown import head_of, row_of
from benchmarks.planted import FORMS, KINDS
from benchmarks.recall import Cell, PlantedSet, run_planted, summed
from benchmarks.textures import TEXTURES

PAIRS = 300  # planted in each cell
PAIRS_BEYOND = 75  # of a texture that is not held to the limits
PER_SET = {
    "brushed": 150
}  # planted pairs at a time: overlaps without key points are looked for in 500 pictures
CLEAN_PICTURES, CLEAN_SETS, CLEAN_BEYOND = 500, 5, 2
QUICK = 20  # times less of everything
WORKERS = 2

Task = PlantedSet | CleanSet
Rows = Sequence[Cell] | Sequence[Clean]


def main() -> int:
    """Print the tables; return 1 where a limit is missed."""
    parser = argparse.ArgumentParser(description="Plant copies in drawn surfaces and count what is found.")
    parser.add_argument("--quick", action="store_true", help="a twentieth of everything, to try it")
    parser.add_argument("--texture", choices=list(TEXTURES), help="one texture only")
    asked = parser.parse_args()
    tasks = [task for task in _tasks(quick=asked.quick) if asked.texture in (None, task.texture)]
    rows = [row for result in _run_all(tasks) for row in result]
    cells = summed(row for row in rows if isinstance(row, Cell))
    cleans = [row for row in rows if isinstance(row, Clean)]
    for table in (recalls(cells), unverifiables(cells), by_texture(cells), clean_sets(cleans)):
        print("\n".join(table), end="\n\n")
    failures = missed(cells, cleans)
    _list("Missed limits", failures)
    _list("Below the limits, too hard or too few to be held to them", below(cells))
    return 1 if failures else 0


def _list(heading: str, lines: Sequence[str]) -> None:
    print("\n".join([f"{heading}:", *(f"- {line}" for line in lines or ["none"])]), end="\n\n")


def recalls(cells: Sequence[Cell]) -> Iterator[str]:
    """Yield the table of recall among verifiable pairs, a row a kind; false merges in the last column."""
    columns = [(texture, form) for texture in TEXTURES if texture != "brushed" for form in FORMS]
    yield from head_of(["planted", *(f"{texture} {form}" for texture, form in columns), "false merges"])
    table = {(cell.kind, cell.texture, cell.form): cell for cell in cells}
    for kind in KINDS:
        found = [_of(table.get((kind, *column))) for column in columns]
        yield row_of([kind, *found, str(sum(cell.false_merges for cell in cells if cell.kind == kind))])


def unverifiables(cells: Sequence[Cell]) -> Iterator[str]:
    """Yield the table of planted pairs of which a picture is unverifiable, all kinds together."""
    yield from head_of(["pairs with an unverifiable picture", "planted", "found", "listed only"])
    for texture, form in dict.fromkeys((cell.texture, cell.form) for cell in cells):
        rows = [cell for cell in cells if (cell.texture, cell.form) == (texture, form)]
        others = sum(cell.planted - cell.verifiable for cell in rows)
        found = sum(cell.others_found for cell in rows)
        yield row_of([f"{texture} {form}", *map(str, (others, found, others - found))])


def by_texture(cells: Sequence[Cell]) -> Iterator[str]:
    """Yield the table of brushed surfaces, which are compared by whole texture."""
    yield from head_of(["brushed", *FORMS])
    table = {(cell.kind, cell.form): cell for cell in cells if cell.texture == "brushed"}
    for kind in KINDS:
        rows = [table.get((kind, form)) for form in FORMS]
        yield row_of(
            [kind, *(f"{row.found + row.others_found} of {row.planted}" if row else "" for row in rows)]
        )


def clean_sets(cleans: Sequence[Clean]) -> Iterator[str]:
    """Yield the table of clean sets, a row a texture and form; several sets' numbers in their order."""
    head = (
        "sets of distinct surfaces",
        "pictures",
        "verifiable",
        "merges",
        "suspects",
        "key points asked for",
    )
    yield from head_of([*head, "pairs by average hash"])
    for texture, form in dict.fromkeys((clean.texture, clean.form) for clean in cleans):
        rows = [clean for clean in cleans if (clean.texture, clean.form) == (texture, form)]
        share = verifiable_share(cleans, texture, form)
        numbers = [
            [getattr(row, name) for row in rows] for name in ("sure", "suspects", "threshold", "hash_pairs")
        ]
        listed = [", ".join(map(str, several)) for several in numbers]
        yield row_of([f"{texture} {form}", f"{len(rows)} x {rows[0].pictures}", f"{share:.1%}", *listed])


def _tasks(*, quick: bool) -> Iterator[Task]:
    """Yield planted sets, then clean ones."""
    less = QUICK if quick else 1
    for texture in TEXTURES:
        pairs = PAIRS_BEYOND if texture in BEYOND else PAIRS
        size = min(PER_SET.get(texture, pairs), pairs) // less
        for form in FORMS:
            for first in range(0, pairs // less, size):
                yield PlantedSet(texture, form, first, size)
    pictures = CLEAN_SETS * CLEAN_PICTURES // less if quick else CLEAN_PICTURES
    for texture in TEXTURES:
        sets = CLEAN_BEYOND if texture in BEYOND else CLEAN_SETS
        for number in range(1 if quick else sets):
            yield CleanSet(texture, number * pictures, pictures)


def _run_all(tasks: Sequence[Task]) -> Iterator[Rows]:
    """Yield what each task found, in their order, whichever of the processes ends first."""
    os.environ["OMP_NUM_THREADS"] = "1"  # for the processes to come
    start = time.monotonic()
    with ProcessPoolExecutor(
        WORKERS, get_context("spawn"), initializer=cv2.setNumThreads, initargs=(1,)
    ) as pool:
        for done, (task, rows) in enumerate(zip(tasks, pool.map(run, tasks), strict=True), 1):
            print(
                f"{done} of {len(tasks)}, {time.monotonic() - start:.0f} s: {task}",
                file=sys.stderr,
                flush=True,
            )
            yield rows


def run(task: Task) -> Rows:
    """Return the rows of one task; runs in a process of its own."""
    return run_planted(task) if isinstance(task, PlantedSet) else run_clean(task)


def _of(cell: Cell | None) -> str:
    if cell is None or cell.recall is None:
        return "-"
    return f"{cell.recall:.1%} of {cell.verifiable}"


if __name__ == "__main__":
    sys.exit(main())
