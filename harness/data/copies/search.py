"""Find the copies among a study's samples, from fingerprints that are kept with what else was read of the files."""

import hashlib
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.data.copies.align import Alignment
from harness.data.copies.calibrate import Calibration
from harness.data.copies.canary import CANARY_VERSION, WHOLE, is_jpeg, plant, recall
from harness.data.copies.find import COPIES_VERSION, Found, Pair, find_pairs
from harness.data.copies.fingerprint import FINGERPRINT_VERSION, Fingerprint
from harness.data.copies.recognize import recognize
from harness.data.copies.shared import Shared, find_shared
from harness.data.kept import Kept
from harness.data.pictures import image_pixels, read_file, read_image

ENOUGH_RECALL = 0.95  # of planted whole copies; below it finding none tells nothing
ENOUGH_OF_PARTS = (
    0.9  # of planted copies that show a part in one way; below it finding none of these tells nothing
)


@dataclass(frozen=True)
class Copies:
    """Pairs by position in the sample table, which pictures could be verified, and what planted copies showed.

    `canary` gives for each way of copying how many were planted and found; `shared` is the part of a picture, in the
    mean, that unrelated ones show too and that was left out.
    """

    found: Found
    canary: dict[str, tuple[int, int]]
    shared: float = 0.0

    @property
    def reaches(self) -> bool:
        """Tell whether planted whole copies were found; where not, pairs hold, and finding none tells nothing."""
        whole = [self.canary[kind] for kind in self.canary if kind in WHOLE]
        return bool(whole) and sum(hits for _, hits in whole) >= ENOUGH_RECALL * sum(
            total for total, _ in whole
        )

    @property
    def missed(self) -> dict[str, tuple[int, int]]:
        """Return the ways of showing a part of which too few planted ones were found: how many there were and were."""
        parts = {kind: counts for kind, counts in self.canary.items() if kind not in WHOLE}
        return {
            kind: (total, hits) for kind, (total, hits) in parts.items() if hits < ENOUGH_OF_PARTS * total
        }

    def sure(self) -> list[Pair]:
        """Return the pairs that show one thing."""
        return [pair for pair in self.found.pairs if pair.sure]

    def among(self, used: NDArray[np.bool_]) -> "Copies":
        """Return the pairs of two samples that are used (N,), by position among these."""
        place = np.cumsum(used) - 1
        pairs = tuple(
            replace(pair, first=int(place[pair.first]), second=int(place[pair.second]))
            for pair in self.found.pairs
            if used[pair.first] and used[pair.second]
        )
        found = replace(self.found, pairs=pairs, verifiable=self.found.verifiable[used])
        return replace(self, found=found)

    def table(self, samples: pd.DataFrame) -> pd.DataFrame:
        """Return one row a pair: files, declared groups, how they differ, and on what evidence they are one."""
        rows = [asdict(pair) | pair.alignment.described() for pair in self.found.pairs]
        table = pd.DataFrame(rows, columns=["first", "second", "sure", *Alignment.DESCRIBED])
        for side in ("second", "first"):
            at = table[side].to_numpy(dtype=np.intp)
            table.insert(0, f"{side}_group", samples["declared"].to_numpy()[at])
            table[side] = samples["sample"].to_numpy()[at]
        return table.astype({"sure": bool})


def keep_mark(pixels_sha256: str) -> str:
    """Return the key under which a picture's fingerprint is kept."""
    return f"fingerprint {FINGERPRINT_VERSION} {pixels_sha256}"


def find_copies(samples: pd.DataFrame, root: Path, kept: Kept, *, white: int | None = None) -> Copies:
    """Return the copies among samples with manifest columns; found once for the same pictures and declared groups.

    Pictures with equal pixels are searched once, and paired with each other unless they are blank. `white` as in
    `to_8_bits`.
    """
    key = _key(samples, white)
    known = kept.get(key)
    if known is not None:
        return _from_json(known)
    codes = pd.factorize(samples["pixels_sha256"])[0]  # in order of appearance: first stays before second
    first = np.unique(codes, return_index=True)[1]
    marks = _marks(samples.iloc[first], root, kept)
    names, groups = (samples[column].iloc[first].tolist() for column in ("sample", "group"))
    common, shared = find_shared(marks, groups), 0.0
    if common is not None:
        marks, shared = _without_shared(common, [root / name for name in names], groups)
    planted = plant(
        marks,
        names,
        lambda at: read_image(root / names[at], white=white),
        see=lambda pixels, at: common.recognize(pixels, groups[at])[0] if common else recognize(pixels),
    )
    found = find_pairs(marks, groups, planted)
    whole = _of_samples(found, codes, first, samples["constant"].to_numpy()[first])
    copies = Copies(whole, recall(planted, found.planted_found), shared)
    kept.put({key: _to_json(copies)})
    return copies


