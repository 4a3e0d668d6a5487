"""Promotions that race, and one that is killed at every kind of write: is the alias right, and its history whole?

make soak. Races: several processes promote different trials of a study at once; the best of them must be the champion
in the end, since each is held against the one before. Kills: a promotion, a challenge and a rollback, each killed
before and after every kind of write (benchmarks/soak_writes.py says what that is), and the same command again.
"""

import argparse
import io
import multiprocessing
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout, suppress
from functools import partial
from pathlib import Path

import torch

from benchmarks.promoted import ALIKE, MIDDLE, STRONG, WEAK, Ran, in_own_home, run_study
from benchmarks.soak_writes import Point, Writes, in_child, points_of
from harness.errors import PromotionRefused
from harness.promotion.promote import roll_back
from harness.tracking.aliases import CHAMPION, aliases, moves, told_champion, versions

RACES, AT_ONCE, TOLD_EVERY = 50, 3, 10
NAME = "tiny"

Act = Callable[[Ran], object]


def promoted(trial: int, ran: Ran) -> None:
    """Promote a trial, or be refused."""
    with suppress(PromotionRefused):
        ran.promote(trial)


def rolled_back(ran: Ran) -> None:
    """Go back to the first champion, before which there is none: the same command once more is refused."""
    with suppress(PromotionRefused):
        roll_back(ran.store, ran.home, NAME, "a soak", lambda line: None)


# what is killed: before it, the trial that must be champion in the end, and those that may be at any time
ACTS: dict[str, tuple[tuple[int, ...], Act, int, tuple[int, ...]]] = {
    "promote": ((WEAK,), partial(promoted, STRONG), STRONG, (WEAK, STRONG)),
    "challenge": ((STRONG,), partial(promoted, MIDDLE), STRONG, (STRONG,)),
    "rollback": ((WEAK, STRONG), rolled_back, WEAK, (WEAK, STRONG)),
}


def wrong(ran: Ran, may: tuple[int, ...], *, settled: bool) -> list[str]:
    """Return a line about each thing that is not right of aliases, versions and history."""
    client, found = ran.client, []
    written, named, there = moves(client, NAME), aliases(client, NAME), versions(client, NAME)
    if ran.champion() not in {str(trial) for trial in may}:
        found.append(f"the champion is trial {ran.champion()}")
    if [move.number for move in written] != list(range(1, len(written) + 1)):
        found.append(f"moves {[move.number for move in written]}")
    if settled:
        if told_champion(written) != named.get(CHAMPION):
            found.append(f"the alias means {named.get(CHAMPION)}, by the moves {told_champion(written)}")
        if begun := [move.number for move in written if move.state == "begun"]:
            found.append(f"moves {begun} are neither done nor left")
        orphans = {one.version for one in there} - {move.version for move in written}
        if orphans:
            found.append(f"no move names the versions {sorted(orphans)}")
        if gone := set(named.values()) - {one.version for one in there}:
            found.append(f"aliases mean versions that are not there: {sorted(gone)}")
    return found


def race(base: Ran, number: int) -> list[str]:
    """Let several trials be promoted at once in a fresh home; return what is wrong then."""
    trials = [*random.Random(number).sample((WEAK, MIDDLE, ALIKE), AT_ONCE - 1), STRONG]
    random.Random(number).shuffle(trials)
    with tempfile.TemporaryDirectory() as folder:
        ran = in_own_home(base, Path(folder))
        fork = multiprocessing.get_context("fork")
        racers = [fork.Process(target=_in_silence, args=(partial(promoted, trial), ran)) for trial in trials]
        for racer in racers:
            racer.start()
        for racer in racers:
            racer.join()
        ended = [f"a racer ended with {racer.exitcode}" for racer in racers if racer.exitcode]
        best = (STRONG, ALIKE) if ALIKE in trials else (STRONG,)  # two that nobody can tell apart
        return [*ended, *in_child(partial(wrong, ran, best, settled=True))]


def _in_silence(act: Act, ran: Ran) -> None:
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        act(ran)


def _prepared(base: Ran, folder: Path, before: tuple[int, ...]) -> Ran:
    ran = in_own_home(base, folder)
    for trial in before:
        in_child(partial(_in_silence, partial(promoted, trial), ran))
    return ran


def _watched(act: Act, ran: Ran, point: Point | None) -> Counter[str]:
    writes = Writes(ran.home, point)
    writes.watch()
    _in_silence(act, ran)
    return writes.count


def killed(base: Ran, act: str, points: int | None) -> tuple[int, list[str]]:
    """Kill an act at each of its points; return how many were reached, and a line for each that ended wrong."""
    before, do, ends, may = ACTS[act]
    with tempfile.TemporaryDirectory() as folder:
        start = _prepared(base, Path(folder), before)
        with tempfile.TemporaryDirectory() as other:
            count = Counter(in_child(partial(_watched, do, in_own_home(start, Path(other)), None)))
        every = points_of(count)
        chosen = random.Random(1).sample(every, min(points or len(every), len(every)))
        reached, lines = 0, []
        for point in chosen:
            with tempfile.TemporaryDirectory() as other:
                ran = in_own_home(start, Path(other))
                reached += in_child(partial(_watched, do, ran, point)) is None
                found = in_child(partial(wrong, ran, may, settled=False))
                in_child(partial(_in_silence, do, ran))
                found += in_child(partial(wrong, ran, (ends,), settled=True))
            if found:
                lines.append(f"{act} killed {point.line()}: {'; '.join(found)}")
                print(f"WRONG: {lines[-1]}", flush=True)
        sites = len({point.site for point in chosen})
        print(
            f"{act}: {len(chosen)} points at {sites} sites, killed at {reached}, {len(lines)} wrong",
            flush=True,
        )
        return reached, lines


def main() -> int:
    """Race and kill, and print what was wrong; return 1 if anything was."""
    parser = argparse.ArgumentParser(description="Promotions that race and are killed.")
    parser.add_argument("--races", type=int, default=RACES)
    parser.add_argument("--points", type=int, help="only so many of each act, drawn from a seed")
    parser.add_argument("--only", choices=ACTS, nargs="+", default=[*ACTS], help="the acts that are killed")
    asked, started = parser.parse_args(), time.monotonic()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder, "study")
        ran = Ran(place, place / "home", in_child(partial(_run, place)))
        races = []
        for number in range(asked.races):
            if found := race(ran, number):
                races.append(number)
                print(f"WRONG: race {number}: {'; '.join(found)}", flush=True)
            if (number + 1) % TOLD_EVERY == 0 or number + 1 == asked.races:
                print(f"{number + 1} races of {AT_ONCE} promotions: {len(races)} wrong", flush=True)
        lines = [line for act in asked.only for line in killed(ran, act, asked.points)[1]]
        shutil.rmtree(place)
    print(f"{(time.monotonic() - started) / 60:.0f} min")
    return int(bool(races or lines))


def _run(place: Path) -> str:
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        return run_study(place, place / "home").key


if __name__ == "__main__":
    sys.exit(main())
