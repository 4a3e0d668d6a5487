"""Broken and hostile data sets of every format: one line of DataError, and nothing in the cache."""

import base64
import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.data.formats import documents, drawn, limits
from harness.errors import DataError
from tests.data.formats.examples import (
    CVAT_SQUARE,
    WRITE,
    coco_document,
    content,
    cvat_document,
    cvat_image,
    labelme_document,
    labelme_shape,
    picture,
    png,
    read,
    saved,
    supervisely_bitmap,
    supervisely_document,
)

NOTES = {  # the file of each example that says what its pictures show
    "coco": "coco/annotations/instances_default.json",
    "yolo": "yolo/labels/train/a.txt",
    "labelme": "labelme/a.json",
    "cvat": "cvat/annotations.xml",
    "voc": "voc/VOC2012/SegmentationClass/a.png",
    "mvtec": "bottle/ground_truth/crack/000_mask.png",
    "kolektor": "KolektorSDD/kos01/Part1_label.bmp",
    "supervisely": "sly/ds0/ann/a.png.json",
    "csv": "steel/train.csv",
}
PICTURES = {
    "coco": "coco/images/a.png",
    "yolo": "yolo/images/train/a.png",
    "labelme": "labelme/a.png",
    "cvat": "cvat/images/a.png",
    "voc": "voc/VOC2012/JPEGImages/a.jpg",
    "mvtec": "bottle/test/crack/000.png",
    "kolektor": "KolektorSDD/kos01/Part1.jpg",
    "supervisely": "sly/ds0/img/a.png",
    "csv": "steel/train_images/a.jpg",
}
JSON = ("coco", "labelme", "supervisely")
DIGITS = "9" * 5000


def refused(base: Path, name: str, settings: dict[str, Any]) -> str:
    """Return the one line that refuses a data set, which is left as it was."""
    before = content(base)
    with pytest.raises(DataError) as caught:
        read(base, name, **settings)
    message = str(caught.value)
    assert message.isprintable(), message
    assert len(message) < 1500
    assert not list((base / "cache").rglob("*")), "nothing may be left in the cache"
    assert content(base) == before
    return message


