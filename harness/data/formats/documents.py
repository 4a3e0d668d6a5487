"""Files of other tools read safely: JSON, XML, YAML and small pictures, held to limits, never to what they promise."""

import base64
import binascii
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.parsers import expat

import numpy as np
import yaml
from numpy.typing import NDArray
from PIL import Image

from harness.choices import nearest
from harness.data.pictures import PIXEL_LIMIT, SUFFIXES
from harness.data.rows import and_others
from harness.errors import ConfigError, DataError

LONGEST_SIDE = 100_000  # px
MOST_BYTES = 2**31  # of a file of annotations
ARCHIVES = frozenset({".zip", ".tar", ".gz", ".tgz", ".7z", ".rar"})


def source(path: str, where: str) -> Path:
    """Return a file or folder that is there, links resolved. Raises DataError."""
    found = Path(path).resolve()
    if found.suffix.lower() in ARCHIVES and found.is_file():
        raise DataError(f"{where}.path: {found} is an archive; unpack it first")
    if not found.exists():
        raise DataError(f"{where}.path: there is no {found}; correct the path")
    return found


def one_of(where: str, value: str, *allowed: str) -> None:
    """Raise ConfigError unless a setting has one of its values."""
    if value not in allowed:
        raise ConfigError(
            f"{where}: {value!r} is not known{nearest(value, allowed)}; known: {', '.join(allowed)}"
        )


def inside(root: Path, name: object, where: str) -> Path:
    """Return a file's path by its name below `root`, links resolved; it need not be there. Raises DataError."""
    if not isinstance(name, str) or not name or "\0" in name:
        raise DataError(f"{where}: {str(name)[:60]!r} is no file name; export it again")
    path = Path(root, name.replace("\\", "/"))
    try:
        resolved = path.resolve()
        if not resolved.is_relative_to(root):
            raise DataError(f"{where}: {name[:100]!r} leaves {root}; keep pictures and masks below it")
        resolved.is_file()
    except (OSError, RuntimeError) as error:  # a name too long, links in a ring
        raise DataError(
            f"{where}: {name[:60]!r} is no usable file name ({type(error).__name__}); rename it"
        ) from None
    return resolved


def pictures_in(folder: Path) -> list[Path]:
    """Return the pictures below a folder, in order."""
    return sorted(
        p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.name[0] != "." and p.is_file()
    )


def read_text(path: Path) -> str:
    """Return a file's text. Raises DataError."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise DataError(f"{path}: larger than {MOST_BYTES >> 30} GiB; divide it")
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path}: no text in UTF-8 that can be read ({type(error).__name__}); export it again"
        ) from None


def read_json(path: Path) -> dict[str, Any]:
    """Return a JSON object. Raises DataError for anything else, cut off or nested without end."""
    try:
        document = json.loads(read_text(path), parse_constant=_no_number)
    except RecursionError:
        raise DataError(f"{path}: nested too deep for annotations; export it again") from None
    except ValueError as error:
        raise DataError(f"{path}: no JSON, or cut off ({str(error)[:80]}); export it again") from None
    if not isinstance(document, dict):
        raise DataError(f"{path}: holds no JSON object; name a file of annotations")
    return document


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number")


def read_yaml(path: Path) -> dict[str, Any]:
    """Return a YAML mapping, without aliases. Raises DataError."""
    text = read_text(path)
    try:
        if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(text)):  # may grow without end
            raise DataError(f"{path}: holds YAML aliases; write it out")
        document = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise DataError(f"{path}: no YAML ({' '.join(str(error).split())[:80]}); correct it") from None
    if not isinstance(document, dict):
        raise DataError(f"{path}: holds no YAML mapping; name a data.yaml")
    return document


def read_xml(path: Path) -> ElementTree.Element:
    """Return the root of an XML file; one that declares a document type or entities is refused. Raises DataError."""
    text = read_text(path)
    _refuse_document_type(text, path)
    try:
        return ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError) as error:
        raise DataError(f"{path}: no XML, or cut off ({str(error)[:80]}); export it again") from None


def _refuse_document_type(text: str, path: Path) -> None:
    """Raise DataError where a document type begins, before anything that it declares is expanded."""

    def declared(*_: object) -> None:
        raise DataError(f"{path}: declares a document type, which annotations do not need; remove it")

    reader = expat.ParserCreate()
    reader.StartDoctypeDeclHandler = declared
    try:
        reader.Parse(text.encode(), True)
    except expat.ExpatError as error:
        raise DataError(f"{path}: no XML, or cut off ({str(error)[:80]}); export it again") from None


def listed(document: dict[str, Any], key: str, path: Path) -> list[dict[str, Any]]:
    """Return a list of objects out of a document. Raises DataError."""
    found = document.get(key)
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise DataError(f"{path}: {key!r} is missing, or no list of objects; name a file of annotations")
    return found


def side(value: object, where: str) -> int:
    """Return a side of a picture in px, as declared. Raises DataError."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= LONGEST_SIDE:
        raise DataError(
            f"{where}: {str(value)[:40]!r} is no side of a picture, 1 to {LONGEST_SIDE:,} px; export it again"
        )
    return value


def number(value: object, where: str) -> float:
    """Return a finite number out of text or a document. Raises DataError."""
    try:
        found = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        found = float("nan")
    if not abs(found) < 1e9:
        raise DataError(f"{where}: {str(value)[:40]!r} is no usable number; export it again")
    return found


def refuse_size(shape: tuple[int, int], where: str) -> None:
    """Raise DataError for a width and height that claim too much."""
    if shape[0] * shape[1] > PIXEL_LIMIT:
        raise DataError(
            f"{where}: claims {shape[0]} x {shape[1]} px, more than {PIXEL_LIMIT:,}; cut it into tiles"
        )


def unpacked(text: object, where: str) -> bytes:
    """Return the bytes of base64 text. Raises DataError."""
    try:
        return base64.b64decode(text, validate=True)  # type: ignore[arg-type]
    except (binascii.Error, ValueError, TypeError):
        raise DataError(f"{where}: no base64; export it again") from None


def small_png(file: bytes, where: str, within: tuple[int, int]) -> NDArray[np.bool_]:
    """Return where a PNG (h, w) is not 0 and not transparent; it may be no larger than `within`, width and height."""
    try:
        with Image.open(io.BytesIO(file), formats=["PNG"]) as picture:
            if picture.width > within[0] or picture.height > within[1]:
                raise DataError(
                    f"{where}: a patch of {picture.width} x {picture.height} px is larger than its picture"
                )
            last = (
                picture.convert("RGBA").getchannel("A")
                if picture.mode in ("RGBA", "LA")
                else picture.convert("L")
            )
            return np.asarray(np.array(last) > 0)
    except DataError:
        raise
    except Exception as error:  # decoders raise whatever they like on broken bytes
        raise DataError(f"{where}: no PNG, or cut off ({type(error).__name__}); export it again") from None


def only(found: Sequence[Path], what: str, folder: Path, where: str) -> Path:
    """Return the one file that there must be. Raises DataError."""
    if not found:
        raise DataError(f"{where}.path: {folder} holds no {what}; name it, or its folder")
    if len(found) > 1:
        names = ", ".join(str(path.relative_to(folder)) for path in found[:3])
        raise DataError(
            f"{where}.path: {folder} holds {len(found)} of {what} ({names}{and_others(found[2:])}); name one"
        )
    return found[0]
