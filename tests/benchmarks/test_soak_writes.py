"""A study killed before and after some of its writes goes on to the same end; `make soak` does it at all of them."""

import random
from collections import Counter

import pytest

from benchmarks.soak_writes import Point, Soak, live, points_of

POINTS = 12


@pytest.fixture(scope="module")
def soak(tmp_path_factory: pytest.TempPathFactory) -> Soak:
    return Soak(tmp_path_factory.mktemp("soak"))


def test_a_study_killed_at_any_of_some_drawn_writes_ends_as_if_it_had_not_been(soak: Soak) -> None:
    points = random.Random(12).sample(points_of(soak.count), POINTS)
    verdicts = [soak.try_at(point) for point in points]
    assert [verdict.line() for verdict in verdicts if verdict.wrong] == []
    assert sum(verdict.killed for verdict in verdicts) >= POINTS - 1, "writes by the clock may not be reached"


def test_every_layer_that_writes_is_among_the_sites(soak: Soak) -> None:
    text = "\n".join(soak.count)
    for site in (
        "cache.build_cache",
        "ledger._write_rows",
        "groups.write_groups",
        "outbox.append",
        "snapshot",
        "checkpoint.commit",
        "slots.",
        "delivery.",
    ):
        assert site in text


def test_what_a_kill_spoils_would_be_told(soak: Soak) -> None:
    """The weights of a fold are changed behind the study's back, after it ended."""
    home = soak.copied(soak.folder / "spoiled")
    live(soak.prepared, home)
    assert soak.wrong(home) == ()
    weights = next(home.glob("work/*/*/*/weights.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    assert {line.partition(":")[0] for line in soak.wrong(home)} >= {"files", "doctor"}


def test_first_and_last_of_each_site_are_points_before_and_after() -> None:
    points = points_of(Counter({"open in a": 1, "fsync in b": 7}))
    assert points == [
        Point("fsync in b", 1, after=False),
        Point("fsync in b", 1, after=True),
        Point("fsync in b", 7, after=False),
        Point("fsync in b", 7, after=True),
        Point("open in a", 1, after=False),
        Point("open in a", 1, after=True),
    ]
