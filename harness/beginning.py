"""The verb `new`: a study file for somebody's own data, from the data."""

import os
import re
import shlex
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from harness.begin.advice import advise
from harness.begin.ask import choose_rule
from harness.begin.budget import Budget, epochs_for, measure_budget
from harness.begin.pairing import pair
from harness.begin.sizing import choose_sizes, free_memory
from harness.begin.text import Facts, costs, study_text, told
from harness.begin.values import Meant, meant_by, white_of
from harness.begin.weigh import Weighed, as_given, weigh_all
from harness.choices import nearest, settings_of
from harness.config import Choice, Data, MaskValues, Study
from harness.data.content import read_all
from harness.data.copies.search import Copies, find_copies
from harness.data.index import DATASETS, list_samples
from harness.data.kept import Kept
from harness.data.manifest import read_manifest
from harness.data.measures import Numbers
from harness.data.rows import Index, as_table
from harness.errors import ConfigError, DataError, TrainingError
from harness.screen import command_of, console
from harness.studyfile import CACHES, read_study
from harness.train.room import refuse_unwritable
from harness.variants import build_every_choice

BATCH, FOLDS, FEWEST_FOLDS = 8, 5, 2
NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}"
IGNORED = 128  # in masks that importers draw
IMPORTS = frozenset(name for name, reads in DATASETS.items() if "path" in settings_of(reads))


class Looked(NamedTuple):
    """The samples, decoded once, and what was found among them."""

    samples: pd.DataFrame
    areas: Sequence[Numbers]  # px of each object of each sample
    root: Path
    copies: Copies
    masks: Meant
    white: int | None
    own_groups: bool


def new(
    name: str,
    home: Path,
    images: Path | None,
    masks: Path | None,
    source: tuple[str, str] | None,
    **settings: Any,
) -> dict[str, Any]:
    """Write a study file for your own data: pictures and masks in folders, or a tool's own format."""
    file = _free_file(name)
    for folder in (file.parent, CACHES):
        refuse_unwritable(folder)
    tell = partial(console.print, highlight=False, markup=False, soft_wrap=True)
    dataset = _dataset(file, images, masks, source, settings, tell)
    looked = _look(dataset, file.parent.resolve(), tell)
    rules = _rules(looked, tell)
    check = command_of("check", name, home)
    facts = _facts(file, dataset, looked, rules)._replace(check=check)
    facts = _timed(facts, file, looked, tell)
    _write(file, study_text(facts))
    tell(f"written: {file}; look at it, then")
    tell(f"  what leaks, which labels are odd:    {check}")
    tell(f"  what a split by picture would feign: {check} --cost")
    tell(f"  search:                              {command_of('run', name, home)}")
    return _document(file, facts, looked)


def _free_file(name: str) -> Path:
    """Return the study file to be; raise ConfigError where its name is none, or it is there."""
    file = Path(name) if name.endswith((".yaml", ".yml")) else Path("studies") / f"{name}.yaml"
    if not re.fullmatch(NAME, file.stem):
        raise ConfigError(
            f"{name}: is no name for a study; use letters, digits, _ . and -, up to 100 of them"
        )
    if file.exists():
        raise ConfigError(f"{file}: is there already; delete it, or take another name")
    return file


def _dataset(
    file: Path,
    images: Path | None,
    masks: Path | None,
    source: tuple[str, str] | None,
    settings: dict[str, Any],
    tell: Callable[[str], None],
) -> Choice:
    """Return what the study file says of the data set."""
    missing, classes = settings["missing"], settings["classes"]
    if source is not None:
        if source[0] not in IMPORTS:
            known = ", ".join(sorted(IMPORTS))
            raise ConfigError(
                f"--from: {source[0]!r} is not known{nearest(source[0], IMPORTS)}; known: {known}"
            )
        folders = {"images": images, "masks": masks}
        more: dict[str, Any] = {name: _spelled(place, file) for name, place in folders.items() if place}
        more |= {"missing": missing} if missing else {}
        more |= {"classes": list(classes)} if classes else {}
        for option in sorted(more.keys() - settings_of(DATASETS[source[0]]).keys()):
            raise ConfigError(
                f"--{option}: does not go with --from {source[0]}, whose files say it themselves"
            )
        return Choice(name=source[0], settings={"path": _spelled(Path(source[1]), file), **more})
    if images is None or masks is None:
        raise ConfigError("new: say where the data are: --images DIR --masks DIR, or --from FORMAT PATH")
    if classes:
        raise ConfigError("--classes: goes with --from FORMAT PATH; masks in folders have no classes")
    paired = pair(images, masks, clean=missing == "clean")
    bare = f", {paired.clean} without one are taken as clean" if paired.clean else ""
    tell(f"{paired.pairs} pictures have a mask, such as {paired.example[0]} and {paired.example[1]}{bare}")
    places = {"images": _spelled(images, file), "masks": _spelled(masks, file)}
    return Choice(name="folders", settings=places | paired.settings)


def _spelled(path: Path, file: Path) -> str:
    """Return the path as it is written: from the study file's folder where both lie below the current one."""
    whole, here = Path(os.path.abspath(path.expanduser())), Path.cwd()
    if whole.is_relative_to(here) and file.absolute().is_relative_to(here):
        return os.path.relpath(whole, file.absolute().parent)
    return str(whole)


