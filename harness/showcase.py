"""Pictures of the best trials: probability maps, what they miss and invent, and labels to look at first."""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.data.audit.drawing import Box, around, beside, outlined, to_jpeg
from harness.data.cache import Cache
from harness.model.predict import Photo
from harness.report.files import FOLDER as REPORT
from harness.report.gallery import FOLDER, INDEX
from harness.search.trial import TrialResult
from harness.train.checkpoint import write_synced
from harness.train.foldrun import FoldResult
from harness.train.maps import FOLDER as MAPS
from harness.train.maps import predicted, validation_of, write_maps
from harness.train.start import FoldData

LEGEND = "On the right: orange is the label, blue what is predicted at logit 0, tinted what is ignored."
SURE = 3.0  # logit of a false object from which label and model contradict each other: probability .95

ShouldStop = Callable[[], bool]


@dataclass(frozen=True)
class Kind:
    """A row of the gallery: which photographs it chooses, of out-of-fold rows with `peak`, the surest false object."""

    name: str
    explanation: str
    choose: Callable[[pd.DataFrame], pd.DataFrame]


def _misses(rows: pd.DataFrame) -> pd.DataFrame:
    found = rows[rows["found"] < rows["objects"]]
    return found.assign(share=found["found"] / found["objects"]).sort_values(
        ["share", "fn"], ascending=[True, False]
    )


