"""A page read back as a person would: its tables, plots, pictures and text."""

import json
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

UNSEEN = ("script", "style", "head")


@dataclass
class Page:
    """What is on a page: tables as rows of cells, plots by their label, pictures and links by their attributes."""

    tables: list[list[list[str]]] = field(default_factory=list)
    plots: dict[str, dict[str, Any]] = field(default_factory=dict)
    tags: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def of(self, tag: str) -> list[dict[str, str]]:
        """Return the attributes of each element of this kind."""
        return [attributes for name, attributes in self.tags if name == tag]

    def table(self, heading: str) -> list[dict[str, str]]:
        """Return the rows of the first table that has this heading, by their headings."""
        found = next(table for table in self.tables if heading in table[0])
        return [dict(zip(found[0], row, strict=True)) for row in found[1:]]

    def plot(self, start: str) -> dict[str, Any]:
        """Return data and layout of the plot whose label starts so."""
        return next(plot for label, plot in self.plots.items() if label.startswith(start))


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.page, self.open, self.label, self.kind = Page(), [""], "", ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        self.page.tags.append((tag, attributes))
        if tag in (*UNSEEN, "td", "th"):
            self.open.append(tag)
        if tag == "table":
            self.page.tables.append([])
        if tag == "tr":
            self.page.tables[-1].append([])
        if tag in ("td", "th"):
            self.page.tables[-1][-1].append("")
        self.label = attributes.get("aria-label", self.label)
        self.kind = attributes.get("type", "")

    def handle_endtag(self, tag: str) -> None:
        if tag == self.open[-1]:
            self.open.pop()

    def handle_data(self, data: str) -> None:
        if self.open[-1] == "script" and self.kind == "application/json":
            self.page.plots[self.label] = json.loads(data)
        if self.open[-1] in ("td", "th"):
            self.page.tables[-1][-1][-1] += data
        if self.open[-1] not in UNSEEN:
            self.page.texts.append(data)


def read_page(content: str) -> Page:
    """Return what is on a page."""
    reader = _Reader()
    reader.feed(content)
    return reader.page
