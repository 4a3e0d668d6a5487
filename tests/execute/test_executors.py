from pathlib import Path

import pytest

from harness.config import Choice
from harness.errors import ConfigError
from harness.execute.executors import EXECUTORS, build_executor
from harness.execute.local import Local, usable_cores


@pytest.mark.parametrize("name", EXECUTORS)
def test_every_executor_is_built_idle_and_closed(name: str, tmp_path: Path) -> None:
    executor = build_executor(Choice(name=name), log=tmp_path / "log")
    assert executor.capacity >= 1
    assert executor.wait_any(0.0) == []
    executor.close()
    assert list(tmp_path.iterdir()) == []


def test_local_takes_one_worker_a_core_or_as_many_as_asked(tmp_path: Path) -> None:
    for settings, workers in (({}, usable_cores()), ({"workers": 3}, 3)):
        executor = build_executor(Choice(name="local", settings=settings), log=tmp_path / "log")
        assert isinstance(executor, Local)
        assert executor.capacity == workers
        executor.close()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"workers": 0}, r"^execute\.local\.workers: 0; it takes 1 or more"),
        ({"threads": 0}, r"^execute\.local\.threads: 0; it takes 1 or more"),
        ({"workers": "two"}, r"^execute\.local\.workers: 'two'; it must be null or a whole number"),
        ({"worker": 1}, r"^execute\.local\.worker: .*did you mean 'workers'"),
    ],
)
def test_wrong_settings_are_named(settings: dict[str, object], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        build_executor(Choice(name="local", settings=settings), log=tmp_path / "log")


def test_an_unknown_executor_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'lokal' is not known, did you mean 'local'"):
        build_executor(Choice(name="lokal"), log=tmp_path / "log")
