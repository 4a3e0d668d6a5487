"""What is said of a study's results: the verdict in two sentences, and what must be known before believing it."""

from collections.abc import Mapping
from typing import Any

from harness.evaluate.heldout import LOOKS, can_be_proven
from harness.report.leaderboard import FAILED, Leaderboard

LAST_EPOCH_WARNING = 0.02  # IoU by which the best epochs may beat the last ones before it is worth a warning
THRESHOLD_HINT = 0.02  # IoU that another threshold adds, cross-fitted, from which it is worth a line
HARDLY = 0.001  # IoU of optimism from which a figure is said
UNPROVABLE = "Not provable on these data"
OF_WORD = {"equal": "equal to the best", "unknown": "not told from the best", "worse": "worse than the best"}


def verdict(board: Leaderboard) -> list[str]:
    """Return two sentences: what was found beside what needs no learning, and how far it may be believed."""
    classical = f"top-hat + Otsu, without learning: {score(board.baselines['classical'])}"
    if board.best is None:
        return [
            f"No trial ran all its folds; IoU of {classical}.",
            f"{UNPROVABLE}: there is nothing to prove.",
        ]
    best = f"Best: trial {board.best['trial']}, {board.best['loss']}, IoU {score(board.best)}"
    found = f"{best} (mean ± std over folds{_interval(board.best)}); {classical}."
    return [found, f"{_luck(board)}{_rivals(board)}{_second_look(board)}{_claim(board)}"]


def warnings(board: Leaderboard) -> list[str]:
    """Return what a reader must know before believing the table."""
    found = [
        f"Trial {row['trial']}: the epochs that looked best on their own folds would add "
        f"{row['best_epoch_gain']:.3f} IoU to its mean; the last epoch counts. Train longer, or lower train.lr."
        for row in board.trials
        if (row.get("best_epoch_gain") or 0.0) > LAST_EPOCH_WARNING
    ]
    found += [
        f"Trial {row['trial']} {row['state']}: {row['reason']}" for row in board.trials if row["reason"]
    ]
    found += [
        f"Trial {row['trial']}, second look {row['second_look']}: {row['second_reason']}"
        for row in board.trials
        if row.get("second_look") in FAILED
    ]
    found += _threshold_hint(board)
    rare = board.facts["rare_classes"]
    if rare:
        named = ", ".join(f"{name} ({count})" for name, count in rare.items())
        found.append(f"Classes with few source images: {named}. Their share of a score is mostly chance.")
    if board.best is not None and board.best["against_best"] is None and board.corrected is None:
        found.append(
            "Counts by group are not kept of these trials: no intervals; `doctor` or `run` adds them."
        )
    return [
        *found,
        "The std over folds is no confidence interval, and the best of several trials on the same folds looks "
        "better than it is.",
    ]


def score(row: Mapping[str, Any]) -> str:
    """Return mean ± std of a trial or a baseline, nothing without."""
    return "" if row.get("iou_mean") is None else f"{row['iou_mean']:.4f} ± {row['iou_std']:.4f}"


def interval(row: Mapping[str, Any], low: str = "iou_low", high: str = "iou_high") -> str:
    """Return an interval of a row, nothing without."""
    return "" if row.get(low) is None else f"{row[low]:.4f} to {row[high]:.4f}"


def _interval(best: Mapping[str, Any]) -> str:
    ends = interval(best)
    return f"; 95 % interval over groups {ends}" if ends else ""


def _luck(board: Leaderboard) -> str:
    found = board.corrected
    if found is None or found["trials"] < 2:
        return ""
    much = "hardly flattered" if found["optimism"] < HARDLY else f"flattered by about {found['optimism']:.4f}"
    return (
        f"As the best of {found['trials']} trials it is {much}: on groups that did not choose, the best has "
        f"{found['iou']:.4f} ({interval(found, 'low', 'high')}). "
    )


