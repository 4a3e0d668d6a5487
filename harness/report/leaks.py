"""What the leakage report of a study says, in short, with a link to all of it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.data.audit.page import HEADLINES, MARKS
from harness.errors import DataError
from harness.masking import words_of
from harness.report.markup import pairs, paragraph, table

FOLDER = "leakage"  # below a study's work folder, beside the report's
DOCUMENT, PAGE = "leakage_report.json", "leakage_report.html"


@dataclass(frozen=True)
class Leakage:
    """The document of a leakage report, and the SHA-256 of its file."""

    document: Mapping[str, Any]
    digest: str

    def statuses(self, ids: str) -> str:
        """Return what came out of some checks, as `G1 pass, D1 warn`; those that are not in it are left out."""
        found = {finding["id"]: finding["status"] for finding in self.document["findings"]}
        return ", ".join(f"{id} {found[id]}" for id in ids.split() if id in found)


def read_leakage(work: Path) -> Leakage:
    """Return the leakage report of a study. Raises DataError where it is gone or damaged."""
    path = work / FOLDER / DOCUMENT
    try:
        content = path.read_bytes()
        document = json.loads(content)
        if not {"verdict", "findings"} <= set(document):
            raise ValueError("it lacks its verdict or findings")
    except (OSError, ValueError, TypeError) as error:
        raise DataError(f"{DOCUMENT} cannot be read ({words_of(error)})") from None
    return Leakage(document, hashlib.sha256(content).hexdigest())


def leaks(facts: Mapping[str, Any], found: Leakage | None) -> str:
    """Return verdict, digest, and the findings that did not pass; without the report what the facts say of it."""
    verdict, digest = str(facts["leakage"]), str(facts["leakage_sha256"])
    said = f"{MARKS.get(verdict, '')} {HEADLINES.get(verdict, verdict)}."
    parts = [paragraph(said), pairs({"Verdict": verdict, "Report digest (SHA-256)": digest})]
    if found is None:
        return "".join([*parts, paragraph(f"The report itself, {DOCUMENT}, is not there or damaged.")])
    if found.digest != digest:
        parts.append(paragraph(f"{DOCUMENT} on the disk is another one: its digest is {found.digest}."))
    hits = [finding for finding in found.document["findings"] if finding["status"] != "pass"]
    hits.sort(key=lambda finding: list(MARKS).index(finding["status"]))
    rows = [[f["id"], f"{MARKS[f['status']]} {f['status']}", f["title"], f["summary"]] for f in hits]
    headings = ("id", "status", "check", "what came out")
    passed = len(found.document["findings"]) - len(hits)
    parts += [table(headings, rows, words=headings, prose=True)] if rows else []
    link = f'<a href="../{FOLDER}/{PAGE}">{PAGE}</a>'
    return "".join([*parts, f"<p>Checks that passed: {passed}. All of it, with evidence: {link}.</p>"])
