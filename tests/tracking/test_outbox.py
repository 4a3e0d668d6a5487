"""Messages on disk: whole after a kill, in order, and how far they got."""

import errno
import json
import os
from pathlib import Path

import pytest

from harness.errors import Interrupted
from harness.tracking import outbox as module
from harness.tracking.outbox import Delivered, Outbox, Refusal, Replay, forget_deliveries


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


@pytest.mark.parametrize("written", [0, 7, -1, None], ids=["nothing", "a part", "all but its end", "all"])
def test_an_append_that_is_interrupted_is_counted_as_what_it_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: int | None
) -> None:
    """As by a second Ctrl-C, at any moment of it."""
    outbox = filled(tmp_path, 1)

    def interrupted(path: Path, line: bytes) -> None:
        with path.open("ab") as file:
            file.write(line[:written])
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "_append", interrupted)
    with pytest.raises(KeyboardInterrupt):
        outbox.append({"kind": "log", "n": 1})
    monkeypatch.undo()
    left = [0] if written is not None else [0, 1]
    assert (outbox.waiting, told(outbox)) == (len(left), left)
    outbox.append({"kind": "log", "n": 2})
    assert (outbox.waiting, told(outbox)) == (len(left) + 1, [*left, 2])
    assert Outbox(tmp_path).waiting == len(left) + 1


def test_a_note_of_messages_that_were_lost_does_not_hide_those_that_come_in_their_place(
    tmp_path: Path,
) -> None:
    outbox = filled(tmp_path, 4)
    positions = [position for position, _ in outbox.messages()]
    outbox.refuse(positions[2], {"kind": "log"}, "no")
    os.truncate(tmp_path / "tracking" / "messages.jsonl", positions[0])
    assert (Outbox(tmp_path).waiting, Outbox(tmp_path).refusals()) == (1, {})
    filled(tmp_path, 3)
    assert Outbox(tmp_path).waiting == 4


def test_a_note_that_ends_inside_a_message_is_of_other_messages(tmp_path: Path) -> None:
    outbox = filled(tmp_path, 3)
    outbox.note(next(outbox.messages())[0] + 3, 1)
    assert (Outbox(tmp_path).waiting, Outbox(tmp_path).delivered) == (3, Delivered())


def test_a_refusal_is_counted_once_also_where_its_sender_was_killed_at_it(tmp_path: Path) -> None:
    outbox = filled(tmp_path, 3)
    positions = [position for position, _ in outbox.messages()]
    for _ in range(2):  # killed before it was noted, and sent again
        outbox.refuse(positions[0], {"kind": "log", "n": 0}, "no")
    with outbox.refused.open("ab") as file:
        file.write(b'{"position": 1')
    outbox.refuse(positions[1], {"kind": "log", "n": 1}, "no")
    assert list(outbox.refusals()) == positions[:2]


def test_some_runs_are_told_again_and_only_of_theirs_the_refusals_change(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    for n, key in enumerate("abaca"):
        outbox.append({"kind": "log", "key": key, "n": n})
    positions = [position for position, _ in outbox.messages()]
    for n in (0, 1, 4):
        outbox.refuse(positions[n], {"kind": "log", "key": "abaca"[n], "n": n}, "no")
    before, again = outbox.delivered.position, Replay(outbox, {"a", "c"})
    assert [message["n"] for _, message in again.messages()] == [0, 2, 3, 4]
    again.note(positions[2], 2)
    again.refuse(positions[3], {"kind": "log", "key": "c", "n": 3}, "never")
    assert ([message["n"] for _, message in again.messages(again.delivered.position)], again.waiting) == (
        [4],
        1,
    )
    again.keep()
    assert list(outbox.refusals()) == [positions[1], positions[3], positions[4]]
    assert outbox.delivered.position == Outbox(tmp_path).delivered.position == before
