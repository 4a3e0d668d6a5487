"""`new` and `check` on magnetic_tile's pictures and masks alone: how long, and which of the pack's pairs they part.

The pack's table (instances.csv, made with care from the recording and from the pictures) says which pictures show one
tile. `new` does not see it. HARNESS_DATA names the folder of the pack.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

from harness.data.index import index_samples
from harness.prepare import built_and_prepared
from harness.studyfile import CACHES, load

HARNESS = [sys.executable, "-m", "harness.study"]


def pairs_of(groups: "pd.Series[str]") -> int:
    """Return how many pairs of pictures are in one group."""
    sizes = groups.value_counts()
    return int((sizes * (sizes - 1) // 2).sum())


def compared(told: "pd.Series[str]", found: "pd.Series[str]") -> tuple[int, int, int]:
    """Return the pairs that are told to show one thing, how many of them are found in two groups, and pairs joined
    that are told apart; both are groups by picture.
    """
    both = pd.concat([told.rename("told"), found.rename("found")], axis=1, join="inner")
    if len(both) != len(told):
        raise ValueError(f"{len(told) - len(both)} pictures of the table were not found")
    kept = pairs_of(both["told"] + "\0" + both["found"])
    return pairs_of(both["told"]), pairs_of(both["told"]) - kept, pairs_of(both["found"]) - kept


def main() -> None:
    """Print times, the rule, and the pairs that it and the groups of `check` part."""
    pack = Path(os.environ["HARNESS_DATA"], "magnetic_tile").resolve()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)  # with caches and a home of its own
        _timed("new", "tiles", "--images", str(pack / "images"), "--masks", str(pack / "masks"))
        _timed("check", "tiles")
        study, file = load("tiles")
        rule = study.data.group
        print(f"\nrule: {rule.name} {dict(rule.settings)}, data.groups: {study.data.groups}\n")
        table = pd.read_csv(pack / "instances.csv")
        told = pd.Series(
            table["source_image_id"].to_numpy(), [Path(name).stem for name in table["sample_path"]]
        )
        base = file.parent.resolve()
        alone = index_samples(study.data.dataset, study.data.group, base=base, cache=CACHES).samples
        joined = built_and_prepared(study, file, Path("mlruns")).samples
    print("| groups | number | pairs of the table | cut | share | joined, told apart |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, samples in (("the rule alone", alone), ("as the study file has it", joined)):
        found = pd.Series(
            samples["group"].astype(str).to_numpy(), [Path(one).stem for one in samples["sample"]]
        )
        pairs, cut, much = compared(told, found)
        print(f"| {name} | {found.nunique()} | {pairs:,} | {cut:,} | {cut / pairs:.1%} | {much:,} |")


def _timed(*arguments: str) -> None:
    began = time.perf_counter()
    subprocess.run([*HARNESS, *arguments], check=True, stdin=subprocess.DEVNULL)
    print(f"\n{arguments[0]}: {time.perf_counter() - began:.0f} s\n", flush=True)


if __name__ == "__main__":
    main()
