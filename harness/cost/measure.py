"""The cost of a leak, from a prepared study to its lines, `cost.json` and `cost.html`; it decides nothing."""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness.cost.answer import COVERS, Answer, answer
from harness.cost.examples import examples
from harness.cost.folds import ShouldStop, Tell, Unfinished, jobs_of, train
from harness.cost.page import page
from harness.cost.question import Question, ask, used_samples, why_none
from harness.prepare import Prepared
from harness.train.checkpoint import write_synced
from harness.train.version import code_digest

FOLDER = "cost"  # below the caches: fold runs by the digest of what is asked; safe to delete
DOCUMENT, PAGE = "cost.json", "cost.html"


@dataclass(frozen=True)
class Desk:
    """Where files go, who is told, and what tells of the wish to stop; `watch` is called when fold runs begin."""

    folder: Path  # of the leakage report
    caches: Path
    tell: Tell
    watch: Callable[[], ShouldStop]


def measure(prepared: Prepared, desk: Desk) -> dict[str, Any]:
    """Return the cost as plain values, told in lines and written beside the leakage report.

    `status` is measured; nothing to compare, where the two splits would be the same; or collapsed or failed, where a
    fold run ended so: there are no figures then. Raises Interrupted (finished fold runs are kept), DataError.
    """
    samples = used_samples(prepared)
    if reason := why_none(samples):
        return _without_figures(prepared, desk, "nothing to compare", reason)
    question = ask(prepared, samples)
    known = _facts(prepared, question)
    _tell_of(question, known, desk.tell)
    place = desk.caches / FOLDER / question.digest
    jobs, began = jobs_of(question, prepared, place, desk.caches), time.monotonic()
    log, stop = place / "workers.log", desk.watch()
    results = train(jobs, question, log, tell=desk.tell, should_stop=stop)
    if isinstance(results, Unfinished):
        reason = (
            f"{results.split}, fold {results.fold} {results.status}: {results.reason}; no inflation is given"
        )
        return _without_figures(prepared, desk, results.status, reason, known=known)
    found = answer(question, results)
    known["seconds"] = sum(result.seconds for result in results.values())
    document = known | {"status": "measured"} | found.as_dict()
    _write(desk.folder, document)
    html = page(known, found, examples(question, found, prepared))
    write_synced(desk.folder / PAGE, html.encode())
    _tell_answer(found, known, desk, time.monotonic() - began)
    return document | {"page": str(desk.folder / PAGE)}


def _facts(prepared: Prepared, question: Question) -> dict[str, Any]:
    samples = question.samples
    return {
        "name": prepared.study.name,
        "seed": prepared.study.seed,
        "pictures": len(samples),
        "groups": int(samples["group"].nunique()),
        "positive_groups": int(samples.loc[samples["positive"] > 0, "group"].nunique()),
        "folds": question.folds,
        "leaked": question.leaked,
        "recipe": question.study.model_dump(mode="json", include={"network", "loss", "augment", "train"}),
        "caps": [asdict(cap) for cap in question.caps],
        "splits": [split.id for split in question.splits],
        "code": code_digest(),
    }


def _without_figures(
    prepared: Prepared, desk: Desk, status: str, reason: str, *, known: dict[str, Any] | None = None
) -> dict[str, Any]:
    desk.tell(f"cost of a split by pictures: {reason}")
    document = (known or {"name": prepared.study.name}) | {"status": status, "says": reason}
    _write(desk.folder, document)
    (desk.folder / PAGE).unlink(missing_ok=True)  # of an earlier question
    return document


def _write(folder: Path, document: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_synced(
        folder / DOCUMENT, json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False).encode()
    )


def _tell_of(question: Question, known: dict[str, Any], tell: Tell) -> None:
    tell(
        f"cost of a split by pictures: {known['pictures']:,} pictures of {known['groups']:,} groups "
        f"({known['positive_groups']:,} with an object), {known['folds']} folds dealt as pictures and as groups"
    )
    if question.caps:
        tell(f"  other than in the study: {', '.join(cap.sentence for cap in question.caps)}")


def _tell_answer(found: Answer, known: dict[str, Any], desk: Desk, seconds: float) -> None:
    lines = [score.sentence for score in found.scores]
    lines += [f"inflation: {found.inflation.sentence}; pooled {found.pooled.sentence}"]
    if found.control:
        lines += [f"control, where nothing can leak: {found.control.sentence} (pooled)"]
    shares = f"{known['leaked']:.0%} of the pictures validated beside training pictures of the same thing"
    lines += [found.verdict, f"Split by picture, {shares}.", COVERS]
    lines += [f"see {desk.folder / PAGE} ({seconds:.0f} s here)"]
    for line in lines:
        desk.tell(f"  {line}")
