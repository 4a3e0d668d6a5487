import errno
import json
import os
import resource
import shutil
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from harness.errors import ConfigError, DiskFull
from harness.execute.task import carry_out
from harness.train.foldrun import FoldResult, run_fold
from harness.train.room import FULL, RESERVE, refuse_full_disk, refuse_unwritable, writing
from tests.conftest import SHORT, Tiny
from tests.train.test_foldrun import assert_same_work


def test_what_fits_beside_the_reserve_passes_and_more_does_not(tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    refuse_full_disk(tmp_path / "not" / "there", (free - RESERVE) // 2)
    with pytest.raises(
        DiskFull, match=rf"^{tmp_path}: too little room: \d+ MiB must be free there to go on, \d+ are"
    ):
        refuse_full_disk(tmp_path, free)


def test_a_place_that_can_be_made_passes_and_nothing_is_left_there(tmp_path: Path) -> None:
    refuse_unwritable(tmp_path / "not" / "there")
    assert list(tmp_path.iterdir()) == []


def test_a_place_under_a_file_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"^/dev/null/home: cannot be written to \(Not a directory\); check the path"
    ):
        refuse_unwritable(Path("/dev/null/home"))


def in_own_mounts(mount: str, code: str, *arguments: str) -> str:
    """Return what Python code prints where `mount` was done before, which nobody else sees."""
    command = [
        "unshare",
        "-m",
        "sh",
        "-c",
        f'{mount} && exec "$@"',
        "sh",
        sys.executable,
        "-c",
        code,
        *arguments,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    if "mount" in done.stderr or "unshare" in done.stderr:
        pytest.skip(f"no file system may be mounted here: {done.stderr}")
    assert done.returncode == 0, done.stderr
    return done.stdout


READ_ONLY = """
import sys
from pathlib import Path
from harness.errors import ConfigError
from harness.train.room import refuse_unwritable
try:
    refuse_unwritable(Path(sys.argv[1]))
except ConfigError as error:
    print(error)
"""


def test_a_read_only_file_system_is_refused(tmp_path: Path) -> None:
    said = in_own_mounts(f"mount -t tmpfs -o ro tmpfs {tmp_path}", READ_ONLY, str(tmp_path / "home"))
    assert said.startswith(f"{tmp_path / 'home'}: cannot be written to (Read-only file system); ")


@pytest.mark.parametrize("number", sorted(FULL))
def test_a_full_disk_is_told_in_one_line_with_what_must_be_free(tmp_path: Path, number: int) -> None:
    with pytest.raises(DiskFull) as error, writing(tmp_path, 5 * 2**20):
        raise OSError(number, "what the system says")
    assert str(error.value).startswith(f"{tmp_path}: {os.strerror(number)}: 37 MiB must be free")
    assert error.value.exit_code == 75


def test_other_errors_pass_as_they_are(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="broken") as error, writing(tmp_path):
        raise OSError(errno.EIO, "broken")
    assert error.value.errno == errno.EIO


@pytest.fixture(scope="module")
def whole(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> FoldResult:
    return run_fold(tiny.job(tmp_path_factory.mktemp("whole"), **SHORT))


FILLED = """
import errno, json, os, sys
from pathlib import Path
import cv2, torch
torch.set_num_threads(1)
cv2.setNumThreads(0)
from harness.execute.task import carry_out
from harness.train.foldrun import FoldJob

root = Path(sys.argv[1])
job = json.loads((root / "job.json").read_text())
first, step = int(sys.argv[2]), int(sys.argv[3])

def fill_at(number):
    left = iter(range(number))
    def writes(event, arguments):
        if event == "open":
            mode, flags = arguments[1] or "", arguments[2] or 0
            return set(mode) & set("wax+") or flags & (os.O_WRONLY | os.O_RDWR)
        return event in ("os.rename", "os.mkdir")
    def hook(event, arguments):
        if writes(event, arguments) and str(root) in str(arguments[0]) and next(left, None) is None:
            raise OSError(errno.ENOSPC, "full", str(arguments[0]))
    sys.addaudithook(hook)

def run(folder, number=None):
    child = os.fork()
    if child == 0:
        if number is not None:
            fill_at(number)
        outcome = carry_out(FoldJob(**(job | {"folder": str(folder)})), lambda: False)
        if outcome.blocked:
            assert "No space left on device" in outcome.reason, outcome
        os._exit({("committed", False): 0, ("interrupted", True): 1}.get((outcome.status, outcome.blocked), 2))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

number = first
while code := run(root / str(number) / "0", number):
    assert code == 1
    assert run(root / str(number) / "0") == 0
    print(number, flush=True)
    number += step
"""


@pytest.mark.parametrize(("first", "step"), [(2, 9), pytest.param(0, 1, marks=pytest.mark.slow)])
def test_full_from_any_write_on_a_run_is_interrupted_and_goes_on_to_the_same_bits(
    whole: FoldResult, tiny: Tiny, tmp_path: Path, first: int, step: int
) -> None:
    """The disk is full from each file on that the run opens to write, makes or renames; then there is room again."""
    (tmp_path / "job.json").write_text(json.dumps(asdict(tiny.job(tmp_path, **SHORT))))
    arguments = [sys.executable, "-c", FILLED, str(tmp_path), str(first), str(step)]
    done = subprocess.run(arguments, check=False, timeout=600, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    filled = [int(line) for line in done.stdout.split()]
    print(f"full from {len(filled)} places on, every {step}")
    assert len(filled) >= 18 // step
    for number in filled:
        folder = tmp_path / str(number) / "0"
        assert_same_work(replace(whole, folder=str(folder)), whole)
        assert [p.name for p in folder.parent.iterdir()] == ["0"]


@pytest.mark.parametrize("limit", [100, 300_000])
def test_a_file_that_grows_too_large_is_a_full_disk_too(
    whole: FoldResult, tiny: Tiny, tmp_path: Path, limit: int
) -> None:
    """The line of an epoch, and a snapshot, are too large for these limits."""
    job = tiny.job(tmp_path, **SHORT)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        outcome = carry_out(job, lambda: False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (outcome.status, outcome.blocked) == ("interrupted", True)
    assert f"{job.folder}" in outcome.reason
    assert "File too large" in outcome.reason
    assert not list(tmp_path.rglob("*.tmp"))
    assert_same_work(run_fold(job), whole)


SMALL = """
import json, sys
from pathlib import Path
import cv2, torch
torch.set_num_threads(1)
cv2.setNumThreads(0)
from harness.execute.task import carry_out
from harness.train.foldrun import FoldJob

folder = Path(sys.argv[1])
job = FoldJob(**json.loads((folder / "job.json").read_text()))
(folder / "small" / "filler").write_bytes(b"x" * 4_000_000)
first = carry_out(job, lambda: False)
(folder / "small" / "filler").unlink()
second = carry_out(job, lambda: False)
print(json.dumps([first.status, first.blocked, first.reason, second.status, second.result.iou]))
"""


def test_on_a_small_disk_a_run_says_how_much_is_missing_and_goes_on_when_there_is_room(
    whole: FoldResult, tiny: Tiny, tmp_path: Path
) -> None:
    (tmp_path / "small").mkdir()
    (tmp_path / "job.json").write_text(json.dumps(asdict(tiny.job(tmp_path / "small", **SHORT))))
    mount = f"mount -t tmpfs -o size=39m tmpfs {tmp_path / 'small'}"
    status, blocked, reason, then, iou = json.loads(in_own_mounts(mount, SMALL, str(tmp_path)))
    assert (status, blocked, then, iou) == ("interrupted", True, "committed", whole.iou)
    assert "too little room: " in reason
    assert reason.endswith(" MiB must be free there to go on, 35 are; free the rest")
