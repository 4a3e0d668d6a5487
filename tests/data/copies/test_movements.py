from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from harness.data.copies import movements
from harness.data.copies.fingerprint import SIDE, Fingerprint, in_sixteenths
from harness.data.copies.movements import (
    PER_PAIRING,
    VOTES,
    KeyPoints,
    Meetings,
    best_of_each,
    pairs_of,
    roughly,
    straight,
)

POINTS = 40


def mark(points):
    """Return a picture with these key points, of which nothing else is known."""
    points = np.asarray(points, np.float32)
    return Fingerprint(
        SIDE, in_sixteenths(points), np.zeros((len(points), 128), np.uint8), np.zeros((96, 96), np.uint8)
    )


def scattered(seed):
    rng = np.random.default_rng(seed)
    places, sizes, angles = (
        rng.uniform(0, SIDE - 1, (POINTS, 2)),
        rng.uniform(2, 8, POINTS),
        rng.uniform(0, 360, POINTS),
    )
    return np.column_stack([places, sizes, angles])


def moved(points, *, turn=0.0, scale=1.0, x=0.0, y=0.0, mirrored=False):
    """Return key points after a movement, mirrored left to right at the end."""
    there = scale * np.exp(1j * np.radians(turn)) * (points[:, 0] + 1j * points[:, 1])
    across = there.real + x
    angle = points[:, 3] + turn
    if mirrored:
        across, angle = SIDE - 1 - across, 180 - angle
    return np.column_stack([across, there.imag + y, scale * points[:, 2], angle % 360])


def places(points, picture, which):
    """Return where these key points of a picture are in the row of all."""
    return int(np.searchsorted(points.picture, picture)) + np.asarray(which)


def met(marks, pairs, *, mirrored=False, count=POINTS):
    """Return pictures, and the meetings of some key points i of one with key point i of the other of each pair."""
    points, few = KeyPoints(marks), np.arange(count)
    numbers = [
        points.numbers(places(points, a, few), places(points, b, few), np.full(count, mirrored))
        for a, b in pairs
    ]
    return points, [np.sort(np.concatenate(numbers))]


def rows(meetings, told):
    with ThreadPoolExecutor(1) as pool:
        return best_of_each(*meetings, [told], pool).tolist()


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_two_key_points_tell_of_a_cut_a_mirror_and_a_quarter_turn(turn, mirrored):
    ours = scattered(0)
    theirs = moved(ours, turn=turn, x=260, y=-31, mirrored=mirrored)
    for told in (straight, roughly):
        few = met([mark(ours), mark(theirs)], [(0, 1)], mirrored=mirrored, count=VOTES)
        assert rows(few, told) == [[0, 1, int(mirrored)]]
        wrong = met([mark(ours), mark(theirs)], [(0, 1)], mirrored=not mirrored, count=3)
        assert rows(wrong, told) == []
        assert rows(met([mark(ours), mark(theirs)], [(0, 1)], mirrored=mirrored, count=VOTES - 1), told) == []


@pytest.mark.parametrize("turn", [-8, 8, 27, 133, 212])
@pytest.mark.parametrize("scale", [0.6, 0.9, 1.1, 1.6])
def test_any_turn_and_scale_is_told_roughly(turn, scale):
    ours = scattered(1)
    meetings = met([mark(ours), mark(moved(ours, turn=turn, scale=scale, x=60, y=20))], [(0, 1)], count=6)
    assert rows(meetings, roughly) == [[0, 1, 0]]


def test_another_scale_is_no_cut():
    ours = scattered(2)
    assert rows(met([mark(ours), mark(moved(ours, scale=1.5))], [(0, 1)]), straight) == []


def test_a_movement_is_told_where_cells_meet():
    """Key points are a px off, so that their votes often fall on both sides of an edge."""
    ours = scattered(3)
    for shift in np.arange(0, 40, 0.5):
        theirs = moved(ours, x=shift, y=-shift)
        theirs[1, :2] += 1
        meetings = met([mark(ours), mark(theirs)], [(0, 1)], count=2)
        assert rows(meetings, straight) == rows(meetings, roughly) == [[0, 1, 0]]


def test_two_turns_are_two_movements_even_where_both_bring_the_middle_to_one_place():
    ours = scattered(6)
    theirs = moved(ours, x=-20)
    theirs[1] = moved(ours, turn=90, x=SIDE - 20)[1]
    for told in (straight, roughly):
        assert rows(met([mark(ours), mark(theirs)], [(0, 1)], count=2), told) == []


def test_key_points_that_do_not_agree_seldom_tell_of_a_movement():
    strangers = [mark(scattered(seed)) for seed in range(30)]
    pairs = [(a, b) for a in range(30) for b in range(a + 1, 30)]
    assert len(rows(met(strangers, pairs, count=6), straight)) < len(pairs) / 100
    assert len(rows(met(strangers, pairs, count=6), roughly)) < len(pairs) / 20


