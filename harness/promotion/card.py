"""The card of a promoted model: what it is, what it was made of, what is known of it and what is not.

After the model cards of Mitchell et al. (Model Cards for Model Reporting, 2019); filled from what is recorded.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from html import escape
from pathlib import Path
from typing import Any

from harness.config import Promote
from harness.promotion.candidate import CLAIM_TAG, FORCED_TAG, Promotion
from harness.promotion.gate import Gate
from harness.promotion.making import Made
from harness.promotion.rule import Rule
from harness.report.gallery import gallery
from harness.report.leaderboard import Leaderboard
from harness.report.markup import document, pairs, paragraph, section, table
from harness.report.words import verdict, warnings
from harness.train.checkpoint import write_synced

MARKDOWN, PAGE, DOCUMENT = "card.md", "card.html", "card.json"
USE, RULES = "Use", "Rules of its promotion"  # parts
SCORES = {  # of single fold models on their own folds, and what they are called
    "iou_pooled": "IoU, all counts summed",
    "iou_cross_fitted": "IoU at thresholds that other folds chose",
    "pr_auc": "PR-AUC",
    "boundary_dice": "boundary Dice",
    "object_recall": "object recall",
    "object_precision": "object precision",
    "object_f1": "object F1",
    "recall_at_1": "object recall at one false object a picture",
    "clean_with_false_object": "share of clean pictures with a false object",
    "calibration_error": "calibration error",
    "object_recall_tiny": "recall of objects below 64 px",
    "object_recall_small": "recall of objects of 64 to 1,023 px",
}
LIMITS = (
    "Scores are of pictures like those it was trained on: other cameras, light, materials or patients were not tried.",
    "The scores by fold are of single fold models; those of the promoted model itself are the held-out ones alone.",
    "A pixel's probability is no probability of a defect in a part; the score of an object is its highest pixel's.",
    "MLflow's own load_model runs the code in the model's folder; use it where you trust the store.",
)

Table = tuple[Sequence[str], Sequence[Sequence[str]]]


@dataclass(frozen=True)
class Part:
    """A part of a card: sentences, facts by name, a table."""

    title: str
    sentences: Sequence[str] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    table: Table | None = None


@dataclass(frozen=True)
class Written:
    """A card in words: its title, of which model it is, and its parts."""

    title: str
    model: str
    parts: Sequence[Part]

    @property
    def use(self) -> Mapping[str, str]:
        """Return what it states of use and licenses."""
        return self._part(USE).facts

    @property
    def rules(self) -> list[Rule]:
        """Return the rules that its model was promoted by."""
        rows = (self._part(RULES).table or ((), ()))[1]
        return [Rule(name, passed == "yes", found, asked) for name, passed, found, asked in rows]

    def with_use(self, use: Mapping[str, str]) -> "Written":
        """Return the card with another part on use and licenses."""
        return replace(self, parts=[replace(p, facts=use) if p.title == USE else p for p in self.parts])

    def _part(self, title: str) -> Part:
        return next((part for part in self.parts if part.title == title), Part(title))


@dataclass(frozen=True)
class Card:
    """What is known of a model that is promoted, from the study, its rules and the model itself."""

    board: Leaderboard
    model: Made
    gate: Gate
    wanted: Promote
    promotion: Promotion
    tags: Mapping[str, str]

    def written(self) -> Written:
        """Return the card in words."""
        model = self.promotion.model
        return Written(_title(model, self.promotion.version), model, tuple(self.parts()))

    def parts(self) -> Iterator[Part]:
        """Yield the parts of the card, in order."""
        facts, best = self.board.facts, self._best
        yield Part("What is claimed", self._claims())
        yield Part("The model", facts=self._model())
        yield Part(USE, facts=use_of(self.wanted, self.board.facts["description"]))
        yield Part("Data", facts=_data(facts))
        yield Part("Protocol", verdict(self.board)[:1], _protocol(facts, best))
        yield Part("Scores, out of fold", table=(("score", "value", "95 % interval"), list(self._scores())))
        yield Part("Scores of the promoted model", facts=self._own_scores())
        rules = [(r.name, "yes" if r.passed else "no", r.found, r.asked) for r in self.gate.rules]
        yield Part(RULES, table=(("rule", "passed", "found", "asked for"), rules))
        yield Part("Limits", [*LIMITS, *warnings(self.board)])

    @property
    def _best(self) -> Mapping[str, Any]:
        return next(row for row in self.board.trials if row["trial"] == self.promotion.trial)

    def _claims(self) -> list[str]:
        forced = self.tags.get(FORCED_TAG)
        said = [] if forced is None else [f"It was promoted against its rules, for this reason: {forced}"]
        return [self.tags[CLAIM_TAG], *said]

    def _model(self) -> dict[str, str]:
        settings, model = self.model.settings, self.model
        size = settings["size"]
        graphs = "; ".join(one.sentence for one in model.graphs.equal) or "none"
        shown = f"resized so that the longest side is {size} px" if size else "at their own size"
        return {
            "Made of": self.promotion.made_as,
            "Network": ", ".join(
                f"{name} {value}" for name, value in settings["network"].items() if value is not None
            ),
            "Pictures": f"gray or RGB, 8 or 16 bits, of any size, {shown}",
            "Answer": f"a mask at the picture's size; {self.promotion.threshold_sentence}",
            "Weights": f"{model.megabytes:.1f} MB as safetensors, no pickle",
            "Graphs": graphs,
            "Time": f"{model.seconds:.3g} s a picture, the median of a few, where it was promoted",
            "Trial": f"{self.board.facts['key']}, trial {self.promotion.trial}",
        }

    def _scores(self) -> Iterator[tuple[str, str, str]]:
        best = self._best
        yield (
            "IoU, mean ± std over folds",
            f"{best['iou_mean']:.4f} ± {best['iou_std']:.4f}",
            _interval(best, "iou"),
        )
        if (found := self.board.corrected) is not None and self.board.best is best:
            both = f"{found['low']:.4f} to {found['high']:.4f}"
            yield (
                f"the same, corrected for being the best of {found['trials']}",
                f"{found['iou']:.4f}",
                both,
            )
        for name, words in SCORES.items():
            if best.get(name) is not None:
                yield words, f"{best[name]:.4f}", _interval(best, name)
        for name, row in self.board.baselines.items():
            yield f"IoU of {name.replace('_', ' ')}, without learning", f"{row['iou_mean']:.4f}", ""

    def _own_scores(self) -> dict[str, str]:
        """Return what held-out groups say of the model itself, once it was looked at."""
        done = self.promotion
        if done.heldout_iou is None:
            return dict.fromkeys(("IoU on held-out groups", "Threshold", "Calibration error"), "not measured")
        worth = done.heldout_worth
        known = {"IoU on held-out groups": f"{done.heldout_iou:.4f}, at look {done.look}"}
        if "best_iou" in worth:
            known["Threshold"] = (
                f"logit {done.threshold:g}; the best on these groups alone is {worth['best_threshold']:g} "
                f"(IoU {worth['best_iou']:.4f})"
            )
        error = worth.get("calibration_error")
        return known | {"Calibration error": "not measured" if error is None else f"{error:.4f}"}


def use_of(wanted: Promote, description: str) -> dict[str, str]:
    """Return what a study file says of use and licenses, as a card states it."""
    return {
        "Intended use": wanted.intended_use,
        "About": description or "not stated",
        "License of the model": wanted.license,
        "License of the data": wanted.data_license,
    }


def read_card(text: bytes, model: str, version: str) -> Written | None:
    """Return a version's card from its JSON; None where that is damaged, or of another model or version."""
    try:
        known = json.loads(text)
        parts = tuple(_part(Part(**part)) for part in known["parts"])
        card = Written(known["title"], known["model"], parts)
        card.rules  # noqa: B018  # rows of four
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return card if (card.title, card.model) == (_title(model, version), model) else None


