"""What to do about each finding that is not clean, most harmful first, and the file to look at."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from harness.data.audit.finding import Finding

Kind = Literal["leak", "groups", "labels", "shortcuts", "classes", "advice"]
KINDS: tuple[Kind, ...] = get_args(Kind)  # from the most harmful on
See = Literal["page", "pairs", "image", "setting"]

PAGE, PAIRS = "leakage_report.html", "pairs.parquet"  # as a report is written


@dataclass(frozen=True)
class Action:
    """What to do about a finding, as an order.

    `failing`: where that is another thing once it stops the study; `unsure`: where it could not be looked at. `see`:
    its part of the report page, the table of all pairs of pictures, the first picture that it names, or the study file,
    where `setting` is; of what is `unsure` the `setting`, or else the page.
    """

    kind: Kind
    do: str
    see: See = "page"
    setting: str = ""
    failing: str = ""
    unsure: str = ""


@dataclass(frozen=True)
class Step:
    """One thing to do: about finding `id`, what, and the file to look at, with its part or setting behind it."""

    id: str
    kind: Kind
    do: str
    see: str

    @property
    def line(self) -> str:
        about = f"[{self.id}] " if self.id else ""
        return f"{about}{self.do}: {self.see}"


def steps(findings: Iterable[Finding], *, folder: str, study_file: str, root: str) -> list[Step]:
    """Return what to do, the most harmful first: what stops the study, then by kind, then as the table has them.

    `folder` is where the report is written, `root` that of the pictures. Findings that passed ask for nothing, nor do
    those that only tell that something cannot be known.
    """
    open_ones = sorted(filter(_is_open, findings), key=_harm)
    places = {"folder": folder, "file": study_file, "root": root}
    return [Step(one.id, kind_of(one), _words(one), _where(one, places)) for one in open_ones]


def kind_of(finding: Finding) -> Kind:
    """Return the kind of harm; whatever stops the study is as harmful as a leak."""
    return "leak" if finding.status == "fail" else ACTIONS[finding.id].kind


def _is_open(finding: Finding) -> bool:
    if finding.status in ("not run", "unverifiable"):
        return finding.severity != "info"
    return finding.status != "pass"


def _harm(finding: Finding) -> tuple[int, int]:
    return KINDS.index(kind_of(finding)), list(ACTIONS).index(finding.id)


def _words(finding: Finding) -> str:
    action = ACTIONS[finding.id]
    said = {"fail": action.failing, "unverifiable": action.unsure, "not run": action.unsure}
    return said.get(finding.status, "") or action.do


def _seen(finding: Finding) -> See:
    """Return what to look at."""
    action = ACTIONS[finding.id]
    if action.unsure and finding.status in ("unverifiable", "not run"):
        return "setting" if action.setting else "page"
    return action.see


def _where(finding: Finding, places: Mapping[str, str]) -> str:
    see, folder = _seen(finding), places["folder"]
    page = f"{folder}/{PAGE}" + (f"#{finding.id}" if finding.items or finding.bars else "")
    first = finding.items[0] if finding.items else {}
    image = next((str(first[name]) for name in ("image", "first") if name in first), "")
    if see == "setting":
        return f"{places['file']}, {ACTIONS[finding.id].setting}"
    if see == "image" and image:
        return f"{places['root']}/{image}, then {page}"
    return f"{folder}/{PAIRS}, drawn in {page}" if see == "pairs" else page


ONE_ID = "give pictures of one thing one group (source_image_id or data.group), or set data.groups: repair"
REPAIR = "set data.groups: repair, and give no column fold, so that copies are joined"
BY_HAND = "see by hand whether pictures of one thing are left in two groups: not all could be looked for"
ACTIONS: dict[str, Action] = {
    "G1": Action("leak", "put each group named there whole into one fold"),
    "G5": Action("leak", "make the folds anew: raise folds.version", "setting", "folds.version"),
    "G6": Action(
        "leak",
        "raise folds.version, which places all groups anew, or leave a picture out",
        setting="data.groups",
        unsure=REPAIR,
    ),
    "P1": Action("leak", "give every group one fold, so that no number is fitted on validated rows"),
    "D1": Action("groups", "look at the files that tell nothing and leave them out", failing=ONE_ID),
    "D2": Action("groups", "look at the pictures that tell nothing and leave them out", failing=ONE_ID),
    "D4": Action("groups", "give all crops of one photograph one group (source_image_id or data.group)"),
    "D3": Action(
        "groups",
        "look at the joined and the suspected copies once and correct their ids",
        "pairs",
        failing=ONE_ID,
        unsure=BY_HAND,
    ),
    "D5": Action(
        "groups",
        "look at the pictures that overlap once and correct their ids",
        "pairs",
        failing=ONE_ID,
        unsure=BY_HAND,
    ),
    "D6": Action(
        "groups",
        "look at the turned and mirrored copies once and correct their ids",
        "pairs",
        failing=ONE_ID,
        unsure=BY_HAND,
    ),
    "D10": Action(
        "groups",
        "look at the chain once: frozen groups stay as they are",
        setting="data.groups",
        failing="look at each pair of the chain: one id for what shows one thing, out with what only looks alike",
        unsure=REPAIR,
    ),
    "G3": Action("groups", "say which ids are parts of one thing by data.group, if they are"),
    "G2": Action(
        "groups",
        "give pictures of one physical thing one group (source_image_id or data.group)",
        "setting",
        "data.group",
    ),
    "T1": Action("groups", "see whether neighbors in time show one thing, and give these one id"),
    "D9": Action("groups", "group by hand what could not be recognized", "image"),
    "C1": Action(
        "groups", "do not rely on the search for copies: see to it by hand that pictures are grouped rightly"
    ),
    "P2": Action(
        "groups", "leave out copies that were made before the split; augmentation makes them in training"
    ),
    "D8": Action("groups", "see whether pictures that are merely similar show one thing"),
    "G4": Action("groups", "nothing: each fold run compares what its loaders read with the split"),
    "D12": Action("labels", "correct the labels that contradict each other on one thing", "image"),
    "D11": Action("labels", "keep one of two masks of the same picture", "image"),
    "D7": Action("labels", "see whether the mask of one picture was saved under the name of another"),
    "M6": Action("labels", "see whether these labels were copied from another picture", "image"),
    "M1": Action(
        "labels",
        "look at the objects that vanish or are tiny, and raise data.size if it made them so",
        "image",
    ),
    "M2": Action(
        "labels",
        "see whether so many empty masks, or none, are meant, and leave out pictures without a valid pixel",
        "image",
    ),
    "M5": Action("labels", "correct masks that are filled wrongly", "image"),
    "M3": Action("labels", "leave out pictures that are all black, white or constant", "image"),
    "M4": Action("labels", "leave out pictures that are too blurred to be labelled", "image"),
    "A1": Action("labels", "choose an augmentation that keeps masks true", "setting", "augment.recipe"),
    "A2": Action(
        "labels", "choose an augmentation that draws by its seed alone", "setting", "augment.recipe"
    ),
    "F1": Action(
        "shortcuts", "photograph clean and faulty things in the same way: light or size tell the label"
    ),
    "F2": Action("shortcuts", "see whether what file names tell shows in the pictures, too"),
    "S2": Action("shortcuts", "see what makes this fold other data, and mix or name its sources"),
    "S1": Action(
        "classes", "add source images with an object, or lower folds.count", "setting", "folds.count"
    ),
    "P3": Action("advice", "believe the corrected score of the best trial, not its own"),
    "P4": Action("advice", "look at held-out groups by promote only, which counts the looks"),
    "P5": Action("advice", "ask where pretrained weights are from"),
    "E1": Action("advice", "measure the harm: check --cost"),
}
