"""Rows of Markdown tables."""

from collections.abc import Iterable, Iterator, Sequence


def head_of(names: Sequence[str]) -> Iterator[str]:
    """Yield the two rows that begin a table."""
    yield row_of(names)
    yield row_of(["---"] * len(names))


def row_of(values: Iterable[str]) -> str:
    """Return a row."""
    return f"| {' | '.join(values)} |"
