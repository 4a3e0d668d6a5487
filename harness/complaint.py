"""Turn pydantic's complaints about settings into one line: where, what came, what is allowed."""

import re
from collections.abc import Sequence

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from harness.choices import nearest


def explain(error: ValidationError, known: Sequence[str]) -> str:
    """Return the first complaint as `dotted.path: value; what is allowed`, and how many more there are.

    `known` are the dotted paths of all settings, for the nearest name.
    """
    details = error.errors()
    first = _sentence(details[0], known)
    return first if len(details) == 1 else f"{first} (and {len(details) - 1} more)"


def _sentence(detail: ErrorDetails, known: Sequence[str]) -> str:
    where = ".".join(str(part) for part in detail["loc"])
    match detail["type"]:
        case "extra_forbidden":
            return f"{where}: no such setting{nearest(where, known)}"
        case "missing":
            return f"{where}: missing; this setting has no default"
        case "literal_error" | "enum":
            allowed = str(detail["ctx"]["expected"])
            close = nearest(detail["input"], re.findall("'([^']*)'", allowed))
            return f"{where}: {detail['input']!r} is not allowed{close}; allowed: {allowed}"
        case "multiple_of":
            step = detail["ctx"]["multiple_of"]
            close = max(1, round(detail["input"] / step)) * step
            return f"{where}: {detail['input']!r} is no multiple of {step}; nearest: {close}"
        case "tuple_type":
            return (
                f"{where}: {_short(detail['input'])} is no list; write it in brackets, as [{detail['input']}]"
            )
        case _:
            message = detail["msg"].removeprefix("Value error, ")
            return f"{where}: {_short(detail['input'])}: {message[:1].lower()}{message[1:]}"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
