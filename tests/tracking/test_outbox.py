"""Messages on disk: whole after a kill, in order, and how far they got."""

import errno
import json
import os
from pathlib import Path

import pytest

from harness.errors import Interrupted
from harness.tracking import outbox as module
from harness.tracking.outbox import Outbox, Refusal, forget_deliveries


def told(outbox: Outbox, position: int = 0) -> list[object]:
    return [message.get("n", message["kind"]) for _, message in outbox.messages(position)]


def filled(work: Path, count: int) -> Outbox:
    outbox = Outbox(work)
    for n in range(count):
        outbox.append({"kind": "log", "n": n})
    return outbox


def test_messages_are_read_back_in_order_from_where_they_were_delivered(tmp_path: Path) -> None:
    outbox = filled(tmp_path, 4)
    positions = [position for position, _ in outbox.messages()]
    outbox.note(positions[1], 2)
    again = Outbox(tmp_path)
    assert told(again) == [0, 1, 2, 3]
    assert told(again, again.delivered.position) == [2, 3]
    assert again.waiting == 2
    again.append({"kind": "log", "n": 4})
    assert (told(again, positions[3]), again.waiting) == ([4], 3)


@pytest.mark.parametrize("left", [1, 9, -1])
def test_a_line_cut_short_is_taken_off_and_the_next_one_stands_alone(tmp_path: Path, left: int) -> None:
    filled(tmp_path, 2)
    path = tmp_path / "tracking" / "messages.jsonl"
    line = json.dumps({"kind": "log", "n": 2}).encode() + b"\n"
    with path.open("ab") as file:
        file.write(line[:left])
    outbox = Outbox(tmp_path)
    assert outbox.waiting == 2
    outbox.append({"kind": "log", "n": 3})
    assert told(outbox) == [0, 1, 3]


def test_a_damaged_line_in_the_middle_hides_no_other(tmp_path: Path) -> None:
    filled(tmp_path, 3)
    path = tmp_path / "tracking" / "messages.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"n": 1', b'"n\x00: 1'))
    outbox = Outbox(tmp_path)
    assert told(outbox) == [0, "damaged", 2]
    assert outbox.waiting == 3


def test_without_room_on_the_disk_half_a_line_is_not_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox = filled(tmp_path, 1)

    def half(path: Path, line: bytes) -> None:
        with path.open("ab") as file:
            file.write(line[: len(line) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(module, "_append", half)
    with pytest.raises(OSError, match="No space left"):
        outbox.append({"kind": "log", "n": 1})
    monkeypatch.undo()
    outbox.append({"kind": "log", "n": 2})
    assert told(outbox) == told(Outbox(tmp_path)) == [0, 2]


def test_a_refused_message_is_kept_and_counted_and_all_can_be_sent_again(tmp_path: Path) -> None:
    outbox = filled(tmp_path, 2)
    ((first, message), (second, _)) = outbox.messages()
    outbox.refuse(first, message, "no")
    outbox.note(second, 1)
    again = Outbox(tmp_path)
    assert (again.waiting, again.delivered.position) == (0, second)
    assert again.refusals() == {first: Refusal(first, "no", {"kind": "log", "n": 0})}
    forget_deliveries(tmp_path.parent)
    again = Outbox(tmp_path)
    assert (again.waiting, again.refusals()) == (2, {})


@pytest.mark.parametrize("content", ["", "[]", '{"position": 1', '{"position": 99999, "messages": 9}'])
def test_where_the_note_is_lost_or_of_other_messages_all_are_sent_again(tmp_path: Path, content: str) -> None:
    filled(tmp_path, 2)
    (tmp_path / "tracking" / "delivered.json").write_text(content)
    outbox = Outbox(tmp_path)
    assert (outbox.waiting, outbox.delivered.position) == (2, 0)


def test_who_lost_the_study_appends_nothing(tmp_path: Path) -> None:
    def lost() -> None:
        raise Interrupted("taken over")

    outbox = Outbox(tmp_path, lost)
    with pytest.raises(Interrupted):
        outbox.append({"kind": "log"})
    assert told(outbox) == []


@pytest.mark.parametrize("spoiled", ['{"position": null, "messages": 2}', '{"position": -1}', "[]", "{"])
def test_a_spoiled_note_of_how_far_delivery_got_delivers_all_again(tmp_path: Path, spoiled: str) -> None:
    filled(tmp_path, 3)
    (tmp_path / "tracking" / "delivered.json").write_text(spoiled)
    assert Outbox(tmp_path).waiting == 3


def test_a_wrong_number_of_delivered_messages_is_counted_anew(tmp_path: Path) -> None:
    outbox = filled(tmp_path, 3)
    positions = [position for position, _ in outbox.messages()]
    outbox.note(positions[1], 40)
    assert Outbox(tmp_path).waiting == 1


def test_a_line_that_names_no_kind_is_a_damaged_one(tmp_path: Path) -> None:
    outbox = filled(tmp_path, 1)
    with (tmp_path / "tracking" / "messages.jsonl").open("ab") as file:
        file.write(b'{}\n{"kind": 3}\n')
    assert told(Outbox(outbox.folder.parent)) == [0, "damaged", "damaged"]
