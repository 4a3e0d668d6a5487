from pathlib import Path

from benchmarks.study_watch import Watch


def test_an_epoch_counts_for_the_process_that_tells_it_and_not_for_one_that_repeats_it(
    tmp_path: Path,
) -> None:
    trial = tmp_path / "work" / "soak" / "0"
    (trial / "3.working").mkdir(parents=True)
    lock, outbox, watch = trial / "3.lock", trial / "3.working" / "outbox.jsonl", Watch(tmp_path)
    lock.write_text("process 7 on here, mark")
    assert watch.look() == set()
    outbox.write_text("{}\n{}\n")
    assert (watch.look(), watch.look()) == ({7}, set())
    lock.write_text("process 8 on here, mark")
    assert watch.look() == set()
    outbox.write_text("{}\n")
    assert watch.look() == set()
    outbox.write_text("{}\n{}\n{}\n")
    assert watch.look() == {8}
