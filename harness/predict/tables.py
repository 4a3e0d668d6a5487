"""The tables of a folder of predictions, made of its records: images.csv, objects.csv, objects.json (COCO)."""

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

from harness.predict.folder import Folder, Record
from harness.predict.outlines import as_wkt

IMAGE = (
    "image",
    "page",
    "state",
    "reason",
    "height",
    "width",
    "score",
    "objects",
    "listed",
    "share",
    "seconds",
)
FILES = ("mask", "overlay", "digest")
OBJECT = ("image", "page", "object", "x", "y", "width", "height", "area", "score", "mean", "polygon")
CATEGORIES = [{"id": 1, "name": "object"}]


def write_tables(folder: Folder) -> None:
    """Write the three tables anew, each whole or not at all. Raises DiskFull."""
    with folder.writing_to("images.csv") as path:
        _write_csv(
            path,
            (*IMAGE, *FILES),
            ([record[name] for name in (*IMAGE, *FILES)] for record in folder.records()),
        )
    with folder.writing_to("objects.csv") as path:
        _write_csv(path, OBJECT, (row for record in folder.records() for row in _rows(record)))
    with folder.writing_to("objects.json") as path, path.open("w", encoding="utf-8") as file:
        _write_coco(file, lambda: (record for record in folder.records() if record["state"] == "done"))


def _write_csv(path: Path, heads: Sequence[str], rows: Iterator[list[Any]]) -> None:
    with path.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(heads)
        table.writerows(rows)


def _rows(record: Record) -> Iterator[list[Any]]:
    for number, one in enumerate(record["found"], 1):
        facts = [one["area"], one["score"], one["mean"], as_wkt(one["rings"])]
        yield [record["image"], record["page"], number, *one["box"], *facts]


def _write_coco(file: TextIO, records: Callable[[], Iterator[Record]]) -> None:
    """Write one picture and one object after the other: all of them together may be more than fits."""
    file.write('{"images": [')
    images = ((number, record) for number, record in enumerate(records(), 1))
    file.write(",\n".join(json.dumps(_image(number, record)) for number, record in images))
    file.write('],\n"annotations": [')
    total = 0
    for number, record in enumerate(records(), 1):
        for one in record["found"]:
            total += 1
            file.write(",\n" if total > 1 else "\n")
            file.write(json.dumps(_annotation(total, number, one, record)))
    file.write(f'],\n"categories": {json.dumps(CATEGORIES)}}}\n')


def _image(number: int, record: Record) -> dict[str, Any]:
    page = {"page": record["page"]} if record["page"] else {}
    return {"id": number, "file_name": record["image"], **page} | {
        name: record[name] for name in ("height", "width")
    }


def _annotation(number: int, image: int, one: dict[str, Any], record: Record) -> dict[str, Any]:
    """Return an object as COCO has it: a polygon, or run lengths where it has holes, which polygons cannot have."""
    counts = one["counts"]
    shape = {"counts": counts, "size": [record["height"], record["width"]]}
    return {
        "id": number,
        "image_id": image,
        "category_id": 1,
        "bbox": one["box"],
        "area": one["area"],
        "score": one["score"],
        "mean_score": one["mean"],
        "iscrowd": 0,
        "segmentation": one["rings"] if counts is None else shape,
    }