def claimed(width: int, height: int) -> bytes:
    """Return a PNG whose head claims a size that nothing of follows."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(b"\0" * 9))
        + chunk(b"IEND", b"")
    )


FILES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda file: b"",
    "noise": lambda file: np.random.default_rng(0).bytes(3000),
    "zeros": lambda file: bytes(4000),
    "UTF-16": lambda file: "äöü\n".encode("utf-16"),
    "an archive": lambda file: b"PK\x03\x04" + bytes(100),
}


@pytest.mark.parametrize("name", WRITE)
@pytest.mark.parametrize("case", FILES)
def test_other_bytes_in_the_place_of_annotations_are_refused(name: str, case: str, tmp_path: Path) -> None:
    settings = WRITE[name](tmp_path)
    path = tmp_path / NOTES[name]
    path.write_bytes(FILES[case](path.read_bytes()))
    if (name, case) == ("yolo", "empty"):
        return  # which is a clean picture there
    assert path.name in refused(tmp_path, name, settings)


@pytest.mark.parametrize("name", sorted(set(WRITE) - {"yolo", "csv"}))
def test_annotations_that_are_cut_anywhere_are_refused(name: str, tmp_path: Path) -> None:
    settings = WRITE[name](tmp_path)
    path = tmp_path / NOTES[name]
    whole = path.read_bytes().rstrip()
    last = 26 if path.suffix == ".png" else 1  # a PNG is whole without its last chunk
    for length in np.linspace(1, len(whole) - last, 12).astype(int):
        path.write_bytes(whole[:length])
        refused(tmp_path, name, settings)


@pytest.mark.parametrize("name", WRITE)
def test_pictures_that_are_broken_or_claim_too_much_are_refused(name: str, tmp_path: Path) -> None:
    settings = WRITE[name](tmp_path)
    path = tmp_path / PICTURES[name]
    for file in (
        b"",
        b"GIF89a",
        path.read_bytes()[:20],
        claimed(100_000, 100_000),
        claimed(100_001, 2),
        claimed(2**31 - 1, 9),
    ):
        path.write_bytes(file)
        assert path.name in refused(tmp_path, name, settings)


@pytest.mark.parametrize("name", WRITE)
def test_links_that_lead_out_are_refused(name: str, tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    settings = WRITE[name](inside)
    outside = tmp_path / "outside.png"
    picture(outside)
    for place in {PICTURES[name], NOTES[name]} - {"steel/train.csv", "cvat/annotations.xml"}:
        path = inside / place
        file = path.read_bytes()
        path.unlink()
        path.symlink_to(outside)
        assert "a link that leads out of" in refused(inside, name, settings)
        path.unlink()
        path.symlink_to(path)
        refused(inside, name, settings)
        path.unlink()
        path.write_bytes(file)
    assert read(inside, name, **settings).rows


@pytest.mark.parametrize("name", WRITE)
def test_what_is_no_place_is_refused(name: str, tmp_path: Path) -> None:
    WRITE[name](tmp_path)
    (tmp_path / "set.zip").write_bytes(b"PK\x03\x04")
    (tmp_path / "empty").mkdir()
    assert "is an archive; unpack it first" in refused(tmp_path, name, {"path": "set.zip"})
    assert "there is no" in refused(tmp_path, name, {"path": "nowhere"})
    assert "cannot be looked at" in refused(tmp_path, name, {"path": "a\0b"})
    refused(tmp_path, name, {"path": "x" * 5000})
    refused(tmp_path, name, {"path": "empty"})


NAMES = ["../out.png", "/etc/passwd", "a/../../out.png", "..\\out.png", "C:\\out.png", "a\nb.png", "a\0.png",
         "\ud800.png", "", ".", "x" * 5000 + ".png"]  # fmt: skip


@pytest.mark.parametrize("name", ["coco", "labelme", "cvat", "csv"])
@pytest.mark.parametrize("called", NAMES, ids=repr)
def test_names_that_leave_the_folder_are_refused(name: str, called: str, tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    settings = WRITE[name](inside)
    picture(tmp_path / "out.png")
    picture(inside / "out.png")
    path = inside / NOTES[name]
    if name == "coco":
        document = coco_document("a.png", called)
    elif name == "labelme":
        document = labelme_document(called)
    elif name == "csv":
        path.write_bytes(
            f'ImageId,EncodedPixels\na.jpg,1 1\n"{called}",1 1\n'.encode("utf-8", "surrogatepass")
        )
    else:
        if not called.isprintable():
            return  # which XML cannot hold
        path.write_text(cvat_document(cvat_image("a.png", CVAT_SQUARE) + cvat_image(called)))
    if name in JSON:
        saved(path, document)
    refused(inside, name, settings)


@pytest.mark.parametrize("name", JSON)
def test_json_that_is_none_or_bottomless_is_refused(name: str, tmp_path: Path) -> None:
    settings = WRITE[name](tmp_path)
    path = tmp_path / NOTES[name]
    whole = path.read_text()
    for number in (
        "NaN",
        "Infinity",
        "1e999",
        "null",
        "[]",
        '"6"',
        "-6",
        "true",
        DIGITS,
        "[" * 900 + "]" * 900,
    ):
        path.write_text(whole.replace("6", number), encoding="utf-8")
        refused(tmp_path, name, settings)
    others = (
        ("3", "null", '"a"', "[]", "{}") if name != "labelme" else ()
    )  # which reads past what is not its own
    for text in ("[" * 200_000, '{"a":' * 200_000, "NaN", DIGITS, "\ufeff", *others):
        path.write_text(text, encoding="utf-8")
        refused(tmp_path, name, settings)
    for label in ("\\ud800", "a\\nb", " "):
        path.write_text(whole.replace("pit", label), encoding="utf-8")
        refused(tmp_path, name, settings)


def test_every_value_of_a_json_file_may_be_another(tmp_path: Path) -> None:
    for name in JSON:
        settings = WRITE[name](tmp_path)
        path = tmp_path / NOTES[name]
        whole = json.loads(path.read_text())
        for place in places(whole):
            for other in (None, [], {}, "x", -1, 2.5, True, [[1]], 10**30):
                document = json.loads(json.dumps(whole))
                inner = document
                for step in place[:-1]:
                    inner = inner[step]
                inner[place[-1]] = other
                saved(path, document)
                message = ""
                try:
                    read(tmp_path, name, **settings)
                except DataError as error:
                    message = str(error)
                assert not message or message.isprintable()


def places(value: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the ways to all values in a document."""
    keys = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    return [way for key in keys for way in ((*here, key), *places(value[key], (*here, key)))]


