"""Kill a prediction at each of its operations on files, go on, and compare: run by test_killed.py in a process.

A child is forked for every operation, and kills itself there with SIGKILL. Others may write only so much to a file.
"""

import io
import os
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import tifffile
import torch
from rich.console import Console

from harness.errors import DiskFull
from harness.model.tiles import Tiling
from harness.predict.into import predict_into
from tests.predict.conftest import blobs, bright

EVENTS = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "shutil.rmtree")


def main(root: Path) -> None:
    """Print how many kills, and how many full disks, were gone on from."""
    torch.set_num_threads(1)
    files = draw(root / "in")
    predict(files, root / "whole")
    wanted = contents(root / "whole")
    print(kills(files, root, wanted), full_disks(files, root, wanted))


def draw(folder: Path) -> list[Path]:
    """Write a stack with a bad page, and a picture that goes by tiles."""
    folder.mkdir()
    files = [folder / name for name in ("stack.tif", "tiles.tif")]
    with tifffile.TiffWriter(files[0]) as file:
        for page in (blobs(50, 50)[:, :, 0], blobs(50, 50)[:, :, 0].astype("float32")):
            file.write(page, photometric="minisblack", metadata=None)
    tifffile.imwrite(files[1], blobs(150, 130), photometric="rgb", tile=(64, 64))
    return files


def predict(files: list[Path], out: Path) -> None:
    """Predict into a folder."""
    predict_into(out, bright(), {"it": "is"}, files, Tiling(64, 32), Console(file=io.StringIO()))


def contents(out: Path) -> dict[str, bytes]:
    """Return all files of a folder; seconds are left out of them."""
    found = {}
    for path in sorted(out.rglob("*")):
        if path.is_file():
            data = path.read_bytes()
            if path.name == "images.csv":
                lines = [line.split(b",") for line in data.splitlines()]
                place = lines[0].index(b"seconds") - len(lines[0])  # a reason may hold commas
                data = b"\n".join(b",".join(line[:place] + line[place + 1 :]) for line in lines)
            if path.parent.name == "records":
                data = data[: data.index(b'"seconds"')]
            found[path.relative_to(out).as_posix()] = data
    return found


def kills(files: list[Path], root: Path, wanted: dict[str, bytes]) -> int:
    """Kill at the first operation, at the second, until one run ends by itself; return how many were killed."""
    for number in range(10_000):
        out = root / f"killed {number}"
        if forked(lambda out=out, number=number: kill_at(number, files, out)) != -signal.SIGKILL:
            return number
        predict(files, out)
        if contents(out) != wanted:
            sys.exit(f"killed at {number}: {differing(contents(out), wanted)}")
    raise SystemExit("never ended")


def kill_at(number: int, files: list[Path], out: Path) -> None:
    """Predict, and end without a word at an operation on files below `out`."""
    left = number

    def count(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal left
        if (
            event in EVENTS
            and isinstance(arguments[0], str | bytes | Path)
            and str(out) in os.fsdecode(arguments[0])
        ):
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1

    sys.addaudithook(count)
    predict(files, out)


def full_disks(files: list[Path], root: Path, wanted: dict[str, bytes]) -> int:
    """Let no file grow beyond a size, then let it; return how often the disk was full."""
    told = 0
    for size in (0, 100, 400, 1000, 2000, 4000, 8000, 16_000):
        out = root / f"full {size}"
        code = forked(lambda out=out, size=size: with_files_up_to(size, files, out))
        if code not in (0, DiskFull.exit_code):
            sys.exit(f"full at {size}: ended with {code}")
        told += code == DiskFull.exit_code
        predict(files, out)
        if contents(out) != wanted:
            sys.exit(f"full at {size}: {differing(contents(out), wanted)}")
    return told


def with_files_up_to(size: int, files: list[Path], out: Path) -> None:
    """Predict while no file may have more bytes."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    try:
        predict(files, out)
    except DiskFull:
        os._exit(DiskFull.exit_code)


def differing(found: dict[str, bytes], wanted: dict[str, bytes]) -> list[str]:
    """Return names of files that are not as they should be."""
    return [name for name in sorted(found.keys() | wanted.keys()) if found.get(name) != wanted.get(name)]


def forked(work: Callable[[], None]) -> int:
    """Do this in a child; return its exit code, negative where a signal ended it."""
    child = os.fork()
    if not child:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
