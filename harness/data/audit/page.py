"""The leakage report as one HTML page: nothing loaded from elsewhere, what needs a look first."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from harness.data.audit.bars import counterfactual_bars, distribution, fold_bars, group_bars, heads
from harness.data.audit.style import STYLE

NOTHING_FROM_ELSEWHERE = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
SHOWN = 100  # rows of evidence a check; the JSON document has more

SMALL = {
    f"{side} {of}" for side in ("first", "second") for of in ("group", "fold")
}  # written under the picture's name

MARKS = {"fail": "✕", "warn": "!", "unverifiable": "?", "not run": "–", "pass": "✓"}  # the worst first
WORDS = {
    "fail": "failed",
    "warn": "warned",
    "not run": "not run",
    "pass": "passed",
    "unverifiable": "unverifiable",
}
HEADLINES = {
    "pass": "No leak found",
    "warn": "No leak found, with warnings",
    "fail": "Failed: do not train on this split",
    "unverifiable": "Not everything could be verified",
    "not run": "Not everything was checked",
}
NEXT = {
    "pass": "Nothing is left to do here.",
    "warn": "Training is allowed. Look at each warning once: its sentence says what to do, its pictures follow.",
    "fail": "Mend what failed as its sentence says, then check again; nothing trains before.",
    "unverifiable": "Training is allowed. See to it by hand that what could not be verified is grouped rightly.",
    "not run": "Training is allowed; what was not checked is not known to be right.",
}
PARTS = {
    "To look at": ("fail", "warn", "unverifiable"),
    "Not checked": ("not run",),
    "Passed": ("pass",),
}

Findings = Sequence[Mapping[str, Any]]


def page(
    document: Mapping[str, Any],
    digest: str,
    figures: Iterable[tuple[str, str]] = (),
    data_notes: Sequence[str] = (),
) -> str:
    """Return the page of a report document (see `Report.to_json`); `digest` is the SHA-256 of its JSON.

    `figures` are HTML, each with its picture inside, and the id of the check they belong to; `data_notes` say what of
    the data set was not taken.
    """
    shown, findings = list(figures), _worst_first(document["findings"])
    parts = [_head(document, digest), *(_checks(title, findings, kinds) for title, kinds in PARTS.items())]
    parts += [
        _notes(data_notes),
        fold_bars(document["folds"], document["notes"]),
        group_bars(document["group_sizes"]),
    ]
    parts += [counterfactual_bars(document["counterfactual"])]
    parts += ["<h2>Evidence</h2>"] if any(map(_has_evidence, findings)) or shown else []
    parts += [_evidence(f, [html for id, html in shown if id == f["id"]]) for f in findings]
    known = {f["id"] for f in findings}
    others = "".join(html for id, html in shown if id not in known)
    parts += [f"<section><h3>Pictures</h3>{others}</section>"] if others else []
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{NOTHING_FROM_ELSEWHERE}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Leakage report {escape(document['split'])}</title>\n<style>{STYLE}</style>\n"
        "</head>\n<body>\n" + "\n".join(part for part in parts if part) + "\n</body>\n</html>\n"
    )


def _notes(notes: Sequence[str]) -> str:
    items = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return f"<section><h2>Notes on the data</h2><ul>{items}</ul></section>" if items else ""


def _worst_first(findings: Findings) -> Findings:
    """Return findings by status; those that only tell come after those that decide."""
    order = list(MARKS)
    return sorted(findings, key=lambda f: (order.index(f["status"]), f["severity"] == "info"))


def _head(document: Mapping[str, Any], digest: str) -> str:
    verdict, findings = document["verdict"], document["findings"]
    counts = {status: sum(f["status"] == status for f in findings) for status in MARKS}
    tally = ", ".join(f"{counts[status]} {WORDS[status]}" for status in MARKS if counts[status])
    facts = {
        "Images, groups": f"{document['samples']:,} in {document['groups']:,} groups",
        "Split": document["split"],
        "Data manifest": document["manifest"],
        "Report digest": digest,
        "Versions": f"audit {document['audit_version']}, report schema {document['schema_version']}",
    }
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(str(value))}</dd>" for name, value in facts.items())
    return (
        f'<header class="{_class(verdict)}"><h1>{_state(verdict)} {escape(HEADLINES[verdict])}</h1>'
        f"<p>{escape(NEXT[verdict])}</p><p>{len(findings)} checks: {tally}.</p><dl>{rows}</dl></header>"
    )


def _checks(title: str, findings: Findings, kinds: tuple[str, ...]) -> str:
    rows = [_row(finding) for finding in findings if finding["status"] in kinds]
    if not rows:
        return ""
    top = heads(
        ["Id", "Status", "Check", "What came out"], ["Images", "Share"] if "warn" in kinds else ["", ""]
    )
    note = "Images: those concerned. Share: of all images, those whose validation is affected."
    return (
        f'<section><h2>{title} <span class="soft">({len(rows)})</span></h2><div class="scroll">'
        f'<table class="checks">{top}{"".join(rows)}</table></div>'
        + (f'<p class="soft">{note}</p></section>' if "warn" in kinds else "</section>")
    )


def _row(finding: Mapping[str, Any]) -> str:
    hit = finding["status"] not in ("not run", "pass")
    affected = f"{finding['affected']:,}" if hit else ""
    share = f"{finding['share_of_validation']:.1%}" if hit else ""
    id = escape(finding["id"])
    name = f'<a href="#{id}">{id}</a>' if _has_evidence(finding) else id
    return (
        f'<tr class="{_class(finding["status"])}"><td class="narrow">{name}</td>'
        f'<td class="state">{_state(finding["status"])} {escape(finding["status"])}</td>'
        f'<td class="title">{escape(finding["title"])}</td><td class="said">{escape(finding["summary"])}</td>'
        f'<td class="number" data-name="Images">{affected}</td>'
        f'<td class="number" data-name="Share">{share}</td></tr>'
    )


def _has_evidence(finding: Mapping[str, Any]) -> bool:
    return bool(finding["items"] or finding["bars"])


def _evidence(finding: Mapping[str, Any], figures: Sequence[str]) -> str:
    if not _has_evidence(finding) and not figures:
        return ""
    pictures = f'<div class="pictures">{"".join(figures)}</div>' if figures else ""
    return (
        f'<section class="{_class(finding["status"])}" id="{escape(finding["id"])}"><h3><span class="state">'
        f"{_state(finding['status'])} {escape(finding['id'])}</span> {escape(finding['title'])}</h3>"
        f"<p>{escape(finding['summary'])}</p>{distribution(finding['bars'])}{pictures}{_items(finding)}</section>"
    )


def _items(finding: Mapping[str, Any]) -> str:
    items = finding["items"]
    if not items:
        return ""
    names = [name for name in items[0] if name not in SMALL]
    rows = "".join(f"<tr>{''.join(_cell(item, name) for name in names)}</tr>" for item in items[:SHOWN])
    return (
        f'<div class="scroll"><table>{heads([name.replace("_", " ") for name in names], [])}{rows}</table></div>'
        f"{_rest(finding)}"
    )


def _cell(item: Mapping[str, Any], name: str) -> str:
    """Return a value; under the name of a picture of a pair, small, its group and part."""
    kind = "narrow" if isinstance(item[name], int | float) else "item"
    small = ", ".join(
        str(item[more]) for more in (f"{name} group", f"{name} fold") if more in item and more in SMALL
    )
    below = f'<br><span class="soft">{escape(small)}</span>' if small else ""
    return f'<td class="{kind}">{escape(str(item[name]))}{below}</td>'


def _rest(finding: Mapping[str, Any]) -> str:
    shown, kept, total = (min(SHOWN, len(finding["items"])), len(finding["items"]), finding["total"])
    if shown == total:
        return ""
    where = f"leakage_report.json has {'all' if kept == total else f'the first {kept:,}'}"
    return f'<p class="soft">The first {shown:,} of {total:,} rows; {where}.</p>'


def _state(status: str) -> str:
    return f'<span class="state" aria-hidden="true">{MARKS[status]}</span>'


def _class(status: str) -> str:
    return status.replace(" ", "-")
