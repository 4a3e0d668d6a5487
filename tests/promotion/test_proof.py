"""What a look is taken for: better, not shown to be, or not provable with so few groups that tell."""

from typing import Any

import pytest

from harness.errors import NotBetter, PromotionRefused
from harness.promotion.proof import _judged
from harness.promotion.rule import NOT_PROVABLE, Rule
from harness.tracking.aliases import Version

PASSED, FAILED = (
    Rule("corrected interval's lower end", passed, "0.1", "above 0.2") for passed in (True, False)
)
LOOK: dict[str, Any] = {
    "look": 1,
    "groups": ["a"] * 9,
    "tell_apart": 9,
    "better": False,
    "gain": 0.1,
    "iou": 0.5,
    "rival": {"name": "the baseline without learning"},
    "sentence": "Not shown to be better.",
}


def test_a_first_model_that_is_not_shown_to_be_better_is_refused_without_a_word_of_being_equal() -> None:
    with pytest.raises(PromotionRefused) as caught:
        _judged(LOOK, None, 0.0, [])
    assert "That it is better than no learning is not shown; nothing is promoted." in str(caught.value)
    assert "as well" not in str(caught.value)


@pytest.mark.parametrize(
    ("look", "telling", "provable"), [(1, 6, True), (1, 5, False), (3, 9, True), (3, 8, False)]
)
def test_groups_too_few_for_the_level_of_this_very_look_prove_nothing(
    look: int, telling: int, provable: bool
) -> None:
    told = LOOK | {"look": look, "tell_apart": telling}
    if provable:
        with pytest.raises(PromotionRefused, match="is not shown"):
            _judged(told, None, 0.0, [])
        return
    assert _judged(told, None, 0.0, [PASSED]).claim.startswith(
        f"{NOT_PROVABLE}: only {telling} held-out groups tell"
    )
    with pytest.raises(PromotionRefused, match=r"too few to tell, and corrected interval's lower end: 0\.1"):
        _judged(told, None, 0.0, [FAILED])
    for gain in (0.0, -0.2):
        with pytest.raises(PromotionRefused, match="is not shown"):
            _judged(told | {"gain": gain}, None, 0.0, [PASSED])


@pytest.mark.parametrize(
    ("low", "margin", "passes"), [(0.01, 0.0, True), (0.01, 0.01, True), (0.01, 0.02, False)]
)
def test_better_is_not_enough_where_the_interval_begins_below_the_margin(
    low: float, margin: float, passes: bool
) -> None:
    champion = Version("tiny", "1", "run", "source", {})
    told = LOOK | {"better": True, "low": low, "sentence": "Better."}
    if passes:
        assert _judged(told, champion, margin, []).claim.startswith("Better. Held against")
        return
    with pytest.raises(
        NotBetter, match=rf"a gain of {margin:g} or more .*: version 1 stays the champion"
    ) as caught:
        _judged(told, champion, margin, [])
    assert f"begins at {low:+.4f}" in str(caught.value)
