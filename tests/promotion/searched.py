"""Two searches of one home that nested cross-validation scored, and what tests do with them."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmarks.promoted import PLAIN, Ran, run_study
from harness.config import Promote
from harness.errors import NotBetter, PromotionRefused
from harness.promotion.pictures import fold_groups
from harness.promotion.readable import FOLDER, note_result
from harness.promotion.searches import Searched, Searches
from harness.tracking.aliases import champion

WORSE = 4  # times less is found by the weak search, so that the folds tell in every case


def run_nested(folder: Path, home: Path, rate: float, epochs: int) -> Ran:
    """Run a search of one trial, and the nested one; no group is held out."""
    settings: dict[str, Any] = {
        "folds.count": 3,
        "folds.held_out": 0.0,
        "protocol.nested": True,
        "search.trials": 1,
        "search.baselines": [{"train.lr": rate}],
        "train.epochs": epochs,
        "train.validate_every": epochs,
    }
    return run_study(folder, home, **settings)


def change(ran: Ran, how: Callable[[dict[str, Any]], None], name: str = "nested.json") -> None:
    """Change a JSON file of a study's ledger."""
    path = ran.work / "ledger" / name
    content = json.loads(path.read_text())
    how(content)
    path.write_text(json.dumps(content))


def find_less(nested: dict[str, Any]) -> None:
    counts = nested["counts"]
    for place, tp in enumerate(counts["served_tp"]):
        counts["served_fn"][place] += tp - tp // WORSE
        counts["served_tp"][place] = tp // WORSE


def searches(ran: Ran, tell: Callable[[str], None] = print) -> Searches:
    return Searches(ran.audited(), ran.work, "ensemble of 3 folds", tell)


def pair(ran: Ran) -> tuple[Searched, Searched]:
    held = champion(ran.client, "tiny")
    assert held is not None
    return searches(ran).pair(0, held)


def refused(ran: Ran, wanted: Promote = PLAIN) -> str:
    """Return why a trial is refused before a look; the champion stays."""
    now, looks = ran.champion(), len(ran.looks())
    with pytest.raises(PromotionRefused) as caught:
        ran.promote(0, wanted=wanted)
    assert not isinstance(caught.value, NotBetter)
    assert (ran.champion(), len(ran.looks())) == (now, looks)
    return str(caught.value)


def note(ran: Ran, counts: dict[str, Any], study: str = "other-1", parts: Sequence[str] = ()) -> None:
    """Write down that a search left these counts on the same pictures, as a nested search does."""
    today = ran.audited()
    nested = {"counts": counts, "chosen": [{"study": part} for part in parts]}
    note_result(ran.home, study, fold_groups(today.split, today.samples), nested)


def note_again(*several: Ran) -> None:
    """Let the results that were written down be those that are there."""
    shutil.rmtree(several[0].home / FOLDER)
    for ran in several:
        nested = json.loads((ran.work / "ledger" / "nested.json").read_text())
        note(ran, nested["counts"], ran.key, [one["study"] for one in nested["chosen"]])


def look_at(ran: Ran, tell: Callable[[str], None] = print) -> int:
    return int(searches(ran, tell).look(*pair(ran))["look"])
