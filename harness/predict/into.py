"""Predict files into a folder, from the claim on it to its tables."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from harness.model.tiles import Tiling
from harness.predict.folder import opened
from harness.predict.run import Run
from harness.predict.shown import shown
from harness.predict.tables import write_tables
from harness.tracking.aliases import Version
from harness.tracking.served_model import Segmenter
from harness.tracking.trusted import MANIFEST_TAG

SCHEMA = 1


@dataclass(frozen=True)
class Done:
    """How many pictures were predicted, how many were finished already, and why the others could not be."""

    predicted: int
    kept: int
    failures: list[str]

    @property
    def total(self) -> int:
        """Return the number of pictures."""
        return self.predicted + self.kept + len(self.failures)

    @property
    def sentence(self) -> str:
        """Return all of it in a line."""
        kept = f", {self.kept} were finished before" if self.kept else ""
        return f"{self.predicted} of {self.total} pictures predicted{kept}"

    def as_dict(self) -> dict[str, Any]:
        """Return all of it by name."""
        return {"pictures": self.total} | asdict(self)


def identity_of(version: Version, segmenter: Segmenter, tiling: Tiling) -> dict[str, Any]:
    """Return what decides the predictions of a folder: the version with a digest of its files, and the tiling."""
    settings = {name: segmenter.settings[name] for name in ("size", "white", "threshold", "flips", "scales")}
    model = {"name": version.name, "version": version.version, "manifest": version.tags.get(MANIFEST_TAG, "")}
    return {"schema": SCHEMA, "model": model, "tiling": tiling.as_dict(), "settings": settings}


def predict_into(
    out: Path,
    segmenter: Segmenter,
    identity: Mapping[str, Any],
    files: Sequence[Path],
    tiling: Tiling,
    console: Console,
) -> Done:
    """Predict what is not finished, and write the tables. Raises ConfigError, DiskFull.

    `segmenter` may have other `folds` than PyTorch's networks, which then belong into `identity`.
    """
    with opened(out, identity) as folder:
        with shown(console, len(files)) as tell:
            run = Run(segmenter, folder, tiling, tell)
            run.files(files)
        write_tables(folder)
        return Done(run.predicted, run.kept, run.failures)
