"""A study with held-out groups that ran, for promotions: four trials of which one is weak and two are alike."""

import io
import json
import shutil
import sqlite3
import tempfile
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mlflow import MlflowClient
from rich.console import Console

from benchmarks.tiny import NETWORK
from harness.config import Choice, Data, Folds, Promote, Search, Study, Train
from harness.drive import drive
from harness.nested import nest
from harness.prepare import Prepared, audit_again, prepare
from harness.promotion.candidate import Promotion
from harness.promotion.looks import looks_of
from harness.promotion.promote import promote_best
from harness.promotion.proof import Place
from harness.report.leaderboard import Leaderboard, read_leaderboard
from harness.tracking.aliases import champion
from harness.tracking.home import home_id
from harness.tracking.runs import find_trial_run, own_runs
from harness.tracking.store import Store, open_store

SIDE, PICTURES, HELD = 64, 20, 10
WEAK, STRONG, MIDDLE, ALIKE = range(4)  # trials, by their learning rates
PLAIN = Promote(graphs=())  # they take half a minute
# where MLflow keeps the paths of files
KEPT_AT = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)
RATES = {WEAK: 1e-3, STRONG: 8e-3, MIDDLE: 2e-3, ALIKE: 7.9e-3}


def draw(root: Path, pictures: int = PICTURES) -> None:
    """Write so many pictures with one bright square each, too large for a top-hat to find."""
    rng = np.random.default_rng(5)
    lines = ["sample_path,mask_path,source_image_id,class_id,scale"]
    for number in range(pictures):
        image, mask = rng.integers(40, 80, (SIDE, SIDE)).astype(np.uint8), np.zeros((SIDE, SIDE), np.uint8)
        x, y, side = (int(value) for value in (*rng.integers(0, 24, 2), rng.integers(35, 40)))
        image[y : y + side, x : x + side] = rng.integers(140, 200)
        mask[y : y + side, x : x + side] = 255
        noisy = np.clip(image + rng.normal(0, 12, image.shape), 0, 255).astype(np.uint8)
        for folder, pixels in (("images", noisy), ("masks", mask)):
            (root / folder).mkdir(parents=True, exist_ok=True)
            assert cv2.imwrite(str(root / folder / f"{number}.png"), pixels)
        lines.append(f"images/{number}.png,masks/{number}.png,source-{number},spot,full")
    (root / "instances.csv").write_text("\n".join(lines) + "\n")


@dataclass(frozen=True)
class Ran:
    """A study with held-out groups that ran: four trials of which one is weak and two are alike."""

    folder: Path
    home: Path
    key: str

    @property
    def store(self) -> Store:
        return open_store(self.home)

    @property
    def client(self) -> MlflowClient:
        return self.store.client()

    @property
    def work(self) -> Path:
        return self.home / "work" / self.key

    @property
    def board(self) -> Leaderboard:
        return read_leaderboard(self.work / "ledger")

    def audited(self) -> Prepared:
        board = self.board
        dataset = Choice.model_validate({"instances": {"root": str(self.folder / "data")}})
        return audit_again(board.facts, dataset, base=self.folder, home=self.home, caches=self.folder)

    @property
    def place(self) -> Place:
        return Place(self.store, self.work, self.folder, print)

    def promote(
        self, trial: int, force: str | None = None, wanted: Promote = PLAIN, **changes: Any
    ) -> Promotion:
        """Promote this trial as if it were the best of the study."""
        board = self.board
        row = next(row for row in board.trials if row["trial"] == trial)
        one = Leaderboard(board.facts, [{**row, **changes}], board.baselines)
        return promote_best(self.place, one, self.audited, wanted, force)

    def champion(self) -> str | None:
        found = champion(self.client, "tiny")
        return found.tags["harness.trial"] if found else None

    def run_of(self, trial: int) -> str:
        runs = own_runs(self.store, self.client, self.key, home_id(self.home, self.store, print))
        return find_trial_run(runs, self.key, trial)

    def tags(self, trial: int) -> dict[str, str]:
        """Return the tags of a trial's run."""
        return dict(self.client.get_run(self.run_of(trial)).data.tags)

    def gate(self, trial: int, name: str = "gate") -> dict[str, Any]:
        """Return the rules that are attached to a trial's run; `refused` are those of the last one that was."""
        with tempfile.TemporaryDirectory() as folder:
            path = self.client.download_artifacts(self.run_of(trial), f"promotion/{name}.json", folder)
            return dict(json.loads(Path(path).read_text()))

    def looks(self) -> list[dict[str, Any]]:
        today = self.audited()
        return looks_of(self.home, today.split, today.samples, nested=today.study.protocol.nested)


def run_study(folder: Path, home: Path, **settings: Any) -> Ran:
    """Run the study of the four learning rates."""
    if not (folder / "data").exists():
        draw(folder / "data")
    study = Study(
        name="tiny",
        data=Data(dataset=Choice.model_validate({"instances": {"root": str(folder / "data")}})),
        folds=Folds(count=2, held_out=0.5, held_out_positive=HELD, held_out_from=2),
        network=Choice(name="unet", settings=NETWORK | {"decoder_channels": [32, 16, 16, 8, 8]}),
        train=Train(epochs=12, validate_every=12, batch_size=4, crop=32),
        execute=Choice(name="inline"),
        search=Search(
            trials=len(RATES),
            startup=2,
            space={"train.lr": [1e-3, 1e-2]},
            baselines=tuple({"train.lr": rate} for rate in RATES.values()),
        ),
        promote=PLAIN,
    ).with_settings(settings)
    prepared = prepare(study, base=folder, home=home, caches=folder)
    places = {"home": home, "caches": folder, "console": Console(file=io.StringIO())}
    search = partial(drive, store=open_store(home), **places, watch=lambda: lambda: False)
    if study.protocol.nested:
        nest(prepared, home, folder, lambda inner: search(inner)[0])
    search(prepared)
    return Ran(folder, home, prepared.key)


def in_own_home(ran: Ran, folder: Path) -> Ran:
    """Return a copy of a study with its data, whose runs in MLflow have files of their own."""
    for part in ("home", "data"):
        shutil.copytree(ran.folder / part, folder / part)
    with closing(sqlite3.connect(folder / "home" / "mlflow.db")) as database:
        for table, column in KEPT_AT:
            moved = f"update {table} set {column} = replace({column}, ?, ?)"
            database.execute(moved, (str(ran.folder), str(folder)))
        database.commit()
    return Ran(folder, folder / "home", ran.key)
