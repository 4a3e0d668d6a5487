"""A study drawn whole, without training: a ledger of many trials, and the files of its best one's folds."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from harness.config import Study
from harness.evaluate.groups import SUMMED, counts_of_trials, fold_scores
from harness.evaluate.intervals import headline_intervals
from harness.model.outoffold import Collector
from harness.ranges import Alternatives, Range, Value
from harness.search.groups import FOLDER, PART
from harness.search.ledger import Ledger
from harness.search.trial import TrialPlan, TrialResult
from harness.studyfile import load
from harness.train.foldrun import RESULT, FoldResult, fold_folder
from harness.train.outbox import Outbox

FILE = Path(__file__).parents[1] / "studies" / "small_defects.yaml"
CLASSES = ("crack", "pit", "spot")
SIDE, EPOCHS, FOLDS = 48, 12, 5  # px, epochs a fold, folds
PRUNED_EACH = 7  # trials, of which one was pruned


def draw_study(work: Path, *, trials: int, groups: int = 60, seed: int = 0) -> TrialResult:
    """Write a study's work folder and return its best trial, the one in the middle, whose files are all there.

    The other trials lose a share of what that one found, so that scores, intervals and counts agree with each other.
    """
    rng = np.random.default_rng(seed)
    study = load(str(FILE))[0].with_settings({"search.trials": trials})
    params = [_params(study, rng) for _ in range(trials)]
    best = _best(work, study, trials // 2, params[trials // 2], groups, rng)
    digest = _leakage(work / "leakage")
    ledger = Ledger(work / "ledger", {})
    ledger.open_study(_facts(work, study, groups, digest), _baselines())
    table = _counts(best, params, rng)
    rows = _rows(table, best, params)
    pd.DataFrame(rows).to_parquet(ledger.folder / "trials.parquet", write_page_checksum=True)
    (ledger.folder / FOLDER).mkdir(exist_ok=True)
    for part, own in table.groupby(table["trial"] // PART):
        own.to_parquet(ledger.folder / FOLDER / f"{part:04d}.parquet", write_page_checksum=True)
    return best


def _params(study: Study, rng: np.random.Generator) -> dict[str, Value]:
    params: dict[str, Value] = {}
    for path, dimension in sorted(study.dimensions().items()):
        if isinstance(dimension, Alternatives):
            name = str(rng.choice(sorted(dimension.entries)))
            params[path] = name
            own = {
                f"{path}.{name}.{s}": e for s, e in dimension.entries[name].items() if isinstance(e, Range)
            }
            params |= {setting: _drawn(entry, rng) for setting, entry in own.items()}
        elif isinstance(dimension, Range):
            params[path] = _drawn(dimension, rng)
    return params


def _drawn(entry: Range, rng: np.random.Generator) -> float:
    if entry.log:
        return float(np.exp(rng.uniform(np.log(entry.low), np.log(entry.high))))
    return float(rng.uniform(entry.low, entry.high))


def _best(
    work: Path, study: Study, number: int, params: dict[str, Value], groups: int, rng: np.random.Generator
) -> TrialResult:
    samples: list[dict[str, Any]] = []
    folds = [_fold(fold_folder(work, number, fold), fold, groups, samples, rng) for fold in range(FOLDS)]
    pd.DataFrame(samples).to_parquet(work / "samples.parquet")
    return TrialResult(TrialPlan(number, params, study.with_params(params), False), "complete", folds)


def _fold(
    folder: Path, fold: int, groups: int, samples: list[dict[str, Any]], rng: np.random.Generator
) -> FoldResult:
    """Write a committed fold's files but its weights: two photographs of each group, each fifth group clean."""
    folder.mkdir(parents=True)
    collector = Collector(fold)
    for group in range(fold, groups, FOLDS):
        for shot in range(2):
            photo, clean = f"p{group:03d}-{shot}", group % 25 < FOLDS
            collector.add(photo, f"g{group:03d}", *_picture(0 if clean else 2, rng))
            name = "clean" if clean else CLASSES[group % len(CLASSES)]
            samples.append({"photo": photo, "group": f"g{group:03d}", "class_id": name})
    for name, content in collector.tables().files().items():
        (folder / name).write_bytes(content)
    rows = pd.read_parquet(folder / "out_of_fold.parquet")[["tp", "fp", "fn"]].sum()
    iou = float(rows["tp"] / rows.sum())
    outbox = Outbox(folder)
    for number in range(1, EPOCHS + 1):
        learned = 1 - np.exp(-number / 4)
        epoch = {"loss": 1.2 - learned + rng.normal(0, 0.02), "iou": iou * learned, "lr": 1e-3}
        outbox.append({"number": number, **epoch})
    result = FoldResult(
        fold, iou, iou, EPOCHS, EPOCHS, 40.0, 0.02, "cpu", "0" * 64, {"dice": 1.0}, str(folder)
    )
    (folder / RESULT).write_text(json.dumps({k: v for k, v in asdict(result).items() if k != "folder"}))
    return result


