import os
import signal
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness.data.kept import Kept
from harness.errors import DataError

# Writes values of its own for ever or a number of times, and the one key that all write.
WRITER = """
import sys
from itertools import count
from pathlib import Path
from harness.data.kept import Kept

folder, name, times = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
kept = Kept(folder)
for number in range(times) if times else count():
    values = {f"{name}-{number}-{part}": name.encode() * 1000 for part in range(20)}
    kept.put(values | {f"shared-{number}": name.encode()})
    print(number, flush=True)
"""


def writer(folder: Path, name: str, times: int = 0) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-c", WRITER, str(folder), name, str(times)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)


def file_of(folder: Path) -> Path:
    (path,) = folder.glob("kept-*.sqlite")
    return path


def is_sound(path: Path) -> bool:
    store = sqlite3.connect(path)
    answer = store.execute("PRAGMA integrity_check").fetchone()
    store.close()
    return answer == ("ok",)


def test_values_come_back_also_from_another_opening(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "not" / "there" / "yet")
    values = {"a": b"\0\xff" * 1000, "b": b"", "c/ü": b"c"}
    kept.put(values)
    kept.put({})
    assert {key: kept.get(key) for key in values} == values
    assert [kept.get(key) for key in ["c/ü", "nothing", "a", "a"]] == [b"c", None, values["a"], values["a"]]
    kept.close()
    again = Kept(tmp_path / "not" / "there" / "yet")
    assert [again.get(key) for key in values] == list(values.values())
    assert again.get("nothing") is None
    again.close()


def test_the_first_value_stays(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    kept.put({"a": b"first"})
    kept.put({"a": b"second", "b": b"other"})
    assert [kept.get(key) for key in ["a", "b"]] == [b"first", b"other"]
    kept.close()


def test_values_that_cannot_be_kept_leave_none_of_theirs_and_no_obstacle(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    with pytest.raises(sqlite3.Error):
        kept.put({"a": b"a", "b": ["no bytes"]})  # type: ignore[dict-item]
    kept.put({"c": b"c"})
    assert [kept.get(key) for key in "abc"] == [None, None, b"c"]
    kept.close()


def test_threads_share_one_opening(tmp_path: Path) -> None:
    kept = Kept(tmp_path)

    def use(name: int) -> list[bytes | None]:
        for number in range(20):
            kept.put({f"{name}-{number}": bytes([name]) * 100})
        return [kept.get(f"{name}-{number}") for number in range(20)]

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(use, range(8))) == [[bytes([name]) * 100] * 20 for name in range(8)]
    kept.close()


def test_processes_that_open_and_write_at_once_lose_nothing(tmp_path: Path) -> None:
    names = ("one", "two", "three", "four")
    writers = [writer(tmp_path, name, times=25) for name in names]
    for process in writers:
        process.communicate(timeout=60)
        assert process.returncode == 0
    kept = Kept(tmp_path)
    for name in names:
        keys = [f"{name}-{number}-{part}" for number in range(25) for part in range(20)]
        assert [kept.get(key) for key in keys] == [name.encode() * 1000] * len(keys)
    assert {kept.get(f"shared-{number}") for number in range(25)} <= {name.encode() for name in names}
    kept.close()


def killed(folder: Path, after: int) -> int:
    """Kill a writer some time after it has told of `after` writes; return how many it has told of."""
    process = writer(folder, "killed")
    assert process.stdout is not None
    for _ in range(after):
        process.stdout.readline()
    time.sleep(0.003 * after)
    process.send_signal(signal.SIGKILL)
    rest, _ = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    return after + len(rest.split())


@pytest.mark.parametrize("after", [1, 4, 15])
def test_a_writer_killed_in_the_middle_leaves_whole_writes(tmp_path: Path, after: int) -> None:
    told = killed(tmp_path, after)
    kept = Kept(tmp_path)
    keys = [[f"killed-{number}-{part}" for part in range(20)] for number in range(told + 2)]
    found = [[kept.get(key) for key in part] for part in keys]
    whole, none = [b"killed" * 1000] * 20, [None] * 20
    assert found[:told] == [whole] * told
    assert all(part in (whole, none) for part in found[told:])
    kept.put({"after": b"it"})
    kept.close()
    assert is_sound(file_of(tmp_path))


def test_deleting_the_file_is_harmless_also_where_a_killed_writer_left_its_log(tmp_path: Path) -> None:
    killed(tmp_path, 15)
    assert len(os.listdir(tmp_path)) > 1, "the log is still there"
    file_of(tmp_path).unlink()
    kept = Kept(tmp_path)
    assert kept.get("killed-0-0") is None
    kept.put({"a": b"new"})
    kept.close()
    again = Kept(tmp_path)
    assert again.get("a") == b"new"
    again.close()
    assert is_sound(file_of(tmp_path))


def test_a_file_that_is_no_database_is_refused_in_one_line(tmp_path):
    Kept(tmp_path).close()
    (file,) = tmp_path.glob("kept-*.sqlite")
    file.write_bytes(b"no database, but a text of some length" * 400)
    with pytest.raises(DataError, match=r"sqlite: cannot be used .*delete it, it is made anew"):
        Kept(tmp_path)


def test_a_file_that_is_damaged_inside_is_told_in_one_line_whoever_meets_it(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    kept.put({f"{number:04}": b"x" * 3000 for number in range(200)})
    kept.close()
    path = file_of(tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[:4096] + os.urandom(len(content) - 4096))
    damaged = Kept(tmp_path)
    for use in (
        lambda: damaged.get("0100"),
        lambda: damaged.get_all(["0100", "0101"]),
        lambda: damaged.put({"0100": b""}),
    ):
        with pytest.raises(
            DataError, match=r"kept-1\.sqlite: cannot be used \(.*\); delete it, it is made anew"
        ):
            use()
    damaged.close()
