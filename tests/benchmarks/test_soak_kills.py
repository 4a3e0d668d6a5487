import contextlib
import shutil
import sqlite3
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks.soak_kills import Size, Tally, soak
from benchmarks.study_ending import committed, intact, read_ending
from harness.model.outoffold import FILES


@dataclass(frozen=True)
class Soaked:
    tally: Tally
    home: Path  # of the undisturbed study


@pytest.fixture(scope="module")
def soaked(tmp_path_factory: pytest.TempPathFactory) -> Soaked:
    folder = tmp_path_factory.mktemp("soak") / "studies"
    return Soaked(soak(folder, 3, seed=1, size=Size(2, 2, workers=1)), folder / "undisturbed")


@pytest.fixture
def copy(soaked: Soaked, tmp_path: Path) -> Path:
    home = tmp_path / "home"
    shutil.copytree(soaked.home, home)
    return home


def test_a_study_whose_driver_and_workers_are_killed_ends_as_one_that_was_left_alone(soaked: Soaked) -> None:
    tally = soaked.tally
    assert tally.bad == 0, "\n".join([tally.line(), *tally.differences])
    assert tally.kills == 3
    assert tally.champions >= 1
    ending = read_ending(soaked.home)
    assert [number for number, *_ in ending.trials] == [0, 1]
    assert set(ending.runs.values()) <= {"FINISHED", "KILLED"}  # a trial may collapse in its second fold
    assert len(ending.runs) == 1 + 2 + len(ending.files) / (1 + len(FILES))


def test_a_changed_byte_of_weights_is_a_difference_and_a_lost_fold(soaked: Soaked, copy: Path) -> None:
    known = committed(copy)
    assert known
    assert all(intact(folder, fold) for folder, fold in known.items())
    weights = next(copy.glob("work/*/0/1/weights.safetensors"))
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    (difference,) = read_ending(copy).differences(read_ending(soaked.home))
    assert "0/1/weights.safetensors" in difference
    assert [folder for folder, fold in known.items() if not intact(folder, fold)] == [weights.parent]


def test_a_fold_that_is_trained_again_counts_as_lost_although_its_files_are_equal(copy: Path) -> None:
    known = committed(copy)
    folder = next(iter(known))
    shutil.copytree(folder, folder.with_name("9"))
    shutil.rmtree(folder)
    assert not intact(folder, known[folder])
    folder.with_name("9").rename(folder)
    assert not intact(folder, known[folder])


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ("UPDATE runs SET status = 'RUNNING' WHERE run_uuid = ({run})", (1, 0, ["runs"])),
        ("DELETE FROM metrics WHERE run_uuid = ({run}) AND key = 'iou' AND step = 6", (0, 0, ["points"])),
        ("UPDATE metrics SET value = value + 1e-9 WHERE key = 'iou' AND step = 6", (0, 0, ["points"])),
    ],
)
def test_what_mlflow_has_otherwise_is_found(
    soaked: Soaked, copy: Path, change: str, found: tuple[int, int, list[str]]
) -> None:
    run = "SELECT run_uuid FROM tags WHERE key = 'harness.fold_run' AND value LIKE '%/1/0'"
    with contextlib.closing(sqlite3.connect(copy / "mlflow.db")) as database, database:
        database.execute(change.format(run=run))
    ending = read_ending(copy)
    differences = [line.partition(":")[0] for line in ending.differences(read_ending(soaked.home))]
    assert (ending.running, ending.twice, differences) == found


def test_a_trial_too_many_in_optuna_is_found(soaked: Soaked, copy: Path) -> None:
    with contextlib.closing(sqlite3.connect(copy / "optuna.db")) as database, database:
        database.execute("INSERT INTO trials (number, study_id, state) VALUES (2, 1, 'RUNNING')")
    (difference,) = read_ending(copy).differences(read_ending(soaked.home))
    assert difference.startswith("trials: 1 more")