def _false_alarms(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[rows["false"] > 0].sort_values("fp", ascending=False)


def _best(rows: pd.DataFrame) -> pd.DataFrame:
    good = rows[(rows["objects"] > 0) & (rows["tp"] > 0)]
    return good.assign(iou=good["tp"] / (good["tp"] + good["fp"] + good["fn"])).sort_values(
        "iou", ascending=False
    )


def _conflicts(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[rows["peak"] >= SURE].sort_values("peak", ascending=False)


KINDS = (
    Kind(
        "worst misses",
        "Photographs whose objects are found least, those with the most missed pixels first.",
        _misses,
    ),
    Kind(
        "worst false alarms",
        "Photographs with the most pixels predicted where there is no target.",
        _false_alarms,
    ),
    Kind(
        "label or model",
        "The model is sure of an object (probability above .95) where the label has none: a false alarm, or a label "
        "that lacks it. Look at these labels first.",
        _conflicts,
    ),
    Kind("best", "Photographs with the highest IoU of their own.", _best),
)


def show_best(work: Path, result: TrialResult, data: FoldData, each: int) -> Path | None:
    """Write the gallery of a complete trial, `each` pictures a kind, and return its folder; None without pictures.

    Left and right: the picture, and the same with outlines, orange for the label and blue for what is predicted at
    logit 0. What is there of this trial is kept. Raises DataError where weights are gone.
    """
    rows = pd.concat([_rows_of(fold) for fold in result.folds], ignore_index=True)
    rows = rows[
        ~rows.duplicated(["fold", "photo"], keep=False)
    ]  # samples that share a name cannot be told apart
    chosen = {kind: spread(kind.choose(rows))[:each] for kind in KINDS}
    folder = work / REPORT / FOLDER
    if _shows(folder, result.plan.number, each):
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    if not each or all(found.empty for found in chosen.values()):
        return None
    seen = _seen(result, data, pd.concat(chosen.values()))
    folder.mkdir(parents=True)
    shown = [_shown(folder, kind, found, seen) for kind, found in chosen.items()]
    kinds = [kind for kind in shown if kind["pictures"]]
    content = {"trial": result.plan.number, "each": each, "legend": LEGEND, "kinds": kinds}
    write_synced(folder / INDEX, json.dumps(content, indent=1).encode())
    return folder


def spread(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the first row of each group, in their order, then the others: six exposures of one thing say little."""
    again = rows.duplicated("group")
    return pd.concat([rows[~again], rows[again]])


def keep_maps(
    work: Path,
    result: TrialResult,
    data: FoldData,
    should_stop: ShouldStop,
    tell: Callable[[str], None] = lambda line: None,
) -> None:
    """Write the out-of-fold probability maps of a trial, an archive a fold, those that are not there.

    `tell` gets a line as each is begun. Raises Interrupted, DiskFull; DataError where weights are gone.
    """
    for fold in result.folds:
        path = work / str(result.plan.number) / MAPS / f"fold_{fold.fold}.zip"
        if not path.is_file():
            tell(f"trial {result.plan.number} fold {fold.fold}: probability maps of its validation pictures")
            write_maps(path, result.plan.study, data, fold, should_stop)


def _shows(folder: Path, trial: int, each: int) -> bool:
    """Tell whether the gallery that is there is whole, of this trial and size; its index is written last."""
    try:
        index = json.loads((folder / INDEX).read_bytes())
        return bool((index["trial"], index["each"]) == (trial, each))
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _rows_of(fold: FoldResult) -> pd.DataFrame:
    """Return a fold's rows with `peak`, the highest logit of a false object in the photograph; -inf without one."""
    rows, kept = fold.out_of_fold, fold.kept
    if kept is None or kept.objects.empty:
        return rows.assign(peak=-np.inf)
    false = kept.objects[kept.objects["kind"] == "false"]
    return rows.assign(peak=false.groupby("picture")["peak"].max().reindex(rows.index, fill_value=-np.inf))


@dataclass(frozen=True)
class _Seen:
    """A photograph with its picture (H, W[, 3]) at the size of its logits."""

    photo: Photo
    image: NDArray[np.uint8]


def _seen(result: TrialResult, data: FoldData, wanted: pd.DataFrame) -> dict[tuple[int, str], _Seen]:
    """Return the wanted photographs by fold and name."""
    found = {}
    for fold in result.folds:
        names = set(wanted.loc[wanted["fold"] == fold.fold, "photo"])
        if not names:
            continue
        positions = validation_of(data, fold, names)
        of_photo = data.samples.iloc[positions].set_axis(positions).groupby("photo")
        for photo in predicted(result.plan.study, data, [fold.weights], positions):
            image = _image(of_photo.get_group(photo.name), photo.logits.shape, data.cache)
            found[fold.fold, photo.name] = _Seen(photo, image)
    return found


def _image(rows: pd.DataFrame, shape: tuple[int, ...], cache: Cache) -> NDArray[np.uint8]:
    """Return the picture of a photograph (H, W[, 3]): its sample at that size, or its crops where they were cut."""
    images = [cache.image(int(position)) for position in rows.index]
    if rows["w"].isna().any():
        return _resized(images[0], shape)
    boxes = rows[["x0", "y0", "w", "h"]].to_numpy(int) - [rows["x0"].min(), rows["y0"].min(), 0, 0]
    canvas = np.zeros((*shape, *images[0].shape[2:]), np.uint8)
    for image, (x, y, width, height) in zip(images, boxes.astype(int).tolist(), strict=True):
        canvas[y : y + height, x : x + width] = _resized(image, (height, width))
    return canvas


def _resized(image: NDArray[np.uint8], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    return np.asarray(cv2.resize(image, shape[::-1], interpolation=cv2.INTER_LINEAR), np.uint8)


def _shown(
    folder: Path, kind: Kind, rows: pd.DataFrame, seen: Mapping[tuple[int, str], _Seen]
) -> dict[str, Any]:
    """Write the pictures of one kind and return what the index says of them."""
    pictures = []
    for number, row in enumerate(rows.to_dict("records")):
        file = f"{kind.name.replace(' ', '_')}_{number:02d}.jpg"
        write_synced(folder / file, _drawn(seen[row["fold"], row["photo"]]))
        caption = _caption(row)
        alt = f"{kind.name}: {row['photo']}, label and prediction outlined. {caption}"
        place = {"photo": row["photo"], "group": row["group"], "fold": int(row["fold"])}
        pictures.append({"file": file, **place, "caption": caption, "alt": alt})
    return {"kind": kind.name, "explanation": kind.explanation, "pictures": pictures}


def _caption(row: Mapping[Any, Any]) -> str:
    union = row["tp"] + row["fp"] + row["fn"]
    iou = row["tp"] / union if union else 0.0
    return (
        f"{row['found']} of {row['objects']} objects found, {row['false']} false; IoU {iou:.3f}, "
        f"{row['fn']} px missed, {row['fp']} px false"
    )


def _drawn(seen: _Seen) -> bytes:
    """Return a photograph beside itself with outlines; the part with objects, where they are small."""
    said = np.asarray(seen.photo.logits > 0, np.uint8)
    part = _part(seen.photo.truth, said)
    return to_jpeg(
        beside([outlined(seen.image, part=part), outlined(seen.image, seen.photo.truth, said, part=part)])
    )


def _part(truth: NDArray[np.uint8], said: NDArray[np.uint8]) -> Box | None:
    """Return a square about all that is labeled or predicted, None where that is most of the photograph."""
    points = cv2.findNonZero(np.asarray((truth == 1) | (said == 1), np.uint8))
    if points is None:
        return None
    x, y, w, h = cv2.boundingRect(points)
    part = around((x, y, w, h), truth.shape, times=1.6, least=64)
    return None if part[2] * part[3] > truth.size / 2 else part
