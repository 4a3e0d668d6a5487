"""The verb `check`: the leakage report, the cost of a leak where it is asked for, and what to do next."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from harness.data.audit.actions import Step, steps
from harness.data.audit.report import refuse_leaks
from harness.errors import HarnessError
from harness.prepare import Prepared, built_and_prepared, facts, write_report
from harness.screen import command_of, console, tell_notes
from harness.studyfile import CACHES, load
from harness.train.room import refuse_unwritable

ShouldStop = Callable[[], bool]

tell = partial(console.print, highlight=False, markup=False, soft_wrap=True)


def checked(name: str, home: Path, *, cost: bool, watch: Callable[[], ShouldStop]) -> dict[str, Any]:
    """Audit a study's data and folds, write the report, and return it as plain values; also of one that may not run.

    Raises LeakageError where it leaks, Interrupted where the cost was stopped; both carry what is known.
    """
    study, file = load(name)
    if cost:
        for place in (home, CACHES):
            refuse_unwritable(place)
    prepared = built_and_prepared(study, file, home)
    folder = home / "audit" / study.name
    page = write_report(prepared, folder)
    _tell_report(prepared, page)
    found = {"verdict": prepared.report.verdict, "findings": [asdict(f) for f in prepared.report.findings]}
    document: dict[str, Any] = facts(prepared) | found | {"report": str(page)}
    try:
        if cost:
            document["cost"] = _cost(prepared, folder, watch)
        todo = next_steps(prepared, file=file, folder=folder, commands=_commands(name, home, cost=cost))
        document["next"] = [asdict(step) for step in todo]
        _tell_next(todo)
        refuse_leaks(prepared.report)
    except HarnessError as error:
        error.document = document
        raise
    return document


def next_steps(prepared: Prepared, *, file: Path, folder: Path, commands: dict[str, str]) -> Sequence[Step]:
    """Return what to do, the most harmful first; where nothing stops the study, its last one is to run it.

    `commands` are those of check, cost and run; cost is left out where it was asked for, or can tell nothing.
    """
    found = steps(prepared.report.findings, folder=str(folder), study_file=str(file), root=str(prepared.root))
    rare = [
        Step(
            "",
            "classes",
            f"add source images of class {name!r} ({count}, below {_below(prepared)})",
            f"{file}, data.rare_below",
        )
        for name, count in prepared.rare.items()
    ]
    mending = [step for step in found if step.kind != "advice"]
    advice = [step for step in found if step.kind == "advice"]
    if prepared.report.verdict == "fail":
        last = [Step("", "advice", "then check again", commands["check"])]
    else:
        last = [Step("", "advice", "run the study", commands["run"])]
    if "cost" in commands and not prepared.samples["group"].is_unique:
        last.insert(
            0, Step("", "advice", "measure what a split by pictures would add to the score", commands["cost"])
        )
    return [*mending, *rare, *advice, *last]


def _below(prepared: Prepared) -> int:
    return prepared.study.data.rare_below


def _commands(name: str, home: Path, *, cost: bool) -> dict[str, str]:
    found = {verb: command_of(verb, name, home) for verb in ("check", "run")}
    return found if cost else found | {"cost": f"{found['check']} --cost"}


def _cost(prepared: Prepared, folder: Path, watch: Callable[[], ShouldStop]) -> dict[str, Any]:
    from harness.cost.measure import Desk, measure  # plots and executors, which a check of data does without

    return measure(prepared, Desk(folder, CACHES, tell, watch))


def _tell_report(prepared: Prepared, page: Path) -> None:
    console.print(f"leakage check: [bold]{prepared.report.verdict}[/], see {page}", highlight=False)
    for finding in prepared.report.findings:
        console.print(
            f"  {finding.id:4} {finding.status:12} {finding.summary}", highlight=False, markup=False
        )
    for group, count in prepared.rare.items():
        console.print(f"  class {group}: {count} source images, below {_below(prepared)}", highlight=False)
    tell_notes(prepared.notes)


def _tell_next(todo: Sequence[Step]) -> None:
    tell("next, the most harmful first:" if len(todo) > 1 else "next:")
    for number, step in enumerate(todo, start=1):
        tell(f"  {number}. {step.line}")
