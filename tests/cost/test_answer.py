"""The figures in words, the control, and what is refused with few groups."""

import pandas as pd
import pytest

from harness.cost.answer import Answer, Inflation, Score, _control


def inflation(value: float, low: float | None, high: float | None, groups: int = 40) -> Inflation:
    return Inflation(value, low, high, 0.95, groups, "jackknife")


def found(one: Inflation, level: float = 0.6) -> Answer:
    scores = (Score("a", level + 0.1, 0.1, [level], level), Score("b", level, 0.1, [level], level))
    return Answer(scores, one, one, None, (pd.DataFrame(), pd.DataFrame()))


@pytest.mark.parametrize(
    ("one", "level", "said"),
    [
        (inflation(0.1, 0.02, 0.2), 0.6, "would promise 0.10 IoU that is not there"),
        (inflation(0.1, -0.02, 0.2), 0.6, "the interval holds 0."),
        (inflation(0.1, -0.02, 0.2), 0.1, "does not say that nothing leaks"),
        (inflation(-0.1, -0.2, -0.02), 0.6, "flatters nothing"),
        (inflation(0.1, None, None, 5), 0.6, "Too few groups"),
    ],
)
def test_the_verdict_follows_the_interval(one: Inflation, level: float, said: str) -> None:
    assert found(one, level).verdict.endswith(said) or said in found(one, level).verdict


def test_few_groups_are_refused_or_called_rough() -> None:
    assert (
        "no interval: 5 groups have something to find, and 6 are needed"
        in inflation(0.1, None, None, 5).sentence
    )
    assert "rough with so few" in inflation(0.1, 0, 0.2, 19).sentence
    assert "rough" not in inflation(0.1, 0, 0.2, 20).sentence


@pytest.mark.parametrize(("alone", "told"), [(0, False), (5, False), (6, True), (9, True)])
def test_the_control_is_of_pictures_whose_group_has_no_other(alone: int, told: bool) -> None:
    names = [f"single{n}" for n in range(alone)] + ["pair", "pair"]
    rows = pd.DataFrame({"group": names, "photo": [f"p{n}" for n in range(len(names))], "fold": 0})
    good = rows.assign(tp=[9] * alone + [0, 0], fp=1, fn=1)  # the pair differs, and is no part of it
    control = _control([good.assign(tp=[9] * alone + [99, 99]), good])
    assert (control is not None) == told
    if control is not None:
        assert (control.value, control.groups) == (0, alone)