def _key(samples: pd.DataFrame, white: int | None) -> str:
    """Return the key of what is kept of a search: all that its pairs and its planted copies depend on."""
    versions = [COPIES_VERSION, FINGERPRINT_VERSION, CANARY_VERSION]
    rows = [samples["pixels_sha256"].tolist(), samples["group"].tolist(), is_jpeg(samples["sample"])]
    return f"copies {hashlib.sha256(json.dumps([versions, white, *rows]).encode()).hexdigest()}"


def _marks(samples: pd.DataFrame, root: Path, kept: Kept) -> list[Fingerprint]:
    """Return the pictures' fingerprints as they are kept; one that was lost is taken anew."""
    keys = [keep_mark(pixels) for pixels in samples["pixels_sha256"]]
    known = kept.get_all(keys)
    for key, name in zip(keys, samples["sample"], strict=True):
        if key not in known:
            path = root / name
            known[key] = recognize(image_pixels(read_file(path), path)).to_bytes()
            kept.put({key: known[key]})
    return [Fingerprint.from_bytes(known[key]) for key in keys]


def _without_shared(
    common: Shared, paths: Sequence[Path], groups: Sequence[str], threads: int = 2
) -> tuple[list[Fingerprint], float]:
    """Return the pictures' fingerprints without what strangers share, and how much that is in the mean."""

    def see(path: Path, group: str) -> tuple[Fingerprint, float]:
        return common.recognize(image_pixels(read_file(path), path), group)

    with ThreadPoolExecutor(threads) as pool:
        seen = list(pool.map(see, paths, groups))
    return [mark for mark, _ in seen], float(np.mean([share for _, share in seen]))


def _of_samples(
    found: Found, codes: NDArray[np.intp], first: NDArray[np.intp], blank: NDArray[np.bool_]
) -> Found:
    """Return what was found among distinct pictures as pairs of samples; equal ones pair with the first of them."""
    pairs = [replace(p, first=int(first[p.first]), second=int(first[p.second])) for p in found.pairs]
    equal = Alignment(np.eye(2, 3), False, 0, 1.0, 1.0)
    again = np.flatnonzero((first[codes] != np.arange(len(codes))) & ~blank[codes])
    pairs += [Pair(int(first[codes[row]]), int(row), equal, sure=True) for row in again]
    pairs.sort(key=lambda pair: (pair.first, pair.second))
    return replace(found, pairs=tuple(pairs), verifiable=found.verifiable[codes])


def _to_json(copies: Copies) -> bytes:
    found = copies.found
    pairs = [
        [p.first, p.second, p.sure, p.alignment.movement.tolist(), *list(asdict(p.alignment).values())[1:]]
        for p in found.pairs
    ]
    document = {
        "pairs": pairs,
        "verifiable": found.verifiable.tolist(),
        "calibration": asdict(found.calibration),
        "plain_run": found.plain_run,
        "plain_overlaps_run": found.plain_overlaps_run,
        "canary": copies.canary,
        "shared": copies.shared,
    }
    return json.dumps(document).encode()


def _from_json(kept: bytes) -> Copies:
    document = json.loads(kept)
    pairs = tuple(
        Pair(first, second, Alignment(np.array(movement), *rest), sure)
        for first, second, sure, movement, *rest in document["pairs"]
    )
    found = Found(
        pairs,
        np.array(document["verifiable"], bool),
        Calibration(**document["calibration"]),
        (),
        document["plain_run"],
        document["plain_overlaps_run"],
    )
    canary = {kind: (total, hits) for kind, (total, hits) in document["canary"].items()}
    return Copies(found, canary, document["shared"])
