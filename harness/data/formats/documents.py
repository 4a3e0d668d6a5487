"""Read annotation files safely: bytes, JSON and XML with limits, and the checks of what stands in them."""

import json
import math
import reprlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn
from xml.parsers import expat

from harness.errors import DataError

FILE_LIMIT = 1_000_000_000  # bytes of one annotation file
AGAIN = "export it again"

Attributes = dict[str, str]


def shown(value: object) -> str:
    """Return a value as a short text of one line, however long or deep it is."""
    try:
        return reprlib.repr(value)
    except (RecursionError, ValueError):
        return f"a {type(value).__name__}"


def read_bytes(path: Path) -> bytes:
    """Return what a plain file holds. Raises DataError where it is none, is too large or cannot be read."""
    try:
        if not path.is_file():
            raise DataError(f"{path}: is no file; check the path")
        size = path.stat().st_size
        if size > FILE_LIMIT:
            raise DataError(f"{path}: {size:,} bytes, above {FILE_LIMIT:,}; split it by pictures")
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error


def read_text(path: Path) -> str:
    """Return the text of a UTF-8 file, with or without byte order mark. Raises DataError."""
    try:
        return read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: no text in UTF-8 (byte {error.start}); {AGAIN}") from error


def read_json(path: Path) -> Any:
    """Return what a JSON file says; NaN and Infinity, which are no JSON, are refused. Raises DataError."""
    text = read_text(path)
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except RecursionError as error:
        raise DataError(f"{path}: nested too deeply; {AGAIN}") from error
    except json.JSONDecodeError as error:
        what = f"no JSON, or cut off (line {error.lineno}, column {error.colno}: {error.msg})"
        raise DataError(f"{path}: {what}; {AGAIN}") from error
    except ValueError as error:  # of NaN, and of numbers with thousands of digits
        raise DataError(f"{path}: {str(error).splitlines()[0]}; {AGAIN}") from error


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"holds {name}, which is no number")


def walk_xml(
    path: Path,
    start: Callable[[str, Attributes, int], None],
    end: Callable[[str], None],
    text: Callable[[str], None],
) -> None:
    """Call `start(name, attributes, line)`, `end(name)` and `text(some)` along an XML file; no tree is kept.

    A document type, and with it every entity, is refused before anything of it is expanded. Raises DataError.
    """
    file, parser = read_bytes(path), expat.ParserCreate()

    def refuse(*_: object) -> NoReturn:
        raise DataError(
            f"{path}, line {parser.CurrentLineNumber}: a DOCTYPE, which exports have not; {AGAIN}"
        )

    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = refuse
    parser.StartElementHandler = lambda name, found: start(name, found, parser.CurrentLineNumber)
    parser.EndElementHandler, parser.CharacterDataHandler = end, text
    try:
        parser.Parse(file, True)
    except expat.ExpatError as error:
        why = expat.errors.messages.get(error.code, "unknown")
        raise DataError(f"{path}, line {error.lineno}: no XML, or cut off ({why}); {AGAIN}") from error
    except (ValueError, LookupError) as error:
        raise DataError(f"{path}: XML of an unknown encoding; save it as UTF-8") from error


def mapping(value: object, where: str) -> dict[str, Any]:
    """Return a JSON object. Raises DataError for anything else."""
    if not isinstance(value, dict):
        raise DataError(f"{where}: {shown(value)} is no object {{...}}; {AGAIN}")
    return value


def listing(value: object, where: str) -> list[Any]:
    """Return a JSON list. Raises DataError for anything else."""
    if not isinstance(value, list):
        raise DataError(f"{where}: {shown(value)} is no list [...]; {AGAIN}")
    return value


def label(value: object, where: str) -> str:
    """Return a name of something, on one line. Raises DataError for blanks, control characters, other types."""
    if not isinstance(value, str) or not (name := value.strip()) or not name.isprintable():
        raise DataError(f"{where}: {shown(value)} is no name; correct it")
    return name


def integer(value: object, where: str, *, lowest: int = 0) -> int:
    """Return a whole number, also one written as 3.0. Raises DataError."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or value < lowest:
        raise DataError(f"{where}: {shown(value)} is no whole number from {lowest} on; correct it")
    return value


def decimal(value: object, where: str) -> float:
    """Return a finite number, also one written as text, as in XML. Raises DataError."""
    try:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise ValueError
        number = float(value)
        if not math.isfinite(number):
            raise ValueError
    except (ValueError, OverflowError):
        raise DataError(f"{where}: {shown(value)} is no number; correct it") from None
    return number


def identity(value: object, where: str) -> int | str:
    """Return an id, a whole number or a text. Raises DataError."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise DataError(f"{where}: {shown(value)} is no id; {AGAIN}")
    return value
