from dataclasses import replace

import numpy as np

from benchmarks.clean import Clean, CleanSet, run_clean
from benchmarks.limits import FEWEST, below, missed
from benchmarks.planted import KINDS
from benchmarks.recall import Cell, PlantedSet, count, run_planted, summed
from harness.data.copies.align import Alignment
from harness.data.copies.calibrate import Calibration
from harness.data.copies.find import Found, Pair

GOOD = [Cell("grain", "PNG", kind, 300, 300, 300, others_found=0, false_merges=0) for kind in KINDS]
CLEAN = Clean("grain", "PNG", 500, 500, sure=0, suspects=0, threshold=7, hash_pairs=100_000)


def found(pairs: list[tuple[int, int]], verifiable: list[bool]) -> Found:
    same = Alignment(np.eye(2, 3), False, 50, 1.0, 1.0)
    sure = tuple(Pair(first, second, same, sure=True) for first, second in pairs)
    return Found(sure, np.array(verifiable), Calibration(7, 0, 0, 0), (), True, True)


def test_a_good_detector_misses_nothing() -> None:
    assert missed(GOOD, [CLEAN]) == []


def test_a_detector_that_finds_too_little_is_named_with_its_cell() -> None:
    for cell in GOOD:
        assert missed([replace(cell, found=297)], []) == []
        (line,) = missed([replace(cell, found=260)], [])
        assert cell.kind in line
        assert "260 of 300" in line


def test_a_harder_cloth_and_a_handful_of_pairs_are_named_apart_and_held_to_no_false_merge() -> None:
    few = replace(GOOD[0], texture="brushed", verifiable=FEWEST - 1, found=0)
    harder = replace(GOOD[0], texture="fine_weave", found=260)
    for cell in (few, harder):
        assert missed([cell], []) == []
        (line,) = below([cell])
        assert f"{cell.found} of {cell.verifiable}" in line
        assert len(missed([replace(cell, false_merges=1)], [])) == 1
    assert below(GOOD) == below([replace(GOOD[0], found=260)]) == []


def test_a_detector_that_joins_strangers_is_noticed_in_planted_and_in_clean_sets() -> None:
    assert len(missed([replace(GOOD[0], false_merges=1)], [])) == 1
    assert len(missed([], [replace(CLEAN, sure=1)])) == 1


def test_a_detector_that_calls_good_surfaces_unverifiable_is_noticed() -> None:
    (line,) = missed([], [replace(CLEAN, verifiable=470)])
    assert "verifiable" in line
    assert missed([], [replace(CLEAN, texture="brushed", verifiable=0)]) == []


def test_clean_sets_that_do_not_fool_an_average_hash_are_too_easy() -> None:
    (line,) = missed([], [replace(CLEAN, hash_pairs=10)])
    assert "easy" in line


def test_pairs_are_counted_by_what_is_verifiable() -> None:
    cell = count(
        "grain", "PNG", "exact", found([(0, 3), (1, 4), (0, 5)], [True, True, True, True, False, True])
    )
    assert (cell.planted, cell.verifiable, cell.found) == (3, 2, 1)
    assert (cell.others_found, cell.false_merges) == (1, 1)
    assert summed([cell, cell])[0] == replace(
        cell, planted=6, verifiable=4, found=2, others_found=2, false_merges=2
    )


def test_a_small_run_finds_the_leaks_of_grain_and_nothing_in_a_clean_set() -> None:
    cells = run_planted(PlantedSet("grain", "JPEG", 0, 2))
    cleans = run_clean(CleanSet("grain", 0, 16))
    assert [cell.found for cell in cells] == [2] * len(KINDS)
    assert missed(cells, cleans) == []
