"""Kill -9 the driver or a worker of a running study at random, again and again, and compare what the studies end as.

make soak
"""

import argparse
import hashlib
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import torch
import yaml
from mlflow import MlflowClient

from benchmarks.study_ending import Ending, Folder, committed, intact, read_ending
from benchmarks.study_life import FORCED
from benchmarks.study_watch import Watch, workers_of
from benchmarks.tiny import draw
from harness.study import main as command

KILLS = 100
NAME = "soak"
PICTURES = 20
POLL = 0.03  # s between looks for a new epoch
LATEST = 1.5  # s after a new epoch within which the kill comes
STANDSTILL = 300.0  # s without an epoch or an end that are counted as none to come


@dataclass(frozen=True)
class Size:
    """Of a study."""

    trials: int = 6
    folds: int = 5
    workers: int = 2


@dataclass
class Tally:
    """What was killed, and what was found when each study had ended."""

    drivers: int = 0
    workers: int = 0
    studies: int = 0
    folds: int = 0  # seen committed at a kill
    lost: int = 0  # of these, gone or trained again when the study ended
    running: int = 0  # runs that MLflow has as RUNNING after the end
    twice: int = 0  # runs that MLflow has more than once
    differences: list[str] = field(default_factory=list)  # to the undisturbed study
    champions: int = 0  # compared
    seconds: float = 0.0  # of the undisturbed study

    @property
    def kills(self) -> int:
        return self.drivers + self.workers

    @property
    def bad(self) -> int:
        """Number of things that are not as promised."""
        return self.lost + self.running + self.twice + len(self.differences)

    def line(self) -> str:
        """Return the counts for a reader."""
        return (
            f"{self.kills} kills ({self.drivers} of drivers, {self.workers} of workers) over {self.studies} studies: "
            f"committed folds lost {self.lost} of {self.folds}, runs left RUNNING {self.running}, there twice "
            f"{self.twice}, differences to the undisturbed study {len(self.differences)}, champions compared "
            f"{self.champions}"
        )


