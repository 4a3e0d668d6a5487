"""The leakage report as one HTML page: nothing loaded from elsewhere, readable in the dark and on paper."""

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from harness.data.audit.sides import fold_name

NOTHING_FROM_ELSEWHERE = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
SHOWN = 100  # rows of evidence a check; the JSON document has all

MARKS = {"pass": "✓", "warn": "!", "fail": "✕", "unverifiable": "?", "not run": "–"}
HEADLINES = {
    "pass": "No leak found",
    "warn": "No leak found, with warnings",
    "fail": "Failed: do not train on this split",
    "unverifiable": "Not everything could be verified",
    "not run": "Not everything was checked",
}
BARS = {
    "positive_groups": "positive groups",
    "groups": "groups",
    "samples": "images",
    "objects": "objects",
    "positive_px": "target px",
}

STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1b1f24; --soft: #59636e; --line: #d1d9e0;
  --band: #f6f8fa; --bar: #4a7fb5; --out: #8a7bb0; --pass: #1a7f37; --warn: #8a5a00; --fail: #c21f2b; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #0d1117; --ink: #e6edf3; --soft: #9aa4ae; --line: #30363d;
    --band: #161b22; --bar: #6aa3dd; --out: #a999d6; --pass: #4ac26b; --warn: #e0b040; --fail: #ff7b72; } }
