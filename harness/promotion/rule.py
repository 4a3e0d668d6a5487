"""A rule of a promotion: what it asks for, and what was found."""

from dataclasses import dataclass

NOT_PROVABLE = "not provable on these data"


@dataclass(frozen=True)
class Rule:
    """What a rule is called, whether it passed, what was found and what was asked for."""

    name: str
    passed: bool
    found: str
    asked: str

    @property
    def sentence(self) -> str:
        return f"{self.name}: {self.found} (asked for: {self.asked})"
