from pathlib import Path
from typing import Any

import optuna
import pytest

from harness.errors import ConfigError
from harness.search.slots import Slot, Slots, baseline_params
from harness.search.trial import TrialResult
from tests.search.formula import Formula, Home, score, study, table


def test_a_trial_is_asked_from_the_trials_outside_its_window_only(tmp_path: Path) -> None:
    """Changing the score of one trial changes the parameters of those that may know it, and of no other."""
    plan = study(trials=9, window=3, startup=1, baselines=())
    tables = []
    for name, changed in (("plain", None), ("changed", 4)):
        home = Home(tmp_path / name, plan)
        home.folder.mkdir()
        other: Any = lambda job, changed=changed: 0.99 if job.trial == changed else score(job)  # noqa: E731
        tables.append(table(home.run(Formula(score=other))))
    same = [one[1] == two[1] for one, two in zip(*tables, strict=True)]
    assert same[:7] == [True] * 7  # trial 7 is the first with trial 4 outside its window
    assert not same[7]


def test_the_seed_of_the_study_decides_the_parameters(tmp_path: Path) -> None:
    params = []
    for number, seed in enumerate((1, 1, 2)):
        home = Home(tmp_path / str(number), study(seed=seed, trials=4, baselines=()))
        home.folder.mkdir()
        params.append([row[1] for row in table(home.run())])
    assert params[0] == params[1]
    assert params[0] != params[2]
    assert len({str(p) for p in params[0]}) == 4


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path, study(trials=4))


def test_a_slot_opened_again_is_the_same_trial(home: Home) -> None:
    first, second = home.slots(), home.slots()
    one = first.ask(0)
    assert not one.should_prune(0.4, 0)
    two = second.ask(0)
    assert not two.should_prune(0.4, 0)  # reported before, and no warning
    assert not two.should_prune(0.5, 1)
    assert (one.plan, one.stored.number) == (two.plan, two.stored.number)
    stored = optuna.load_study(study_name="formula-01234567", storage=home.url)
    assert [t.intermediate_values for t in stored.trials] == [{0: 0.4, 1: 0.5}]
    first.close()
    second.close()


def test_results_come_back_as_they_were_told(home: Home) -> None:
    wanted = home.run()
    slots = home.slots()
    assert slots.results() == {
        r.plan.number: TrialResult(r.plan, r.state, list(r.folds), r.reason) for r in wanted
    }
    slots.close()


def test_results_are_read_from_where_the_study_is_kept_now(
    home: Home, tmp_path_factory: pytest.TempPathFactory
) -> None:
    wanted = [(r.iou_mean, r.metrics()) for r in home.run()]
    moved = Home(tmp_path_factory.mktemp("elsewhere") / "home", home.study)
    home.folder.rename(moved.folder)
    slots = moved.slots()
    folders = [Path(fold.folder) for result in slots.results().values() for fold in result.folds]
    assert all(folder.is_relative_to(moved.folder) for folder in folders)
    assert [(r.iou_mean, r.metrics()) for r in slots.results().values()] == wanted
    slots.close()


def test_a_trial_begun_with_other_parameters_is_refused(home: Home) -> None:
    slots = home.slots()
    slots.ask(0)
    slots.close()
    changed = Home(home.folder, study(trials=4, baselines=({"loss": "dice_bce"},))).slots()
    with pytest.raises(ConfigError, match=r"trial 0: was begun with .* and is now asked as"):
        changed.ask(0)
    changed.close()


def test_a_value_that_the_setting_refuses_is_named_and_opens_no_trial(tmp_path: Path) -> None:
    space = {"train.precision": {"choice": ["bf17"]}}
    home = Home(tmp_path, study(trials=2, baselines=(), space=space))
    slots = home.slots()
    with pytest.raises(ConfigError, match=r"trial 0: train\.precision: 'bf17' is not allowed.*; narrow what"):
        slots.ask(0)
    slots.close()
    assert not optuna.load_study(study_name="formula-01234567", storage=home.url).trials


def test_a_failed_trial_has_no_value(home: Home) -> None:
    slots = home.slots()
    slot: Slot = slots.ask(0)
    slot.should_prune(0.9, 0)
    slots.tell(slot, TrialResult(slot.plan, "failed", (), "not a number"))
    stored = optuna.load_study(study_name="formula-01234567", storage=home.url).trials[0]
    assert (stored.state, stored.value) == (optuna.trial.TrialState.FAIL, None)
    assert slots.results()[0].reason == "not a number"
    slots.close()


def test_two_studies_of_one_name_share_a_database_and_no_trial(home: Home) -> None:
    home.run()
    other = Slots(home.study, "f" * 16, home.url, home.folder / "work")
    assert other.results() == {}
    other.close()


@pytest.mark.parametrize(
    ("baseline", "message"),
    [
        ({"train.lr": 1.0}, r"^search\.baselines\[1\]\.train\.lr: 1\.0 lies outside"),
        ({"train.lr": -1.0}, r"^search\.baselines\[1\]\.train\.lr: -1\.0: .*greater than 0"),
        ({"loss": "lovasz_bce"}, r"^search\.baselines\[1\]\.loss: 'lovasz_bce' is not among"),
    ],
)
def test_a_baseline_outside_the_space_is_named_by_its_number(baseline: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        baseline_params(study(baselines=({"loss": "dice_bce"}, baseline)))