@media print {
  :root { color-scheme: light; --paper: #fff; --ink: #000; --soft: #444; --line: #bbb;
    --band: #fff; --bar: #4a7fb5; --out: #8a7bb0; --pass: #1a7f37; --warn: #8a5a00; --fail: #c21f2b; }
  * { print-color-adjust: exact; } tr, header { break-inside: avoid; } h2, h3 { break-after: avoid; } }
body { margin: 0 auto; max-width: 68rem; padding: 1.5rem; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 1.4rem; margin: 0 0 .25rem; }
h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
h3 { font-size: 1rem; margin: 1.25rem 0 .4rem; }
p, ul { margin: .3rem 0; }
ul { padding-left: 1.2rem; }
header { border: 1px solid var(--line); border-left: .5rem solid var(--tone); background: var(--band);
  padding: 1rem 1.25rem; border-radius: 6px; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; margin: .6rem 0 0; }
dt, .soft { color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .35rem .8rem .35rem 0; overflow-wrap: break-word;
  border-bottom: 1px solid var(--line); }
th { color: var(--soft); font-weight: 600; }
.said { min-width: 16rem; overflow-wrap: anywhere; }
.item { min-width: 6rem; overflow-wrap: anywhere; }
td.number, th.number { text-align: right; white-space: nowrap; width: 1%; padding: .35rem 0 .35rem .8rem; }
.narrow { white-space: nowrap; width: 1%; }
.state { white-space: nowrap; color: var(--tone); font-weight: 600; }
.pass { --tone: var(--pass); }
.warn { --tone: var(--warn); }
.fail { --tone: var(--fail); }
.unverifiable, .not-run { --tone: var(--soft); }
svg { display: block; min-width: 4rem; margin-top: .2rem; }
figure { margin: 1rem 0; }
figure img { max-width: 100%; height: auto; border: 1px solid var(--line); background: #fff; }
figcaption { color: var(--soft); overflow-wrap: anywhere; }
td > svg:only-child { margin-top: .5rem; }
.track { fill: var(--line); }
.bar { fill: var(--bar); }
.out { fill: var(--out); }
.leak { fill: var(--fail); }
"""


def page(document: Mapping[str, Any], digest: str, figures: Iterable[str] = ()) -> str:
    """Return the page of a report document (see `Report.to_json`); `digest` is the SHA-256 of its JSON.

    `figures` are HTML, each with its picture inside.
    """
    parts = [_head(document, digest), _checks(document), _counterfactual(document), _folds(document)]
    parts += [_evidence(finding) for finding in document["findings"] if finding["items"]]
    shown = "".join(figures)
    parts += [f"<section><h2>Pictures</h2>{shown}</section>"] if shown else []
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{NOTHING_FROM_ELSEWHERE}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Leakage report {escape(document['split'])}</title>\n<style>{STYLE}</style>\n"
        "</head>\n<body>\n" + "\n".join(parts) + "\n</body>\n</html>\n"
    )


def _head(document: Mapping[str, Any], digest: str) -> str:
    verdict, findings = document["verdict"], document["findings"]
    counts = {s: sum(f["status"] == s for f in findings) for s in MARKS}
    words = {
        "pass": "passed",
        "warn": "warned",
        "fail": "failed",
        "unverifiable": "unverifiable",
        "not run": "not run",
    }
    tally = ", ".join(f"{counts[s]} {words[s]}" for s in MARKS if counts[s])
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
        f"<p>{len(findings)} checks: {tally}.</p><dl>{rows}</dl></header>"
    )


def _checks(document: Mapping[str, Any]) -> str:
    rows = []
    for finding in document["findings"]:
        affected = f"{finding['affected']:,}" if finding["status"] != "not run" else ""
        share = f"{finding['share_of_validation']:.1%}" if finding["status"] != "not run" else ""
        rows.append(
            f'<tr class="{_class(finding["status"])}"><td class="narrow">{escape(finding["id"])}</td>'
            f'<td class="state">{_state(finding["status"])} {escape(finding["status"])}</td>'
            f'<td>{escape(finding["title"])}</td><td class="said">{escape(finding["summary"])}</td>'
            f'<td class="number">{affected}</td><td class="number">{share}</td></tr>'
        )
    heads = _heads(["Id", "Status", "Check", "What came out"], ["Images", "Share"])
    return (
        f'<section><h2>Checks</h2><div class="scroll"><table>{heads}{"".join(rows)}</table></div>'
        '<p class="soft">Images: those concerned. Share: of all images, those whose validation is affected.</p>'
        "</section>"
    )


def _counterfactual(document: Mapping[str, Any]) -> str:
    blind, real = document["counterfactual"]["crop_level"], document["counterfactual"]["this_split"]
    sentence = (
        f"A split by images, blind to groups, would have put {blind['group']:.1%} of the validation images "
        f"({blind['positive_group']:.1%} of those with an object) beside training images of the same source, "
        f"and {blind['photo']:.1%} beside images of the same photograph; this split: {real['group']:.1%}."
    )
    bars = [("split by images", blind["group"]), ("this split", real["group"])]
    rows = "".join(
        f'<tr><td class="narrow">{name}</td><td>{_bar(f"{name}: {share:.1%} leaked", share, "leak")}</td>'
        f'<td class="number">{share:.1%}</td></tr>'
        for name, share in bars
    )
    note = f"Mean of {blind['repeats']} shuffles into the same number of folds."
    return (
        f"<section><h2>What grouping prevents</h2><p>{escape(sentence)}</p>"
        f'<table>{rows}</table><p class="soft">{note}</p></section>'
    )


def _folds(document: Mapping[str, Any]) -> str:
    largest = {name: max(1, *(row[name] for row in document["folds"])) for name in BARS}
    rows = []
    for row in document["folds"]:
        name, kind = fold_name(row["fold"]), "out" if row["fold"] < 0 else "bar"
        cells = "".join(
            f"<td>{row[key]:,}{_bar(f'{name}: {row[key]:,} {label}', row[key] / largest[key], kind)}</td>"
            for key, label in BARS.items()
        )
        rows.append(
            f'<tr><td class="narrow">{name}</td>{cells}<td class="number">{row["coverage"]:.3%}</td></tr>'
        )
    heads = _heads(["Part", *(label.capitalize() for label in BARS.values())], ["Coverage"])
    notes = "".join(f"<li>{escape(note)}</li>" for note in document["notes"])
    return (
        f'<section><h2>Folds</h2><div class="scroll"><table>{heads}{"".join(rows)}</table></div>'
        f"{f'<ul>{notes}</ul>' if notes else ''}</section>"
    )


def _evidence(finding: Mapping[str, Any]) -> str:
    items = finding["items"]
    names = list(items[0])
    heads = _heads([name.replace("_", " ") for name in names], [])
    rows = "".join(
        "<tr>" + "".join(f'<td class="item">{escape(str(item[name]))}</td>' for name in names) + "</tr>"
        for item in items[:SHOWN]
    )
    rest = (
        f'<p class="soft">{len(items) - SHOWN:,} more are in leakage_report.json.</p>'
        if len(items) > SHOWN
        else ""
    )
    return (
        f'<section class="{_class(finding["status"])}"><h3><span class="state">{_state(finding["status"])} '
        f"{escape(finding['id'])}</span> {escape(finding['title'])}: evidence</h3>"
        f'<div class="scroll"><table>{heads}{rows}</table></div>{rest}</section>'
    )


def _heads(texts: Iterable[str], numbers: Iterable[str]) -> str:
    cells = [f'<th scope="col">{escape(text)}</th>' for text in texts]
    cells += [f'<th scope="col" class="number">{escape(text)}</th>' for text in numbers]
    return f"<tr>{''.join(cells)}</tr>"


def _bar(label: str, share: float, kind: str) -> str:
    """Return a bar of `share` in [0, 1] of its track, which a screen reader calls `label`."""
    return (
        f'<svg role="img" aria-label="{escape(label)}" width="100%" height="8" preserveAspectRatio="none" '
        f'viewBox="0 0 100 8"><title>{escape(label)}</title><rect class="track" width="100" height="8"/>'
        f'<rect class="{kind}" width="{100 * share:.2f}" height="8"/></svg>'
    )


def _state(status: str) -> str:
    return f'<span class="state" aria-hidden="true">{MARKS[status]}</span>'


def _class(status: str) -> str:
    return status.replace(" ", "-")