def _picture(objects: int, rng: np.random.Generator) -> tuple[Any, Any]:
    """Return logits and truth of a photograph with disks, some of them missed."""
    y, x = np.mgrid[:SIDE, :SIDE]
    truth, logits = np.zeros((SIDE, SIDE), np.uint8), rng.normal(-3, 1, (SIDE, SIDE))
    for _ in range(objects):
        (left, top), radius = rng.integers(8, SIDE - 8, 2), rng.uniform(1.5, 6)
        far = np.hypot(x - left, y - top)
        truth[far < radius] = 1
        logits += np.where(far < radius * rng.uniform(0.8, 1.2), rng.choice([6.0, 4.0, 1.0]), 0)
    return logits.astype(np.float32), truth


def _counts(best: TrialResult, params: list[dict[str, Value]], rng: np.random.Generator) -> pd.DataFrame:
    """Return the counts by group of all complete trials."""
    own = best.group_counts()
    numbers = [n for n in range(len(params)) if n == best.plan.number or n % PRUNED_EACH]
    strength = np.array([params[n]["augment.strength"] for n in numbers])
    lost = 0.03 + 0.5 * (strength - 0.4) ** 2 + rng.exponential(0.05, len(numbers))
    share = np.clip(lost[:, None] + rng.normal(0, 0.05, (len(numbers), len(own))), 0, 1)
    share[numbers.index(best.plan.number)] = 0
    tp = np.round(own["tp"].to_numpy() * (1 - share)).astype(int).ravel()
    table = pd.concat([own] * len(numbers), ignore_index=True)
    table["fn"], table["tp"] = table["fn"] + table["tp"] - tp, tp
    table.insert(0, "trial", np.repeat(numbers, len(own)))
    return table[["trial", "fold", "group", *SUMMED, "pictures"]]


def _rows(table: pd.DataFrame, best: TrialResult, params: list[dict[str, Value]]) -> list[dict[str, Any]]:
    numbers, counts = counts_of_trials(table)
    scores, intervals = fold_scores(counts), headline_intervals(counts)
    beside = best.metrics()
    found = {}
    for place, number in enumerate(numbers):
        own = {"iou_mean": scores[place].mean(), "iou_std": scores[place].std(ddof=1)}
        own |= {"iou_low": intervals[place].low, "iou_high": intervals[place].high, "best_epoch_gain": 0.0}
        own |= {f"iou_fold_{fold}": score for fold, score in enumerate(scores[place])}
        found[number] = beside | {name: float(value) for name, value in own.items()}
    found[best.plan.number] = beside
    return [
        {
            "trial": number,
            "state": "complete" if number in found else "pruned",
            "kind": "searched",
            "loss": drawn["loss"],
            "params": json.dumps(drawn, sort_keys=True),
            "reason": "" if number in found else "fold 1: all background",
            "seconds": 200.0,
        }
        | found.get(number, {})
        for number, drawn in enumerate(params)
    ]


def _facts(work: Path, study: Study, groups: int, leakage: str) -> dict[str, Any]:
    return {
        "name": study.name,
        "key": work.name,
        "identity": "12345678" * 8,
        "description": "Drawn, not trained.",
        "profile": "cpu",
        "seed": study.seed,
        "samples": 2 * groups,
        "groups": groups,
        "positive_groups": groups * 4 // 5,
        "held_out_groups": 0,
        "folds": FOLDS,
        "rare_classes": {},
        "data": "d" * 64,
        "split": "0" * 16,
        "split_note": "no groups held out",
        "leakage": "warn",
        "leakage_sha256": leakage,
        "code": "c" * 64,
        "commit": "",
        "versions": {"torch": "2.14.1"},
        "settings": study.model_dump(mode="json"),
    }


def _baselines() -> pd.DataFrame:
    return pd.DataFrame({"constant": [0.01] * FOLDS, "classical": [0.1, 0.3, 0.2, 0.2, 0.2]})


def _leakage(folder: Path) -> str:
    """Write a leakage report of three findings; return its digest."""
    told = (
        ("G1", "pass", "Groups are whole"),
        ("M2", "warn", "Share of empty masks"),
        ("T1", "not run", "Time"),
    )
    findings = [
        {"id": id, "status": status, "title": title, "severity": "warn", "summary": f"{title}: drawn."}
        for id, status, title in told
    ]
    content = json.dumps({"verdict": "warn", "findings": findings}).encode()
    folder.mkdir(parents=True)
    (folder / "leakage_report.json").write_bytes(content)
    return hashlib.sha256(content).hexdigest()
