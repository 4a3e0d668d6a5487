"""Pictures in the page: those of the index, each with its words, and only files of their own folder."""

import base64
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from harness.report.gallery import gallery
from tests.report.reading import read_page


def picture(**changes: Any) -> dict[str, Any]:
    fixed = {
        "file": "000.png",
        "photo": "p1",
        "group": "g1",
        "fold": 2,
        "caption": "A miss.",
        "alt": "A scratch",
    }
    return fixed | changes


def write(report: Path, *pictures: dict[str, Any], **changes: Any) -> bytes:
    """Write a gallery with a drawn picture; return that picture."""
    (report / "gallery").mkdir(parents=True)
    content = cv2.imencode(".png", np.full((8, 8, 3), 90, np.uint8))[1].tobytes()
    (report / "gallery" / "000.png").write_bytes(content)
    kinds = [{"kind": "worst misses", "explanation": "The largest.", "pictures": list(pictures)}]
    (report / "gallery" / "index.json").write_text(
        json.dumps({"trial": 7, "legend": "Orange is the label.", "kinds": kinds} | changes)
    )
    return content


def test_pictures_are_inside_the_page_with_their_words(tmp_path: Path) -> None:
    content = write(tmp_path, picture())
    page = read_page(gallery(tmp_path))
    (image,) = page.of("img")
    assert image["alt"] == "A scratch"
    assert base64.b64decode(image["src"].removeprefix("data:image/png;base64,")) == content
    for words in (
        "Pictures of trial 7. Orange is the label.",
        "worst misses",
        "The largest.",
        "A miss.",
        "p1, group g1, fold 2",
    ):
        assert words in page.text


@pytest.mark.parametrize("file", ["gone.png", "../secret.png", "index.json"])
def test_a_picture_that_is_gone_or_lies_elsewhere_is_not_shown(tmp_path: Path, file: str) -> None:
    content = write(tmp_path, picture(), picture(file=file))
    (tmp_path / "secret.png").write_bytes(content)
    page = read_page(gallery(tmp_path))
    assert len(page.of("img")) == 1
    assert f"{Path(file).name} is gone, or no picture." in page.text


def test_names_cannot_become_part_of_the_page(tmp_path: Path) -> None:
    evil = '"><script>alert(1)</script>'
    write(tmp_path, picture(photo=evil, alt=evil, caption=evil))
    page = read_page(gallery(tmp_path))
    assert not page.of("script")
    assert page.of("img")[0]["alt"] == evil
    assert page.text.count(evil) == 2


def test_without_pictures_and_with_a_damaged_index_it_is_a_sentence(tmp_path: Path) -> None:
    assert "No pictures were drawn" in gallery(tmp_path)
    write(tmp_path, kinds=[{"kind": "worst misses"}])
    assert "index.json is damaged (KeyError)" in gallery(tmp_path)
    (tmp_path / "gallery" / "index.json").write_text("{")
    assert "index.json is damaged" in gallery(tmp_path)
    write(tmp_path / "empty")
    assert "There is none." in gallery(tmp_path / "empty")
