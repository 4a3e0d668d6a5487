"""What was read and what was left out of a data set, in sentences."""

from harness.errors import DataError


class Left:
    """What was left out, by reason: how many, and the first."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], list[str]] = {}
        self._counts: dict[tuple[str, str], int] = {}

    def add(self, reason: str, first: str, *, what: str = "picture") -> None:
        """Count a picture (or `what` else) that was left out for this reason."""
        key = (what, reason)
        self._counts[key] = self._counts.get(key, 0) + 1
        self._found.setdefault(key, [first])

    def notes(self) -> tuple[str, ...]:
        """Return a sentence a reason."""
        return tuple(
            f"{several(count, what)} skipped: {reason} (first: {self._found[what, reason][0]})"
            for (what, reason), count in self._counts.items()
        )

    def refuse_nothing(self, number: int, where: object) -> None:
        """Raise DataError where no picture is left."""
        if not number:
            why = "; ".join(self.notes()) or "it lists none"
            raise DataError(f"{where}: no picture is left to read: {why}")


def several(count: int, what: str) -> str:
    """Return a number of things in words, such as 1,204 pictures."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def taken(pictures: int, clean: int, objects: int | None, files: int, kind: str = "file") -> str:
    """Return the sentence about what was read."""
    held = "" if objects is None else f" with {several(objects, 'object')}"
    return f"{several(pictures, 'picture')}{held} read from {several(files, kind)}, {clean:,} clean"
