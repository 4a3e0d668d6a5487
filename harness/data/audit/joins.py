"""What was done about groups whose pictures show one thing: joins that frozen folds or weak links do not allow."""

from dataclasses import dataclass
from typing import Any, Literal

from harness.data.audit.finding import Finding, Status, more, passed, told

Done = Literal["tried", "frozen", "trusted", "given"]  # what was done about groups that show one thing


@dataclass(frozen=True)
class Shown:
    """A picture of a chain: its file, its declared group, and the folds of that in a frozen split, in words."""

    sample: str
    group: str
    fold: str = ""


Chain = tuple[Shown, ...]


@dataclass(frozen=True)
class Joins:
    """How groups that show one thing were dealt with, and the chains of pictures that could not be joined.

    `tried`: joined where they could be; `frozen`: as the frozen split joined them; `trusted`, `given`: not joined, as
    `data.groups` says trust, or as there is a column `fold`. Links of `runaways` are too weak, `torn` ones go from one
    frozen fold to another, looked for where there is a `parent` split.
    """

    done: Done = "tried"
    runaways: tuple[Chain, ...] = ()
    torn: tuple[Chain, ...] = ()
    parent: bool = False


FROZEN = ("G6", "No picture joins two frozen folds")
RUNAWAYS = ("D10", "Joined groups are held together by strong links")
ANEW = "raise folds.version, which places all groups anew"
BY_HAND = (
    "give what shows one thing one group (source_image_id or data.group), and leave out what only looks alike"
)
NOT_JOINED: dict[Done, str] = {
    "trusted": "Groups are taken as declared (data.groups: trust), so that none were joined.",
    "given": "Folds are given in the column fold, so that no groups were joined.",
}
REMEDIES: dict[Done, str] = {
    "tried": "they were not joined",
    "frozen": f"frozen folds are never changed: {ANEW}",
    "trusted": "give both pictures one group (source_image_id or data.group), or set data.groups: repair",
    "given": "give both pictures one source_image_id, and one fold in the column fold",
}


def remedy(joins: Joins) -> str:
    """Return what would end leaks between declared groups, by why they were not joined."""
    reasons = []
    if joins.torn:
        reasons.append(f"frozen folds hold such pictures (G6): {ANEW}")
    if joins.runaways and joins.done == "tried":
        reasons.append(f"links are too few or too weak to join so many (D10): {BY_HAND}")
    return ", or ".join(reasons) or REMEDIES[joins.done]


def frozen_folds(joins: Joins | None) -> Finding:
    """G6: no pictures show the same as groups that a frozen split has in different folds."""
    if joins is None or joins.done in NOT_JOINED:
        return _not_tried(FROZEN, joins)
    if not joins.parent:  # which decides nothing: a first split is none the worse for it
        return told(*FROZEN, "not run", "No split was frozen before, whose folds could be joined.")
    if not joins.torn:
        return passed(*FROZEN, "fail", "No picture shows the same as frozen groups of two folds.")
    chain = " - ".join(f"{one.sample!r} ({one.fold or 'new'})" for one in joins.torn[0])
    summary = (
        f"{chain} show one thing, in groups whose folds are frozen: {ANEW}, or leave a picture out"
        f"{more(len(joins.torn) - 1, 'chain')}."
    )
    return Finding(*FROZEN, "fail", "fail", _pictures(joins.torn), 0.0, summary, _items(joins.torn))


def runaway_joins(joins: Joins) -> Finding:
    """D10: no weak links would make one group of many; a frozen split is only warned of those."""
    if joins.done in NOT_JOINED:
        return _not_tried(RUNAWAYS, joins)
    if not joins.runaways:
        text = "No set of pictures was too large for the links that hold it together."
        return passed(*RUNAWAYS, "fail", text)
    chain, frozen = joins.runaways[0], joins.done == "frozen"
    remedy = "frozen groups stay as they are" if frozen else f"look at each pair, {BY_HAND}"
    summary = (
        f"{len(chain)} pictures in a row would join groups into one blob, too large for the links between them: "
        f"{_in_a_row(chain)}; "
        f"{remedy}{more(len(joins.runaways) - 1, 'chain')}."
    )
    status: Status = "warn" if frozen else "fail"
    return Finding(*RUNAWAYS, "fail", status, _pictures(joins.runaways), 0.0, summary, _items(joins.runaways))


def _not_tried(head: tuple[str, str], joins: Joins | None) -> Finding:
    why = NOT_JOINED[joins.done] if joins else "Copies were not searched for."
    return Finding(*head, "fail", "not run", 0, 0.0, why)


def _in_a_row(chain: Chain) -> str:
    """Return the names of a chain, of a long one those at its ends."""
    names = [one.sample for one in chain]
    return " - ".join(names if len(names) <= 6 else [*names[:3], "...", *names[-3:]])


def _pictures(chains: tuple[Chain, ...]) -> int:
    return sum(len(chain) for chain in chains)


def _items(chains: tuple[Chain, ...]) -> tuple[dict[str, Any], ...]:
    return tuple(
        {"chain": number, "place": place, "image": one.sample, "group": one.group, "frozen fold": one.fold}
        for number, chain in enumerate(chains)
        for place, one in enumerate(chain)
    )
