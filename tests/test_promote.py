"""Promotion's refusals; the way that succeeds is in test_study.py."""

from pathlib import Path

import pytest

from harness.config import Study
from harness.errors import PromotionRefused
from harness.promote import model_settings, promote_best
from harness.tracking.store import Store


def test_without_a_complete_trial_nothing_is_promoted_and_the_way_out_is_named(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'mlflow.db'}", tmp_path)
    with pytest.raises(
        PromotionRefused, match="tiny-1: no trial ran all its folds; raise the budget"
    ) as caught:
        promote_best(store, {"key": "tiny-1", "name": "tiny"}, None, tmp_path)
    assert caught.value.exit_code == 4
    assert not list(tmp_path.iterdir())


def test_the_model_is_told_how_pictures_were_shown_in_training() -> None:
    study = Study.model_validate(
        {
            "name": "t",
            "data": {"dataset": "demo", "size": 96, "white": 4095},
            "network": {"unet": {"encoder": "resnet18", "weights": "imagenet"}},
            "search": {"trials": 1},
        }
    )
    settings = model_settings(study)
    assert (settings["size"], settings["white"], settings["threshold"]) == (96, 4095, 0.5)
    assert settings["network"]["encoder_name"] == "resnet18"
    assert "weights" not in settings["network"]  # those of the folds are loaded, nothing is fetched
