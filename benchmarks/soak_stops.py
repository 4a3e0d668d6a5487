"""Stop a study by SIGTERM or SIGINT in each phase of its life: it ends with 75 within 30 s and goes on to the same end.

make soak
"""

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
import yaml

from benchmarks.study_ending import Ending, read_ending
from benchmarks.study_life import FORCED, finished, is_over, start
from benchmarks.tiny import NETWORK, draw
from harness.tracking.store import VARIABLE, Store, serve

NAME, PICTURES = "stops", 12
ALLOWED = 30.0  # s from the signal to the end of the process
LATEST = 0.25  # s after a phase began within which the signal comes
PHASES = {  # what a life is at, told by the function that begins it: file and name
    "the choices are built": ("variants", "build_every_choice"),
    "augmentation is proven": ("prove", "prove"),
    "the index is read": ("index", "index_samples"),
    "the manifest is read": ("manifest", "read_manifest"),
    "copies are searched for": ("search", "find_copies"),
    "folds are made": ("splitting", "split_samples"),
    "the audit": ("report", "audit"),
    "the lock is taken": ("lock", "_take"),
    "the leakage report is written": ("prepare", "write_report"),
    "the cache is built": ("cache", "build_cache"),
    "the baselines": ("classical", "baseline_scores"),
    "Optuna is opened": ("slots", "__init__"),
    "training": ("fold", "train_fold"),
    "validation": ("validation", "validate"),
    "a step is saved": ("snapshot", "save"),
    "the last validation": ("validation", "out_of_fold"),
    "a fold is committed": ("checkpoint", "commit"),
    "between two folds": ("optimize", "_judge"),
    "a trial is told": ("slots", "tell"),
    "the last delivery": ("sender", "finish"),
    "the final table": ("screen", "summarize"),
}
PROMOTING = {
    "promote: audited again": ("prepare", "audit_again"),
    "promote: the model is logged": ("registry", "log_model"),
    "promote: the version is made": ("registry", "register"),
    "promote: the alias is set": ("mover", "finish"),
}
SERVED = (
    "the server answers: the last delivery",
    "the server hangs: training",
    "the server hangs: the last delivery",
)


@dataclass
class Tally:
    """What was found at the stops of one phase."""

    times: int = 0
    missed: int = 0  # the life ended before its signal
    worst: float = 0.0  # s from the signal to the end
    codes: set[int] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)

    def line(self, phase: str) -> str:
        """Return the row of the table."""
        codes = ", ".join(map(str, sorted(self.codes)))
        return (
            f"{phase:40} {self.times:3} {self.missed:3} {self.worst:6.1f} s   {codes:8} {len(self.wrong):3}"
        )