def _look(dataset: Choice, base: Path, tell: Callable[[str], None]) -> Looked:
    """Read every picture and mask once, and search for pictures that show the same."""
    listed = list_samples(dataset, base=base, cache=CACHES)
    index = Index(listed.root, as_table(listed.rows), listed.notes)
    for note in index.notes:
        tell(note)
    meant, white = _stored(index)
    if meant.why:
        tell(meant.why)
    data = Data(dataset=dataset, masks=MaskValues(**meant.setting), white=white)
    tell(f"reading {len(index.samples)} pictures and masks, and looking for pictures that show the same")
    with closing(Kept(CACHES)) as kept:
        samples = read_manifest(index, data, kept=kept).samples
        areas = _areas(index, data, kept)
        copies = find_copies(samples, index.root, kept, white=white)
    if not copies.sure():
        tell(
            "no two pictures are verified to show the same thing: only names, folders and times speak for a rule"
        )
    sure, blind = len(copies.sure()), int((~copies.found.verifiable).sum())
    unseen = f"; of {blind} pictures too plain to be told apart nothing is known" if blind else ""
    tell(f"{sure} pairs of pictures are verified to show the same thing{unseen}")
    return Looked(samples, areas, index.root, copies, meant, white, listed.grouped)


def _areas(index: Index, data: Data, kept: Kept) -> list[Numbers]:
    """Return the areas of each sample's objects, which are kept from when it was read."""
    read = read_all(index.samples.to_dict("records"), index.root, data, kept=kept)
    return [one.areas for one in read if not isinstance(one, DataError)]


def _stored(index: Index) -> tuple[Meant, int | None]:
    """Return what masks and pictures mean by their stored values."""
    masks = [Path(os.path.normpath(index.root / mask)) for mask in index.samples["mask"] if mask]
    drawn = bool(masks) and masks[0].resolve().is_relative_to(CACHES.resolve())
    as_drawn = Meant({"background": 0, "target": 255, "ignore": IGNORED}, "")
    meant = as_drawn if drawn or not masks else meant_by(masks)
    return meant, white_of([index.root / sample for sample in index.samples["sample"]])


def _rules(looked: Looked, tell: Callable[[str], None]) -> list[Weighed]:
    if looked.own_groups:
        given = as_given(looked.samples, looked.copies)
        tell(f"which pictures show one thing, {told(given)}")
        return [given]
    rules = weigh_all(looked.samples, looked.root, looked.copies)
    rules = choose_rule(rules, tell, ask=sys.stdin is not None and sys.stdin.isatty())
    if rules[0].positive < FEWEST_FOLDS:
        raise DataError(
            f"{looked.root}: {rules[0].positive} group of pictures shows a target, and folds need {FEWEST_FOLDS}; add "
            "pictures of other things, or choose another rule"
        )
    return rules


def _facts(file: Path, dataset: Choice, looked: Looked, rules: Sequence[Weighed]) -> Facts:
    samples = looked.samples
    profile = "gpu" if torch.cuda.is_available() else "cpu"
    processes = 1 if profile == "gpu" else os.cpu_count() or 1
    memory = torch.cuda.mem_get_info()[0] if profile == "gpu" else free_memory()
    positive = samples[samples["positive"] > 0]
    counts = (
        f"{len(samples)} pictures, {len(positive)} with a target, {int(samples['objects'].sum())} objects of "
        f"{np.median(np.concatenate(looked.areas)):.0f} px in the median."
    )
    return Facts(
        name=file.stem,
        check="",
        folds=min(FOLDS, rules[0].positive),
        command="python -m harness.study " + shlex.join(sys.argv[1:] or ["new", file.stem]),
        dataset=dataset,
        masks=looked.masks.setting,
        masks_why=looked.masks.why,
        white=looked.white,
        counts=counts,
        rules=rules,
        own_groups=looked.own_groups,
        sizes=choose_sizes(samples, looked.areas, memory=memory, processes=processes),
        advice=advise(samples, BATCH),
        epochs=epochs_for(samples, BATCH, FOLDS),
        profile=profile,
    )


def _timed(facts: Facts, file: Path, looked: Looked, tell: Callable[[str], None]) -> Facts:
    """Return the facts with a budget, from a few steps of the very study; without one where it cannot be trained."""
    study = _as_read(study_text(facts), file)
    build_every_choice(study, CACHES)
    tell("timing a few steps")
    try:
        budget: Budget = measure_budget(study, looked.samples, looked.root, CACHES)
    except TrainingError as error:
        tell(f"not timed: {error}")
        return facts
    tell(costs(budget))
    return facts._replace(budget=budget)


def _as_read(text: str, file: Path) -> Study:
    """Return the study that a text is, held to all rules of a study file."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, file.name)
        copy.write_text(text, encoding="utf-8")
        try:
            return read_study(copy, cuda=torch.cuda.is_available())
        except ConfigError as error:
            raise ConfigError(str(error).replace(str(copy), str(file))) from None


def _write(file: Path, text: str) -> None:
    """Write the file whole, and never over another one."""
    _as_read(text, file)
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", dir=file.parent, prefix=".", delete=False
    ) as made:
        made.write(text)
    try:
        os.chmod(made.name, 0o644)
        os.link(made.name, file)
    except FileExistsError:
        raise ConfigError(f"{file}: is there already; delete it, or take another name") from None
    finally:
        os.unlink(made.name)


def _document(file: Path, facts: Facts, looked: Looked) -> dict[str, Any]:
    chosen = facts.rules[0]
    return {
        "study": str(file),
        "pictures": len(looked.samples),
        "verified_pairs": len(looked.copies.sure()),
        "rule": chosen.rule.choice.model_dump(),
        "rules": [
            one._asdict() | {"rule": one.rule.choice.model_dump(), "words": one.rule.words}
            for one in facts.rules
        ],
        "sizes": facts.sizes._asdict(),
        "budget": None if facts.budget is None else facts.budget._asdict(),
    }
