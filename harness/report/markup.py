"""What pages are made of: tables, sections, and a document that loads nothing from elsewhere."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from html import escape

from harness.data.audit.style import STYLE

ONLY_ITSELF = "default-src 'none'; style-src 'unsafe-inline'; img-src data: blob:"
MORE_STYLE = """
h2 { border-top: 1px solid var(--line); padding-top: 1.2rem; margin-top: 2.2rem; }
ul.warnings { padding-left: 1.2rem; } ul.warnings li { overflow-wrap: anywhere; }
th, td, td.number, th.number { padding: .3rem .55rem; width: auto; } th { vertical-align: bottom; }
th:first-child, td:first-child { padding-left: 0; } td { white-space: nowrap; }
th, th.number { white-space: normal; } th.number:not(:first-child) { min-width: 5.5rem; }
.prose td { white-space: normal; } .prose td:last-child { overflow-wrap: anywhere; min-width: 14rem; }
.prose td.number { white-space: nowrap; }
table { width: auto; } table.prose { width: 100%; }
.best td { background: var(--band); font-weight: 600; }
code { font: .92em ui-monospace, SFMono-Regular, Menlo, monospace; overflow-wrap: anywhere; }
pre { background: var(--band); border: 1px solid var(--line); border-radius: 6px; padding: .6rem .8rem;
  white-space: pre-wrap; overflow-wrap: anywhere; }
details { margin: .3rem 0 0; } summary { color: var(--soft); cursor: pointer; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); gap: 0 1.5rem; }
.plots > figure { min-width: 0; }
.pictures { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 24rem), 1fr)); gap: 0 1.5rem; }
.plot .xtick text, .plot .ytick text, .plot .legendtext, .plot .annotation-text, .plot .g-xtitle text,
  .plot .g-ytitle text, .plot .colorbar text { fill: var(--ink) !important; }
.plot svg { min-width: 0; margin: 0; display: inline-block; }
.plot .modebar { opacity: 0 !important; } .plot:hover .modebar { opacity: 1 !important; }
.curve { fill: none; stroke: var(--bar); stroke-width: 1.5; vector-effect: non-scaling-stroke; }
.edge { fill: none; stroke: var(--line); vector-effect: non-scaling-stroke; }
.scroll:focus-visible { outline: 2px solid var(--bar); }
@media print { .modebar-container, details:not([open]) { display: none; } pre { white-space: pre-wrap; }
  .plots { display: block; } table { font-size: 7.5px; } th, td, td.number, th.number { padding: .1rem .25rem; }
  th.number:not(:first-child) { min-width: 0; }
  td { white-space: normal; } td:not(.number) { min-width: 4rem; } }
@media screen and (max-width: 44rem) { td:not(.number) { white-space: normal; min-width: 5rem; } }
"""

Rows = Iterable[Sequence[str]]


def document(title: str, *parts: str, scripts: Sequence[str] = ()) -> str:
    """Return a page of these parts; `scripts` run at its end."""
    policy = ONLY_ITSELF + ("; script-src 'unsafe-inline'" if scripts else "")
    run = "".join(f"<script>{script}</script>\n" for script in scripts)
    body = "\n".join(part for part in parts if part)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}{MORE_STYLE}</style>\n"
        f"</head>\n<body>\n{body}\n{run}</body>\n</html>\n"
    )


def section(title: str, *parts: str) -> str:
    """Return a section with its heading."""
    return f"<section><h2>{escape(title)}</h2>{''.join(parts)}</section>"


def part(title: str, *parts: str) -> str:
    """Return a part of a section with its heading."""
    return f"<section><h3>{escape(title)}</h3>{''.join(parts)}</section>"


def paragraph(text: str, kind: str = "") -> str:
    """Return a paragraph; `kind` soft is said beside."""
    return f"<p{_class(kind)}>{escape(text)}</p>"


def listed(texts: Iterable[str], kind: str = "") -> str:
    """Return a list of sentences, nothing for none."""
    items = "".join(f"<li>{escape(text)}</li>" for text in texts)
    return f"<ul{_class(kind)}>{items}</ul>" if items else ""


def pairs(facts: Mapping[str, str]) -> str:
    """Return names with what they are."""
    rows = (f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts.items())
    return f"<dl>{''.join(rows)}</dl>"


def table(
    headings: Sequence[str], rows: Rows, *, words: Collection[str] = (), best: int = -1, prose: bool = False
) -> str:
    """Return a table that scrolls in itself where it is too wide.

    Columns named in `words` hold text, the others numbers; row `best` is marked; `prose` is broken into lines.
    """
    kinds = ["" if heading in words else "number" for heading in headings]
    heads = "".join(
        f'<th scope="col"{_class(kind)}>{escape(heading)}</th>'
        for heading, kind in zip(headings, kinds, strict=True)
    )
    lines = []
    for number, cells in enumerate(rows):
        inner = "".join(
            f"<td{_class(kind)}>{escape(cell)}</td>" for cell, kind in zip(cells, kinds, strict=True)
        )
        lines.append(f"<tr{_class('best' if number == best else '')}>{inner}</tr>")
    label, kind = escape(", ".join(headings[:3])), _class("prose" if prose else "")
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="Table: {label}"><table{kind}><thead><tr>{heads}'
        f"</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
    )


def folded(summary: str, inner: str) -> str:
    """Return what is shown on demand."""
    return f"<details><summary>{escape(summary)}</summary>{inner}</details>"


def number(value: float | None, digits: int = 3) -> str:
    """Return a number with so many decimals; nothing for none."""
    return "" if value is None or value != value else f"{value:.{digits}f}"


def _class(kind: str) -> str:
    return f' class="{kind}"' if kind else ""
