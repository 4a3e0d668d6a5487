from pathlib import Path

from benchmarks.soak_checkpoint import flip, save_in_place, soak


def test_ten_kills_while_saving_leave_nothing_unreadable_and_lose_no_whole_snapshot(tmp_path: Path) -> None:
    tally = soak(tmp_path, 10, 10, seed=1)
    assert (tally.kills, tally.unreadable, tally.lost) == (10, 0, 0), tally.line()
    assert sum(tally.places.values()) == 10


def test_a_process_that_writes_in_place_leaves_torn_files_and_they_are_counted(tmp_path: Path) -> None:
    tally = soak(tmp_path, 40, 6, seed=2, save=save_in_place)
    assert tally.unreadable > 0, tally.line()


def test_every_flipped_bit_is_noticed_and_the_snapshot_before_is_used(tmp_path: Path) -> None:
    assert flip(tmp_path, 1, 20, seed=3) == 20
