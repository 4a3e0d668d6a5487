import numpy as np

from harness.data.audit.resizing import vanishing_objects

IMAGE = np.random.default_rng(0).integers(0, 255, (256, 256), dtype=np.uint8)


def pictures(*sides):
    """Return a picture a side, each with one square object of it."""
    found = []
    for number, side in enumerate(sides):
        mask = np.zeros((256, 256), np.uint8)
        mask[3 : 3 + side, 101 : 101 + side] = 1
        found.append((f"g{number}", IMAGE, mask))
    return found


def test_objects_that_are_kept_pass(measured):
    found = vanishing_objects(measured(pictures(30, 20, 12), size=128), None)
    assert (found.status, found.affected) == ("pass", 0)
    assert found.summary.startswith("Each of 3 objects keeps a pixel")


def test_a_lost_object_is_named_with_the_size_that_keeps_it(measured):
    pack = pictures(30, 1, 12)
    found = vanishing_objects(measured(pack, size=64), None)
    assert (found.status, found.affected, found.share_of_validation) == ("warn", 1, 1 / 3)
    assert (
        "data.size 64 leaves 1 of 3 objects without a pixel, the first in '001.png'; data.size"
        in found.summary
    )
    keeps = found.items[0]["kept from data.size"]
    assert f"data.size {keeps} keeps all" in found.summary
    assert measured(pack, size=keeps)["lost"].sum() == 0


def test_many_tiny_objects_are_a_warning_even_where_none_is_lost(measured):
    found = vanishing_objects(measured(pictures(30, 1, 12)), None)
    assert found.status == "warn"
    assert "1 of 3 objects have fewer than 4 px, the first in '001.png'" in found.summary
    assert found.summary.endswith("look whether they are meant; they are as small in the files themselves.")
    resized = vanishing_objects(measured(pictures(30, 2, 12), size=128), None)
    assert resized.summary.endswith("look whether they are meant; raise data.size if they are.")
    few = vanishing_objects(measured(pictures(*[30] * 12, 1)), None)
    assert few.status == "pass"
    assert "1 of 13 objects have fewer than 4 px" in few.summary


def test_the_picture_that_loses_most_comes_first(measured):
    one, two = pictures(1, 1)
    two[2][200, 200] = 1
    found = vanishing_objects(measured([one, two], size=64), None)
    assert [(item["image"], item["lost"]) for item in found.items] == [("001.png", 2), ("000.png", 1)]
