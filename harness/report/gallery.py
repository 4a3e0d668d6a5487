"""Pictures of what the best trial missed and invented, put into the page from the folder that holds them."""

import base64
import json
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from harness.report.markup import paragraph

FOLDER, INDEX = "gallery", "index.json"  # below the report's folder
KINDS = {b"\x89PNG": "png", b"\xff\xd8\xff": "jpeg", b"RIFF": "webp"}  # by how a file begins


def gallery(report: Path) -> str:
    """Return the pictures of a report's folder by kind, or a sentence where there are none.

    The index has trial, legend and kinds, each with kind, explanation and pictures: file, photo, group, fold, caption,
    alt.
    """
    path = report / FOLDER / INDEX
    if not path.is_file():
        return paragraph("No pictures were drawn for this report.")
    try:
        index = json.loads(path.read_bytes())
        kinds = [_kind(kind, path.parent) for kind in index["kinds"]]
        return paragraph(f"Pictures of trial {index['trial']}. {index['legend']}", "soft") + "".join(kinds)
    except (OSError, ValueError, KeyError, TypeError) as error:
        return paragraph(f"The pictures cannot be shown: {path.name} is damaged ({type(error).__name__}).")


def _kind(kind: Mapping[str, Any], folder: Path) -> str:
    figures = "".join(_figure(picture, folder) for picture in kind["pictures"])
    shown = f'<div class="pictures">{figures}</div>' if figures else paragraph("There is none.", "soft")
    return (
        f"<section><h3>{escape(str(kind['kind']))}</h3>{paragraph(str(kind['explanation']))}{shown}</section>"
    )


def _figure(picture: Mapping[str, Any], folder: Path) -> str:
    """Return a picture inside the page; only files of the folder itself are read."""
    where = f"{picture['photo']}, group {picture['group']}, fold {picture['fold']}"
    caption = escape(str(picture["caption"]))
    path = folder / Path(str(picture["file"])).name
    content = path.read_bytes() if path.is_file() else b""
    kind = next((kind for start, kind in KINDS.items() if content.startswith(start)), None)
    if kind is None:
        inner = f"<p>{escape(path.name)} is gone, or no picture.</p>"
    else:
        data = base64.b64encode(content).decode()
        inner = f'<img alt="{escape(str(picture["alt"]))}" src="data:image/{kind};base64,{data}">'
    return f"<figure>{inner}<figcaption>{caption}<br>{escape(where)}</figcaption></figure>"
