import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from harness.errors import DataError
from harness.train.checkpoint import (
    MANIFEST,
    commit,
    fresh_folder,
    is_committed,
    save_weights,
    verify,
    write_synced,
)

FILES = {"a.json": b'{"iou": 0.5}', "b.bin": bytes(range(256))}


def committed(tmp_path: Path) -> Path:
    working, final = fresh_folder(tmp_path / "0.working"), tmp_path / "0"
    for name, content in FILES.items():
        write_synced(working / name, content)
    commit(working, final)
    return final


def test_a_commit_moves_the_whole_folder_and_lists_its_files(tmp_path: Path) -> None:
    final = committed(tmp_path)
    assert is_committed(final)
    assert not (tmp_path / "0.working").exists()
    assert {p.name for p in final.iterdir()} == {*FILES, MANIFEST}
    assert {name: (final / name).read_bytes() for name in FILES} == FILES
    verify(final)


@pytest.mark.parametrize("name", [*FILES])
def test_one_flipped_byte_is_an_error_that_names_the_file(tmp_path: Path, name: str) -> None:
    path = committed(tmp_path) / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(DataError, match=rf"{path}: holds .* was committed as .*; run the study again"):
        verify(path.parent)


def test_a_missing_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = committed(tmp_path) / "b.bin"
    path.unlink()
    with pytest.raises(DataError, match=f"{path}: holds nothing"):
        verify(path.parent)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe"])
def test_a_damaged_manifest_is_an_error_that_names_it(tmp_path: Path, content: bytes) -> None:
    manifest = committed(tmp_path) / MANIFEST
    manifest.write_bytes(content)
    with pytest.raises(DataError, match=f"{manifest}: is no manifest"):
        verify(manifest.parent)


def test_a_folder_is_not_committed_before_the_rename(tmp_path: Path) -> None:
    working = fresh_folder(tmp_path / "0.working")
    write_synced(working / "a.json", b"{}")
    assert not is_committed(tmp_path / "0")
    assert not is_committed(working)


def test_a_fresh_folder_has_nothing_of_the_attempt_before(tmp_path: Path) -> None:
    folder = fresh_folder(tmp_path / "x" / "0.working")
    (folder / "inner").mkdir()
    (folder / "inner" / "old").touch()
    assert list(fresh_folder(folder).iterdir()) == []


def test_writing_leaves_one_file_with_the_last_content(tmp_path: Path) -> None:
    write_synced(tmp_path / "a", b"one")
    write_synced(tmp_path / "a", b"two")
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("a", b"two")]


KILLED_AT_EVERY_STEP = """
import os, signal, sys
from itertools import count
from pathlib import Path
from harness.train.checkpoint import commit, fresh_folder, write_synced

def die_at_step(step):
    left = iter(range(step))
    def hook(event, arguments):
        if event.startswith(("open", "os.", "shutil.")) and next(left, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(hook)

def write_and_commit(root):
    working = fresh_folder(root / "0.working")
    for name in "abc":
        write_synced(working / name, name.encode() * 200_000)
    commit(working, root / "0")

for step in count():
    root = Path(sys.argv[1]) / str(step)
    root.mkdir()
    child = os.fork()
    if child == 0:
        die_at_step(step)
        write_and_commit(root)
        os._exit(0)
    if os.waitpid(child, 0)[1] == 0:
        break
    after = root / "after"  # what the next attempt makes of it
    if not (root / "0").exists():
        write_and_commit(root)
        after.touch()
"""


def test_killed_at_any_step_a_fold_is_committed_whole_or_not_at_all(tmp_path: Path) -> None:
    """Before each file that is opened, renamed, made or listed; what was not committed is made anew after it."""
    subprocess.run([sys.executable, "-c", KILLED_AT_EVERY_STEP, str(tmp_path)], check=True, timeout=300)
    roots = sorted(tmp_path.iterdir(), key=lambda root: int(root.name))
    assert len(roots) > 20
    anew = [(root / "after").exists() for root in roots]
    assert anew == sorted(anew, reverse=True)
    assert anew[0]
    assert not anew[-1]
    for root in roots:
        verify(root / "0")
        assert {name: len((root / "0" / name).read_bytes()) for name in "abc"} == dict.fromkeys(
            "abc", 200_000
        )


def test_weights_come_back_as_they_were_saved(tmp_path: Path) -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).to(memory_format=torch.channels_last)
    save_weights(network, tmp_path / "weights.safetensors")
    loaded = load_file(tmp_path / "weights.safetensors")
    assert set(loaded) == set(network.state_dict())
    for name, value in network.state_dict().items():
        assert torch.equal(loaded[name], value)
