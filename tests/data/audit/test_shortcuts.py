import numpy as np
import pytest

from harness.data.audit.shortcuts import metadata_predicts_label, names_carry_label


@pytest.fixture
def mixed(make_table):
    """60 groups with some noise in what is known of each picture; half of them have an object."""
    samples, rng = make_table(groups=60), np.random.default_rng(0)
    samples["gray_mean"] = rng.normal(120, 10, len(samples))
    samples["file_bytes"] = rng.integers(900, 1100, len(samples))
    return samples


def positive_groups(samples):
    return samples["group"].isin(samples.loc[samples["positive"] > 0, "group"]).to_numpy()


def test_facts_that_do_not_follow_the_label_pass(mixed, deal):
    assert metadata_predicts_label(mixed, deal(mixed)).status == "pass"


@pytest.mark.parametrize(
    ("column", "factor", "name"),
    [("gray_mean", 1.5, "mean gray"), ("file_bytes", 0.5, "bytes a px"), ("width", 2, "width")],
)
def test_a_fact_that_follows_the_label_is_named(mixed, deal, column, factor, name):
    hit = mixed["positive"] > 0
    mixed[column] = mixed[column].where(~hit, mixed[column] * factor).astype(mixed[column].dtype)
    if column == "width":
        mixed["file_bytes"] = mixed["file_bytes"].where(~hit, mixed["file_bytes"] * factor)
    found = metadata_predicts_label(mixed, deal(mixed))
    assert found.status == "warn"
    assert found.summary.startswith(f"{name} orders a positive and a clean source rightly in 100% (p 0.005)")


def test_a_weak_tendency_is_no_warning(mixed, deal):
    mixed["gray_mean"] += 3 * (mixed["positive"] > 0)
    assert metadata_predicts_label(mixed, deal(mixed)).status == "pass"


def test_many_pictures_of_few_sources_prove_nothing(make_table, deal):
    samples = make_table(groups=12, images=40)
    samples["gray_mean"] = 100 + 50 * positive_groups(samples)
    found = metadata_predicts_label(samples, deal(samples))
    assert (found.severity, found.status) == ("info", "not run")
    assert "6 sources with an object" in found.summary


def test_a_word_that_tells_the_label_is_told_and_decides_nothing(mixed, deal):
    assert names_carry_label(mixed, deal(mixed)).status == "pass"
    kinds = np.where(mixed["positive"] > 0, "Defect", "good")
    mixed["sample"] = [f"{kind}/{name}" for kind, name in zip(kinds, mixed["sample"], strict=True)]
    found = names_carry_label(mixed, deal(mixed))
    assert (found.severity, found.status) == ("info", "warn")
    assert {item["word"] for item in found.items} == {"defect", "good"}


def test_words_that_all_names_share_and_numbers_tell_nothing(mixed, deal):
    mixed["sample"] = [f"photo_{n}_{name}" for n, name in enumerate(mixed["sample"])]
    assert names_carry_label(mixed, deal(mixed)).status == "pass"
