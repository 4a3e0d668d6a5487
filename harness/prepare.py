"""Everything before the first trial: data read, split, audited and cached. A leak stops it."""

import subprocess
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from harness.config import Choice, Study
from harness.data.audit.ceiling import label_agreement
from harness.data.audit.chains import chain_figures
from harness.data.audit.copies import Searched
from harness.data.audit.drawing import Figure
from harness.data.audit.figures import pair_figures
from harness.data.audit.masks import images_of, masks_of
from harness.data.audit.report import Report, audit
from harness.data.audit.worst import worst_figures
from harness.data.cache import Cache, build_cache
from harness.data.copies.search import Copies, find_copies
from harness.data.index import index_samples
from harness.data.kept import Kept
from harness.data.manifest import Manifest, read_manifest
from harness.data.pictures import read_image
from harness.data.proof.findings import findings, grid
from harness.data.repair import declare
from harness.data.split import Split, freeze
from harness.errors import ConfigError, DataError, PromotionRefused
from harness.search.ledger import read_facts
from harness.splitting import split_samples
from harness.studyfile import CACHES, naming
from harness.tracking.recorder import StudyFacts
from harness.train.checkpoint import write_synced
from harness.train.version import code_digest
from harness.variants import build_every_choice, build_losses, prove_recipes, recipes_of

PACKAGES = (
    "torch",
    "segmentation-models-pytorch",
    "albumentations",
    "opencv-python-headless",
    "optuna",
    "mlflow",
)


@dataclass(frozen=True)
class Prepared:
    """A study with its samples, split and leakage report; nothing is written yet."""

    study: Study
    samples: pd.DataFrame
    root: Path
    manifest: str
    split: Split
    report: Report
    copies: Copies
    rare: dict[str, int]  # class to its number of source images, where that is below data.rare_below
    notes: tuple[str, ...] = ()  # of the data set: what was not taken and why

    @property
    def identity(self) -> str:
        return self.study.identity(self.split.id)

    @property
    def key(self) -> str:
        """Name of the study's work folder and of its runs."""
        return f"{self.study.name}-{self.identity[:8]}"


@dataclass(frozen=True)
class Files:
    """What fold runs read, written once."""

    work: Path
    samples: Path
    split: Path
    cache: Cache


def prepare(study: Study, *, base: Path, home: Path, caches: Path) -> Prepared:
    """Read, verify and split the data of a study; paths in the study file are relative to `base`.

    Raises DataError for data that cannot be used; leaks are in the report and refused by the caller.
    """
    index = index_samples(study.data.dataset, study.data.group, base=base, cache=caches)
    with closing(Kept(caches)) as kept:
        found = _audited(study, index.root, read_manifest(index, study.data, kept=kept), kept, home)
    return replace(found, notes=index.notes)


def built_and_prepared(study: Study, file: Path, home: Path) -> Prepared:
    """Build every choice of a study and prepare its data, which are looked for from its file's folder."""
    with naming(file, study.profile):
        build_every_choice(study, CACHES)
        return prepare(study, base=file.parent.resolve(), home=home, caches=CACHES)


def audit_again(
    known: Mapping[str, Any], dataset: Choice, *, base: Path, home: Path, caches: Path
) -> Prepared:
    """Return what a study with these facts was trained on, now found in `dataset`, with the leakage report of today.

    Raises PromotionRefused where that cannot be read, or is not what it was.
    """
    try:
        study, root, manifest = read_again(known, dataset, base=base, caches=caches)
        with closing(Kept(caches)) as kept:
            return _audited(study, root, manifest, kept, home)
    except (ConfigError, DataError) as error:
        raise PromotionRefused(f"{known['key']}: its data cannot be audited again: {error}") from error


def study_of(known: Mapping[str, Any]) -> Study:
    """Return the study with these facts. Raises ConfigError where another version of the code wrote its settings."""
    try:
        return Study.model_validate(known["settings"])
    except ValueError as error:
        first = " ".join(str(error).splitlines()[1:2])
        raise ConfigError(
            f"{known['key']}: its settings cannot be read by this version of the code ({first}); use the one it was "
            "run with, or run it again"
        ) from None


def read_again(
    known: Mapping[str, Any], dataset: Choice, *, base: Path, caches: Path
) -> tuple[Study, Path, Manifest]:
    """Return the study with these facts, the root of its data as found in `dataset` today, and their manifest.

    Raises DataError where they cannot be read, or are no longer those that it was trained on; ConfigError.
    """
    study = study_of(known)
    data = study.data.model_copy(update={"dataset": dataset})
    index = index_samples(dataset, data.group, base=base, cache=caches)
    with closing(Kept(caches)) as kept:
        manifest = read_manifest(index, data, kept=kept)
    if manifest.digest != known["data"]:
        raise DataError(
            f"the data are not those {known['key']} was trained on (manifest {manifest.digest[:16]}, then "
            f"{known['data'][:16]}): restore them, or run the study on those of today"
        )
    return study.model_copy(update={"data": data}), index.root, manifest


