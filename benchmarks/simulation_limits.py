"""What intervals, corrections and tests must reach in drawn studies."""

from collections.abc import Iterable, Iterator, Mapping
from math import sqrt

import numpy as np
from scipy.stats import beta

from benchmarks.simulated_studies import BY_CROPS, SHIPPED, Cell, Columns, Coverage, HeldOut, Optimism
from harness.evaluate.heldout import level_of_look

COVERED = (0.925, 0.975)  # of nominal .95 intervals of the headline
OPTIMISM = 0.005  # IoU, the mean error of the corrected best score
FALSE_BETTER, UPPER = 0.05, 0.06  # the share of null studies, and its upper 97.5 % bound
LEVEL = level_of_look(1)

Results = Mapping[Cell, Columns]


def missed(results: Results) -> list[str]:
    """Return a sentence for each limit that is missed; none where all are met."""
    return [line for cell, columns in results.items() for line in _missed(cell, columns)]


def share_error(share: float, count: int) -> float:
    """Return the Monte Carlo error of a share."""
    return sqrt(share * (1 - share) / count)


def mean_error(values: Iterable[float]) -> float:
    """Return the Monte Carlo error of a mean."""
    drawn = np.array(list(values))
    return float(drawn.std(ddof=1) / np.sqrt(drawn.size))


def better(columns: Columns, level: float = LEVEL, test: str = "p") -> float:
    """Return the share of studies in which a test says better."""
    return float(np.mean([value <= level for value in columns[test]]))


def upper_bound(share: float, count: int) -> float:
    """Return the upper 97.5 % bound of a share (Clopper & Pearson 1934)."""
    said = round(share * count)
    return float(beta.ppf(0.975, said + 1, count - said)) if said < count else 1.0


def _missed(cell: Cell, columns: Columns) -> Iterator[str]:
    if isinstance(cell, Coverage):
        yield from _missed_by_coverage(cell, columns)
    elif isinstance(cell, Optimism):
        yield from _missed_by_optimism(cell, columns)
    elif cell.gain == 0:
        yield from _missed_by_test(cell, columns)


def _missed_by_coverage(cell: Coverage, columns: Columns) -> Iterator[str]:
    covered, by_crops = (float(np.mean(columns[name])) for name in (SHIPPED, BY_CROPS))
    if not COVERED[0] <= covered <= COVERED[1]:
        yield f"{cell}: the interval covers {covered:.4f}, {COVERED[0]} to {COVERED[1]} asked for"
    if by_crops >= COVERED[0]:
        yield f"{cell}: the bootstrap of crops covers {by_crops:.4f}, these studies are too easy to tell anything"


def _missed_by_optimism(cell: Optimism, columns: Columns) -> Iterator[str]:
    before, after = (float(np.mean(columns[name])) for name in ("before", "after"))
    if abs(after) > OPTIMISM:
        yield f"{cell}: the corrected score is off by {after:+.4f}, ± {OPTIMISM} asked for"
    if before <= OPTIMISM:
        yield f"{cell}: the uncorrected score is off by {before:+.4f} only, these studies are too easy to tell anything"


def _missed_by_test(cell: HeldOut, columns: Columns) -> Iterator[str]:
    share = better(columns)
    bound = upper_bound(share, len(columns["p"]))
    if share > FALSE_BETTER or bound > UPPER:
        yield (
            f"{cell}: better is said of equal models in {share:.4f} (upper bound {bound:.4f}), "
            f"{FALSE_BETTER} ({UPPER}) asked for"
        )
