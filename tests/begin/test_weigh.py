import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pytest

from harness.begin.text import told
from harness.begin.weigh import as_given, weigh_all
from harness.config import Choice, Data
from harness.data.copies.search import Copies, find_copies
from harness.data.demo import write_demo
from harness.data.index import index_samples
from harness.data.kept import Kept
from harness.data.manifest import read_manifest

SOURCES = 24


class Found(NamedTuple):
    samples: pd.DataFrame
    root: Path
    copies: Copies
    source: dict[str, str]


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Found]:
    """Pictures of the built-in data under names of frames: those of one source follow each other, 3 apart."""
    root = tmp_path_factory.mktemp("frames")
    write_demo(root / "demo", sources=SOURCES)
    table = pd.read_csv(root / "demo" / "instances.csv")
    (root / "images").mkdir()
    (root / "masks").mkdir()
    number, source = 0, {}
    for group, rows in table.groupby("source_image_id"):
        number += 100
        for row in rows.itertuples():
            number += 3
            name = f"cam_{number:06d}.png"
            shutil.copy(root / "demo" / str(row.sample_path), root / "images" / name)
            shutil.copy(root / "demo" / str(row.mask_path), root / "masks" / name)
            source[name] = str(group)
    dataset = Choice(name="folders", settings={"images": "images", "masks": "masks"})
    index = index_samples(dataset, base=root, cache=root)
    with closing(Kept(root / "cache")) as kept:
        samples = read_manifest(index, Data(dataset=dataset), kept=kept).samples
        yield Found(samples, index.root, find_copies(samples, index.root, kept), source)


def test_frames_that_follow_each_other_are_told_by_the_pictures(frames: Found) -> None:
    best, *others = weigh_all(frames.samples, frames.root, frames.copies)
    assert best.rule.choice.name == "runs"
    assert best.rule.choice.settings["gap"] in (3, 6)
    assert best.groups == SOURCES
    assert (best.cut, best.pairs) == (0, len(frames.copies.sure()))
    (alone,) = (one for one in others if one.rule.choice.name == "image")
    assert alone.cut == alone.pairs > 10
    assert alone.groups == len(frames.samples) > alone.joined >= SOURCES
    assert f"cuts {alone.cut} of {alone.pairs} verified pairs, {alone.joined} once" in told(alone)


def test_numbers_that_show_one_thing_half_of_the_time_make_no_rule(frames: Found) -> None:
    samples = frames.samples.assign(source=frames.samples["sample"].map(frames.source))
    turn = (
        samples.groupby("source").cumcount() // 2
    )  # two of a source follow each other, then two of the next
    order = samples.assign(turn=turn).sort_values(["turn", "source"], kind="stable").index
    names = pd.Series([f"cam_{3 * n:06d}.png" for n in range(len(order))], index=order)
    found = weigh_all(samples.assign(sample=names.sort_index()), frames.root, frames.copies)
    assert "runs" not in [one.rule.choice.name for one in found]


def test_of_rules_that_cut_nothing_the_one_with_the_fewest_groups_is_the_safest(frames: Found) -> None:
    sources = [int(frames.source[name][1:]) for name in frames.samples["sample"]]
    names = [f"P{source // 2:02d}_{source:02d}_{n}.png" for n, source in enumerate(sources)]
    best, second, *_ = weigh_all(frames.samples.assign(sample=names), frames.root, frames.copies)
    assert (best.rule.words, best.groups) == ("the first part of a name", SOURCES // 2)
    assert (second.rule.words, second.groups) == ("the first 2 parts of a name", SOURCES)
    assert best.cut == second.cut == 0


def test_a_rule_that_leaves_too_few_groups_comes_last_and_says_so(frames: Found) -> None:
    halves = frames.samples.assign(sample=[f"{'ab'[n % 2]}_{n}x.png" for n in range(len(frames.samples))])
    coarse = [one for one in weigh_all(halves, frames.root, frames.copies) if one.groups == 2]
    assert not any(one.is_usable for one in coarse)
    assert all("too few or too large for five folds" in told(one) for one in coarse)


def test_groups_that_a_data_set_names_are_held_against_the_pictures(frames: Found) -> None:
    true = frames.samples["sample"].map(frames.source)
    assert as_given(frames.samples.assign(group=true), frames.copies).cut == 0
    torn = as_given(frames.samples, frames.copies)
    assert torn.cut == torn.pairs
