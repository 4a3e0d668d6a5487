"""The protocol as it was really run: a model info sheet, and what reproduces the study."""

import shlex
from collections import Counter
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from harness.report.foldfiles import TrialFiles
from harness.report.leaderboard import Leaderboard
from harness.report.leaks import Leakage
from harness.report.markup import pairs, paragraph, table
from harness.report.words import same_folds

UNKNOWN = "not recorded"
SOURCE = (
    "After the model info sheets of Kapoor & Narayanan, Leakage and the reproducibility crisis in machine-learning-"
    "based science (Patterns, 2023); L1 to L3 are their kinds of leakage. Filled from what is recorded of this run; "
    "ids such as G1 are checks of the leakage report."
)
SIDES = {  # kind of leakage: what keeps it out, checks that looked
    "L1.1 No test set": (
        "Each fold is scored by the one model that did not train on its groups.",
        "G1 G5 G4",
    ),
    "L1.2 Pre-processing on training and test set": (
        "Coverage, class weight and output bias are those of the training folds.",
        "P1 A1 A2",
    ),
    "L1.3 Feature selection on training and test set": (
        "Pixels are the only features; none is selected.",
        "",
    ),
    "L1.4 Duplicates": (
        "Copies are searched for by bytes, pixels and key points.",
        "D1 D2 D3 D5 D6 D7 D9 D11 P2 C1",
    ),
    "L2 Features that would not be there in use": ("The network sees the picture alone.", "F1 F2 D8 P5"),
    "L3.1 Temporal leakage": ("Neighbors in time are compared; time itself splits nothing.", "T1"),
    "L3.2 Test samples that depend on training samples": (
        "Folds split groups, the physical things photographed.",
        "G1 G2 G3 G6 D4 D10 M6",
    ),
    "L3.3 A test set unlike the use": (
        "Folds are compared with each other; how the data were chosen is for their owner to say.",
        "S1 S2 M2",
    ),
}


def sheet(board: Leaderboard, files: TrialFiles | None, leakage: Leakage | None) -> str:
    """Return questions and answers as a table."""
    rows = [*_data(board), *_leaks(board.facts, leakage), *_choices(board), *_work(board, files)]
    return paragraph(SOURCE, "soft") + table(
        ("question", "answer"), rows, words=("question", "answer"), prose=True
    )


def reproduce(facts: Mapping[str, Any]) -> str:
    """Return the command, and the hashes that say whether it is the same study."""
    budget = _take(facts, "settings", "search", "trials")
    trials = "" if budget is None else f" --trials {budget}"
    command = f"python -m harness.study run {shlex.quote(str(facts['name']))}{trials}"
    versions = facts.get("versions") or {}
    known = {
        "Study": str(facts["key"]),
        "Identity (settings and split)": str(facts["identity"]),
        "Seed": str(facts["seed"]),
        "Split": str(facts["split"]),
        "Data manifest": str(facts["data"]),
        "Leakage report (SHA-256)": str(facts["leakage_sha256"]),
        "Code digest": str(facts.get("code") or UNKNOWN),
        "Commit": str(facts.get("commit") or UNKNOWN),
        "Versions": ", ".join(f"{name} {number}" for name, number in versions.items()) or UNKNOWN,
    }
    note = (
        "With the same data, study file, code and versions it asks the same trials; on the same kind of CPU scores are "
        "equal to the last bit."
    )
    return f"<pre>{escape(command)}</pre>{pairs(known)}{paragraph(note, 'soft')}"


def _data(board: Leaderboard) -> Iterable[tuple[str, str]]:
    facts = board.facts
    dataset = _take(facts, "settings", "data", "dataset", "name") or UNKNOWN
    held_out = facts.get("held_out_groups")
    folds = facts.get("folds")
    yield (
        "What are the data?",
        (
            f"{facts['samples']:,} samples of {facts['groups']:,} groups, {facts['positive_groups']:,} of them with an "
            f"object; data set {dataset}, manifest {str(facts['data'])[:16]}"
        ),
    )
    yield (
        "How were they split?",
        (
            f"By groups into {UNKNOWN if folds is None else folds} folds, split {facts['split']}"
            f"{': ' + facts['split_note'] if facts['split_note'] else ''}"
        ),
    )
    yield (
        "Is there unseen data?",
        (
            UNKNOWN
            if held_out is None
            else f"{held_out} groups are held out"
            if held_out
            else f"no: every group took part in the choice of the best trial{_of_the_search(board)}"
        ),
    )


def _leaks(facts: Mapping[str, Any], leakage: Leakage | None) -> Iterable[tuple[str, str]]:
    yield "Verdict of the leakage report", str(facts["leakage"])
    for kind, (rule, ids) in SIDES.items():
        said = leakage.statuses(ids) if leakage else f"outcome of its checks: {UNKNOWN}" if ids else ""
        yield kind, f"{rule}{f' {said}.' if said else ''}"


