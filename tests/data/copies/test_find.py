import cv2
import numpy as np
import pytest

from harness.data.copies import calibrate
from harness.data.copies.align import SAME
from harness.data.copies.calibrate import FEWEST_INLIERS
from harness.data.copies.canary import Planted, plant
from harness.data.copies.find import find_pairs
from harness.data.copies.join import join_groups
from harness.data.copies.plants import PLANTS, as_jpeg
from harness.data.copies.recognize import is_verifiable, recognize
from tests.data.copies.conftest import mark, marks, own_groups, picture

STRANGERS = 40
ORIGINS = (3, 11, 30)


@pytest.fixture(autouse=True)
def _few(monkeypatch):
    monkeypatch.setattr(calibrate, "UNRELATED", 500)


def sure(found):
    return {(pair.first, pair.second) for pair in found.pairs if pair.sure}


def shipped(image, ending):
    return as_jpeg(image, 90) if ending == "jpg" else image


@pytest.fixture(scope="module")
def strangers():
    """Return fingerprints of strangers by surface and format, each drawn once."""
    made = {}

    def draw(kind, ending):
        if (kind, ending) not in made:
            pictures = (picture(kind, number) for number in range(STRANGERS))
            made[kind, ending] = [recognize(shipped(image, ending)) for image in pictures]
        return made[kind, ending]

    return draw


@pytest.fixture(scope="module")
def with_copies(strangers):
    """Return grain with a copy of each kind of one picture."""
    rng = np.random.default_rng(2)
    return [
        *strangers("grain", "png"),
        *(recognize(copy(picture("grain", 7), rng)) for copy in PLANTS.values()),
    ]


@pytest.mark.parametrize("ending", ["png", "jpg"])
@pytest.mark.parametrize("kind", ["grain", "weave"])
def test_each_copy_is_found_and_no_strangers_are_paired(strangers, kind, ending):
    rng = np.random.default_rng(1)
    planted = [
        Planted(name, origin, recognize(shipped(copy(picture(kind, origin), rng), ending)))
        for origin in ORIGINS
        for name, copy in PLANTS.items()
    ]
    found = find_pairs(strangers(kind, ending), own_groups(STRANGERS), planted, threads=1)
    missed = [(p.kind, p.origin) for p, hit in zip(planted, found.planted_found, strict=True) if not hit]
    assert missed == []
    assert found.pairs == ()
    assert found.verifiable.all()
    assert found.calibration.threshold == FEWEST_INLIERS
    assert found.calibration.unrelated > 500


def test_weaves_that_lie_in_step_are_strangers():
    found = find_pairs(marks("regular weave", 30), own_groups(30), threads=1)
    assert found.verifiable.mean() > 0.9
    assert sure(found) == set()


def test_copies_in_the_set_are_pairs_that_lie_as_they_were_made(with_copies):
    found = find_pairs(with_copies, own_groups(len(with_copies)), threads=1)
    copies = {7, *range(STRANGERS, len(with_copies))}
    assert {(7, copy) for copy in copies - {7}} <= sure(found)
    for pair in found.pairs:
        assert {pair.first, pair.second} <= copies
        assert pair.first < pair.second
        assert not pair.sure or pair.alignment.agreement >= SAME
    mirrored = {pair.second for pair in found.pairs if pair.first == 7 and pair.alignment.mirrored}
    assert mirrored == {STRANGERS + list(PLANTS).index("mirrored")}
    keys = [(pair.first, pair.second) for pair in found.pairs]
    assert keys == sorted(set(keys))


def test_what_was_planted_is_found_beside_the_sets_own_pairs(with_copies):
    planted = [Planted("relit", 5, mark("grain", 5)), Planted("relit", 5, mark("grain", 6))]
    found = find_pairs(with_copies, own_groups(len(with_copies)), planted, threads=1)
    assert found.planted_found == (True, False)
    assert sure(found) == sure(find_pairs(with_copies, own_groups(len(with_copies)), threads=1))


def test_pairs_do_not_depend_on_threads(with_copies):
    groups = own_groups(len(with_copies))
    first, *others = (find_pairs(with_copies, groups, threads=threads) for threads in (1, 4))
    for other in others:
        assert other.calibration == first.calibration
        assert [(p.first, p.second, p.sure) for p in other.pairs] == [
            (p.first, p.second, p.sure) for p in first.pairs
        ]
        for ours, theirs in zip(first.pairs, other.pairs, strict=True):
            np.testing.assert_array_equal(ours.alignment.movement, theirs.alignment.movement)
            assert ours.alignment.agreement == theirs.alignment.agreement


def test_another_order_of_the_pictures_changes_positions_only(with_copies):
    order = np.random.default_rng(4).permutation(len(with_copies))
    groups = own_groups(len(with_copies))
    straight = sure(find_pairs(with_copies, groups, threads=1))
    shuffled = find_pairs([with_copies[i] for i in order], [groups[i] for i in order], threads=1)
    assert {tuple(sorted((int(order[a]), int(order[b])))) for a, b in sure(shuffled)} == straight


@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_set_of_few_pictures_is_searched_too(count):
    for kind in ("grain", "brushed"):
        found = find_pairs(marks(kind, count), own_groups(count), threads=1)
        assert found.pairs == ()
        assert found.plain_run == (kind == "brushed" and count == 2)
        assert found.calibration.threshold == FEWEST_INLIERS


