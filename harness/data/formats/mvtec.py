"""One category of MVTec AD: train/good, test/<defect>, ground_truth/<defect>/NNN_mask.png (Bergmann et al. 2019)."""

from pathlib import Path

from harness.data.formats.documents import label
from harness.data.formats.files import Pair, rows_of
from harness.data.formats.places import files_of, folders_of, given
from harness.data.formats.told import Left
from harness.data.formats.wanted import CLEAN, wanted
from harness.data.pictures import SUFFIXES
from harness.data.rows import Rows
from harness.errors import DataError

FORM = "mvtec"
GOOD = "good"
SPLIT = "the split into train and test is not used, since groups decide"


def mvtec(cache: Path, *, path: str, classes: tuple[str, ...] | None = None) -> Rows:
    """Read a category's folder; a picture shows the defect that its folder is named by, `good` is clean.

    The masks of ground_truth are used as they are. A picture of a defect without mask is left out.
    """
    settings = wanted(FORM, classes)
    root = _category(given(path, FORM))
    left = Left()
    pairs = [pair for part in ("train", "test") for pair in _pairs(root, part, left)]
    rows = rows_of(root, pairs, (), settings, left)
    return Rows(rows.root, rows.rows, rows.grouped, (*rows.notes, SPLIT))


def _category(place: Path) -> Path:
    if _is_category(place):
        return place
    found = [folder.name for folder in folders_of(place) if _is_category(folder)] if place.is_dir() else []
    if len(found) == 1:
        return (place / found[0]).resolve()
    names = f"; categories below it: {', '.join(found)}" if found else ""
    raise DataError(
        f"{place}: has no test/ and ground_truth/{names}; name the folder of one category as path"
    )


def _is_category(folder: Path) -> bool:
    return (folder / "test").is_dir() and (folder / "ground_truth").is_dir()


def _pairs(root: Path, part: str, left: Left) -> list[Pair]:
    pairs = []
    for folder in folders_of(root / part) if (root / part).is_dir() else []:
        defect = label(folder.name, f"{folder.parent}")
        for picture in files_of(root, SUFFIXES, below=f"{part}/{folder.name}"):
            name = picture.relative_to(root).as_posix()
            mask = _mask(root, defect, picture)
            if defect == GOOD:
                pairs.append(Pair(name, "", CLEAN))
            elif mask:
                pairs.append(Pair(name, mask, defect))
            else:
                left.add("a defect without a mask in ground_truth", name)
    return pairs


def _mask(root: Path, defect: str, picture: Path) -> str:
    folder = root / "ground_truth" / defect
    if defect == GOOD or not folder.is_dir():
        return ""
    below = f"ground_truth/{defect}"
    found = {file.stem: file for file in files_of(root, SUFFIXES, below=below)}
    mask = found.get(f"{picture.stem}_mask") or found.get(picture.stem)
    return mask.relative_to(root).as_posix() if mask else ""