@dataclass
class Soak:
    """Studies of one file, each in a home of its own, in one folder; the draws are those of one generator."""

    folder: Path
    kills: int
    draw: random.Random
    tally: Tally = field(default_factory=Tally)

    def undisturbed(self) -> tuple[Ending, str]:
        """Run the study without a kill; return what it ended as, and its champion's weights."""
        home, started = self.folder / "undisturbed", time.perf_counter()
        _refuse_failure(self._finished(_start(self.folder, "run", home)), self.folder)
        self.tally.seconds = time.perf_counter() - started
        return read_ending(home), self._promoted(home)

    def disturbed(self, number: int, wanted: Ending, champion: str) -> None:
        """Run the study with kills until it ends, and compare; its last kill may be the last of all."""
        home, known = self.folder / f"disturbed-{number}", dict[Path, Folder]()
        watch = Watch(home)
        while self._life(home, watch, known) == -signal.SIGKILL:
            pass
        found = read_ending(home)
        self.tally.studies += 1
        self.tally.folds += len(known)
        self.tally.lost += sum(not intact(folder, fold) for folder, fold in known.items())
        self.tally.running += found.running
        self.tally.twice += found.twice
        self.tally.differences += [f"study {number}: {line}" for line in found.differences(wanted)]
        if number == 0 or self.tally.kills >= self.kills:
            self.tally.champions += 1
            if self._promoted(home) != champion:
                self.tally.differences.append(f"study {number}: the champion has other weights")
        shutil.rmtree(home)

    def _life(self, home: Path, watch: Watch, known: dict[Path, Folder]) -> int:
        """Let one driver live until it is killed or done; return its exit code, -9 for a killed one."""
        driver, told = _start(self.folder, "run", home), set[int]()
        try:
            while self.tally.kills < self.kills and self._epoch(driver, watch, told):
                time.sleep(self.draw.uniform(0, LATEST))
                victim = self.draw.choice([driver, *sorted(told & workers_of(driver))])
                os.kill(victim, signal.SIGKILL)
                if victim == driver:
                    break
                self.tally.workers += 1
                known |= {k: v for k, v in committed(home).items() if k not in known}
        except BaseException:
            os.kill(driver, signal.SIGKILL)
            os.waitpid(driver, 0)
            raise
        code = self._finished(driver)
        known |= {k: v for k, v in committed(home).items() if k not in known}
        if code == -signal.SIGKILL:
            self.tally.drivers += 1
        else:
            _refuse_failure(code, self.folder)
        return code

    def _epoch(self, driver: int, watch: Watch, told: set[int]) -> bool:
        """Wait for a new epoch of one of the driver's workers, and add it to `told`; False when the driver ended."""
        until = time.monotonic() + STANDSTILL
        while time.monotonic() < until:
            if os.waitid(os.P_PID, driver, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                return False
            if new := watch.look() & workers_of(driver):
                told |= new
                return True
            time.sleep(POLL)
        raise TimeoutError(f"{watch.home}: no epoch and no end within {STANDSTILL:.0f} s")

    def _finished(self, driver: int) -> int:
        return os.waitstatus_to_exitcode(os.waitpid(driver, 0)[1])

    def _promoted(self, home: Path) -> str:
        """Promote, and return the hash of all weights of the model that the alias means."""
        _refuse_failure(self._finished(_start(self.folder, "promote", home)), self.folder)
        client = MlflowClient(f"sqlite:///{home / 'mlflow.db'}")
        model = Path(urlsplit(str(client.get_model_version_by_alias(NAME, "champion").source)).path)
        weights = sorted(model.rglob("*.safetensors"))
        assert weights, model
        return hashlib.sha256(b"".join(path.read_bytes() for path in weights)).hexdigest()


def soak(folder: Path, kills: int, *, seed: int, size: Size) -> Tally:
    """Kill so often, over as many studies as that takes; the last one goes on undisturbed to its end."""
    write_study(folder, size)
    all_of_it = Soak(folder, kills, random.Random(seed))
    wanted, champion = all_of_it.undisturbed()
    tally, number = all_of_it.tally, 0
    print(f"undisturbed: {tally.seconds:.0f} s, {wanted.summary()}", flush=True)
    while tally.kills < kills:
        all_of_it.disturbed(number, wanted, champion)
        number += 1
        print("\n".join([tally.line(), *tally.differences]), flush=True)
    return tally


def write_study(folder: Path, size: Size) -> None:
    """Draw gray pictures with bright spots, and write the file of a study over them."""
    draw(folder, PICTURES)
    study = {
        "name": NAME,
        "data": {"dataset": {"instances": {"root": "."}}},
        "folds": {"count": size.folds},
        "network": {
            "unet": {"encoder": "tu-test_efficientnet.r160_in1k", "decoder_channels": [32, 16, 16, 8, 8]}
        },
        "train": {"epochs": 6, "batch_size": 4, "lr": 1e-2, "crop": 32},
        "execute": {"local": {"workers": size.workers}},
        "search": {
            "trials": size.trials,
            "window": 2,
            "startup": 2,
            "pruner": {"median": {"after_trials": 2, "after_folds": 2}},
            "augment.strength": [0, 1],
            "train.lr": {"log": [1e-3, 2e-2]},
        },
    }
    (folder / f"{NAME}.yaml").write_text(yaml.safe_dump(study))


def _start(folder: Path, verb: str, home: Path) -> int:
    """Start the command in a process forked from this one, which has imported everything; return its number."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        os.chdir(folder)
        log = os.open("said.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        sys.stdout = sys.stderr = os.fdopen(log, "w", buffering=1)
        os.dup2(log, 1)
        os.dup2(log, 2)
        code = command([verb, f"{NAME}.yaml", "--home", str(home), *FORCED.get(verb, ())])
    except BaseException:
        traceback.print_exc()
    os._exit(code)


def _refuse_failure(code: int, folder: Path) -> None:
    if code:
        raise RuntimeError(
            f"the command ended with {code}; it said:\n{(folder / 'said.log').read_text()[-3000:]}"
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the counts; return 1 if anything is not as promised."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak_kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=KILLS, help=f"of drivers and workers together ({KILLS})")
    parser.add_argument("--seed", type=int, default=1, help="of the draws of moments and victims (1)")
    asked = parser.parse_args(arguments)
    torch.set_num_threads(1)
    Path(".cache").mkdir(exist_ok=True)  # on the disk that results are on
    with tempfile.TemporaryDirectory(dir=".cache") as temporary:
        tally = soak(Path(temporary).resolve(), asked.kills, seed=asked.seed, size=Size())
    print(f"{tally.bad} things are not as promised" if tally.bad else "all as promised", flush=True)
    return min(tally.bad, 1)


if __name__ == "__main__":
    sys.exit(main())