def _part(part: Part) -> Part:
    """Return a part that was read. Raises TypeError unless all of it is text and all rows are as long as the head."""
    head, rows = part.table or ((), ())
    texts = [
        part.title,
        *part.sentences,
        *part.facts,
        *part.facts.values(),
        *head,
        *(c for row in rows for c in row),
    ]
    if not all(isinstance(text, str) for text in texts) or any(len(row) != len(head) for row in rows):
        raise TypeError(f"{part.title}: is no part of a card")
    return part


def _title(model: str, version: str) -> str:
    return f"Model card: {model}, version {version}"


def write_card(card: Written, work: Path, folder: Path) -> str:
    """Write a card as Markdown, as JSON, and as a page with the study's gallery; return the Markdown."""
    text = "\n".join(
        [f"# {_cell(card.title)}", "", *(line for part in card.parts for line in _markdown(part))]
    )
    folder.mkdir(parents=True, exist_ok=True)
    write_synced(folder / MARKDOWN, text.encode())
    write_synced(folder / DOCUMENT, json.dumps(asdict(card), indent=1).encode())
    shown = section("What it misses and invents, out of fold", gallery(work / "report"))
    body = [section(part.title, *_html(part)) for part in card.parts]
    header = f"<header>{paragraph(card.title, 'soft')}<h1>{escape(card.model)}</h1></header>"
    write_synced(folder / PAGE, document(card.title, header, *body, shown).encode())
    return text


