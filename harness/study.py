"""The story of a study, and the command line of every verb. Imported by nobody."""

import gc
import os
import signal

if __name__ == "__main__":  # a wish to stop while the imports below take their seconds

    def _end_at_once(number: int, frame: object) -> None:
        os.write(2, b"stopped before anything began\n")
        os._exit(75)

    for _number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(_number, _end_at_once)
    # imports and tables of samples make many objects, none of them garbage: looking for it takes a second of nine
    gc.set_threshold(100_000, 20, 20)


import argparse
import contextlib
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import cache, partial
from pathlib import Path
from typing import Any

from harness.beginning import new
from harness.checking import checked
from harness.config import Study
from harness.data.audit.report import refuse_leaks
from harness.errors import ConfigError, HarnessError, Interrupted
from harness.options import add_own_options
from harness.prepare import built_and_prepared, facts, other_code
from harness.production import monitor, predict, serve
from harness.results import compare, history, promote, report, reproduce, rollback
from harness.screen import console, show_links, summarize, tell_notes, tell_of_new_study
from harness.search.database import optuna_url
from harness.stopping import STOPS, ending_in_time, note_stops
from harness.studyfile import CACHES, load
from harness.tracking.store import answering, in_one_line, open_store
from harness.tracking.store import serve as serve_pages
from harness.train.room import refuse_unwritable

# What needs MLflow is imported where it is used: that takes seconds, which a check of data does without.


def run(name: str, home: Path, trials: int | None) -> dict[str, Any]:
    """Run a study from its file to its leaderboard; run again, it goes on where it stopped."""
    from harness.drive import drive
    from harness.nested import nest, refuse_unnestable

    study, file = load(name)
    if trials is not None:
        study = with_budget(study, trials)
    for place in (home, CACHES):
        refuse_unwritable(place)
    store = open_store(home)
    optuna_url(home)  # refused before data are read
    prepared = built_and_prepared(study, file, home)
    refuse_leaks(prepared.report)
    tell_notes(prepared.notes)
    tell_of_new_study(console, study, file, facts(prepared), home / "work")
    if began := other_code(prepared, home):
        console.print(
            f"begun with other code ({began[:12]}): finished folds are kept; a new name starts afresh"
        )
    search = partial(
        drive,
        store=store,
        home=home,
        caches=CACHES,
        console=console,
        watch=cache(partial(note_stops, partial(console.print, highlight=False))),
    )
    if study.protocol.nested:
        refuse_unnestable(prepared)
        nest(prepared, home, CACHES, lambda inner: search(inner)[0])
    board, experiment = search(prepared)
    summarize(console, board, store, name, home, experiment)
    return board.as_dict()


def check(name: str, home: Path, cost: bool) -> dict[str, Any]:
    """Audit data and folds and write the leakage report, also of a study that may not run."""
    return checked(
        name, home, cost=cost, watch=cache(partial(note_stops, partial(console.print, highlight=False)))
    )


def doctor(name: str | None, home: Path, prune: float | None) -> dict[str, Any]:
    """Find and repair disagreements between disk, Optuna and MLflow, of one study or of all."""
    from harness.doctor import Examination

    if prune is not None and not prune >= 0:
        raise ConfigError(f"--prune: {prune:g} is no size in GB; give 0 or more")
    wanted = load(name)[0].name if name else None
    tell = partial(console.print, highlight=False, markup=False, soft_wrap=True)
    room = None if prune is None else int(prune * 1e9)
    examination = Examination(home, open_store(home), tell, room)
    found = examination.of(wanted) if wanted else examination.of_all()
    for one in found:
        tell(f"{'mended' if one.mended else 'left'}: {one.study}: {one.what}")
    if not found:
        tell("disk, Optuna and MLflow agree")
    document = {
        "mended": [asdict(one) for one in found if one.mended],
        "left": [asdict(one) for one in found if not one.mended],
    }
    for failure in examination.failures:
        if isinstance(failure, HarnessError):
            failure.document = document
        raise failure
    return document


