"""Killed at any operation on files, or stopped by a full disk, the same command ends with the same files."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_killed_anywhere_it_ends_with_the_files_of_an_uninterrupted_run(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.predict.killing", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    kills, full_disks = map(int, done.stdout.split())
    assert kills > 40
    assert full_disks >= 4
