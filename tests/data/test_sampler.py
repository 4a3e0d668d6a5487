from collections import Counter
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest

from harness.config import Choice
from harness.data.sampler import SAMPLERS, Batches, build_order
from harness.errors import ConfigError

SAMPLER_NAMES = sorted(SAMPLERS)


def table(scales: Sequence[int], positive: Sequence[bool]) -> pd.DataFrame:
    """Return the rows of instances with so many scales each, interleaved."""
    rows = [
        {"instance": f"i{number:03}", "positive": 20 * bool(target)}
        for number, (count, target) in enumerate(zip(scales, positive, strict=True))
        for _ in range(count)
    ]
    return pd.DataFrame(rows).sample(frac=1, random_state=0).reset_index(drop=True)


def batches_of(
    samples: pd.DataFrame,
    size: int,
    *,
    sampler: str = "spread",
    streams: tuple[int, ...] = (17, 0, 0),
    positions: Sequence[int] | None = None,
) -> Batches:
    chosen = np.arange(len(samples)) if positions is None else np.array(positions)
    return Batches(samples, chosen, size, build_order(Choice(name=sampler)), streams)


def epoch(batches: Batches, number: int) -> list[list[int]]:
    batches.epoch = number
    keys = list(batches)
    assert {key[0] for batch in keys for key in batch} == {number}
    return [[position for _, position in batch] for batch in keys]


@pytest.mark.parametrize("sampler", SAMPLER_NAMES)
def test_every_epoch_shows_each_instance_once(sampler: str) -> None:
    samples = table([3] * 12 + [1] * 9, [True] * 15 + [False] * 6)
    batches = batches_of(samples, 4, sampler=sampler)
    for number in range(1, 60):
        shown = samples["instance"].iloc[[p for batch in epoch(batches, number) for p in batch]]
        assert sorted(shown) == sorted(samples["instance"].unique())


@pytest.mark.parametrize("sampler", SAMPLER_NAMES)
def test_each_scale_of_an_instance_is_drawn_about_equally_often(sampler: str) -> None:
    samples = table([3] * 8, [True] * 5 + [False] * 3)
    batches = batches_of(samples, 4, sampler=sampler)
    count = Counter(
        position for number in range(1, 601) for batch in epoch(batches, number) for position in batch
    )
    assert len(count) == 24
    assert min(count.values()) > 150  # 200 expected
    assert max(count.values()) < 250


@pytest.mark.parametrize("sampler", SAMPLER_NAMES)
def test_only_the_given_positions_are_drawn(sampler: str) -> None:
    samples = table([3] * 12, [True] * 12)
    allowed = [row for row, name in enumerate(samples["instance"]) if name < "i005"]
    batches = batches_of(samples, 2, sampler=sampler, positions=allowed[:-1])
    shown = {position for number in range(1, 40) for batch in epoch(batches, number) for position in batch}
    assert shown == set(allowed[:-1])


@pytest.mark.parametrize("sampler", SAMPLER_NAMES)
@pytest.mark.parametrize(("instances", "size"), [(1, 8), (8, 8), (9, 8), (31, 8), (33, 8), (7, 2), (10, 1)])
def test_batches_are_nearly_equal_and_never_larger_than_asked(
    sampler: str, instances: int, size: int
) -> None:
    batches = batches_of(table([1] * instances, [True] * instances), size, sampler=sampler)
    for number in range(1, 20):
        sizes = [len(batch) for batch in epoch(batches, number)]
        assert len(sizes) == len(batches) == -(-instances // size)
        assert max(sizes) <= size
        assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize(
    ("positive", "instances", "size"), [(8, 57, 8), (9, 57, 8), (20, 57, 8), (3, 40, 8), (4, 11, 3)]
)
def test_spread_gives_batches_equal_shares_of_positives(positive: int, instances: int, size: int) -> None:
    samples = table([2] * instances, [number < positive for number in range(instances)])
    batches = batches_of(samples, size)
    for number in range(1, 100):
        shares = [int((samples["positive"].iloc[batch] > 0).sum()) for batch in epoch(batches, number)]
        assert sum(shares) == positive
        assert max(shares) - min(shares) <= 1  # so every batch has one where there are enough


def test_spread_still_mixes_who_meets_whom() -> None:
    batches = batches_of(table([1] * 40, [number < 10 for number in range(40)]), 8)
    together = {frozenset(batch) for number in range(1, 50) for batch in epoch(batches, number)}
    assert len(together) == 49 * 5
    first = {epoch(batches, number)[0][0] for number in range(1, 200)}
    assert len(first) > 9


@pytest.mark.parametrize("sampler", SAMPLER_NAMES)
def test_seed_repeat_fold_and_epoch_decide_the_order_and_nothing_else(sampler: str) -> None:
    samples = table([3] * 20, [number < 10 for number in range(20)])
    fresh = batches_of(samples, 4, sampler=sampler)
    used = batches_of(samples, 4, sampler=sampler)
    np.random.seed(3)
    for number in (5, 2, 9):
        epoch(used, number)
    assert epoch(used, 4) == epoch(fresh, 4) == epoch(fresh, 4)
    others = [epoch(fresh, 5)]
    for streams in ((18, 0, 0), (17, 1, 0), (17, 0, 1)):
        others.append(epoch(batches_of(samples, 4, sampler=sampler, streams=streams), 4))
    assert all(other != epoch(fresh, 4) for other in others)
    assert len({str(other) for other in others}) == 4


def test_an_unknown_sampler_or_setting_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"train\.sampler: 'spred' is not known, did you mean 'spread'\?"):
        build_order(Choice(name="spred"))
    with pytest.raises(ConfigError, match=r"train\.sampler\.spread\.share: 'spread' has no such setting"):
        build_order(Choice(name="spread", settings={"share": 0.5}))
