from pathlib import Path

import pytest

from harness.search.database import optuna_url


def test_the_database_is_under_home_unless_one_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HARNESS_OPTUNA_URL", raising=False)
    assert optuna_url(tmp_path) == f"sqlite:///{tmp_path}/optuna.db"
    monkeypatch.setenv("HARNESS_OPTUNA_URL", "postgresql://host/optuna")
    assert optuna_url(tmp_path) == "postgresql://host/optuna"
