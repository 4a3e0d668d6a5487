"""Which rule is taken: asked for in a terminal, else the safest."""

import sys
from collections.abc import Callable, Sequence

from harness.begin.text import told, written
from harness.begin.weigh import Weighed
from harness.errors import ConfigError

MOST = 8  # rules that are shown


def choose_rule(rules: Sequence[Weighed], tell: Callable[[str], None], *, ask: bool) -> list[Weighed]:
    """Return the rules with the one that is taken first. Raises ConfigError where none can be taken."""
    shown = list(rules[:MOST])
    tell("which pictures show one thing? The safest rule first:")
    for number, rule in enumerate(shown, start=1):
        tell(f"  {number}  {told(rule)}")
        tell(f"       group: {written(rule.rule.choice)}")
    taken = _asked(len(shown)) if ask else 1
    if not shown[taken - 1].is_usable:
        tell(
            "  its groups are too few or too large for five folds: more pictures, or folds.count in the study file"
        )
    tell(
        f"taken: {taken}, {shown[taken - 1].rule.words}; it stands in the study file as a rule, change it there"
    )
    return [shown[taken - 1], *(rule for rule in shown if rule is not shown[taken - 1])]


def _asked(count: int) -> int:
    for _ in range(3):
        print(f"which one? [1 to {count}, Enter for 1] ", end="", file=sys.stderr, flush=True)
        answer = sys.stdin.readline().strip()
        if not answer:
            return 1
        if answer.isdecimal() and 1 <= int(answer) <= count:
            return int(answer)
    raise ConfigError(f"no number from 1 to {count} was given; run the command again")
