"""A study with held-out groups that ran, for promotions (benchmarks/promoted.py); tests promote in copies."""

import shutil
from pathlib import Path

import pytest

from benchmarks.promoted import Ran, run_study
from tests.promotion.searched import change, find_less, note_again, run_nested


@pytest.fixture(scope="package")
def before(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """Return the study before anything was promoted; tests promote in copies."""
    folder = tmp_path_factory.mktemp("promoted")
    return run_study(folder, folder / "home")


@pytest.fixture
def ran(before: Ran, tmp_path: Path) -> Ran:
    shutil.copytree(before.home, tmp_path / "home")
    return Ran(before.folder, tmp_path / "home", before.key)


@pytest.fixture(scope="package")
def searched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Ran, Ran]:
    """Return two searches of one home: a weak one, whose trial is the champion, and a strong one."""
    folder = tmp_path_factory.mktemp("nested")
    weak = run_nested(folder, folder / "home", 1e-3, 6)
    strong = run_nested(folder, folder / "home", 8e-3, 12)
    weak.promote(0)
    return weak, strong


@pytest.fixture
def both(searched: tuple[Ran, Ran], tmp_path: Path) -> tuple[Ran, Ran]:
    """Return copies; the weak search finds a quarter of what it found, in every group."""
    shutil.copytree(searched[0].home, tmp_path / "home")
    weak, strong = (Ran(one.folder, tmp_path / "home", one.key) for one in searched)
    change(weak, find_less)
    note_again(weak, strong)
    return weak, strong