def _audited(study: Study, root: Path, manifest: Manifest, kept: Kept, home: Path) -> Prepared:
    found = find_copies(manifest.samples, root, kept, white=study.data.white)
    parts = split_samples(study, declare(manifest.samples), found, manifest.digest, home)
    build_losses(study, parts.samples, parts.split)
    copies = found.among(manifest.samples["sample"].isin(parts.samples["sample"]).to_numpy())
    searched = Searched(copies, parts.joins)
    proofs = findings(prove_recipes(study, kept.caches))
    labels = label_agreement(parts.samples, parts.split, copies, masks_of(parts.samples, root, study.data))
    report = audit(
        parts.samples, parts.split, manifest=manifest.digest, searched=searched, others=(labels, *proofs)
    )
    return Prepared(study, parts.samples, root, manifest.digest, parts.split, report, copies, parts.rare)


def write_files(prepared: Prepared, *, home: Path, caches: Path) -> Files:
    """Freeze the split, write the sample table and the leakage report, build the cache."""
    work = home / "work" / prepared.key
    write_report(prepared, work / "leakage")
    split = freeze(prepared.split, home / "folds")
    samples = work / "samples.parquet"
    write_synced(samples, prepared.samples.to_parquet())
    cache = build_cache(prepared.samples, prepared.root, prepared.study.data, caches)
    return Files(work, samples, split, cache)


def write_report(prepared: Prepared, folder: Path) -> Path:
    """Write the leakage report as JSON and HTML, and all pairs of pictures as a table; return the page's path."""
    folder.mkdir(parents=True, exist_ok=True)
    report = prepared.report
    write_synced(folder / "leakage_report.json", report.to_json().encode())
    write_synced(folder / "leakage_report.html", report.to_html(_figures(prepared), prepared.notes).encode())
    write_synced(folder / "pairs.parquet", prepared.copies.table(prepared.samples).to_parquet())
    return folder / "leakage_report.html"


def _figures(prepared: Prepared) -> list[Figure]:
    """Return pictures of pairs, chains, the worst masks, and of what each augmentation makes of a planted picture."""
    samples, root, data = prepared.samples, prepared.root, prepared.study.data
    reads = images_of(samples, root, data), masks_of(samples, root, data)
    pairs = pair_figures(samples, root, prepared.copies)
    chains = chain_figures(prepared.report.findings, lambda name: read_image(root / name, white=data.white))
    masks = worst_figures(samples, prepared.report.findings, prepared.copies, *reads)
    recipes = dict(recipes_of(prepared.study))
    grids = (Figure(f"Augmentation {name}", grid(recipe), "A1") for name, recipe in recipes.items())
    return [*pairs, *chains, *masks, *grids]


def facts(prepared: Prepared) -> dict[str, Any]:
    """Return what is said of a study wherever its results are shown."""
    samples, study = prepared.samples, prepared.study
    positive = samples.loc[samples["positive"] > 0, "group"].nunique()
    return {
        "name": study.name,
        "key": prepared.key,
        "identity": prepared.identity,
        "description": study.description,
        "profile": study.profile,
        "seed": study.seed,
        "samples": len(samples),
        "groups": int(samples["group"].nunique()),
        "positive_groups": int(positive),
        "held_out_groups": int(samples.iloc[prepared.split.held_out(samples)]["group"].nunique()),
        "folds": prepared.split.count,
        "rare_classes": prepared.rare,
        "notes": list(prepared.notes),
        "data": prepared.manifest,
        "split": prepared.split.id,
        "split_note": "; ".join(prepared.split.notes),
        "leakage": prepared.report.verdict,
        "leakage_sha256": prepared.report.digest,
        "code": code_digest(),
        "commit": git_commit(),
        "versions": installed(),
        "settings": study.model_dump(mode="json"),
    }


def installed() -> dict[str, str]:
    """Return the versions of the packages that decide a study's numbers."""
    return {package: version(package) for package in PACKAGES}


def study_facts(known: Mapping[str, Any], source: str) -> StudyFacts:
    """Return what all runs of a study carry in MLflow, from its facts and the place of its data."""
    study = study_of(known)
    return StudyFacts(
        key=known["key"],
        settings=study.decisive(),
        tags=run_tags(known),
        data_name=study.data.dataset.name,
        data_digest=known["data"],
        data_source=source,
    )


def run_tags(known: Mapping[str, Any]) -> dict[str, str]:
    """Return the tags that every run of a study carries in MLflow, from its facts."""
    names = ("identity", "profile", "seed", "data", "split", "leakage", "leakage_sha256", "code")
    tags = {f"harness.{name}": str(known[name]) for name in names}
    tags |= {f"version.{package}": number for package, number in known["versions"].items()}
    return tags | ({"mlflow.source.git.commit": known["commit"]} if known["commit"] else {})


def other_code(prepared: Prepared, home: Path) -> str:
    """Return the code digest this very study was begun with, if that was another one; else nothing."""
    try:
        began = read_facts(home / "work" / prepared.key / "ledger").get("code", code_digest())
    except (DataError, FileNotFoundError):  # damaged facts are written again
        return ""
    return "" if began == code_digest() else str(began)


def git_commit() -> str:
    """Return the commit of the code, marked when files differ from it; empty where there is no git."""
    command = [
        "git",
        "-C",
        str(Path(__file__).parent),
        "describe",
        "--always",
        "--dirty",
        "--abbrev=40",
        "--exclude=*",
    ]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