def _rivals(board: Leaderboard) -> str:
    """Return how many of the others cannot be told from the best, as part of a sentence."""
    words = [row["against_best"]["word"] for row in board.complete[1:] if row["against_best"]]
    near = sum(word != "worse" for word in words)
    return f"{near} of the {len(words)} others cannot be told from it. " if words else ""


def _second_look(board: Leaderboard) -> str:
    """Return how the best fared in the second look, as part of a sentence."""
    looked = [row for row in board.complete if row.get("second_iou_mean") is not None]
    if not looked or board.chosen is None:
        return ""
    first = board.chosen
    again = f"{first['second_iou_mean']:.4f} ± {first['second_iou_std']:.4f}"
    others = f" of {len(looked)}" if len(looked) > 1 else ""
    folds = "the same folds" if same_folds(board.facts) else "fresh folds of the same groups"
    return (
        f"With fresh seeds and {folds} trial {first['trial']} is the best{others}, IoU {again}; that takes their luck "
        "out of the ranking, not that of the groups, and proves nothing. "
    )


def same_folds(facts: Mapping[str, Any]) -> bool:
    """Tell whether there were no other folds for a second look."""
    scheme = facts["settings"].get("folds", {}).get("scheme")
    return scheme == "leave_one_group_out" or "as given in the column fold" in facts["split_note"]


def _claim(board: Leaderboard) -> str:
    return f"{_nested(board)}{_held_out(board)}"


def _nested(board: Leaderboard) -> str:
    if (nested := board.nested) is None:
        return ""
    served = nested.get("served_iou_mean")  # not there in results of older code
    more = (
        ""
        if served is None
        else f", {served:.4f} ± {nested['served_iou_std']:.4f} at the threshold that it chooses"
    )
    return (
        f"Nested cross-validation: such a search finds {score(nested)} ({interval(nested, 'low', 'high')}) on groups "
        f"that it never saw{more}, with networks that trained on fewer groups. "
    )


def _held_out(board: Leaderboard) -> str:
    own = [look for look in board.looks if look["sentence"] and _is_of(look["candidate"], board)]
    if own and board.chosen is not None:
        return f"Trial {board.chosen['trial']} against {own[-1]['rival']}: {own[-1]['sentence']}"
    if (held_out := board.facts.get("held_out_groups")) is None:
        return "Whether groups are held out is not recorded."
    if not can_be_proven(held_out, look=1):
        return _too_few(board, held_out)
    if len(board.looks) >= LOOKS:
        return f"Not proven: the {held_out} held-out groups are spent after {LOOKS} looks."
    return f"Not proven: {held_out} held-out groups wait, and only they can prove that it is better."


def _too_few(board: Leaderboard, held_out: int) -> str:
    """Return what can be proven with so few held-out groups; a search that was scored can be held against another."""
    none = "every group took part in the choice, none is held out"
    few = f"{held_out} held-out groups are too few to prove anything" if held_out else none
    if board.nested is None:
        return f"{UNPROVABLE}: {few}."
    short = few if held_out else "no group is held out"
    if len(board.looks) >= LOOKS:
        return f"{short[0].upper()}{short[1:]}, and the groups of the folds are spent after {LOOKS} looks."
    return (
        f"{short[0].upper()}{short[1:]}; only its search can be held against a champion's, if what can be read of its "
        "pictures leaves a look."
    )


def _is_of(candidate: Mapping[str, Any], board: Leaderboard) -> bool:
    chosen = board.chosen
    return chosen is not None and candidate == {"study": board.facts["key"], "trial": chosen["trial"]}


def _threshold_hint(board: Leaderboard) -> list[str]:
    gain = (board.best or {}).get("cross_fitted_gain") or 0.0
    if board.best is None or gain < THRESHOLD_HINT:
        return []
    return [
        f"Trial {board.best['trial']}: with threshold {board.best['threshold']:g} on the logit instead of 0 it has "
        f"about {gain:.3f} IoU more, on folds that had no part in the choice."
    ]