LAUGHS = "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi", strict=True))
DOCTYPES = {
    "a bomb": f'<!DOCTYPE annotations [<!ENTITY a "ha">{LAUGHS}]>',
    "a file": '<!DOCTYPE annotations [<!ENTITY a SYSTEM "file:///etc/passwd">]>',
    "a parameter": '<!DOCTYPE annotations [<!ENTITY % a SYSTEM "http://localhost:9/x"> %a;]>',
    "a bare one": "<!DOCTYPE annotations>",
}


@pytest.mark.parametrize("case", DOCTYPES)
def test_xml_with_a_doctype_is_refused_before_it_is_expanded(case: str, tmp_path: Path) -> None:
    settings = WRITE["cvat"](tmp_path)
    path = tmp_path / NOTES["cvat"]
    head, body = path.read_text().split("\n", 1)
    path.write_text(f"{head}\n{DOCTYPES[case]}\n{body.replace('pit', '&i;' if 'bomb' in case else 'pit')}")
    assert "line 2: a DOCTYPE, which exports have not" in refused(tmp_path, "cvat", settings)
    path.write_text("<annotations>" + "<a>" * 100_000)
    refused(tmp_path, "cvat", settings)
    path.write_text('<?xml version="1.0" encoding="klingon"?><annotations/>')
    assert "XML" in refused(tmp_path, "cvat", settings)


def test_bombs_in_bitmaps_are_refused_unpacked_to_their_limit_only(tmp_path: Path) -> None:
    settings = WRITE["supervisely"](tmp_path)
    zipped = base64.b64encode(zlib.compress(bytes(100_000_000))).decode()
    for entry, message in (
        (supervisely_bitmap(claimed(100_000, 100_000), [0, 0]), "leave a picture|broken"),
        (supervisely_bitmap(claimed(8, 6)[:-30], [0, 0]), "broken or cut off"),
        (
            supervisely_bitmap(b"", [0, 0]) | {"bitmap": {"data": zipped, "origin": [0, 0]}},
            "unpacks to more than 1,000,192",
        ),
        (
            supervisely_bitmap(b"", [0, 0]) | {"bitmap": {"data": zipped[:400], "origin": [0, 0]}},
            "more than|cut off",
        ),
    ):
        saved(tmp_path / NOTES["supervisely"], supervisely_document(entry))
        assert any(part in refused(tmp_path, "supervisely", settings) for part in message.split("|"))
    settings = WRITE["labelme"](tmp_path)
    for file in (claimed(100_000, 100_000), claimed(3, 3), png(np.ones((4, 4), np.uint8))):
        shape = labelme_shape("mask", [[0, 0], [2, 2]], "pit", base64.b64encode(file).decode())
        saved(tmp_path / NOTES["labelme"], labelme_document("a.png", shape))
        refused(tmp_path, "labelme", settings)


