"""What a request to a served model must be before MLflow's server sees it, and what an error of that server becomes.

MLflow alone answers some wrong requests with 500 or a stack trace, and overlooks others (docs/serving.md lists them).
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from harness.tracking.served_model import Refused, asked_for

FORMS = ("inputs", "instances", "dataframe_records", "dataframe_split")
TEXTS_IN_ALL = (
    2**27
)  # characters; of texts in `instances` numpy makes copies as long as the longest, for each
LONGEST = 300  # characters of a sentence
CODES = {  # MLflow's names, where it has one
    400: "INVALID_PARAMETER_VALUE",
    404: "ENDPOINT_NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    408: "REQUEST_TIMEOUT",
    413: "CONTENT_TOO_LARGE",
    415: "UNSUPPORTED_MEDIA_TYPE",
    500: "INTERNAL_ERROR",
    503: "TEMPORARILY_UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
ANSWERS = "one of inputs, instances, dataframe_records and dataframe_split, and params where wanted"


class Rejected(Exception):
    """A request that gets a status other than 200, and a sentence: where, what came, what to do."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status

    def body(self) -> bytes:
        """Return the answer, in MLflow's form."""
        return json.dumps({"error_code": CODES.get(self.status, "ERROR"), "message": str(self)}).encode()


def refuse_other_content(content_type: str) -> None:
    """Raise Rejected for all but JSON in UTF-8."""
    kind, *options = (part.strip().lower() for part in content_type.split(";"))
    if kind != "application/json" or not set(options) <= {"charset=utf-8", ""}:
        came = f"is {_short(content_type)!r}" if content_type else "is missing"
        raise Rejected(415, f"content-type: {came}; send application/json in UTF-8")


def refuse_wrong(body: bytes) -> None:
    """Raise Rejected for what cannot be a request for masks."""
    asked = _parsed(body)
    forms = [key for key in FORMS if key in asked]
    if len(forms) != 1 or set(asked) - {*FORMS, "params"}:
        came = ", ".join(map(repr, asked)) or "nothing"
        raise Rejected(400, f"body: has {_short(came)}; send {ANSWERS}")
    _refuse_params(asked.get("params"))
    _refuse_table(forms[0], asked[forms[0]])


def sentence_of(status: int, body: bytes) -> Rejected:
    """Return an error of MLflow's server with its last sentence alone: no stack trace, and not what was sent."""
    try:
        found = json.loads(body)
        said = str(found["message"])
    except (ValueError, KeyError, TypeError):
        return Rejected(status, "server: failed; its log says why")
    last = _short(re.split(r"Error: ", said)[-1])
    if "; " not in last:  # MLflow's own words
        last = f'body: is read as no images ({last}); send {{"inputs": {{"image": [...]}}}}'
    return Rejected(status, last)


def _parsed(body: bytes) -> Mapping[str, Any]:
    try:
        asked = json.loads(body.decode("utf-8"))
    except RecursionError:
        raise Rejected(400, "body: is nested too deep; send pictures as lists of rows of numbers") from None
    except ValueError as error:
        reason = str(error).partition(";")[0]
        raise Rejected(400, f"body: is no JSON in UTF-8 ({_short(reason)}); send {ANSWERS}") from None
    if not isinstance(asked, dict):
        raise Rejected(400, f"body: is {_kind(asked)}; send an object with {ANSWERS}")
    return asked


def _refuse_params(params: Any) -> None:
    if params is not None and not isinstance(params, dict):
        raise Rejected(400, f'params: are {_kind(params)}; send an object such as {{"mask": "rle"}}')
    try:
        asked_for(params or {})
    except Refused as error:
        raise Rejected(400, error.message) from None


def _refuse_table(form: str, table: Any) -> None:
    """Raise Rejected for rows that MLflow would pass over, and for what has none."""
    if isinstance(table, dict) and form == "dataframe_split":
        _refuse_columns(form, table.get("columns"))
        table = table.get("data")
    elif isinstance(table, dict) and form == "inputs":
        _refuse_columns(form, list(table))
        table = [table["image"]] if isinstance(table["image"], str) else table["image"]
    if not isinstance(table, list) or not table:
        came = "is empty" if isinstance(table, list) else f"is {_kind(table)}"
        raise Rejected(400, f"{form}: {came}; send a list of at least one image")
    rows = [row for row in table if isinstance(row, dict)]
    if rows and len(rows) < len(table):
        raise Rejected(400, f"{form}: mixes objects with other things; send objects alone")
    for position, row in enumerate(rows):
        _refuse_columns(f"{form}[{position}]", list(row))
    if form == "instances":
        _refuse_texts(form, [row["image"] for row in rows])


def _refuse_columns(where: str, names: Any) -> None:
    if names != ["image"]:
        raise Rejected(400, f"{where}: has the columns {_short(str(names))}; send 'image' alone")


def _refuse_texts(where: str, cells: list[Any]) -> None:
    longest = max((len(cell) for cell in cells if isinstance(cell, str)), default=0)
    if longest * len(cells) > TEXTS_IN_ALL:
        came = f"{len(cells)} images, the longest of {longest} characters"
        raise Rejected(400, f"{where}: {came}; send them as dataframe_records, or in several requests")


def _kind(value: Any) -> str:
    """Return what JSON calls a value."""
    kinds = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return kinds.get(type(value), "a number")


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else f"{line[:LONGEST]}..."