def _data(facts: Mapping[str, Any]) -> dict[str, str]:
    return {
        "Samples": f"{facts['samples']:,} of {facts['groups']:,} groups, {facts['positive_groups']:,} with an object",
        "Held out": f"{facts['held_out_groups']} groups, which no fold held",
        "Manifest": str(facts["data"]),
        "Split": f"{facts['split']}{': ' + facts['split_note'] if facts['split_note'] else ''}",
        "Leakage report": f"{facts['leakage']}, SHA-256 {facts['leakage_sha256']}",
    }


def _protocol(facts: Mapping[str, Any], best: Mapping[str, Any]) -> dict[str, str]:
    params = ", ".join(f"{name} {value}" for name, value in best["params"].items()) or "none were searched"
    return {
        "Folds": f"{facts['folds']}, by groups; every trial on the same ones; seed {facts['seed']}",
        "Parameters": params,
        "Code": f"{facts['code']}, commit {facts['commit'] or 'not recorded'}",
        "Versions": ", ".join(f"{name} {number}" for name, number in facts["versions"].items()),
    }


def _interval(row: Mapping[str, Any], name: str) -> str:
    low, high = row.get(f"{name}_low"), row.get(f"{name}_high")
    return "" if low is None or high is None else f"{low:.4f} to {high:.4f}"


def _markdown(part: Part) -> Iterator[str]:
    yield from (f"## {_cell(part.title)}", "")
    yield from (f"- {_cell(sentence)}" for sentence in part.sentences)
    yield from ([""] if part.sentences else [])
    rows = part.table or (("", ""), list(part.facts.items()))
    if rows[1]:
        yield f"| {' | '.join(map(_cell, rows[0]))} |"
        yield f"|{'---|' * len(rows[0])}"
        yield from (f"| {' | '.join(_cell(cell) for cell in row)} |" for row in rows[1])
        yield ""


def _cell(text: str) -> str:
    """Return text that cannot break a table or become markup."""
    escaped = text.replace("\\", "\\\\").replace("<", "&lt;").replace("[", "\\[").replace("`", "'")
    return " ".join(escaped.replace("|", "\\|").split())


def _html(part: Part) -> Iterator[str]:
    yield from (paragraph(sentence) for sentence in part.sentences)
    if part.facts:
        yield pairs(part.facts)
    if part.table:
        headings, rows = part.table
        yield table(headings, rows, words=headings, prose=len(headings) > 3)
