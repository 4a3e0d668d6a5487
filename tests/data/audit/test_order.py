import numpy as np
import pandas as pd

from harness.data.audit.order import neighbors_in_time


def numbered(names, looks, groups=None):
    """Return pictures of a source each, with some noise in how they look."""
    rng = np.random.default_rng(1)
    groups = [f"g{n:02d}" for n in range(len(names))] if groups is None else groups
    return pd.DataFrame(
        {
            "sample": names,
            "group": groups,
            "gray_mean": looks,
            "gray_spread": 20 + 0.05 * np.asarray(looks) + rng.normal(0, 0.1, len(names)),
            "focus": 1.2 + rng.normal(0, 0.01, len(names)),
        }
    )


def drift(count=60):
    """Light that wanders from picture to picture."""
    return 120 + np.cumsum(np.random.default_rng(2).normal(0, 5, count))


def test_a_recording_in_time_is_told_with_the_share_of_neighbors_that_train(deal):
    samples = numbered([f"cam/frame_{7 * n}_a1.png" for n in range(60)], drift())
    found = neighbors_in_time(samples, deal(samples))
    assert (found.severity, found.status) == ("info", "warn")
    assert "59 sources follow another" in found.summary
    assert (
        found.share_of_validation > 0.9
    )  # pairs of sources are dealt in turn, so each has a neighbor elsewhere


def test_numbers_without_meaning_pass(deal):
    looks = np.random.default_rng(3).permutation(drift())
    samples = numbered([f"frame_{n}.png" for n in range(60)], looks)
    assert neighbors_in_time(samples, deal(samples)).status == "pass"


def test_numbers_are_read_as_numbers_and_the_one_that_runs_is_found(deal):
    looks = drift()
    names = [f"part{n % 2}_{n}_exp{n % 3}.png" for n in range(60)]
    samples = numbered(names, looks).sample(frac=1, random_state=0)
    assert neighbors_in_time(samples, deal(samples)).status == "warn"


def test_pictures_of_one_source_are_no_neighbors(deal):
    groups = [f"g{n // 10:02d}" for n in range(60)]
    samples = numbered([f"{n}.png" for n in range(60)], drift(), groups)
    found = neighbors_in_time(samples, deal(samples))
    assert (found.status, found.summary.split()[0]) == ("not run", "5")


def test_names_without_numbers_and_folders_of_one_picture_are_not_compared(deal):
    for names in (
        [f"{chr(97 + n // 26)}{chr(97 + n % 26)}.png" for n in range(60)],
        [f"{n}/1.png" for n in range(60)],
    ):
        samples = numbered(names, drift())
        assert neighbors_in_time(samples, deal(samples)).status == "not run"


def test_ids_too_long_for_a_number_are_no_error(deal):
    samples = numbered([f"{n}{'9' * 30}.png" for n in range(60)], drift())
    assert neighbors_in_time(samples, deal(samples)).status == "not run"
