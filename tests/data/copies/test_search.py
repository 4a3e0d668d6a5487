"""The search as a study calls it: samples in, pairs out, and what is kept on the way."""

import shutil
import sqlite3

import cv2
import numpy as np
import pytest

from harness.config import Choice, Data
from harness.data.copies import search
from harness.data.copies.fingerprint import FINGERPRINT_VERSION
from harness.data.copies.search import find_copies, keep_mark
from harness.data.index import index_samples
from harness.data.kept import Kept
from harness.data.manifest import read_manifest
from harness.data.rows import Index
from tests.data.copies.conftest import picture


@pytest.fixture
def data(tmp_path):
    """Write four pictures of grain, one of them twice, and two equal blank ones, each in a group of its own."""
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    blank = np.full((64, 64), 90, np.uint8)
    shown = [*(picture("grain", number, side=128) for number in (0, 1, 2, 3, 1)), blank, blank]
    for number, image in enumerate(shown):
        mask = np.zeros_like(image)
        mask[:9, :9] = 255
        cv2.imwrite(str(tmp_path / f"images/{number}.png"), image)
        cv2.imwrite(str(tmp_path / f"masks/{number}.png"), mask)
    return tmp_path


@pytest.fixture
def kept(data):
    opened = Kept(data / "kept")
    yield opened
    opened.close()


def read(data, kept=None, **settings):
    choice = Choice(name="folders", settings={"images": str(data / "images"), "masks": str(data / "masks")})
    index = index_samples(choice, base=data, cache=data)
    return Index(index.root, read_manifest(index, Data(dataset=choice, **settings), kept=kept).samples)


def pairs(copies):
    return [(pair.first, pair.second, pair.sure) for pair in copies.found.pairs]


def keys(data):
    (path,) = (data / "kept").glob("*.sqlite")
    return {row[0] for row in sqlite3.connect(path).execute("SELECT key FROM kept")}


def test_equal_pictures_are_a_pair_and_equal_blank_ones_are_not(data, kept):
    index = read(data, kept)
    assert index.samples["constant"].tolist() == [False] * 5 + [True] * 2
    assert pairs(find_copies(index.samples, index.root, kept)) == [(1, 4, True)]


def test_pairs_among_some_samples_are_told_by_their_places_there(data, kept):
    index = read(data, kept)
    copies = find_copies(index.samples, index.root, kept)
    used = np.array([False, True, False, True, True, False, True])
    some = copies.among(used)
    assert pairs(some) == [(0, 2, True)]
    assert some.found.verifiable.tolist() == copies.found.verifiable[used].tolist()
    assert pairs(copies.among(np.arange(7) != 4)) == []
    table = some.table(index.samples.assign(declared=index.samples["group"])[used])
    assert table[["first", "second"]].to_numpy().tolist() == [["1.png", "4.png"]]


def test_a_second_search_reads_no_picture_and_finds_the_same(data, kept):
    index = read(data, kept)
    first = find_copies(index.samples, index.root, kept)
    shutil.rmtree(data / "images")
    again = find_copies(index.samples, index.root, kept)
    assert (pairs(again), again.canary) == (pairs(first), first.canary)
    assert first.canary


def test_fingerprints_that_were_lost_are_taken_anew_and_kept_and_give_the_same(data, kept):
    index = read(data, kept)
    before = find_copies(index.samples, index.root, kept)
    other = Kept(data / "other")
    after = find_copies(index.samples, index.root, other)
    for ours, theirs in zip(before.found.pairs, after.found.pairs, strict=True):
        np.testing.assert_array_equal(ours.alignment.movement, theirs.alignment.movement)
    mark = keep_mark(index.samples["pixels_sha256"].iloc[0])
    assert other.get(mark) == kept.get(mark) is not None
    other.close()


def test_a_lost_fingerprint_is_not_finer_than_a_kept_one(data, kept):
    index = read(data)
    (first,), (again,) = (search._marks(index.samples.iloc[:1], index.root, kept) for _ in range(2))
    assert first.to_bytes() == again.to_bytes()
    np.testing.assert_array_equal(first.points, again.points)


def test_what_the_planted_copies_depend_on_is_part_of_the_key(data, kept, monkeypatch):
    index = read(data, kept)

    def searches(samples=index.samples, **settings):
        before = keys(data)
        find_copies(samples, index.root, kept, **settings)
        return {key.split()[0] for key in keys(data) - before}

    assert searches() == {"copies"}
    assert searches() == set()
    assert searches(white=255) == {"copies"}
    for number in (0, 2):
        shutil.copy(data / f"images/{number}.png", data / f"images/{number}.jpg")
    renamed = index.samples.assign(sample=index.samples["sample"].replace({"0.png": "0.jpg"}))
    assert searches(renamed) == {"copies"}
    assert searches(renamed.assign(sample=renamed["sample"].replace({"2.png": "2.jpg"}))) == {"copies"}
    monkeypatch.setattr(search, "CANARY_VERSION", search.CANARY_VERSION + 1)
    assert searches() == {"copies"}
    assert any(key.startswith(f"fingerprint {FINGERPRINT_VERSION} ") for key in keys(data))
