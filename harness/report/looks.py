"""What was seen of the unseen groups of a study, look by look."""

from collections.abc import Mapping
from typing import Any

from harness.evaluate.heldout import LEVELS
from harness.report.leaderboard import Leaderboard
from harness.report.markup import listed, number, paragraph, table

UNFINISHED = "stopped before it showed anything; it counts"


def looks(board: Leaderboard) -> str:
    """Return a row and a sentence for each look, or that nothing was looked at."""
    held_out = board.facts.get("held_out_groups")
    if held_out is None and not board.looks:
        return paragraph("Whether groups are held out is not recorded.")
    if not board.looks:
        if not held_out and board.nested is not None:
            return paragraph("No group is held out; no search was held against a champion's there.")
        if not held_out:
            return paragraph("No group is held out, so there is nothing to look at.")
        return paragraph(f"{held_out} groups are held out; nobody has looked at them.")
    rows, sentences = [_cells(look) for look in board.looks], [look["sentence"] for look in board.looks]
    headings = ("look", "level", "candidate", "rival", "gain", "95 % interval", "p", "better")
    levels = ", ".join(map(str, LEVELS))
    note = f"Looks test at levels of {levels}; after them these groups are spent."
    return (
        table(headings, rows, words=("candidate", "rival", "better"))
        + listed(sentence for sentence in sentences if sentence)
        + paragraph(note, "soft")
    )


def _cells(look: Mapping[str, Any]) -> list[str]:
    candidate = f"{look['candidate']['study']}, trial {look['candidate']['trial']}"
    known = [str(look["look"]), f"{look['level']:g}", candidate, look["rival"]]
    if look["sentence"] is None:
        return [*known, "", "", "", UNFINISHED]
    return [
        *known,
        f"{look['gain']:+.4f}",
        f"{look['low']:+.4f} to {look['high']:+.4f}",
        number(look["p_value"], 4),
        "yes" if look["better"] else "no",
    ]
