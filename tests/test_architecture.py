"""The arrows and the doors of DESIGN: imports point one way, each big dependency has one home."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "harness"

# From top to bottom; a file imports only what stands above it, or left of it in its own row.
ROWS = """
errors masking stopping choices complaint paths ranges settings sections config studyfile
data.pictures data.kept data.copies.fingerprint data.copies.align data.copies.recognize data.copies.plants \
data.copies.calibrate data.copies.shared data.copies.canary data.copies.movements data.copies.candidates \
data.copies.noise data.copies.featureless data.copies.find data.copies.join data.copies.search \
data.demo data.rows data.instances data.folders data.grouping \
data.formats.documents data.formats.places data.formats.shapes data.formats.spans data.formats.polygons \
data.formats.rle data.formats.bitmaps data.formats.masks data.formats.keep data.formats.wanted data.formats.told \
data.formats.sizes data.formats.limits data.formats.drawn data.formats.files data.formats.columns \
data.formats.coco data.formats.yolo data.formats.labelme data.formats.cvat data.formats.voc data.formats.mvtec \
data.formats.kolektor data.formats.supervisely data.formats.table \
data.index \
data.measures data.content data.manifest data.audit data.balance data.split data.repair \
data.placement data.folds data.cache data.crops data.augment data.sampler data.loader \
data.proof.planted data.proof.draws data.proof.facts data.proof.rules data.proof.observe data.proof.pictures \
data.proof.streams data.proof.prove data.proof.findings
model.tiles model.networks model.loss_terms model.losses model.histogram model.objects model.boundary model.metrics \
model.outoffold model.predict model.classical
train.room train.claim train.checkpoint train.prune train.shared train.outbox train.snapshot train.version \
train.start train.validation train.fold train.resume train.foldrun train.refit train.maps
evaluate.version evaluate.pixels evaluate.objects evaluate.calibration evaluate.thresholds evaluate.groups \
evaluate.intervals evaluate.scores evaluate.comparisons evaluate.inflation evaluate.optimism evaluate.heldout \
evaluate.nested
execute.task execute.devices execute.waiting execute.inline execute.worker execute.local execute.executors
search.trial search.tables search.groups search.database search.lock search.pruner search.space search.importance \
search.second search.slots search.foldruns search.optimize search.second_run search.repair search.ledger search.nested
tracking.new_database tracking.store tracking.outbox tracking.home tracking.recorder tracking.runs \
tracking.attachments tracking.delivery tracking.sender tracking.reconcile \
tracking.served_model tracking.graphs tracking.trusted tracking.aliases tracking.mover tracking.registry \
tracking.meant tracking.asked tracking.admission tracking.serving tracking.monitored
report.evidence report.leaderboard report.words report.table report.markup report.plot report.foldfiles \
report.standing report.details report.searched report.curves report.gallery report.leaks report.looks report.sheet \
report.page report.files report.trialpage report.comparison report.comparisonpage
screen options variants splitting prepare reproduce
cost.caps cost.question cost.folds cost.answer cost.examples cost.page cost.measure
promotion.pictures promotion.readable promotion.looks promotion.contenders promotion.rule promotion.searches \
promotion.proof promotion.gate \
promotion.candidate promotion.views promotion.making promotion.card promotion.promote
predict.tiff predict.sources predict.bands predict.masks predict.overlay predict.outlines \
predict.objects predict.folder predict.found predict.tables predict.picture predict.run predict.shown predict.into
monitor.traits monitor.reference monitor.arrivals monitor.copies monitor.answers monitor.drift \
monitor.nearest monitor.words monitor.facts monitor.compare monitor.run
begin.pairing begin.values begin.names begin.weigh begin.sizing begin.advice begin.budget begin.text begin.ask \
beginning
progress retell showcase nested drive results production doctor checking
study
"""
ORDER = [name for row in ROWS.strip().splitlines() for name in row.split()]
DOORS = {
    "mlflow": ("tracking",),
    "optuna": ("search",),
    "albumentations": ("data",),
    "segmentation_models_pytorch": (
        "model",
        "tracking.served_model",
    ),  # the served model imports public packages only
    "ray": ("execute",),
}
MOST_LINES, MOST_FUNCTION_LINES = 300, 60
LONGER = {"tracking.served_model": 380}  # MLflow copies one file beside the weights, so it cannot be divided


def files() -> list[Path]:
    return sorted(p for p in PACKAGE.rglob("*.py") if p.name != "__init__.py")


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


def imports_of(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def place(name: str) -> int:
    """Return where a module stands; the files of data/audit share one place and are ordered by their own test."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        if (prefix := ".".join(parts[:length])) in ORDER:
            return ORDER.index(prefix)
    return -1


