"""A small real Executor whose fold runs are computed by a formula, and end in whatever order is asked for."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np

from harness.config import Choice, Data, Folds, Search, Study
from harness.execute.task import Key, Outcome, Status, key_of
from harness.model.outoffold import Collector
from harness.search.optimize import Search as Driver
from harness.search.slots import Slots
from harness.search.trial import MemoryRecorder, Recorder, TrialPlan, TrialResult
from harness.train.checkpoint import commit
from harness.train.foldrun import RESULT, FoldJob, FoldResult
from harness.train.outbox import Outbox

Rule = Callable[[FoldJob], Status]


def all_well(job: FoldJob) -> Status:
    return "committed"


def score(job: FoldJob) -> float:
    """Return an IoU that depends on the parameters and a little on the fold, best at strength .3 and lr 1e-3."""
    study = Study.model_validate(job.study)
    far = (study.augment.strength - 0.3) ** 2 + 0.05 * np.log10(study.train.lr / 1e-3) ** 2
    weight = study.loss.settings.get("fn_weight", 0.7)
    return float(np.exp(-far) * (0.9 - (weight - 0.6) ** 2) * (1 - 0.01 * job.fold))


@dataclass
class Formula:
    """Fold runs by `score`; `seed` shuffles the order in which they end, `rule` says how each of them ends.

    Those that are `late` end when no other is under way.
    """

    capacity: int = 1
    seed: int = 0
    rule: Rule = all_well
    score: Callable[[FoldJob], float] = score
    late: Callable[[FoldJob], bool] = lambda job: False
    computed: list[Key] = field(default_factory=list)
    cancelled: set[Key] = field(default_factory=set)
    _waiting: list[FoldJob] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._rng = np.random.default_rng(self.seed)

    def submit(self, job: FoldJob) -> None:
        assert len(self._waiting) < self.capacity
        self.cancelled.discard(key_of(job))
        self._waiting.append(job)

    def wait_any(self, timeout: float) -> list[Outcome]:
        """End one to all of the fold runs that are under way, in a drawn order."""
        if not self._waiting:
            return []
        timely = [job for job in self._waiting if not self.late(job)] or self._waiting
        count = int(self._rng.integers(1, len(timely) + 1))
        taken = [timely[i] for i in self._rng.permutation(len(timely))[:count]]
        self._waiting = [job for job in self._waiting if job not in taken]
        return [self._outcome(job) for job in taken]

    def cancel(self, key: Key) -> None:
        assert key in {key_of(job) for job in self._waiting}, f"{key} does not run"
        self.cancelled.add(key)

    def close(self) -> None:
        self._waiting.clear()

    def _outcome(self, job: FoldJob) -> Outcome:
        key = key_of(job)
        if (job.final / RESULT).is_file():
            return Outcome(key, "committed", _read(job))
        if key in self.cancelled:
            return Outcome(key, "interrupted", reason="cancelled")
        self.computed.append(key)
        status = self.rule(job)
        if status != "committed":
            return Outcome(key, status, reason=f"fold {job.fold}: {status}")
        _write(job, self.score(job))
        return Outcome(key, "committed", _read(job))


@cache
def kept_files(fold: int) -> dict[str, bytes]:
    """Return the tables of a photograph in which one object of two is found, and one predicted that is none."""
    truth, logits = np.zeros((10, 10), np.uint8), np.full((10, 10), -3.0, np.float32)
    truth[:2, :5], truth[5, :5] = 1, 1
    logits[:2, :5], logits[9, :5] = 3.0, 1.0
    collector = Collector(fold)
    collector.add("a", "a", logits, truth)
    return collector.tables().files()


def _write(job: FoldJob, iou: float) -> None:
    job.working.mkdir(parents=True)
    outbox = Outbox(job.working)
    for number in (1, 2):
        rates = {"lr": 1e-3, "gradient_norm": 1.0, "predicted_share": 0.1, "images_per_second": 9.0}
        outbox.append({"number": number, "loss": 1.0 / number, "iou": iou * number / 2} | rates)
    for name, content in kept_files(job.fold).items():
        (job.working / name).write_bytes(content)
    (job.working / RESULT).write_text(json.dumps({"iou": iou}))
    commit(job.working, job.final)


def _read(job: FoldJob) -> FoldResult:
    iou = json.loads((job.final / RESULT).read_text())["iou"]
    return FoldResult(
        job.fold,
        iou,
        best_iou=iou,
        best_epoch=2,
        epochs=2,
        seconds=1.0,
        coverage=0.01,
        device="cpu",
        indices_sha256="0" * 64,
        loss_weights={"dice": 1.0},
        folder=job.folder,
    )


SPACE = {
    "loss": {
        "choice": {
            "dice_bce": {},
            "tversky": {"fn_weight": [0.5, 0.9], "fp_weight": "1 - fn_weight"},
            "focal_tversky": {"fn_weight": [0.5, 0.9], "gamma": [0.6, 1.5]},
        }
    },
    "augment.strength": [0, 1],
    "train.lr": {"log": [1e-4, 1e-2]},
}
BASELINES = ({"loss": {"name": "tversky", "settings": {"fn_weight": 0.7}}}, {"loss": "dice_bce"})


def study(*, folds: int = 3, seed: int = 17, **search: object) -> Study:
    """Return a study that searches `SPACE` after two baselines."""
    settings = {"trials": 6, "window": 2, "startup": 2, "pruner": "never"} | {"space": SPACE} | search
    return Study(
        name="formula",
        seed=seed,
        data=Data(dataset=Choice(name="demo")),
        folds=Folds(count=folds),
        network=Choice(name="unet"),
        loss=Choice(name="dice_bce"),
        search=Search.model_validate({"baselines": BASELINES} | settings),
    )


@dataclass
class Home:
    """Where a study of these tests is kept; each run is a new driver with its own executor."""

    folder: Path
    study: Study

    @property
    def url(self) -> str:
        return f"sqlite:///{self.folder / 'optuna.db'}"

    def slots(self) -> Slots:
        return Slots(self.study, "0123456789abcdef", self.url, self.folder / "work")

    def job(self, plan: TrialPlan, fold: int) -> FoldJob:
        return FoldJob(
            trial=plan.number,
            fold=fold,
            study=plan.study.model_dump(mode="json"),
            samples="",
            split="",
            cache="",
            folder=str(self.folder / "work" / str(plan.number) / str(fold)),
        )

    def run(
        self,
        executor: Formula | None = None,
        recorder: Recorder | None = None,
        *,
        trials: int | None = None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> list[TrialResult]:
        slots = self.slots()
        try:
            return Driver(
                slots,
                self.job,
                folds=self.study.folds.count,
                trials=trials or self.study.search.trials,
                window=self.study.search.window,
                executor=executor or Formula(),
                recorder=recorder or MemoryRecorder(),
            ).run(should_stop)
        finally:
            slots.close()


def table(results: list[TrialResult]) -> list[tuple[object, ...]]:
    """Return what must be equal whatever the order, the number in flight and the interruptions."""
    return [
        (
            r.plan.number,
            dict(r.plan.params),
            r.state,
            r.iou_mean,
            [(f.fold, f.iou) for f in r.folds],
            r.reason,
        )
        for r in results
    ]
