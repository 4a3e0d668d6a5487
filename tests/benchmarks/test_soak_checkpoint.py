from pathlib import Path

from benchmarks.soak_checkpoint import flip, save_in_place, soak


def test_ten_kills_while_saving_leave_nothing_unreadable_and_lose_no_whole_snapshot(tmp_path: Path) -> None:
    tally = soak(tmp_path, 10, 10, seed=1)
    assert (tally.kills, tally.unreadable, tally.lost) == (10, 0, 0), tally.line()
    assert sum(tally.places.values()) == 10


def test_a_process_that_writes_in_place_leaves_torn_files_and_they_are_counted(tmp_path: Path) -> None:
    tallies = (soak(tmp_path / str(seed), 40, 6, seed=seed, save=save_in_place) for seed in range(2, 10))
    assert any(
        tally.unreadable > 0 for tally in tallies
    )  # on a busy machine kills may all come before the first byte


def test_every_flipped_bit_is_noticed_and_the_snapshot_before_is_used(tmp_path: Path) -> None:
    assert flip(tmp_path, 1, 20, seed=3) == 20
