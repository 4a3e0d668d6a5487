import pytest

from harness.data.audit.emptiness import empty_share


def test_the_share_of_empty_masks_is_told(samples, split):
    found = empty_share(samples, split)
    assert found.status == "pass"
    assert found.summary == "30 of 36 masks are empty (83.3%); 0.00% of all pixels are ignored."


def test_a_mask_without_a_valid_pixel_is_named(samples, split):
    samples.loc[[5, 9], ["valid", "positive"]] = 0
    found = empty_share(samples, split)
    assert (found.status, found.severity, found.affected) == ("warn", "warn", 2)
    assert "The mask of 'g01/2.png' has no pixel that is not ignored (and 1 more mask)" in found.summary


def test_ignored_pixels_are_counted(samples, split):
    samples["valid"] = 900
    assert "10.00% of all pixels are ignored" in empty_share(samples, split).summary


def test_hardly_any_target_is_a_warning(make_table, deal):
    samples = make_table(groups=60)
    samples.loc[2:, "positive"] = 0
    found = empty_share(samples, deal(samples))
    assert found.status == "warn"
    assert found.items == ({"image": "g00/0.png", "group": "g00", "target px": 20},)


@pytest.mark.parametrize("least", [1, 50])
def test_no_clean_image_is_told_and_decides_nothing(samples, split, least):
    samples["positive"] = samples["positive"].clip(lower=least)
    found = empty_share(samples, split)
    assert (found.severity, found.status) == ("info", "warn")
    assert "None of 36 masks is empty" in found.summary
