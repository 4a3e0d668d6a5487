"""What a study wants of a foreign data set: which classes are targets, and what to do with boxes and gaps."""

from collections.abc import Iterable
from dataclasses import dataclass

from harness.choices import nearest
from harness.errors import ConfigError

CLEAN = "clean"


@dataclass(frozen=True)
class Wanted:
    """The settings that importers share; `classes` None is every class."""

    form: str
    classes: frozenset[str] | None
    fill: bool = False  # boxes are filled, not skipped
    clean: bool = False  # pictures without annotations are clean, not skipped

    def takes(self, label: str) -> bool:
        """Tell whether objects of a class are targets."""
        return self.classes is None or label in self.classes

    def refuse_unknown(self, known: Iterable[str]) -> None:
        """Raise ConfigError for a class that the data set has not."""
        known = frozenset(known)
        for name in sorted((self.classes or frozenset()) - known):
            names = ", ".join(sorted(known)) or "none"
            raise ConfigError(
                f"data.dataset.{self.form}.classes: {name!r} is not known{nearest(name, known)}; known: {names}"
            )

    def class_id(self, labels: Iterable[str]) -> str:
        """Return the class of a picture that shows these targets."""
        return "+".join(sorted(set(labels))) or CLEAN


def wanted(
    form: str, classes: tuple[str, ...] | None, *, boxes: str = "skip", missing: str = "skip"
) -> Wanted:
    """Return the settings, checked. Raises ConfigError."""
    where = f"data.dataset.{form}"
    for name, value, known in (("boxes", boxes, ("fill", "skip")), ("missing", missing, ("clean", "skip"))):
        if value not in known:
            near = nearest(value, known)
            raise ConfigError(f"{where}.{name}: {value!r} is not known{near}; known: {', '.join(known)}")
    if classes is not None and not classes:
        raise ConfigError(f"{where}.classes: names no class; name one, or leave it out to take all")
    return Wanted(form, None if classes is None else frozenset(classes), boxes == "fill", missing == "clean")
