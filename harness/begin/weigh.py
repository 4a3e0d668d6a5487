"""What the pictures say of each rule: how many groups it gives, and how many verified pairs it would cut."""

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.begin.names import NUMBER, Placed, Rule, from_names, image_alone, place, times, without_repeats
from harness.config import Choice
from harness.data.copies.join import join_groups
from harness.data.copies.search import Copies
from harness.data.grouping import Source

FEW_CUT = 0.01  # share of the verified pairs; rules that cut no more are taken as equally true
FEWEST_POSITIVE = 10  # groups with a target: two a fold
LARGEST = 1 / 3  # of all pictures in one group
CONFIRMED = 0.8  # share of neighbors in number, up to a gap, whose pictures show one thing
REACHED = 0.99  # share of such neighbors that the gap should reach
FEWEST_STEPS = 10
ENOUGH = 0.5  # share of the verified pairs that a rule must keep


class Weighed(NamedTuple):
    """A rule, and what the pictures say of it."""

    rule: Rule
    groups: int  # by the rule alone
    cut: int  # verified pairs that it puts into two groups
    pairs: int  # verified pairs
    joined: int  # groups once verified pairs have joined theirs
    positive: int  # of these, with a target
    largest: float  # share of the pictures in the largest of these

    @property
    def cut_share(self) -> float:
        return self.cut / self.pairs if self.pairs else 0.0

    @property
    def is_usable(self) -> bool:
        """Tell whether five folds can be made of its groups."""
        return self.positive >= FEWEST_POSITIVE and self.largest <= LARGEST


def weigh_all(samples: pd.DataFrame, root: Path, copies: Copies) -> list[Weighed]:
    """Return the rules that suit pictures without known sources, the safest first.

    The safest one cuts the fewest verified pairs; of those that cut hardly any, the one with the fewest groups.
    """
    names = samples["sample"].tolist()
    alone = image_alone()
    placed = from_names(names, root)
    if copies.sure():
        placed += _runs(names, root, _shown_together(names, copies))
    found = [weigh(one, samples, copies) for one in without_repeats(placed)]
    kept = [one for one in found if one.rule.choice == alone.choice or _may_be_true(one)]
    return sorted(kept, key=lambda one: (_rank(one), one.rule.choice == alone.choice))


def weigh(placed: Placed, samples: pd.DataFrame, copies: Copies) -> Weighed:
    """Return what the pictures say of one rule, or of the groups that a data set names itself."""
    groups, sure = placed.groups, copies.sure()
    names = join_groups(groups, sure, threshold=copies.found.calibration.threshold).names
    joined = pd.Series([names.get(group, group) for group in groups])
    return Weighed(
        placed.rule,
        groups=len(set(groups)),
        cut=sum(groups[pair.first] != groups[pair.second] for pair in sure),
        pairs=len(sure),
        joined=joined.nunique(),
        positive=joined[samples["positive"].to_numpy() > 0].nunique(),
        largest=float(joined.value_counts().iloc[0] / len(joined)),
    )


def as_given(samples: pd.DataFrame, copies: Copies) -> Weighed:
    """Return what the pictures say of the groups that stand in the table."""
    rule = Rule(Choice(name="table"), "as the data set itself says")
    return weigh(Placed(rule, tuple(Source(group) for group in samples["group"])), samples, copies)


def _rank(one: Weighed) -> tuple[bool, float, int]:
    cut = 0.0 if one.cut_share <= FEW_CUT else one.cut_share
    return not one.is_usable, cut, one.groups


def _may_be_true(one: Weighed) -> bool:
    """Tell whether a rule keeps the verified pairs by and large; a doubtful one needs some."""
    return one.cut <= (1 - ENOUGH) * one.pairs and (not one.rule.doubtful or one.pairs >= FEWEST_STEPS)


def _shown_together(names: Sequence[str], copies: Copies) -> NDArray[np.intp]:
    """Return for each picture what it shows, a number that pictures share which verified pairs connect."""
    joined = join_groups(names, copies.sure(), threshold=copies.found.calibration.threshold).names
    return np.asarray(pd.factorize(pd.Series([joined.get(name, name) for name in names]))[0], np.intp)


def _runs(names: Sequence[str], root: Path, shown: NDArray[np.intp]) -> Iterator[Placed]:
    """Yield rules of runs, in numbers or in time, that hold what follows each other and shows one thing."""
    folders = [str(PurePosixPath(name).parent) for name in names]
    captured = pd.Series(names).str.extract(NUMBER, expand=False)
    ways: list[tuple[Sequence[str], list[float] | None, str]] = [(folders, times(names, root), "time")]
    if captured.notna().all() and captured.str.len().max() <= 15:
        numbers = captured.astype(float).tolist()
        ways += [([""] * len(names), numbers, "anywhere"), (folders, numbers, "in a folder")]
    for rows, numbers_or_none, kind in ways:
        gap = _gap(rows, numbers_or_none, shown) if numbers_or_none else None
        if gap is not None and (placed := place(_rule_of(kind, gap), names, root)) is not None:
            yield placed


def _rule_of(kind: str, gap: float) -> Rule:
    if kind == "time":
        return Rule(
            Choice(name="time", settings={"seconds": gap}), f"taken at most {gap:g} s after each other"
        )
    settings = {"number": NUMBER, "gap": int(gap)} | (
        {"within": "^((?:.*/)?)"} if kind == "in a folder" else {}
    )
    words = f"last numbers of names at most {int(gap)} apart{', ' + kind if kind != 'anywhere' else ''}"
    return Rule(Choice(name="runs", settings=settings), words)


def _gap(rows: Sequence[str], numbers: Sequence[float], shown: NDArray[np.intp]) -> float | None:
    """Return the step up to which neighbors in number show one thing; None where numbers do not tell.

    Numbers that stand twice in a row tell nothing of an order.
    """
    table = pd.DataFrame({"row": rows, "number": numbers, "shown": shown}).sort_values(["row", "number"])
    if table.duplicated(["row", "number"]).any():
        return None
    steps = table["number"].diff()[table["row"] == table["row"].shift()]
    together = (table["shown"] == table["shown"].shift())[steps.index]
    confirmed = steps[together].sort_values()
    if len(confirmed) < FEWEST_STEPS:
        return None
    wanted = float(confirmed.quantile(REACHED, interpolation="higher"))
    tried = [step for step in sorted(confirmed.unique()) if step <= wanted]
    told = [step for step in tried if together[steps <= step].mean() >= CONFIRMED]
    return float(told[-1]) if told else None