def test_one_key_point_has_one_vote_however_many_it_met():
    ours = scattered(4)
    theirs = np.repeat(moved(ours, x=9)[:1], POINTS, 0)
    points = KeyPoints([mark(ours), mark(theirs)])
    first, all_of_it = places(points, 0, np.zeros(POINTS, int)), places(points, 1, np.arange(POINTS))
    numbers = points.numbers(first, all_of_it, np.zeros(POINTS, bool))
    for told in (straight, roughly):
        assert rows((points, [np.sort(numbers)]), told) == []


def test_each_picture_keeps_its_best_partners_and_is_kept_by_others():
    ours, others = scattered(5), 2 * PER_PAIRING
    marks = [mark(ours), *(mark(moved(ours, x=n)) for n in range(others))]
    meetings = met(marks, [(0, n) for n in range(1, others + 1)])
    assert len(rows(meetings, straight)) == others, "each is the best of its partner"
    crowd = [mark(ours) for _ in range(40)]
    kept = rows(met(crowd, [(a, b) for a in range(40) for b in range(a + 1, 40)], count=3), straight)
    assert 40 * PER_PAIRING / 2 <= len(kept) <= 2 * 40 * PER_PAIRING


def test_the_same_is_told_however_many_are_read_at_once(monkeypatch):
    strangers = [mark(scattered(seed)) for seed in range(12)]
    meetings = met(strangers, [(a, b) for a in range(12) for b in range(a + 1, 12)], count=12)
    whole = [rows(meetings, told) for told in (straight, roughly)]
    for few in (1, 7, 12, 100):
        monkeypatch.setattr(movements, "AT_ONCE", few)
        assert [rows(meetings, told) for told in (straight, roughly)] == whole
    assert len(whole[1]) > 0


def test_all_ways_of_telling_are_put_together():
    ours = scattered(7)
    marks = [mark(ours), mark(moved(ours, x=30)), mark(moved(ours, turn=27, x=60, y=20))]
    points, tables = met(marks, [(0, 1), (0, 2)], count=6)
    with ThreadPoolExecutor(1) as pool:
        both = best_of_each(points, tables, (straight, roughly), pool)
        nothing = [np.zeros(0, np.uint64)] * 3
        assert best_of_each(points, nothing, (straight,), pool).shape == (0, 3)
    assert rows((points, tables), straight) == [[0, 1, 0]]
    assert both.tolist() == [[0, 1, 0], [0, 2, 0]]


def test_meetings_may_lie_in_several_tables_and_count_once():
    ours = scattered(8)
    points, tables = met([mark(ours), mark(moved(ours, x=9))], [(0, 1)], count=2)
    apart = [tables[0][:1], tables[0][1:]]
    assert rows((points, apart), straight) == [[0, 1, 0]]
    assert rows((points, [tables[0][:1]] * 5), straight) == []


def test_of_a_crowd_those_with_most_votes_are_kept(monkeypatch):
    ours = scattered(9)
    marks = [mark(moved(ours, x=n)) for n in range(4)]
    points, (few,) = met(marks, [(0, 1), (2, 3)], count=VOTES)
    _, (many,) = met(marks, [(0, 2), (0, 3), (1, 2), (1, 3)], count=20)
    best = [[0, 2, 0], [0, 3, 0], [1, 2, 0], [1, 3, 0]]
    assert rows((points, [few, many]), straight) == sorted([*best, [0, 1, 0], [2, 3, 0]])
    monkeypatch.setattr(movements, "MOST", 1)
    assert rows((points, [few, many]), straight) == best, "one a picture in any case"


def test_a_large_family_takes_no_place_from_the_best_of_another_picture(monkeypatch):
    monkeypatch.setattr(movements, "MOST", 1)
    ours, other = scattered(12), scattered(13)
    family = [mark(moved(ours, x=n)) for n in range(12)]
    marks = [*family, mark(other), mark(moved(other, x=5))]
    points, (many,) = met(marks, [(a, b) for a in range(12) for b in range(a + 1, 12)], count=20)
    _, (few,) = met(marks, [(12, 13)], count=VOTES)
    kept = rows((points, [many, few]), straight)
    assert [12, 13, 0] in kept
    assert len(kept) == len(marks)


def test_numbers_of_many_pictures_are_read_back():
    """As many as an audit may have; two key points each of the first and the last."""
    pictures = 200_000
    ours = scattered(11)[:2]
    empty = mark(np.zeros((0, 4)))
    points = KeyPoints([mark(ours), *[empty] * (pictures - 2), mark(moved(ours, x=9))])
    numbers = points.numbers(np.array([3, 0]), np.array([1, 2]), np.array([True, False]))
    met = Meetings(points, numbers)
    assert [part.tolist() for part in pairs_of(met.which, pictures)] == [
        [0, 0],
        [pictures - 1] * 2,
        [True, False],
    ]
    assert met.point.tolist() == [1, 0]