class Stops:
    """Lives of one study in a folder, each in a home and with caches of its own."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.draw = folder, random.Random(seed)
        self._places, self._port = 0, 0
        self.tallies: dict[str, Tally] = defaultdict(Tally)
        draw(folder / "data", PICTURES)
        whole = self._place("whole", "inline")
        self._refuse_failure(whole, finished(start(whole, NAME, "run")))
        self.wanted: Ending = read_ending(whole / "home")
        self._whole = whole

    def try_at(self, phase: str, number: int = 1) -> None:
        """Stop a life when it begins a phase for the `number`-th time, or a moment later; let it go on, and compare."""
        place = self._place("stopped", "inline")
        if phase in PROMOTING:
            shutil.copytree(self._whole / "home", place / "home")
            shutil.copytree(self._whole / ".cache", place / ".cache", dirs_exist_ok=True)
        with self._server(place, phase) as server:
            verb = "promote" if phase in PROMOTING else "run"
            self._stop(place, verb, phase, number, server)
            if server:
                os.kill(server, signal.SIGCONT)
            self._go_on(place, verb, phase)
        shutil.rmtree(place)

    def try_after(self, seconds: float) -> None:
        """Stop a life of two worker processes after a time, whatever it is at then."""
        phase, place = "any moment, two workers", self._place("stopped", "local")
        child = start(place, NAME, "run")
        ended = threading.Timer(seconds, lambda: None)
        ended.start()
        while ended.is_alive() and not is_over(child):
            time.sleep(0.02)
        ended.cancel()
        self._signal(child, place, phase)
        self._go_on(place, "run", phase)
        shutil.rmtree(place)

    def _place(self, name: str, executor: str) -> Path:
        """Make a folder with the study's file."""
        self._places += 1
        place = self.folder / f"{name}-{self._places}"
        place.mkdir()
        content = {
            "name": NAME,
            "data": {"dataset": {"instances": {"root": str(self.folder / "data")}}},
            "folds": {"count": 2},
            "network": {"unet": NETWORK},
            "train": {"epochs": 4, "batch_size": 4, "lr": 1e-2, "crop": 32},
            "execute": {"local": {"workers": 2}} if executor == "local" else executor,
            "search": {"trials": 2, "window": 1, "startup": 1, "augment.strength": [0, 1]},
        }
        (place / f"{NAME}.yaml").write_text(yaml.safe_dump(content))
        return place

    def _stop(self, place: Path, verb: str, phase: str, number: int, server: int | None) -> None:
        function = (PHASES | PROMOTING)[phase.rpartition("answers: " if "answers" in phase else "hangs: ")[2]]
        receive, send = os.pipe()
        child = start(
            place,
            NAME,
            verb,
            *FORCED.get(verb, ()),
            tell=(send, function, number),
            environment=self._environment(server),
        )
        os.close(send)
        reached = os.read(receive, 1)  # nothing when the life ends before
        os.close(receive)
        if reached:
            if server and "hangs" in phase:
                os.kill(server, signal.SIGSTOP)
            time.sleep(self.draw.choice([0.0, self.draw.uniform(0, LATEST)]))
        self._signal(child, place, phase)

    def _signal(self, child: int, place: Path, phase: str) -> None:
        """Send one of the two signals, and note how the process ends."""
        tally, began = self.tallies[phase], time.monotonic()
        tally.times += 1
        if is_over(child):
            tally.missed += 1
        else:
            os.kill(child, self.draw.choice([signal.SIGTERM, signal.SIGINT]))
        code = finished(child)
        seconds = time.monotonic() - began
        tally.worst = max(tally.worst, seconds)
        tally.codes.add(code)
        if seconds > ALLOWED:
            tally.wrong.append(f"{phase}: it took {seconds:.1f} s")
        if code not in (0, 75):  # 0: it had ended all it had to do
            tally.wrong.append(f"{phase}: it ended with {code}: {_said(place)}")

    def _go_on(self, place: Path, verb: str, phase: str) -> None:
        """Give the command again, and compare what the study is with the undisturbed one."""
        tally = self.tallies[phase]
        environment = self._environment(None if not phase.startswith("the server") else 1)
        if code := finished(start(place, NAME, verb, *FORCED.get(verb, ()), environment=environment)):
            tally.wrong.append(f"{phase}: it went on and ended with {code}: {_said(place)}")
            return
        found = read_ending(place / "home")
        tally.wrong += [f"{phase}: {line}" for line in found.differences(self.wanted)]
        if found.running or found.twice:
            tally.wrong.append(f"{phase}: {found.running} runs are RUNNING, {found.twice} are there twice")
        document = place / "doctor.json"
        code = finished(start(place, NAME, "doctor", "--json", output=document, environment=environment))
        said = document.read_text()
        if code or json.loads(said) != {"mended": [], "left": []}:
            tally.wrong.append(f"{phase}: doctor says {said.strip()}")

    @contextlib.contextmanager
    def _server(self, place: Path, phase: str) -> Iterator[int | None]:
        """Serve the home's database where the phase is one with a server; yield the number of its process."""
        if not phase.startswith("the server"):
            yield None
            return
        home = place / "home"
        home.mkdir()
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        with serve(Store(f"sqlite:///{home / 'mlflow.db'}", home / "artifacts"), self._port) as server:
            try:
                yield server.pid
            finally:
                os.kill(server.pid, signal.SIGCONT)

    def _environment(self, server: int | None) -> dict[str, str]:
        return {VARIABLE: f"http://127.0.0.1:{self._port}"} if server else {}

    def _refuse_failure(self, place: Path, code: int) -> None:
        if code:
            raise RuntimeError(f"the command ended with {code}; it said: {_said(place)}")


def _said(place: Path) -> str:
    return (place / "said.log").read_text()[-1500:]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print phase, number of stops, of those that came too late, worst seconds, exit codes, wrong things."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak_stops", description=__doc__)
    parser.add_argument("--times", type=int, default=2, help="of each phase (2)")
    parser.add_argument("--moments", type=int, default=12, help="drawn over a life with two workers (12)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", help="phases that hold this text")
    asked = parser.parse_args(arguments)
    torch.set_num_threads(1)
    phases = [phase for phase in (*PHASES, *PROMOTING, *SERVED) if (asked.only or "") in phase]
    Path(".cache").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=".cache") as temporary:
        stops = Stops(Path(temporary).resolve(), asked.seed)
        print(f"undisturbed: {stops.wanted.summary()}", flush=True)
        for phase in phases:
            for number in range(1, asked.times + 1):
                stops.try_at(
                    phase, number if phase in ("training", "validation", "a fold is committed") else 1
                )
            print("\n".join([stops.tallies[phase].line(phase), *stops.tallies[phase].wrong]), flush=True)
        for _ in range(asked.moments):
            stops.try_after(stops.draw.uniform(0, 25))
    for phase, tally in stops.tallies.items():
        if phase not in phases:
            print("\n".join([tally.line(phase), *tally.wrong]), flush=True)
    wrong = sum(len(tally.wrong) for tally in stops.tallies.values())
    worst = max(tally.worst for tally in stops.tallies.values())
    count = sum(tally.times for tally in stops.tallies.values())
    print(f"{count} stops, the longest took {worst:.1f} s; {wrong} things are not as promised", flush=True)
    return min(wrong, 1)


if __name__ == "__main__":
    sys.exit(main())
