from harness.data.audit.report import audit
from harness.data.audit.sizes import group_sizes


def test_groups_are_counted_in_classes_that_double(samples, split):
    rows = samples.drop(index=[0, 1, 3])  # g00 keeps one of three images, g01 two
    assert group_sizes(rows, split)["bars"] == [
        {"label": "1 image", "groups": 1},
        {"label": "2 images", "groups": 1},
        {"label": "3 to 4 images", "groups": 10},
    ]


def test_the_largest_groups_are_named_with_their_part(samples, deal):
    rows = samples.drop(index=[0])
    largest = group_sizes(rows, deal(samples, held_out=["g02"]))["largest"]
    assert len(largest) == 10
    assert largest[0] == {"group": "g01", "images": 3, "with an object": 0, "fold": "fold 0"}
    assert largest[1] == {"group": "g02", "images": 3, "with an object": 1, "fold": "held out"}
    assert "g00" not in [row["group"] for row in largest], "it has an image less"


def test_where_every_image_is_a_group_none_is_named(make_table, deal):
    single = make_table(images=1)
    sizes = group_sizes(single, deal(single))
    assert sizes == {"bars": [{"label": "1 image", "groups": 12}], "largest": []}
    assert "Largest groups" not in audit(single, deal(single), manifest="m").to_html()


def test_the_report_has_every_group_in_its_bars(samples, split):
    sizes = audit(samples, split, manifest="m").group_sizes
    assert sum(bar["groups"] for bar in sizes["bars"]) == samples["group"].nunique()
