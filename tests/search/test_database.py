"""What real SQLite answers while a search runs is one line of ours, and the next run goes on to the same bits."""

import contextlib
import os
import resource
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event
from sqlalchemy.exc import IntegrityError

from harness.errors import Blocked, ConfigError, DiskFull, HarnessError
from harness.search import database
from harness.search.database import NOTE, note_database, opened, optuna_url, refuse_other_database
from harness.search.lock import only_driver
from tests.search.formula import Home, study, table


def test_the_database_is_under_home_unless_one_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert optuna_url(tmp_path) == f"sqlite:///{tmp_path}/optuna.db"
    monkeypatch.setenv("HARNESS_OPTUNA_URL", f"sqlite:///{tmp_path}/{{mine}}.db")
    assert optuna_url(tmp_path) == f"sqlite:///{tmp_path}/{{mine}}.db"


def test_a_named_file_is_the_same_one_from_every_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HARNESS_OPTUNA_URL", "sqlite:///mine.db")
    assert optuna_url(tmp_path / "home") == f"sqlite:///{tmp_path}/mine.db"


def test_a_study_whose_trials_are_in_another_database_is_refused_until_its_note_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = tmp_path / "work/tiny-1"
    refuse_other_database(work, tmp_path)  # nothing is known of it, and nothing is noted
    assert not work.exists()
    note_database(work, tmp_path)
    note_database(work, tmp_path)
    monkeypatch.setenv("HARNESS_OPTUNA_URL", f"sqlite:///{tmp_path}/mine.db")
    for step in (note_database, refuse_other_database):
        with pytest.raises(
            ConfigError, match=r"tiny-1: its trials are in optuna\.db under --home, and .* now says"
        ):
            step(work, tmp_path)
    (work / NOTE).unlink()
    note_database(work, tmp_path)
    monkeypatch.delenv("HARNESS_OPTUNA_URL")
    with pytest.raises(ConfigError, match=r"are in sqlite:.*mine\.db"):
        refuse_other_database(work, tmp_path)


@pytest.mark.parametrize(
    "url",
    [
        "nothing",
        "://",
        "  ",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///file:mem1?mode=memory&cache=shared&uri=true",
        "sqlite:////tmp",
        "sqlite:////nowhere/at/all.db",
        "http://me:s3cret@host/x",
        "postgresql+none://me:s3cret@host/x",
        "postgresql://me:s3/c@ret@host:port/x",
        "oracle://host/x?password=s3cret&y=1",
    ],
)
def test_an_address_that_cannot_be_used_is_one_line_without_its_password(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARNESS_OPTUNA_URL", url)
    with pytest.raises(ConfigError, match=r"^HARNESS_OPTUNA_URL: .* or unset the variable") as caught:
        optuna_url(tmp_path)
    assert "\n" not in str(caught.value)
    for part in ("s3cret", "s3/", "ret@"):
        assert part not in str(caught.value)


@contextlib.contextmanager
def every_connection(prepare: Callable[[sqlite3.Connection], Any]) -> Iterator[None]:
    """Let each connection to a database that is opened from now on begin with a word to SQLite."""

    def connected(connection: sqlite3.Connection, record: object) -> None:
        prepare(connection)

    event.listen(Engine, "connect", connected)
    try:
        yield
    finally:
        event.remove(Engine, "connect", connected)


def pages(home: Home) -> int:
    with contextlib.closing(sqlite3.connect(home.folder / "optuna.db")) as connection:
        return int(connection.execute("PRAGMA page_count").fetchone()[0])


def test_a_search_whose_database_has_no_room_again_and_again_ends_at_the_same_table(tmp_path: Path) -> None:
    plan = study(trials=12)
    whole, home = Home(tmp_path / "whole", plan), Home(tmp_path / "home", plan)
    for one in (whole, home):
        one.folder.mkdir()
    wanted = table(whole.run())
    home.slots().close()
    limit, stopped = pages(home), 0
    while True:
        try:
            with every_connection(lambda c, limit=limit: c.execute(f"PRAGMA max_page_count = {limit}")):  # type: ignore[misc]
                found = home.run()
            break
        except DiskFull as error:
            said = str(error)
            assert said.startswith(
                f"sqlite:///{home.folder}/optuna.db: the trials' database cannot be written: "
            )
            assert said.endswith("database or disk is full; free room on its disk")
            stopped, limit = stopped + 1, limit + 1
    assert stopped >= 2
    assert table(found) == wanted


def refusing(home: Home, prepare: Callable[[sqlite3.Connection], Any]) -> HarnessError:
    """Take the lock and ask the first trial in a database that answers so; return our error."""
    with (
        every_connection(prepare),
        pytest.raises(HarnessError) as caught,
        only_driver(home.url, "formula-1"),
        contextlib.closing(home.slots()) as slots,
    ):
        slots.ask(0)
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A study whose database is there, with its lock's table."""
    home = Home(tmp_path, study(trials=4))
    with only_driver(home.url, "another-1"), contextlib.closing(home.slots()):
        return home


def test_a_database_that_may_not_be_written_is_said_by_lock_and_search(home: Home) -> None:
    error = refusing(home, lambda connection: connection.execute("PRAGMA query_only = ON"))
    assert type(error) is Blocked
    assert "readonly database; give the right to write" in str(error)
    read_only = every_connection(lambda connection: connection.execute("PRAGMA query_only = ON"))
    with read_only, pytest.raises(Blocked, match="readonly database"):
        home.run()
    assert len(home.run()) == 4


def test_a_database_that_another_process_writes_into_for_long_is_said(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "LOCK_TIMEOUT", 0.1)
    with contextlib.closing(sqlite3.connect(home.folder / "optuna.db")) as other:
        other.execute("BEGIN EXCLUSIVE")
        error = refusing(home, lambda connection: None)
        other.rollback()
    assert type(error) is Blocked
    assert "database is locked; end the other process that writes into it" in str(error)
    assert len(home.run()) == 4


def test_an_error_of_the_disk_is_said(home: Home) -> None:
    """The system refuses to make the file larger, which SQLite calls a disk I/O error."""
    size = (home.folder / "optuna.db").stat().st_size
    child = os.fork()
    if child == 0:
        code = 1
        with contextlib.suppress(BaseException):
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
            try:
                home.run()
            except Blocked as error:
                code = 75 if "disk I/O error; free room" in str(error) else 2
        os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 75
    assert len(home.run()) == 4


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda path: path.write_text("no database " * 100), "file is not a database"),
        (lambda path: path.write_bytes(path.read_bytes()[:30000]), "malformed"),
    ],
)
def test_a_damaged_database_is_one_line_that_says_what_can_be_done(
    spoil: Callable[[Path], Any], said: str, home: Home
) -> None:
    spoil(home.folder / "optuna.db")
    error = refusing(home, lambda connection: None)
    assert type(error) is ConfigError
    assert said in str(error)
    assert "move it away: the next run asks the same trials again" in str(error)


def test_two_who_add_the_same_row_at_once_are_no_error(home: Home) -> None:
    engine = opened(home.url)
    with engine.connect() as connection, pytest.raises(IntegrityError):
        connection.exec_driver_sql("INSERT INTO studies (study_name) VALUES ('x'), ('x')")
    engine.dispose()
