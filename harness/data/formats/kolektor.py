"""KolektorSDD and KolektorSDD2: surfaces of commutators (Tabernik et al. 2019, Božič et al. 2021, ViCoS Ljubljana)."""

from pathlib import Path

from PIL import Image

from harness.data.formats.documents import label
from harness.data.formats.files import Pair, rows_of
from harness.data.formats.places import files_of, folders_of, given
from harness.data.formats.sizes import picture_size
from harness.data.formats.told import Left
from harness.data.formats.wanted import CLEAN, wanted
from harness.data.pictures import FORMATS, SUFFIXES
from harness.data.rows import Rows
from harness.errors import DataError

FORM = "kolektor"
DEFECT = "defect"
LABEL, TRUTH = "_label", "_GT"  # what masks of the first and of the second set end in
PARTS = frozenset({"train", "test"})
SPLIT = "the split into train and test is not used, since groups decide"


def kolektor(cache: Path, *, path: str) -> Rows:
    """Read KolektorSDD (kosNN/PartM.jpg, PartM_label.bmp) or KolektorSDD2 (train and test/NNNNN.png, NNNNN_GT.png).

    An item of the first set, a folder, is a group; the second set names no items. Masks are used as they are; a
    picture whose mask holds one value only is clean.
    """
    settings = wanted(FORM, None)
    root = given(path, FORM)
    left = Left()
    folders = folders_of(root) if root.is_dir() else []
    second = any(folder.name in PARTS for folder in folders)
    ending = TRUTH if second else LABEL
    pairs = [pair for folder in folders for pair in _pairs(root, folder.name, ending, left)]
    if not pairs:
        raise DataError(
            f"{root}: no picture with a mask of Kolektor, kos01/Part0_label.bmp or train/10000_GT.png; name its folder"
        )
    rows = rows_of(root, pairs, (DEFECT,), settings, left)
    return Rows(rows.root, rows.rows, rows.grouped, (*rows.notes, *((SPLIT,) if second else ())))


def _pairs(root: Path, folder: str, ending: str, left: Left) -> list[Pair]:
    files = files_of(root, SUFFIXES, below=folder)
    masks = {file.stem.removesuffix(ending): file for file in files if file.stem.endswith(ending)}
    pairs = []
    for file in files:
        if file.stem.endswith(ending):
            continue
        if file.stem not in masks:
            left.add(f"no mask named {file.stem}{ending}", f"{folder}/{file.name}")
            continue
        mask = masks[file.stem]
        shows = DEFECT if _has_target(mask) else CLEAN
        group = None if ending == TRUTH else label(folder, f"{root}")
        pairs.append(Pair(f"{folder}/{file.name}", f"{folder}/{mask.name}", shows, group))
    return pairs


def _has_target(mask: Path) -> bool:
    """Tell whether a mask holds more than one value."""
    picture_size(mask)
    try:
        with Image.open(mask, formats=FORMATS) as picture:
            low, high = picture.convert("L").getextrema()
    except Exception as error:  # decoders raise whatever they like on broken bytes
        raise DataError(f"{mask}: broken or cut off ({type(error).__name__}); copy it again") from error
    return low != high