def test_a_copy_is_found_among_three():
    few = [mark("grain", 0), mark("grain", 1), mark("grain", 0)]
    assert sure(find_pairs(few, own_groups(3), threads=1)) == {(0, 2)}


def printed(count):
    """Return grain of its own beside one printed pattern in one place, with noise everywhere."""
    found = []
    for number in range(count):
        image = picture("grain", number).astype(float)
        image[:, :160] = picture("grain", 500)[:, :160]
        image += np.random.default_rng(number).normal(0, 16, image.shape)
        found.append(recognize(image.clip(0, 255).astype(np.uint8)))
    return found


def test_a_pattern_that_all_pictures_show_raises_the_threshold():
    marked = printed(16)
    found = find_pairs(marked, own_groups(16), threads=1)
    assert found.calibration.threshold > 2 * FEWEST_INLIERS
    assert found.calibration.reached >= found.calibration.threshold / 2
    assert sure(found) == set()
    copied = [*marked, marked[4]]
    assert sure(find_pairs(copied, own_groups(17), threads=1)) == {(4, 16)}


def test_copies_under_ids_of_their_own_do_not_raise_the_threshold():
    """Ten things, each photographed four times: 7.7 % of all pairs of pictures show one thing."""
    cuts = [mark("grain", thing, 12 * k, 20 * k) for thing in range(10) for k in range(4)]
    found = find_pairs(cuts, own_groups(40), threads=1)
    assert found.calibration.threshold == FEWEST_INLIERS
    assert found.calibration.above == 0
    assert sure(found) == {(4 * t + a, 4 * t + b) for t in range(10) for b in range(4) for a in range(b)}


def test_pictures_of_one_declared_group_do_not_calibrate():
    cuts = [mark("grain", thing, 12 * k, 20 * k) for thing in range(10) for k in range(4)]
    found = find_pairs(cuts, [f"g{number // 4}" for number in range(40)], threads=1)
    assert found.calibration.most < FEWEST_INLIERS


def test_verifiable_is_told_for_each_picture_and_plain_ones_are_compared_apart():
    mixed = [mark("grain", 0), mark("brushed", 0), mark("weave", 0), mark("brushed", 0), mark("grain", 0)]
    mixed.append(mark("brushed", 1))
    found = find_pairs(mixed, own_groups(6), threads=1)
    assert found.verifiable.tolist() == [is_verifiable(m) for m in mixed] == [True, False] * 2 + [True, False]
    assert sure(found) == {(0, 4), (1, 3)}


def test_a_stamp_on_a_quarter_of_two_pictures_is_shown_and_is_not_sure():
    stamped = marks("grain", 10)
    for number in (20, 21):
        image = picture("grain", number).copy()
        image[64:192, 64:192] = picture("grain", 500)[:128, :128]
        stamped.append(recognize(image))
    found = find_pairs(stamped, own_groups(12), threads=1)
    assert [(pair.first, pair.second, pair.sure) for pair in found.pairs] == [(10, 11, False)]


def test_two_equal_pictures_among_flat_ones_are_a_pair():
    noise = np.clip(np.random.default_rng(8).normal(120, 60, (256, 256)), 0, 255).astype(np.uint8)
    grain = cv2.GaussianBlur(noise, (0, 0), 1.6)
    flat = [np.full((256, 256), gray, np.uint8) for gray in (90, 120, 150)]
    found = find_pairs([recognize(shown) for shown in (grain, *flat, grain)], list("abcde"))
    assert [(pair.first, pair.second, pair.sure) for pair in found.pairs] == [(0, 4, True)]


def test_few_things_in_all_eight_ways_they_can_lie_are_told_from_each_other():
    """Six surfaces, 48 pictures: 15 % of all pairs show one thing, straight as often as mirrored."""
    ways = [
        (thing, turns, mirrored) for thing in range(6) for turns in range(4) for mirrored in (False, True)
    ]
    turned = [np.rot90(picture("grain", thing), turns) for thing, turns, _ in ways]
    seen = [
        image[:, ::-1] if mirrored else image for image, (_, _, mirrored) in zip(turned, ways, strict=True)
    ]
    found = find_pairs([recognize(image) for image in seen], own_groups(48), threads=1)
    assert found.calibration.threshold == FEWEST_INLIERS
    joined = join_groups(own_groups(48), found.pairs, threshold=FEWEST_INLIERS).names
    assert len({joined.get(name, name) for name in own_groups(48)}) == 6
    assert all(a // 8 == b // 8 for a, b in sure(found))


def test_planted_copies_take_nothing_from_weaker_links():
    """Two pictures side by side in a third: each fills half of it, at half its size."""
    parts = [picture("grain", number) for number in range(16)]
    stitched = [np.hstack([parts[2 * n], parts[2 * n + 1]]) for n in range(8)]
    marks = [recognize(image) for image in [*parts, *stitched]]
    planted = plant(marks, ["a.png"] * len(marks), [*parts, *stitched].__getitem__)
    alone, beside = (find_pairs(marks, own_groups(24), at, threads=1) for at in ((), planted))
    wanted = {(2 * n + side, 16 + n) for n in range(8) for side in (0, 1)}
    assert sure(beside) == sure(alone) == wanted