@pytest.mark.parametrize("path", files(), ids=name_of)
def test_a_file_imports_only_what_stands_before_it(path: Path) -> None:
    here = name_of(path)
    assert place(here) >= 0, f"{here} has no place in the order of layers"
    for imported in imports_of(path):
        if imported.startswith("harness.") and (there := place(imported.removeprefix("harness."))) >= 0:
            inside_audit = here.startswith("data.audit.") and imported.startswith("harness.data.audit.")
            assert there < place(here) or inside_audit, f"{here} imports {imported}"


@pytest.mark.parametrize("path", files(), ids=name_of)
def test_each_big_dependency_has_one_door(path: Path) -> None:
    here = name_of(path)
    for imported in imports_of(path):
        homes = DOORS.get(imported.split(".")[0])
        assert homes is None or here.startswith(homes), f"{here} imports {imported}; it belongs to {homes}"


@pytest.mark.parametrize(
    "path", [p for p in files() if name_of(p).startswith(("train.", "execute."))], ids=name_of
)
def test_durations_are_not_taken_from_a_clock_that_can_be_set(path: Path) -> None:
    text = path.read_text()
    assert not [clock for clock in ("time.time", "datetime", "from time import") if clock in text]


def test_no_import_cycle_inside_the_audit() -> None:
    audit = {name_of(p): set(imports_of(p)) for p in files() if name_of(p).startswith("data.audit.")}
    placed: set[str] = set()
    while audit:
        free = [n for n, found in audit.items() if not any(f"harness.{o}" in found for o in audit if o != n)]
        assert free, f"cycle among {sorted(audit)}"
        placed.update(free)
        audit = {name: found for name, found in audit.items() if name not in placed}


def test_the_served_model_imports_nothing_of_ours() -> None:
    found = list(imports_of(PACKAGE / "tracking" / "served_model.py"))
    assert not [name for name in found if name.startswith("harness")]


def test_nobody_imports_the_story_and_it_defines_no_class() -> None:
    assert not [p for p in files() if "harness.study" in set(imports_of(p))]
    tree = ast.parse((PACKAGE / "study.py").read_text())
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]


@pytest.mark.parametrize("path", files(), ids=name_of)
def test_files_and_functions_stay_readable(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= LONGER.get(name_of(path), MOST_LINES)
    tree = ast.parse(text)
    assert ast.get_docstring(tree), "no module docstring"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            length = (node.end_lineno or 0) - node.lineno + 1
            assert length <= MOST_FUNCTION_LINES, f"{node.name} has {length} lines"


def test_the_order_names_every_file_and_the_readme_shows_the_layers() -> None:
    for name in ORDER:
        assert (PACKAGE / Path(*name.split("."))).with_suffix(".py").is_file() or (
            PACKAGE / Path(*name.split("."))
        ).is_dir(), f"{name} is in the order and not in the package"
    readme = (PACKAGE.parent / "README.md").read_text()
    for layer in dict.fromkeys(name.split(".")[0] for name in ORDER):
        assert layer in readme, f"README does not show {layer}"
