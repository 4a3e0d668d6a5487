import json
from pathlib import Path

from harness.train.outbox import OUTBOX, Outbox, OutboxReader


def folders(tmp_path: Path) -> tuple[Path, Path]:
    working, final = tmp_path / "0.working", tmp_path / "0"
    working.mkdir()
    return working, final


def test_a_reader_gets_each_line_once_and_in_order(tmp_path: Path) -> None:
    working, final = folders(tmp_path)
    outbox, reader = Outbox(working), OutboxReader(working, final)
    assert reader.new() == []
    outbox.append({"number": 1, "iou": None})
    outbox.append({"number": 2, "iou": 0.1 + 0.2})
    assert reader.new() == [{"number": 1, "iou": None}, {"number": 2, "iou": 0.1 + 0.2}]
    assert reader.new() == []
    outbox.append({"number": 3})
    assert reader.new() == [{"number": 3}]


def test_a_torn_last_line_waits_until_it_is_whole(tmp_path: Path) -> None:
    working, final = folders(tmp_path)
    outbox, reader = Outbox(working), OutboxReader(working, final)
    outbox.append({"number": 1})
    line = json.dumps({"number": 2}).encode() + b"\n"
    with (working / OUTBOX).open("ab") as file:
        file.write(line[:5])
    assert reader.new() == [{"number": 1}]
    assert reader.new() == []
    with (working / OUTBOX).open("ab") as file:
        file.write(line[5:])
    assert reader.new() == [{"number": 2}]


def test_a_reader_goes_on_over_the_commit(tmp_path: Path) -> None:
    working, final = folders(tmp_path)
    outbox, reader = Outbox(working), OutboxReader(working, final)
    outbox.append({"number": 1})
    assert reader.new() == [{"number": 1}]
    outbox.append({"number": 2})
    working.rename(final)
    assert reader.new() == [{"number": 2}]
    assert reader.new() == []


def test_a_reader_of_a_committed_run_gets_everything(tmp_path: Path) -> None:
    working, final = folders(tmp_path)
    Outbox(working).append({"number": 1})
    working.rename(final)
    assert OutboxReader(working, final).new() == [{"number": 1}]


def test_before_the_run_starts_there_is_nothing(tmp_path: Path) -> None:
    assert OutboxReader(tmp_path / "a.working", tmp_path / "a").new() == []