def test_declared_sizes_are_held_to_limits_before_anything_is_allocated(tmp_path: Path) -> None:
    for name, document in (
        ("coco", coco_document("a.png", size=(100_000, 100_000))),
        ("labelme", labelme_document("a.png", size=(100_001, 2))),
        ("supervisely", supervisely_document(size=(10**30, 1))),
        ("cvat", cvat_document(cvat_image("a.png", size=(999_999_999, 999_999_999)))),
    ):
        settings = WRITE[name](tmp_path)
        saved(tmp_path / NOTES[name], document)
        assert "above 100,000 a side or 400,000,000 in all" in refused(tmp_path, name, settings)
    runs = coco_document("a.png")
    runs["images"][0] |= {"width": None, "height": None}
    runs["annotations"][0]["segmentation"] = {"size": [10**9, 10**9], "counts": [10**18]}
    settings = WRITE["coco"](tmp_path)
    saved(tmp_path / NOTES["coco"], runs)
    refused(tmp_path, "coco", settings)


def test_runs_that_were_drawn_on_another_size_are_refused(tmp_path: Path) -> None:
    document = coco_document("a.png")
    document["images"][0] |= {"width": None, "height": None}
    document["annotations"][0]["segmentation"] = {"size": [3, 4], "counts": [2, 10]}
    settings = WRITE["coco"](tmp_path)
    saved(tmp_path / NOTES["coco"], document)
    assert "drawn on 4 x 3 px, but a.png is 8 x 6" in refused(tmp_path, "coco", settings)


def test_a_million_outlines_are_drawn_or_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = WRITE["yolo"](tmp_path)
    line = "0 0.1 0.1 0.4 0.1 0.4 0.4\n"
    (tmp_path / NOTES["yolo"]).write_text(line * 20_000)
    assert len(read(tmp_path, "yolo", **settings).rows) == 2
    (tmp_path / "fresh").mkdir()
    settings = WRITE["yolo"](tmp_path / "fresh")
    (tmp_path / "fresh" / NOTES["yolo"]).write_text(line * 5000)
    monkeypatch.setattr(limits, "OBJECT_LIMIT", 4999)
    assert "more than 4,999 outlines in one picture" in refused(tmp_path / "fresh", "yolo", settings)
    monkeypatch.setattr(limits, "OBJECT_LIMIT", 5000)
    monkeypatch.setattr(limits, "POINT_LIMIT", 14_999)
    assert "a.txt: 15,000 points, above 14,999 in one file" in refused(tmp_path / "fresh", "yolo", settings)
    monkeypatch.setattr(documents, "FILE_LIMIT", 1000)
    assert "bytes, above 1,000; split it by pictures" in refused(tmp_path / "fresh", "yolo", settings)


def test_an_outline_without_end_is_refused(tmp_path: Path) -> None:
    settings = WRITE["labelme"](tmp_path)
    far = [[0.2, 0.2], [999_999.0, 0.2]] * 40
    saved(tmp_path / NOTES["labelme"], labelme_document("a.png", labelme_shape("polygon", far)))
    assert "cross more than 50,000,000 rows of pixels" in refused(tmp_path, "labelme", settings)


def test_what_fails_while_it_is_drawn_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = WRITE["coco"](tmp_path)

    def full(path: Path, mask: object) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(drawn, "write_mask", full)
    assert "cannot be written (No space left on device); make room" in refused(tmp_path, "coco", settings)


YAML = [
    "names: &a [*a]",
    "!!python/object/apply:os.system ['true']",
    "names: !!python/name:os.system",
    "a: &a [x,x]\nnames: *b",
    "{" * 5000,
    "names: [" + "a," * 600_000 + "]",
    "? [a]: b\n: c",
    "names: {1: .nan}",
    "names: {.nan: a}",
]


@pytest.mark.parametrize("text", YAML, ids=range(len(YAML)))
def test_hostile_yaml_is_refused(text: str, tmp_path: Path) -> None:
    settings = WRITE["yolo"](tmp_path)
    saved(tmp_path / "yolo/data.yaml", text)
    refused(tmp_path, "yolo", settings)
