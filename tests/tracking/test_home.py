"""A home's id: made once, kept by what is moved, another one for a copy that shares a store."""

import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness.errors import ConfigError
from harness.tracking.home import FILE, home_id
from harness.tracking.outbox import Outbox
from harness.tracking.store import Store

SHARED = Store("http://127.0.0.1:9", None)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with a study, one message of which was delivered."""
    (tmp_path / "a" / "work").mkdir(parents=True)
    outbox = Outbox(tmp_path / "a" / "work" / "tiny-01234567")
    outbox.append({"kind": "log"})
    outbox.note(next(outbox.messages())[0], 1)
    return tmp_path / "a"


@pytest.fixture
def store(tmp_path: Path, empty_mlflow: Path) -> Store:
    """A store that answers, and that no home has for itself."""
    (tmp_path / "server").mkdir()
    shutil.copy(empty_mlflow, tmp_path / "server" / "mlflow.db")
    return Store(f"sqlite:///{tmp_path / 'server' / 'mlflow.db'}", tmp_path / "server" / "artifacts")


def waiting(home: Path) -> int:
    return Outbox(home / "work" / "tiny-01234567").waiting


def asked(home: Path, store: Store = SHARED) -> tuple[str, list[str]]:
    lines: list[str] = []
    return home_id(home, store, lines.append), lines


def test_all_who_ask_at_once_get_the_same_id(home: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        found = set(threads.map(lambda _: home_id(home, SHARED, print), range(8)))
    assert len(found) == 1
    assert asked(home) == (found.pop(), [])


def test_a_home_that_was_moved_keeps_its_id_and_a_new_one_at_the_old_place_has_another(
    home: Path, store: Store
) -> None:
    own, _ = asked(home)
    Outbox(home / "work" / "tiny-01234567").note(
        next(Outbox(home / "work" / "tiny-01234567").messages())[0], 1
    )
    moved = home.rename(home.with_name("b"))
    home.mkdir()
    assert asked(home)[0] != own
    found, lines = asked(moved, store)
    assert (found, waiting(moved)) == (own, 0)
    assert len(lines) == 1
    assert f"{home}, moved; it goes on with its runs" in lines[0]
    assert asked(moved) == (own, [])


def test_while_mlflow_does_not_answer_a_home_is_moved_for_now_and_looked_at_again(
    home: Path, store: Store
) -> None:
    own, _ = asked(home)
    moved = home.rename(home.with_name("b"))
    before = (moved / FILE).read_bytes()
    for _ in range(2):
        found, lines = asked(moved)
        assert found == own
        assert lines[0].endswith("it goes on with its runs in MLflow; looked at again once MLflow answers")
    assert (moved / FILE).read_bytes() == before
    assert len(asked(moved, store)[1]) == 1
    assert asked(moved) == (own, [])


def test_a_home_that_was_moved_to_another_disk_keeps_its_id(home: Path) -> None:
    own, _ = asked(home)
    shutil.copytree(home, home.with_name("b"))
    shutil.rmtree(home)
    assert asked(home.with_name("b"))[0] == own


def test_a_copy_that_shares_a_store_has_an_id_of_its_own_and_tells_all_anew(home: Path) -> None:
    own, _ = asked(home)
    outbox = Outbox(home / "work" / "tiny-01234567")
    outbox.note(next(outbox.messages())[0], 1)
    copy = home.with_name("b")
    shutil.copytree(home, copy)
    found, lines = asked(copy)
    assert found != own
    assert lines == [f"{copy}: is a copy of {home}, which is there too: MLflow gets its runs anew"]
    assert (waiting(home), waiting(copy)) == (0, 1)
    assert asked(home) == (own, [])
    assert asked(copy) == (found, [])


def test_a_copy_with_its_own_database_has_its_own_runs_already(home: Path) -> None:
    own, _ = asked(home, Store(f"sqlite:///{home}/mlflow.db", home))
    outbox = Outbox(home / "work" / "tiny-01234567")
    outbox.note(next(outbox.messages())[0], 1)
    copy = home.with_name("b")
    shutil.copytree(home, copy)
    assert asked(copy, Store(f"sqlite:///{copy}/mlflow.db", copy)) == (own, [])
    assert waiting(copy) == 0
    assert asked(copy)[0] != own, "now it shares a store"


def test_a_home_without_an_id_has_told_nothing_yet(home: Path) -> None:
    assert waiting(home) == 0
    asked(home)
    assert waiting(home) == 1


def test_a_folder_that_is_mounted_on_two_hosts_is_one_home_and_a_copy_from_another_host_is_warned_of(
    home: Path, store: Store
) -> None:
    own, _ = asked(home)
    known = json.loads((home / FILE).read_bytes())
    (home / FILE).write_text(json.dumps(known | {"host": "elsewhere"}))
    assert asked(home) == (own, [])
    (home / FILE).write_text(json.dumps(known | {"host": "elsewhere", "inode": known["inode"] + 1}))
    found, lines = asked(home, store)
    assert found == own
    assert len(lines) == 1
    assert f"taken for elsewhere:{home}, moved; if it is a copy and both go on, stop, remove" in lines[0]


def test_a_home_reached_by_two_names_is_no_copy(home: Path) -> None:
    own, _ = asked(home)
    os.symlink(home, home.with_name("b"))
    assert asked(home.with_name("b")) == (own, [])


def test_a_home_that_cannot_be_written_to_is_asked_all_the_same(home: Path) -> None:
    own, _ = asked(home)
    (home / f"{FILE}.lock").mkdir()  # where its lock would be
    assert asked(home) == (own, [])


WHOLE = {"id": "0123" * 8, "host": "h", "folder": "/a", "inode": 1}


@pytest.mark.parametrize(
    "content",
    [
        *("", "[]", '{"id": "a"}'),
        *(
            json.dumps(WHOLE | {"id": wrong})
            for wrong in ("0" * 31, "' OR 1=1" + "0" * 24, "0" * 32 + "\n", 5, ["a"])
        ),
        *(json.dumps(WHOLE | wrong) for wrong in ({"host": 1}, {"folder": None}, {"inode": "1"})),
    ],
)
def test_a_damaged_file_is_one_line(home: Path, content: str) -> None:
    (home / FILE).write_text(content)
    with pytest.raises(ConfigError, match=f"{FILE}: does not say whose runs"):
        asked(home)
    (home / FILE).write_text(json.dumps(WHOLE | {"folder": str(home)}))
    assert asked(home)[0] == WHOLE["id"]
