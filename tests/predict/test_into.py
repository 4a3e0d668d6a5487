"""The whole of it: files in, a folder of results out; what is bad, what is finished, what has changed."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image
from rich.console import Console

from harness.model.tiles import Tiling
from harness.predict.folder import opened
from harness.predict.into import Done, predict_into
from harness.predict.run import Run
from harness.tracking.served_model import Segmenter
from tests.predict.conftest import blobs, bright

TILING = Tiling(128, 32)


def predict(
    files: list[Path], out: Path, segmenter: Segmenter | None = None, tiling: Tiling = TILING
) -> Done:
    return predict_into(out, segmenter or bright(), {"it": "is"}, files, tiling, Console(file=io.StringIO()))


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def coco(out: Path) -> dict[str, Any]:
    return dict(json.loads((out / "objects.json").read_text()))


def mask_of(out: Path, row: dict[str, str]) -> Any:
    return np.array(Image.open(out / row["mask"]))


def painted(segmentation: Any, height: int, width: int) -> Any:
    """Return the pixels of a COCO segmentation, as its tools would."""
    if isinstance(segmentation, dict):
        counts = segmentation["counts"]
        values = np.repeat(np.arange(len(counts)) % 2, counts)
        return values.reshape(segmentation["size"][::-1]).T.astype(np.uint8)
    inside = np.zeros((height, width), int)
    for ring in segmentation:
        points = list(zip(ring[::2], ring[1::2], strict=True))
        for (x0, y0), (_, y1) in zip(points, points[1:] + points[:1], strict=True):
            inside[min(y0, y1) : max(y0, y1), x0:] += 1
    return (inside % 2).astype(np.uint8)


def test_masks_and_tables_say_what_the_model_says(tmp_path: Path) -> None:
    picture = blobs(200, 300, sigma=2)
    cv2.imwrite(str(tmp_path / "a.png"), picture[:, :, ::-1])
    assert predict([tmp_path / "a.png"], tmp_path / "out", tiling=Tiling()).failures == []
    (row,) = rows(tmp_path / "out/images.csv")
    mask = mask_of(tmp_path / "out", row)
    probability = bright().probability(picture)
    assert (mask == (probability > 0.5) * 255).all()
    assert float(row["score"]) == pytest.approx(probability.max(), abs=1e-6)
    assert float(row["share"]) == pytest.approx((mask > 0).mean(), abs=1e-6)
    objects, annotations = rows(tmp_path / "out/objects.csv"), coco(tmp_path / "out")["annotations"]
    assert len(objects) == len(annotations) == int(row["objects"]) > 3
    kinds = {isinstance(one["segmentation"], dict): one for one in annotations}
    assert set(kinds) == {True, False}, "some objects have holes, which polygons cannot have"
    assert all(len(one["segmentation"]) == 1 for one in annotations if isinstance(one["segmentation"], list))
    total = np.zeros((200, 300), int)
    for one, line in zip(annotations, objects, strict=True):
        shape = painted(one["segmentation"], 200, 300)
        x, y, width, height = one["bbox"]
        assert shape.sum() == shape[y : y + height, x : x + width].sum() == one["area"] == int(line["area"])
        assert one["score"] == pytest.approx(probability[shape > 0].max(), abs=1e-6)
        assert one["mean_score"] == pytest.approx(probability[shape > 0].mean(), abs=1e-5)
        total += shape
    assert (total == mask // 255).all()
    assert (tmp_path / "out" / row["overlay"]).is_file()


def test_a_bad_picture_is_a_row_and_the_rest_go_on(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "whole.png"), blobs(90, 90))
    whole = (tmp_path / "whole.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[:3000])
    (tmp_path / "text.png").write_text("hello")
    Image.fromarray(np.zeros((9, 9), np.float32)).save(tmp_path / "float.tif")
    files = [tmp_path / name for name in ("cut.png", "text.png", "float.tif", "gone.png", "whole.png")]
    done = predict(files, tmp_path / "out")
    assert (done.predicted, len(done.failures), done.total) == (1, 4, 5)
    found = {Path(row["image"]).name: row for row in rows(tmp_path / "out/images.csv")}
    assert {name: row["state"] for name, row in found.items()} == {
        path.name: "failed" for path in files[:4]
    } | {"whole.png": "done"}
    assert all(
        name in row["reason"] and "\n" not in row["reason"] for name, row in found.items() if row["reason"]
    )
    assert len(coco(tmp_path / "out")["images"]) == 1
    (tmp_path / "cut.png").write_bytes(whole)
    assert predict(files, tmp_path / "out").predicted == 1, "mended, it is predicted; what is done is not"


def test_what_is_finished_is_left_and_what_has_changed_is_predicted_anew(tmp_path: Path) -> None:
    files = [tmp_path / f"{number}.png" for number in range(3)]
    for number, path in enumerate(files):
        cv2.imwrite(str(path), blobs(80, 90, number))
    out = tmp_path / "out"
    assert predict(files[:2], out).predicted == 2
    times = {path: path.stat().st_mtime_ns for path in (out / "masks").iterdir()}
    cv2.imwrite(str(files[0]), blobs(80, 90, 7))
    done = predict(files, out)
    assert (done.predicted, done.kept) == (2, 1)
    kept = [path for path, time in times.items() if path.stat().st_mtime_ns == time]
    assert [path.name[0] for path in kept] == ["1"]
    fresh = predict(files, tmp_path / "other")
    assert fresh.predicted == 3
    for name in ("objects.csv", "objects.json"):
        assert (out / name).read_bytes() == (tmp_path / "other" / name).read_bytes()


def test_each_page_of_a_stack_is_a_picture_and_one_bad_page_stops_no_other(tmp_path: Path) -> None:
    path, pages = tmp_path / "stack.tif", [blobs(70, 80, seed)[:, :, 0] for seed in range(3)]
    with tifffile.TiffWriter(path) as file:
        for page in (*pages[:2], pages[2].astype(np.float32), *pages[2:]):
            file.write(page, photometric="minisblack", metadata=None)
    done = predict([path], tmp_path / "out")
    assert (done.predicted, done.failures) == (3, [done.failures[0]])
    assert "page 3" in done.failures[0]
    found = rows(tmp_path / "out/images.csv")
    assert [(row["page"], row["state"]) for row in found] == [
        ("1", "done"),
        ("2", "done"),
        ("3", "failed"),
        ("4", "done"),
    ]
    for row, page in zip([found[0], found[1], found[3]], pages, strict=True):
        assert (mask_of(tmp_path / "out", row) == (bright().probability(page) > 0.5) * 255).all()
    cv2.imwrite(str(path), pages[0])
    assert predict([path], tmp_path / "out").predicted == 1, "it has one page now"
    assert [row["page"] for row in rows(tmp_path / "out/images.csv")] == ["0"]
    assert len(list((tmp_path / "out/masks").iterdir())) == 1


def test_files_of_one_name_do_not_collide_and_the_order_does_not_matter(tmp_path: Path) -> None:
    files = [tmp_path / folder / "1.png" for folder in ("a", "b", "c")]
    for number, path in enumerate(files):
        path.parent.mkdir()
        cv2.imwrite(str(path), blobs(80, 90, number))
    predict(files, tmp_path / "out")
    predict(files[::-1], tmp_path / "turned")
    assert len({row["mask"] for row in rows(tmp_path / "out/images.csv")}) == 3
    for name in ("objects.csv", "objects.json"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "turned" / name).read_bytes()


def test_a_large_picture_goes_by_tiles_and_a_model_of_whole_pictures_takes_it_whole(
    tmp_path: Path,
) -> None:
    picture = blobs(300, 250, sigma=6)
    tifffile.imwrite(tmp_path / "a.tif", picture, tile=(64, 64), photometric="rgb")
    for name, segmenter in (("tiles", bright()), ("whole", bright(size=100))):
        predict([tmp_path / "a.tif"], tmp_path / name, segmenter)
        (row,) = rows(tmp_path / name / "images.csv")
        assert (mask_of(tmp_path / name, row) == (segmenter.probability(picture) > 0.5) * 255).all()


@pytest.mark.parametrize("together", [2, 8])
def test_pictures_of_one_shape_go_together_and_give_what_they_give_alone(
    tmp_path: Path, together: int
) -> None:
    files = []
    for number, side in enumerate((60, 60, 70, 70, 70, 60)):
        files.append(tmp_path / f"{number}.png")
        cv2.imwrite(str(files[-1]), blobs(60, side, number))
    sizes: list[int] = []
    segmenter = bright()
    plain = segmenter.folds
    segmenter.folds = lambda images: sizes.append(len(images)) or plain(images)  # type: ignore[func-returns-value]
    predict(files, tmp_path / "alone")
    with opened(tmp_path / "out", {}) as folder:
        Run(segmenter, folder, TILING, lambda done, name: None, together).files(files)
    assert sizes == ([2, 2, 1, 1] if together == 2 else [2, 3, 1])
    for path in (tmp_path / "alone/masks").iterdir():
        assert path.read_bytes() == (tmp_path / "out/masks" / path.name).read_bytes()


def test_values_above_white_and_depths_are_as_in_training(tmp_path: Path) -> None:
    deep = blobs(90, 90)[:, :, 0].astype(np.uint16) * 8
    cv2.imwrite(str(tmp_path / "deep.png"), deep)
    cv2.imwrite(str(tmp_path / "shallow.png"), blobs(90, 90))
    segmenter = bright(white=2040)
    done = predict([tmp_path / "deep.png", tmp_path / "shallow.png"], tmp_path / "out", segmenter)
    assert (done.predicted, len(done.failures)) == (1, 1)
    assert "white is 2040" in done.failures[0]
    (row,) = [row for row in rows(tmp_path / "out/images.csv") if row["state"] == "done"]
    assert (mask_of(tmp_path / "out", row) == (segmenter.probability(deep) > 0.5) * 255).all()
