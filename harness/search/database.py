"""Where a study's trials and its driver's lock are kept, and what its database answers as errors of ours.

Every connection of Optuna and of the lock is opened here, so that a full disk or a lost server is told in one line.
"""

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
from sqlalchemy import URL, Engine, create_engine, event, make_url
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, OperationalError, SQLAlchemyError

from harness.errors import Blocked, ConfigError, DiskFull, HarnessError
from harness.masking import masked, words_of

VARIABLE = "HARNESS_OPTUNA_URL"
NOTE = "trials_database"  # file in a study's folder: the database that has its trials and its lock
UNDER_HOME = "optuna.db under --home"
LOCK_TIMEOUT = 60.0  # s a writer waits for SQLite; sqlite3's own 5 s are too short under load
PASSING = {  # SQLite's primary result codes: what keeps a run from going on now, and what mends it
    sqlite3.SQLITE_FULL: "free room on its disk",
    sqlite3.SQLITE_IOERR: "free room on its disk, and look whether that is whole",
    sqlite3.SQLITE_BUSY: "end the other process that writes into it",
    sqlite3.SQLITE_LOCKED: "end the other process that writes into it",
    sqlite3.SQLITE_READONLY: "give the right to write to the file and its folder",
    sqlite3.SQLITE_CANTOPEN: "give the right to write to the file and its folder",
    sqlite3.SQLITE_PERM: "give the right to write to the file and its folder",
    sqlite3.SQLITE_NOMEM: "free memory",
}


def optuna_url(home: Path) -> str:
    """Return the database of HARNESS_OPTUNA_URL, else the one under `home`; nothing is opened.

    Raises ConfigError for what is no database that outlives a run, or needs a package that is not here.
    """
    named = os.environ.get(VARIABLE)
    if not named:
        return f"sqlite:///{home.resolve() / 'optuna.db'}"
    try:
        parsed = make_url(named)
        name = (parsed.database or ":memory:") if parsed.get_backend_name() == "sqlite" else None
        if name is not None and (name == ":memory:" or "mode=memory" in named):
            raise ConfigError(
                f"{VARIABLE}: {masked(named)} is kept in memory and ends with the run; write sqlite:////path/to/file, "
                "or unset the variable to use the database under --home"
            )
        create_engine(named).dispose()  # opens nothing
    except (SQLAlchemyError, ImportError, ValueError, TypeError) as error:
        raise ConfigError(
            f"{VARIABLE}: {masked(named)} names no database that can be used ({words_of(error)}); write "
            "postgresql://user:password@host/name or sqlite:////path/to/file, or unset the variable to use the "
            "database under --home"
        ) from None
    return named if name is None or name.startswith("file:") else _with_whole_path(named, parsed, name)


def _with_whole_path(named: str, parsed: URL, name: str) -> str:
    """Return the address of a file by its whole path, or the same words would mean another one in another folder."""
    path = Path(name).absolute()
    if path.is_dir() or not path.parent.is_dir():
        wrong = "is a folder" if path.is_dir() else "is in a folder that is not there"
        raise ConfigError(
            f"{VARIABLE}: {masked(named)} {wrong}; write sqlite:////path/to/file, or unset the variable to use the "
            "database under --home"
        )
    return named if Path(name).is_absolute() else parsed.set(database=str(path)).render_as_string()


def note_database(work: Path, home: Path) -> None:
    """Note in a study's folder which database has its trials. Raises ConfigError as `refuse_other_database` does."""
    work.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError), (work / NOTE).open("x") as file:
        file.write(_named(home))
    refuse_other_database(work, home)


def refuse_other_database(work: Path, home: Path) -> None:
    """Raise ConfigError where a study's trials are in another database: its lock is there, and seen only there."""
    path, here = work / NOTE, _named(home)
    known = path.read_text() if path.is_file() else ""
    if known not in ("", here):
        raise ConfigError(
            f"{work.name}: its trials are in {known}, and {VARIABLE} now says {here}; set it as it was, or remove "
            f"{path} if they were moved there"
        )


def _named(home: Path) -> str:
    return masked(optuna_url(home)) if os.environ.get(VARIABLE) else UNDER_HOME


def engine_options(url: str) -> dict[str, Any]:
    """Return how SQLAlchemy opens this database."""
    if url.startswith("sqlite"):
        return {"connect_args": {"timeout": LOCK_TIMEOUT}}
    return {"pool_pre_ping": True}


def opened(url: str) -> Engine:
    """Return a connection pool whose errors are ours: ConfigError, DiskFull, Blocked. Nothing is opened yet."""
    with _opening(url):
        engine = create_engine(url, **engine_options(url))
    event.listen(engine, "handle_error", _as_ours)
    return engine


def opened_by_optuna(url: str) -> optuna.storages.RDBStorage:
    """Return Optuna's storage, its tables made when they are not there; its errors are ours, as those of `opened`."""
    with _opening(url):
        # Optuna takes braces for a place to fill in
        storage = optuna.storages.RDBStorage(
            url.replace("{", "{{").replace("}", "}}"), engine_kwargs=engine_options(url)
        )
    event.listen(storage.engine, "handle_error", _as_ours)
    return storage


@contextlib.contextmanager
def _opening(url: str) -> Iterator[None]:
    try:
        yield
    except (SQLAlchemyError, optuna.exceptions.StorageInternalError, ImportError, RuntimeError) as error:
        cause = error.__cause__ if isinstance(error.__cause__, SQLAlchemyError) else error
        raise as_error(url, cause) from error


def _as_ours(context: ExceptionContext) -> None:
    """Raise our own error in place of SQLAlchemy's; two who add the same row at once are no error yet."""
    error = context.sqlalchemy_exception
    if error is not None and not isinstance(error, IntegrityError) and context.engine is not None:
        raise as_error(context.engine.url.render_as_string(), error) from error


def as_error(url: str, error: Exception) -> HarnessError:
    """Return what a database answered as one line: DiskFull or Blocked where the same command goes on later."""
    shown, said = masked(url), words_of(getattr(error, "orig", None) or error)
    code = getattr(getattr(error, "orig", None), "sqlite_errorcode", 0) & 0xFF
    if code in PASSING and not (code == sqlite3.SQLITE_CANTOPEN and _lacks_folder(url)):
        kind = DiskFull if code == sqlite3.SQLITE_FULL else Blocked
        return kind(f"{shown}: the trials' database cannot be written: {said}; {PASSING[code]}")
    lost = isinstance(error, OperationalError | InterfaceError) or getattr(
        error, "connection_invalidated", False
    )
    if lost and isinstance(error, DBAPIError) and not url.startswith("sqlite"):
        return Blocked(
            f"{shown}: the trials' database does not answer: {said}; start its server, or look at the address"
        )
    return ConfigError(
        f"{shown}: the trials' database cannot be used: {said}; mend it, or move it away: the next run asks the same "
        "trials again and takes the committed folds"
    )


def _lacks_folder(url: str) -> bool:
    return not Path(make_url(url).database or "").absolute().parent.is_dir()
