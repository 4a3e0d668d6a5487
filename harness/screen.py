"""What the command line shows of a study: its table, what to know beside it, links, and the next steps."""

import shlex
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from harness.config import Study
from harness.errors import ConfigError, DataError
from harness.report.leaderboard import Leaderboard
from harness.report.table import as_table
from harness.report.words import verdict, warnings
from harness.search.ledger import STUDY, find_ledger, read_facts
from harness.tracking.recorder import flatten
from harness.tracking.store import Store, links, ui_command

console = Console(stderr=True)
LONGEST, MOST = 40, 6  # characters of a value, changed settings shown


def summarize(
    console: Console, board: Leaderboard, store: Store, name: str, home: Path, experiment: str
) -> None:
    """Show the leaderboard and the command of each next step."""
    show(console, board)
    again = f"{store.prefix}{sys.executable} -m harness.study"
    place = "" if home == Path("mlruns") else f" --home {home}"
    lines = {"see it in MLflow": ui_command(store, name, home)}
    if experiment:  # else MLflow never answered
        pages = links(experiment, address=None if store.artifacts else store.shown)
        lines |= {"then open": pages["trials as a list"], "as charts": pages["trials as charts"]}
    lines |= {
        "promote the best": f"{again} promote {name}{place}",
        "more trials": f"{again} run {name} --trials {2 * len(board.trials)}{place}",
        "this table again": f"{again} report {name}{place}",
    }
    for what, command in lines.items():
        console.print(f"{what:>18}:  {command}", highlight=False, markup=False, soft_wrap=True)


def show(console: Console, board: Leaderboard) -> None:
    """Print the leaderboard with what must be known beside it."""
    if board.facts["description"]:
        console.print(board.facts["description"], highlight=False, markup=False)
    for sentence in verdict(board):
        console.print(sentence, highlight=False, markup=False)
    console.print(as_table(board, console.width))
    for warning in warnings(board):
        console.print(f"- {warning}", highlight=False, markup=False)


def tell_notes(notes: Sequence[str]) -> None:
    """Say what of the data set was not taken, and why."""
    for note in notes:
        console.print(f"note: {note}", highlight=False, markup=False, soft_wrap=True)


def command_of(verb: str, name: str, home: Path) -> str:
    """Return the command of a verb for a study of this name."""
    place = "" if home == Path("mlruns") else f" --home {shlex.quote(str(home))}"
    return f"{sys.executable} -m harness.study {verb} {shlex.quote(name)}{place}"


def warn_of_changes(console: Console, study: Study, file: Path, board: Leaderboard) -> None:
    """Say in one line when the study file no longer is the one that the results are of."""
    if study.identity(board.facts["split"]) == board.facts["identity"]:
        return
    console.print(
        f"{file} has changed since this run ({_some(changes(board.facts, study))}): "
        "this is of the file as it was; run it to get results of its own",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )


def tell_of_new_study(console: Console, study: Study, file: Path, now: Mapping[str, Any], work: Path) -> None:
    """Say in one line when a run is not of the study that ran last under this name; `now` are its facts."""
    tell = partial(console.print, highlight=False, markup=False, soft_wrap=True)
    try:
        last = read_facts(find_ledger(work, study.name))
    except ConfigError:
        return  # the first one
    except DataError as error:
        return tell(f"what {file} was run as last is not known: {error}")
    if last["key"] == now["key"]:
        return
    changed = changes(last, study)
    subject = f"{file} has" if changed else f"the data of {file} have"
    for name in ("data", "split"):
        if last[name] != now[name]:
            changed.append(f"{name}: {last[name][:12]} -> {now[name][:12]}")
    again = (work / now["key"] / "ledger" / STUDY).is_file()
    tell(
        f"{subject} changed since the run before this one ({_some(changed)}): "
        f"{'this goes on with the study' if again else 'this begins a new study'} {now['key']}; the other one stays at "
        f"{work / last['key']}"
    )


def changes(facts: Mapping[str, Any], study: Study) -> list[str]:
    """Return `path: then -> now` for each setting that decides results and is not as in the facts of a run."""
    then, now = _decisive(facts["settings"]), flatten(study.decisive())
    paths = [path for path in (*now, *(p for p in then if p not in now)) if then.get(path) != now.get(path)]
    return [f"{path}: {_short(then, path)} -> {_short(now, path)}" for path in paths]


def _decisive(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a run that decide its results, as far as this version of the code knows them."""
    try:
        return flatten(Study.model_validate(settings).decisive())
    except ValueError:
        return flatten(settings)


def _short(settings: Mapping[str, Any], path: str) -> str:
    text = str(settings[path]) if path in settings else "nothing"
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def _some(changed: Sequence[str]) -> str:
    more = f", and {len(changed) - MOST} more" if len(changed) > MOST else ""
    return ", ".join(changed[:MOST]) + more or "settings were taken out"


def show_links(console: Console, store: Store, name: str | None, address: str) -> None:
    """Print links that open the trials of one study, or of all."""
    for experiment, key in store.experiments(name).items():
        for what, link in links(key, address=address).items():
            console.print(f"  {experiment}, {what}:  {link}", highlight=False, soft_wrap=True)
