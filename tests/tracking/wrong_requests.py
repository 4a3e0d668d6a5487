"""Over a hundred wrong requests to a served model, and the status that each must get."""

import base64
import json
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

JSON = "application/json"


@dataclass(frozen=True)
class Wrong:
    """A request; `status` is ours, `mlflow` that of `mlflow models serve`, 0 where its code overlooks the mistake."""

    name: str
    body: bytes
    status: int = 400
    mlflow: int = 400
    content_type: str | None = JSON


def base64_png(pixels: np.ndarray) -> str:
    return base64.b64encode(cv2.imencode(".png", pixels)[1].tobytes()).decode()


def png_of(width: int, height: int) -> str:
    """Return a PNG of a few bytes that says it has so many pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + header + data).decode()


PICTURE = cv2.GaussianBlur(np.random.default_rng(1).integers(0, 255, (40, 50, 3), np.uint8), (0, 0), 2)
GOOD = base64_png(PICTURE)
LARGE = base64_png(np.zeros((4096, 4096), np.uint8))


def _of(**keys: object) -> bytes:
    return json.dumps(keys).encode()


def _images(*cells: object, **params: object) -> bytes:
    return _of(inputs={"image": list(cells)}, **({"params": params} if params else {}))


def wrong_requests() -> list[Wrong]:
    return [*_broken(), *_forms(), *_cells(), *_params(), *_kinds(), *_generated()]


def _broken() -> Iterator[Wrong]:
    yield Wrong("nothing", b"")
    for text in ("null", "[]", "3", "true", '"text"', "{}", '{"inputs"', "{'inputs': 1}", "NaN"):
        yield Wrong(text, text.encode())
    yield Wrong("no UTF-8", b'{"inputs": {"image": ["\xff\xfe"]}}')
    yield Wrong("UTF-16", _images(GOOD).decode().encode("utf-16"), mlflow=0)
    yield Wrong("every byte", bytes(range(256)))
    yield Wrong("nested deep", b'{"inputs": {"image": ' + b"[" * 100_000 + b"]" * 100_000 + b"}}", mlflow=500)
    yield Wrong("nested", b'{"inputs": {"image": [' + b"[" * 500 + b"1" + b"]" * 500 + b"]}}")
    yield Wrong("number of 5000 digits", b'{"inputs": {"image": [[[' + b"9" * 5000 + b"]]]}}", mlflow=500)
    yield Wrong("number of 50 digits", b'{"inputs": {"image": [[[' + b"9" * 50 + b"]]]}}")


def _forms() -> Iterator[Wrong]:
    for value in (3, None, "text", [], {}, {"image": []}, {"image": 3}, {"picture": [GOOD]}, {"image": None}):
        yield Wrong(f"inputs {str(value)[:20]}", _of(inputs=value))
    yield Wrong("inputs of a dict", _of(inputs={"image": {"a": 1}}))
    yield Wrong("two columns", _of(inputs={"image": [GOOD], "other": [1]}), mlflow=0)
    for value in (3, None, [], [3], [{"picture": GOOD}], {"image": GOOD}):
        yield Wrong(f"records {str(value)[:20]}", _of(dataframe_records=value))
    yield Wrong("records of two kinds", _of(dataframe_records=[{"image": GOOD}, 3]))
    yield Wrong("instances of numbers", _of(instances=[1, 2]))
    yield Wrong("instances, one without image", _of(instances=[{"image": GOOD}, {"x": 1}]), mlflow=0)
    yield Wrong("instances of two kinds", _of(instances=[{"image": GOOD}, 3]))
    yield Wrong("instances of uneven lists", _of(instances=[{"image": [[1, 2], [3]]}, {"image": [[1]]}]))
    yield Wrong("split without data", _of(dataframe_split={"columns": ["image"]}))
    yield Wrong("split, no rows", _of(dataframe_split={"columns": ["image"], "data": []}), mlflow=0)
    yield Wrong("split, long row", _of(dataframe_split={"columns": ["image"], "data": [[GOOD, 1]]}))
    yield Wrong("split, a number", _of(dataframe_split={"columns": ["image"], "data": 3}))
    yield Wrong("split, twice", _of(dataframe_split={"columns": ["image", "image"], "data": [[GOOD, GOOD]]}))
    yield Wrong("two forms", _of(inputs={"image": [GOOD]}, instances=[GOOD]))
    yield Wrong("another key", _of(inputs={"image": [GOOD]}, signature_name="x"), mlflow=0)
    for key in ("messages", "prompt", "input"):
        yield Wrong(key, _of(**{key: "hello"}))


def _cells() -> Iterator[Wrong]:
    cells: dict[str, object] = {
        "a path": "parts/0001.png",
        "text of bytes that are no picture": "aGFsbG8=",
        "empty text": "",
        "NUL": "\0",
        "half a surrogate": "\ud800",
        "nothing": None,
        "true": True,
        "a number": 0.5,
        "an object": {"image": GOOD},
        "a flat list": [1, 2],
        "uneven rows": [[1, 2], [3]],
        "negative": [[-1]],
        "above 255": [[256]],
        "fractions": [[0.5]],
        "NaN": [[float("nan"), 1]],
        "infinite": [[float("inf"), 1]],
        "texts in rows": [["a", "b"]],
        "a long text in rows": [["a" * 10_000, *[1] * 1000]],
        "true in rows": [[True, False]],
        "null in rows": [[None]],
        "four channels": [[[1, 2, 3, 4]]],
        "four dimensions": [[[[1]]]],
        "empty rows": [[]],
        "one row of RGB": [[1, 2, 3], [4, 5, 6]],
        "header of 50,000 x 50,000 px": png_of(50_000, 50_000),
        "header of 2^31 px": png_of(2**31 - 1, 2**31 - 1),
        "header of 5000 x 5000 px": png_of(5000, 5000),
        "header of no pixels": png_of(0, 0),
    }
    for name, cell in cells.items():
        yield Wrong(f"image: {name}", _images(cell))
        if name in ("a path", "fractions", "header of 5000 x 5000 px"):
            yield Wrong(f"second image: {name}", _images(GOOD, cell))
    yield Wrong("84 million pixels", _images(*[LARGE] * 5))


def _params() -> Iterator[Wrong]:
    for name, value in (("mask", "svg"), ("mask", 5), ("mask", None), ("mask", ["png"]), ("objects", "yes")):
        yield Wrong(f"{name} {value}", _images(GOOD, **{name: value}))
    yield Wrong("objects null", _images(GOOD, objects=None))
    yield Wrong("misspelled", _images(GOOD, maks="png"), mlflow=0)
    yield Wrong("params as a list", _of(inputs={"image": [GOOD]}, params=[1]))
    yield Wrong("params as a text", _of(inputs={"image": [GOOD]}, params="mask"))


def _kinds() -> Iterator[Wrong]:
    for kind in ("text/plain", "multipart/form-data; boundary=x", f"{JSON}; charset=latin-1", "image/png"):
        yield Wrong(kind, _images(GOOD), 415, 415, kind)
    yield Wrong("no content type", _images(GOOD), 415, 500, None)
    yield Wrong("a picture as it is", base64.b64decode(GOOD), 415, 415, "image/png")


def _generated() -> Iterator[Wrong]:
    """Yield good requests and pictures that were cut or altered."""
    rng, whole, picture = np.random.default_rng(7), _images(GOOD), base64.b64decode(GOOD)
    for share in np.linspace(0.05, 0.95, 10):
        yield Wrong(f"body cut at {share:.2f}", whole[: int(len(whole) * share)])
        cut = base64.b64encode(picture[: int(len(picture) * share)]).decode()
        yield Wrong(f"picture cut at {share:.2f}", _images(cut))
    for number in range(10):
        noise = rng.integers(0, 256, 200, np.uint8).tobytes()
        yield Wrong(f"noise {number}", noise)
        yield Wrong(f"picture of noise {number}", _images(base64.b64encode(noise).decode()))
        altered = bytearray(picture)
        altered[int(rng.integers(60, len(picture) - 60))] ^= (
            0xFF  # of the compressed pixels: its checksum tells
        )
        yield Wrong(f"picture altered {number}", _images(base64.b64encode(altered).decode()))
