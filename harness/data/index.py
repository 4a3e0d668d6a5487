"""The samples of a study: what its data set lists, each in its group."""

import os
import re
from collections.abc import Callable
from pathlib import Path

from harness.choices import choose
from harness.config import Choice
from harness.data.demo import DEMO_VERSION, write_demo
from harness.data.folders import folders
from harness.data.formats.coco import coco
from harness.data.formats.cvat import cvat
from harness.data.formats.kolektor import kolektor
from harness.data.formats.labelme import labelme
from harness.data.formats.mvtec import mvtec
from harness.data.formats.supervisely import supervisely
from harness.data.formats.table import csv
from harness.data.formats.voc import voc
from harness.data.formats.yolo import yolo
from harness.data.grouping import grouped
from harness.data.instances import instances
from harness.data.rows import Index, Rows, as_table
from harness.errors import ConfigError

PATHS = frozenset({"root", "images", "masks", "path"})  # settings of data sets that are folders or files


def index_samples(dataset: Choice, group: Choice | None = None, *, base: Path, cache: Path) -> Index:
    """Return the samples of `data.dataset`, grouped by `data.group`; relative paths start at `base`.

    `base` is the study file's folder; what a data set draws goes into `cache`. Raises ConfigError for wrong settings,
    DataError for unusable data.
    """
    listed = list_samples(dataset, base=base, cache=cache)
    if listed.grouped and group is not None:
        raise ConfigError(f"data.group: {dataset.name!r} says which source each picture shows; leave it out")
    rows = listed.rows if group is None else grouped(listed.rows, listed.root, group)
    return Index(listed.root, as_table(rows), listed.notes)


def list_samples(dataset: Choice, *, base: Path, cache: Path) -> Rows:
    """Return what `data.dataset` lists, as it lists it. Raises ConfigError, DataError."""
    where = f"data.dataset.{dataset.name}"
    settings = dict(dataset.settings)
    for name in sorted(settings.keys() & PATHS):
        if isinstance(settings[name], str):
            settings[name] = _resolved(settings[name], f"{where}.{name}", base)
    return choose(DATASETS, "data.dataset", dataset.name, settings)(cache)


def demo(cache: Path, *, sources: int = 60, seed: int = 1) -> Rows:
    """Draw the built-in data set once; see harness/data/demo.py."""
    root = cache / f"demo-{DEMO_VERSION}-{sources}-{seed}"
    write_demo(root, sources=sources, seed=seed)
    return instances(cache, root=str(root))


def _resolved(text: str, where: str, base: Path) -> str:
    """Return an absolute path; `~` and `${NAME}` are expanded."""

    def value(match: re.Match[str]) -> str:
        if not (found := os.environ.get(match[1])):
            unset = f"the environment variable {match[1]} in {text!r} is not set"
            raise ConfigError(f"{where}: {unset}; export {match[1]}=/path/to/the/folder")
        return found

    return str(base / Path(re.sub(r"\$\{(\w+)\}", value, text)).expanduser())


DATASETS: dict[str, Callable[..., Rows]] = {
    "demo": demo,
    "instances": instances,
    "folders": folders,
    "coco": coco,
    "yolo": yolo,
    "labelme": labelme,
    "cvat": cvat,
    "voc": voc,
    "mvtec": mvtec,
    "kolektor": kolektor,
    "supervisely": supervisely,
    "csv": csv,
}
