"""What the command line shows of a study: its table, what to know beside it, links, and the next steps."""

import sys
from pathlib import Path

from rich.console import Console

from harness.config import Study
from harness.report import Leaderboard, as_table, warnings
from harness.tracking.recorder import flatten
from harness.tracking.store import Store, links, ui_command


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
    console.print(as_table(board, console.width))
    for warning in warnings(board):
        console.print(f"- {warning}", highlight=False, markup=False)


def warn_of_changes(console: Console, study: Study, file: Path, board: Leaderboard) -> None:
    """Say in one line when the study file no longer is the one that the results are of."""
    if study.identity(board.facts["split"]) == board.facts["identity"]:
        return
    before = flatten(board.facts["settings"])
    changed = [path for path, value in flatten(study.decisive()).items() if before.get(path) != value]
    console.print(
        f"{file} has changed since this run ({', '.join(changed) or 'settings were taken out'}): "
        "this is of the file as it was; run it to get results of its own",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )


def show_links(console: Console, store: Store, name: str | None, address: str) -> None:
    """Print links that open the trials of one study, or of all."""
    for experiment, key in store.experiments(name).items():
        for what, link in links(key, address=address).items():
            console.print(f"  {experiment}, {what}:  {link}", highlight=False, soft_wrap=True)