def ui(name: str | None, home: Path, port: int) -> dict[str, Any]:
    """Serve MLflow's own pages on this machine, with links that open the trials sorted by IoU."""
    wanted = load(name)[0].name if name else None
    store = answering(open_store(home))
    if store.artifacts is None:  # a server, which runs already
        show_links(console, store, wanted, store.shown)
        return {"address": store.shown}
    address = f"http://127.0.0.1:{port}"
    with serve_pages(store, port) as server:
        console.print(f"MLflow on {address} (Ctrl-C ends it)", highlight=False)
        show_links(console, store, wanted, address)
        with contextlib.suppress(KeyboardInterrupt):
            server.wait()
    return {"address": address}


def with_budget(study: Study, trials: int) -> Study:
    """Return the study with another total number of trials."""
    try:
        return study.with_settings({"search.trials": trials})
    except ConfigError as error:
        raise ConfigError(f"--trials: {str(error).removeprefix('search.trials: ')}") from None


NAMED = {
    False: "studies/NAME.yaml, or a path",
    True: "a study, for its champion; or models:/NAME@alias, models:/NAME/3",
}


VERBS: tuple[Callable[..., Any], ...] = (
    new,
    run,
    check,
    report,
    compare,
    reproduce,
    promote,
    rollback,
    history,
    predict,
    serve,
    monitor,
    doctor,
    ui,
)


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    whole = argparse.ArgumentParser(prog="python -m harness.study", description=__doc__)
    verbs = whole.add_subparsers(dest="verb", required=True)
    for verb in VERBS:
        text = (verb.__doc__ or "").splitlines()[0]
        one = verbs.add_parser(verb.__name__, help=text, description=text)
        one.set_defaults(action=verb)
        one.add_argument(
            "name",
            metavar="MODEL" if verb in (predict, serve) else "NAME",
            nargs="?" if verb in (doctor, ui) else None,
            help=NAMED[verb in (predict, serve)],
        )
        one.add_argument("--home", type=Path, default=Path("mlruns"), help="where results are kept (mlruns)")
        one.add_argument("--json", action="store_true", help="print one JSON document on standard output")
        add_own_options(one, verb.__name__)
    return whole


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, run the verb, turn an error of the user's into one line and its exit code."""
    asked = vars(parser().parse_args(arguments))
    action, as_json = asked.pop("action"), asked.pop("json")
    verb = asked.pop("verb")
    try:
        with in_one_line():
            result = action(**asked)
    except HarnessError as error:
        console.print(f"error: {error}", style="red", highlight=False, markup=False, soft_wrap=True)
        if as_json:
            print(json.dumps({"error": str(error)} if error.document is None else error.document))
        if isinstance(error, Interrupted):
            console.print("the same command goes on from here", highlight=False)
        return error.exit_code
    except OSError as error:
        if error.filename is None:
            raise
        console.print(
            f"error: {error.filename}: {error.strerror}; check the path, its rights and the space left",
            style="red",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )
        return ConfigError.exit_code
    except KeyboardInterrupt:
        goes_on = (
            "; the same command goes on from what is committed"
            if verb in ("run", "promote", "predict") or asked.get("cost")
            else ""
        )
        console.print(f"stopped at once{goes_on}", highlight=False)
        return Interrupted.exit_code
    if as_json:
        print(json.dumps(result))
    return 0


def cli() -> None:
    """Entry point of the installed command; once asked to stop, it ends within 30 s with 75."""
    for number in STOPS:
        signal.signal(number, signal.default_int_handler)
    try:
        with ending_in_time():
            code = main()
    except KeyboardInterrupt:  # while the end was told
        code = Interrupted.exit_code
    for number in STOPS:  # what is left to do takes no time
        signal.signal(number, signal.SIG_IGN)
    sys.exit(code)


if __name__ == "__main__":
    cli()
