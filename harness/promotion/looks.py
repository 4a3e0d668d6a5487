"""Looks at unseen groups: counted on the disk before a prediction begins, and once only for the same two sides.

They are held-out groups, or, where too few are held out, those of the folds, which a nested search scored.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from harness.data.split import Split, read_split
from harness.errors import DataError, PromotionRefused
from harness.evaluate.heldout import LOOKS, HeldOutTest, can_be_proven, level_of_look
from harness.promotion.pictures import Groups, fold_groups, held_out_groups, share_a_picture
from harness.promotion.readable import Readable
from harness.search.ledger import LOOKS as LOOKS_FILE
from harness.train.checkpoint import write_synced
from harness.train.claim import claimed

FOLDER, LOCK = "heldout", "lock"  # below the home
HELD_OUT_GROUPS, FOLD_GROUPS = "held-out groups", "groups of the folds"
ENTRY = ("look", "level", "groups", "candidate", "rival")

Look = dict[str, Any]  # of ENTRY, and what came of it: see `Looks.conclude`
Shown = tuple[HeldOutTest, Mapping[str, Any]]  # the test, and what else is kept of it


@dataclass(frozen=True)
class Side:
    """One of the two sides of a look: what people call it, and the digest of all that decides its predictions."""

    name: str
    digest: str
    study: str = ""
    trial: int | None = None


def looks_of(home: Path, split: Split, samples: pd.DataFrame, *, nested: bool = False) -> list[Look]:
    """Return every look at the held-out groups of a split, in order; without `sentence` it was not finished.

    With a `nested` search, and too few held out to prove anything, at the groups of its folds. A look at other groups
    counts where one of these pictures was among them, whatever it was called then. Raises DataError where a file that
    counts looks is damaged.
    """
    groups = held_out_groups(split, samples)
    if nested and not can_be_proven(len(groups), look=1):
        groups = fold_groups(split, samples)
    return Looks(home, groups, lambda line: None).all()


@dataclass(frozen=True)
class Looks:
    """The looks at some groups, of every study and model of a home. `tell` gets a line where one must wait, or looks.

    readable: what anybody can read of these groups without a look, which makes the next one a later one.
    """

    home: Path
    groups: Groups
    tell: Callable[[str], None]
    what: str = HELD_OUT_GROUPS
    readable: Callable[[], Readable] = Readable

    def all(self) -> list[Look]:
        """Return every look, in order."""
        found = [look for path in sorted((self.home / FOLDER).glob("*.jsonl")) for look in _read(path)]
        shared = [look for look in found if share_a_picture(self.groups, look["groups"])]
        return sorted(shared, key=lambda look: int(look["look"]))

    def take(self, candidate: Side, rival: Side, show: Callable[[int], Shown]) -> Look:
        """Return the look at these two: what `show` sees, told its number. One that was finished is not repeated.

        One that was killed is gone on with. Raises what `count` and `show` raise.
        """
        look = self.count(candidate, rival)
        if "sentence" in look:
            self.tell(f"{self.what}: these two were held against each other at look {look['look']} already")
            return look
        self.tell(
            f"{self.what}: look {look['look']} of {LOOKS} at {len(self.groups)} groups, {candidate.name} against "
            f"{rival.name}"
        )
        return self.conclude(look, *show(look["look"]))

    def count(self, candidate: Side, rival: Side) -> Look:
        """Return the look at these two that is there, finished or not, else count one, on the disk when this returns.

        Raises PromotionRefused where looks are spent, or so few groups that the next one could not prove anything.
        """
        with self._alone():
            known = self._known(candidate, rival)
            if known is not None:
                return known
            number = self._next()
            values = (number, level_of_look(number), self.groups, asdict(candidate), asdict(rival))
            look: Look = {**dict(zip(ENTRY, values, strict=True)), "what": self.what}
            self._append(look)
            return look

    def conclude(self, look: Look, test: HeldOutTest, own: Mapping[str, Any]) -> Look:
        """Write what a look showed, once: gain, low, high, p_value, better, sentence, tell_apart (groups).

        `own` is what else is kept: iou (pooled) and worth (see contenders.Seen) of the candidate, or of a nested search
        `scores`, the mean IoU over folds of both.
        """
        with self._alone():
            known = self._known(Side(**look["candidate"]), Side(**look["rival"]))
            if known is not None and "sentence" in known:  # another process was at the same look
                return known
            result = {
                "gain": test.gain,
                "low": test.interval.low,
                "high": test.interval.high,
                "p_value": test.p_value,
                "better": test.better,
                "tell_apart": test.groups,
                "sentence": test.sentence,
                **own,
            }
            self._append(look | result)
            return look | result

    def _next(self) -> int:
        """Return the number of the next look. Raises PromotionRefused where it could prove nothing."""
        taken, readable = len(self.all()), self.readable()
        number = readable.next_look(taken)
        why = f" ({readable.sentence})" if number > 1 + taken else ""
        if number > LOOKS:
            raise PromotionRefused(
                f"{self.what}: look {number}, and they are spent after {LOOKS}{why}; hold out new groups to prove more"
            )
        if not can_be_proven(len(self.groups), number):
            raise PromotionRefused(
                f"{self.what}: {len(self.groups)} of them can prove nothing at look {number}{why}, which asks for "
                f"p <= {level_of_look(number):g}; hold out new groups to prove more"
            )
        if why:
            self.tell(f"{self.what}: the next look is number {number}{why}")
        return number

    @contextmanager
    def _alone(self) -> Iterator[None]:
        folder = self.home / FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        with claimed(folder / LOCK, lambda: False, self.tell):
            yield

    def _known(self, candidate: Side, rival: Side) -> Look | None:
        wanted = candidate.digest, rival.digest
        looks = _read(self._path) if self._path.exists() else []
        return next((look for look in looks if _pair(look) == wanted), None)

    @property
    def _path(self) -> Path:
        return self.home / FOLDER / f"{self._digest}.jsonl"

    @property
    def _digest(self) -> str:
        return hashlib.sha256(json.dumps(self.groups, sort_keys=True).encode()).hexdigest()[:24]

    def _append(self, line: Look) -> None:
        """Add a line; the file is whole at any moment."""
        before = self._path.read_bytes() if self._path.exists() else b""
        write_synced(self._path, before + json.dumps(line).encode() + b"\n")


def for_reports(looks: list[Look]) -> list[dict[str, Any]]:
    """Return looks as reports show them; what is not known of one that was killed is None."""
    shown = ("gain", "low", "high", "p_value", "better", "sentence")
    return [
        {
            "look": look["look"],
            "level": look["level"],
            "candidate": {name: look["candidate"][name] for name in ("study", "trial")},
            "rival": look["rival"]["name"],
            **{name: look.get(name) for name in shown},
        }
        for look in looks
    ]


def note_looks(home: Path, work: Path, facts: Mapping[str, Any]) -> None:
    """Write the looks at the unseen groups of a study into its ledger; those for other studies count too.

    Raises DataError where a file that counts looks is damaged. Without the split or the samples nothing is known.
    """
    path, samples = home / "folds" / f"{facts['split']}.json", work / "samples.parquet"
    nested = bool(facts["settings"].get("protocol", {}).get("nested"))
    if path.is_file() and samples.is_file():
        found = looks_of(home, read_split(path), pd.read_parquet(samples), nested=nested)
        if found or (work / "ledger" / LOOKS_FILE).exists():
            write_looks(work, found)


def write_looks(work: Path, looks: list[Look]) -> None:
    """Write looks into the ledger of a study with this work folder, as reports show them."""
    write_synced(work / "ledger" / LOOKS_FILE, json.dumps(for_reports(looks), indent=1).encode())


def _read(path: Path) -> list[Look]:
    """Return the looks of a file; a later line of the same two models is what came of the look."""
    found: dict[tuple[str, str], Look] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            look = _look(json.loads(line))
            found[_pair(look)] = look
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"{path}, line {number}: counts no look ({type(error).__name__}); restore the file: what it counts is "
                "paid for"
            ) from None
    return list(found.values())


def _look(line: Mapping[str, Any]) -> Look:
    """Return a line as a look. Raises KeyError, TypeError or AttributeError where it is none."""
    look = {**{name: line[name] for name in ENTRY}, **line}
    numbers = [look["look"], look["level"]]
    if "sentence" in look:
        numbers += [look[name] for name in ("gain", "low", "high", "p_value", "better", "tell_apart")]
        numbers += look["scores"] if look.get("what") == FOLD_GROUPS else []
    pictures = [picture for own in look["groups"].values() for picture in own]
    if not all(isinstance(one, int | float) for one in numbers) or not all(
        isinstance(p, str) for p in pictures
    ):
        raise TypeError(line)
    return look


def _pair(look: Look) -> tuple[str, str]:
    return str(look["candidate"]["digest"]), str(look["rival"]["digest"])