def _second_look(board: Leaderboard) -> str:
    """Return which trials ran once more, how each ended, and which is promoted."""
    looked = [row for row in board.trials if row.get("second_look")]
    if not looked or board.chosen is None:
        return "no: no trial had a second look"
    told = ", ".join(
        f"trial {row['trial']} {row['second_iou_mean']:.4f}"
        if row["second_look"] == "complete"
        else f"trial {row['trial']} {row['second_look']}"
        for row in looked
    )
    folds = "the same folds" if same_folds(board.facts) else "fresh folds of the same groups"
    return f"with fresh seeds and {folds}: {told}; promoted is trial {board.chosen['trial']}"


def _of_the_search(board: Leaderboard) -> str:
    scored = "; each fold was unseen by the search that ran without it, which is scored there"
    return scored if board.nested is not None else ""


def _nested(board: Leaderboard) -> str:
    """Return what each search without a fold chose, and how that scored on the fold."""
    if board.nested is None:
        return "no: protocol.nested was not asked for, or not run with this budget"
    pairs = zip(board.nested["chosen"], board.nested["iou_folds"], strict=True)
    folds = (
        f"fold {one['fold']}: trial {one['trial']} of {one['study']} ({one['loss']}) {iou:.4f}"
        for one, iou in pairs
    )
    return f"by nested cross-validation; {'; '.join(folds)}"


def _threshold(board: Leaderboard) -> str:
    threshold = (board.chosen or {}).get("threshold")
    return UNKNOWN if threshold is None else f"{threshold:g}"


def _choices(board: Leaderboard) -> Iterable[tuple[str, str]]:
    facts, tried = board.facts, _states(board)
    space = _take(facts, "settings", "search", "space")
    epochs, budget = _take(facts, "settings", "train", "epochs"), _take(facts, "settings", "search", "trials")
    yield (
        "What was chosen, and on what?",
        (
            f"Among {len(board.complete):,} complete trials the one with the largest mean IoU over the folds, which is "
            "therefore flattered; searched: "
            + (", ".join(sorted(space)) if space else "nothing" if space == {} else UNKNOWN)
        ),
    )
    yield "Was the choice repeated?", _second_look(board)
    yield "Was the search itself tested?", _nested(board)
    yield (
        "Which epoch, which threshold?",
        (
            f"The last epoch of {UNKNOWN if epochs is None else epochs}; logit 0. Neither is chosen on the scored "
            f"fold. Deployed is the logit that is best on all folds: {_threshold(board)}."
        ),
    )
    yield (
        "Which metric?",
        (
            "IoU = TP / (TP + FP + FN) of a fold's valid pixels at original resolution, mean over folds "
            "(docs/metrics.md); intervals over groups (docs/statistics.md)"
        ),
    )
    yield "What was it compared with?", "the best constant, and top-hat + Otsu, scored on the same folds"
    yield "Seeds", f"{facts['seed']} for weights, batches, augmentation and the sampler of the search"
    yield "Budget", f"{UNKNOWN if budget is None else budget} trials; ran: {tried}"
    ended = [
        f"trial {row['trial']} ({row['state']}): {row['reason']}" for row in board.trials if row["reason"]
    ]
    more = f"; and {len(ended) - 10:,} more" if len(ended) > 10 else ""
    yield "What was pruned or failed?", ("; ".join(ended[:10]) + more) or "nothing"


def _work(board: Leaderboard, files: TrialFiles | None) -> Iterable[tuple[str, str]]:
    facts = board.facts
    devices = (
        sorted({str(one.result["device"]) for one in files.folds if one.result.get("device")})
        if files
        else []
    )
    seconds = [row["seconds"] for row in board.trials if row.get("seconds") is not None]
    versions = facts.get("versions") or {}
    yield "Code", f"digest {facts.get('code') or UNKNOWN}, commit {facts.get('commit') or UNKNOWN}"
    yield "Versions", ", ".join(f"{name} {number}" for name, number in versions.items()) or UNKNOWN
    yield "Hardware", f"{', '.join(devices)} (the best trial's folds)" if devices else UNKNOWN
    yield "Time of training", f"{sum(seconds) / 3600:.2f} hours over all trials" if seconds else UNKNOWN
    yield "Who may use it, and for what?", UNKNOWN


def _states(board: Leaderboard) -> str:
    counts = Counter(row["state"] for row in board.trials)
    return ", ".join(f"{count:,} {state}" for state, count in sorted(counts.items())) or "nothing"


def _take(tree: Any, *path: str) -> Any:
    for name in path:
        tree = tree.get(name) if isinstance(tree, Mapping) else None
    return tree
