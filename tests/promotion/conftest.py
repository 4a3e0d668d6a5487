"""A study with held-out groups that ran, for promotions (benchmarks/promoted.py); tests promote in copies."""

import shutil
from pathlib import Path

import pytest

from benchmarks.promoted import Ran, run_study


@pytest.fixture(scope="package")
def before(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """Return the study before anything was promoted; tests promote in copies."""
    folder = tmp_path_factory.mktemp("promoted")
    return run_study(folder, folder / "home")


@pytest.fixture
def ran(before: Ran, tmp_path: Path) -> Ran:
    shutil.copytree(before.home, tmp_path / "home")
    return Ran(before.folder, tmp_path / "home", before.key)
