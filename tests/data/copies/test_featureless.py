from dataclasses import replace

import numpy as np
import pytest

from harness.data.copies import featureless
from harness.data.copies.featureless import VERSIONS, align_textures, pairs_of, propose_copies, version
from harness.data.copies.find import PLAIN_SAME, find_pairs
from harness.data.copies.fingerprint import SIDE
from harness.data.copies.plants import PLANTS
from harness.data.copies.recognize import recognize
from tests.data.copies.conftest import mark, own_groups, picture

COUNT = 16


def bare(found):
    """Return a fingerprint without the few key points that a brushed surface has."""
    return replace(found, sixteenths=found.sixteenths[:0], descriptors=found.descriptors[:0])


def plain(count, first=0, **at):
    return [bare(mark("brushed", number, **at)) for number in range(first, first + count)]


def sure(found):
    return {(pair.first, pair.second) for pair in found.pairs if pair.sure}


@pytest.mark.parametrize("first", [0, 100])
def test_brushed_strangers_are_no_pairs(first):
    found = find_pairs(plain(COUNT, first), own_groups(COUNT), threads=1)
    assert not found.verifiable.any()
    assert found.plain_run
    assert found.plain_overlaps_run
    assert found.pairs == ()


@pytest.mark.parametrize("kind", ["re-encoded", "resized", "relit", "mirrored", "turned"])
def test_copies_of_brushed_surfaces_are_sure(kind):
    rng = np.random.default_rng(1)
    copies = [bare(recognize(PLANTS[kind](picture("brushed", number), rng))) for number in range(5)]
    found = find_pairs([*plain(COUNT), *copies], own_groups(COUNT + 5), threads=1)
    assert sure(found) == {(number, COUNT + number) for number in range(5)}
    assert {pair.alignment.mirrored for pair in found.pairs} == {kind == "mirrored"}


def cloth(number):
    """Return a piece of one cloth of equal threads, from another place, with a grain of its own."""
    rng = np.random.default_rng(number)
    down, right = np.indices((256, 256)) + rng.uniform(0, 24, 2)[:, None, None]
    threads = np.sin(down * 2 * np.pi / 24) + 0.7 * np.sin(right * 2 * np.pi / 24)
    return (128 + 50 * threads + rng.normal(0, 12, (256, 256))).clip(0, 255).astype(np.uint8)


def test_pieces_of_one_cloth_are_no_copies_and_a_copy_among_them_is_sure():
    pieces = [bare(recognize(cloth(number))) for number in range(6)]
    relit = bare(recognize((cloth(0) * 0.8 + 10).astype(np.uint8)))
    found = list(pairs_of([*pieces, relit], overlaps=True))
    strangers = [at.agreement for a, b, at in found if (a, b) != (0, 6)]
    assert max(strangers) > PLAIN_SAME
    assert max(strangers) < featureless.repetition(pieces[0]) + 0.05
    assert sure(find_pairs([*pieces, relit], own_groups(7), threads=1)) == {(0, 6)}


def test_brushed_surfaces_do_not_repeat_themselves():
    assert max(featureless.repetition(one) for one in plain(COUNT)) < 2 * PLAIN_SAME - 1


@pytest.mark.parametrize("number", range(len(VERSIONS)))
@pytest.mark.parametrize("shape", [(256, 256), (256, 160)])
def test_a_turned_and_mirrored_copy_lies_where_its_movement_says(number, shape):
    mirrored, turns = VERSIONS[number]
    image = picture("brushed", 0)[: shape[0], : shape[1]]
    first, second = recognize(image), recognize(version(image, mirrored, turns))
    pairs = list(pairs_of([mark("brushed", 1), first, second], overlaps=False))
    (found,) = [at for a, b, at in pairs if (a, b) == (1, 2)]
    assert found.agreement > 0.98
    assert found.overlap > 0.97
    height, width = (round(length * SIDE / 256) for length in shape)
    corners = found.movement @ np.array([(0, 0, 1), (width - 1, height - 1, 1)], float).T
    last = np.array(version(np.zeros((height, width), np.uint8), mirrored, turns).shape)[::-1] - 1
    ends = np.sort(corners, axis=1).T
    assert np.abs(ends[0]).max() <= 1
    assert np.abs(ends[1] - last).max() <= 1


@pytest.mark.parametrize("number", range(len(VERSIONS)))
def test_copies_are_proposed_the_right_way_whichever_comes_first(number):
    image = picture("brushed", 0)
    copy = recognize(version(image, *VERSIONS[number]))
    for pair in ([mark("brushed", 0), copy], [copy, mark("brushed", 0)]):
        (way,) = [v for a, b, v in propose_copies([*pair, mark("brushed", 3)]) if (a, b) == (0, 1)]
        assert align_textures(*pair, way).agreement > PLAIN_SAME


def test_overlapping_cuts_of_one_brushed_surface_are_sure():
    found = find_pairs([*plain(COUNT), *plain(4, y=64, x=32)], own_groups(COUNT + 4), threads=1)
    assert sure(found) == {(number, COUNT + number) for number in range(4)}
    for pair in found.pairs:
        along, across = pair.alignment.movement[:, 2]
        assert across == pytest.approx(-48, abs=2)
        assert along == pytest.approx(-24, abs=24), "streaks are nearly the same all along"
        assert pair.alignment.overlap == pytest.approx(0.75 * 0.875, abs=0.1)


def test_above_some_hundred_overlaps_are_said_not_to_be_looked_for(monkeypatch):
    many = [*plain(10), *plain(2, y=80), *plain(1, first=3)]
    assert sure(find_pairs(many, own_groups(13), threads=1)) == {(0, 10), (1, 11), (3, 12)}
    monkeypatch.setattr(featureless, "ALIKE", 0.7)  # so that none is met by luck
    monkeypatch.setattr(featureless, "MOST_OVERLAPS", 12)
    found = find_pairs(many, own_groups(13), threads=1)
    assert (found.plain_run, found.plain_overlaps_run) == (True, False)
    assert sure(found) == {(3, 12)}, "whole copies are found all the same"
    monkeypatch.setattr(featureless, "MOST", 12)
    found = find_pairs(many, own_groups(13), threads=1)
    assert (found.plain_run, found.plain_overlaps_run, found.pairs) == (False, False, ())


def test_flat_pictures_are_no_copies_of_each_other():
    noise = np.random.default_rng(0)
    flat = [recognize(noise.normal(level, 1.0, (256, 256)).astype(np.uint8)) for level in range(60, 200, 20)]
    constant = [recognize(np.full((256, 256), level, np.uint8)) for level in (0, 90, 255)]
    found = find_pairs([*flat, *constant], own_groups(10), threads=1)
    assert found.plain_run
    assert found.pairs == ()


def test_what_all_brushed_pictures_show_makes_no_two_of_them_one():
    """A dark frame, as of a holder, around streaks of their own or around nothing."""
    framed = []
    for number in range(10):
        image = 120 + (picture("brushed", number).astype(float) - 120) / 10
        image[:, 20:28] = image[20:28] = image[:, -28:-20] = image[-28:-20] = 20
        framed.append(recognize(image.astype(np.uint8)))
    found = find_pairs(framed, own_groups(10), threads=1)
    assert not found.verifiable.any()
    assert (found.plain_run, found.plain_overlaps_run, found.pairs) == (False, False, ())
