"""How the files of two folders, or of one, pair as pictures and masks: the names are tried in the usual ways."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product, takewhile
from pathlib import Path
from typing import Any

from harness.data.folders import WHOLE, id_of, pictures_below
from harness.data.rows import existing
from harness.errors import DataError

WORDS = (
    r"(?:masks?|labels?|gt|(?:ground[ _-]?)?truth|seg(?:mentation)?s?|anno(?:tation)?s?|targets?|manual\d?)"
)
ANY = "^(.*)$"  # as WHOLE, yet in any case and with or without leading zeros
LOOKS = (f"(?i)^(.*?)[ _.-]*{WORDS}$", f"(?i)^((?:.*/)?){WORDS}[ _.-]*([^/]*)$")  # of masks
SHOWN = 3  # names of each side in a message


@dataclass(frozen=True)
class Paired:
    """Settings of the data set `folders`, and how many pictures have a mask by them; the first pair as an example."""

    settings: dict[str, Any]
    pairs: int
    clean: int
    example: tuple[str, str]


@dataclass(frozen=True)
class _Tried:
    image_id: str
    mask_id: str
    images: dict[str, Path]
    masks: dict[str, Path]

    @property
    def shared(self) -> set[str]:
        return self.images.keys() & self.masks.keys()

    @property
    def left(self) -> int:
        """Return how many files have no partner."""
        return len(self.images.keys() ^ self.masks.keys())


def pair(images: Path, masks: Path, *, clean: bool) -> Paired:
    """Return how files pair; `clean` takes pictures without a mask as ones without a target. Raises DataError."""
    images, masks = existing(str(images), "--images"), existing(str(masks), "--masks")
    found = pictures_below(images, masks), pictures_below(masks, images)
    for folder, files in zip((images, masks), found, strict=True):
        if not files:
            raise DataError(f"{folder}: holds no picture; name another folder")
    tried = [one for one in _tried(images, masks, *found) if one is not None]
    best = min(tried, key=lambda one: one.left, default=None)
    if best is None or not best.shared:
        raise DataError(_no_way(*found, images, masks))
    _refuse_left_over(best, masks, clean=clean)
    ids = {"image_id": best.image_id, "mask_id": best.mask_id}
    settings: dict[str, Any] = {} if set(ids.values()) == {WHOLE} else dict(ids)
    bare = len(best.images) - len(best.shared)
    settings |= {"missing_masks": "clean"} if bare else {}
    first = min(best.shared)
    return Paired(settings, len(best.shared), bare, (best.images[first].name, best.masks[first].name))


def _tried(
    images: Path, masks: Path, found: Sequence[Path], drawn: Sequence[Path]
) -> Iterator[_Tried | None]:
    """Yield what each way of naming gives; the plainer ways first."""
    if images == masks:
        for look in (*_added(found, images), *LOOKS):
            yield from _alone(images, found, look)
        return
    yield _ids(images, masks, (found, drawn), (WHOLE, WHOLE))
    of_images = (ANY, *_affixes(found, images))
    for ways in (product(of_images, (*_affixes(drawn, masks), ANY)), product(of_images, LOOKS)):
        for patterns in ways:
            yield _ids(images, masks, (found, drawn), patterns)
    for text in (r"([^/]+)$", r"(\d+)[^\d/]*$"):
        yield _ids(images, masks, (found, drawn), (text, text))


def _added(files: Sequence[Path], folder: Path) -> list[str]:
    """Return patterns for what is most often added to the end, or the beginning, of another file's name."""
    names = {(path.parent, path.stem.casefold()) for path in files}
    ends: Counter[str] = Counter()
    starts: Counter[str] = Counter()
    for parent, stem in names:
        ends.update(stem[cut:] for cut in range(1, len(stem)) if (parent, stem[:cut]) in names)
        starts.update(stem[:cut] for cut in range(1, len(stem)) if (parent, stem[cut:]) in names)
    nested = "((?:.*/)?)" if any(path.parent != folder for path in files) else ""
    found = [f"(?i)^(.*){_plain(end)}$" for end, _ in ends.most_common(1)]
    return found + [f"(?i)^{nested}{_plain(start)}([^/]*)$" for start, _ in starts.most_common(1)]


def _plain(text: str) -> str:
    """Return a regular expression for this very text that is easy to read."""
    return re.sub(r"\\([ _-])", r"\1", re.escape(text))


def _alone(folder: Path, files: Sequence[Path], look: str) -> Iterator[_Tried | None]:
    """Yield what this look of a mask gives where masks lie beside their pictures."""
    drawn = _fitting(files, folder, look)
    taken = set(drawn)
    found = [path for path in files if path not in taken]
    looks = [text for text in _affixes(drawn, folder) if not _fitting(found, folder, text)]
    for image_id in (ANY, *_affixes(found, folder)):
        for mask_id in (*looks, look):
            yield _ids(folder, folder, (found, drawn), (image_id, mask_id))


def _fitting(files: Sequence[Path], folder: Path, text: str) -> list[Path]:
    pattern = re.compile(text)
    return [path for path in files if id_of(path, folder, pattern) is not None]


def _ids(
    images: Path, masks: Path, files: tuple[Sequence[Path], Sequence[Path]], patterns: tuple[str, str]
) -> _Tried | None:
    """Return which files have which id; None where two of a side have one."""
    sides = []
    for folder, side, text in zip((images, masks), files, patterns, strict=True):
        pattern = re.compile(text)
        ids = [(id_of(path, folder, pattern), path) for path in side]
        named = {key: path for key, path in ids if key is not None}
        if len(named) < len(ids):  # two have one id, or one has none
            return None
        sides.append(named)
    return _Tried(*patterns, *sides)


def _affixes(files: Sequence[Path], folder: Path) -> list[str]:
    """Return patterns for what the files' own names have besides what all of them end with, begin with, or both."""
    bases = [path.stem for path in files]
    if len(bases) < 2:
        return []
    before = _shared(bases)
    after = _shared([base[len(before) :][::-1] for base in bases])[::-1]
    nested = "((?:.*/)?)" if any(path.parent != folder for path in files) else ""
    before, after = _plain(before), _plain(after)
    ends = dict.fromkeys([("", after), (before, ""), (before, after)])
    return [f"^{nested}{start}(.*){end}$" for start, end in ends if start or end]


def _shared(names: Sequence[str]) -> str:
    """Return what all names begin with, without digits at its end: they belong to a number that differs."""
    columns = takewhile(lambda letters: len(set(letters)) == 1, zip(*names, strict=False))
    return re.sub(r"\d+$", "", "".join(letters[0] for letters in columns))


def _refuse_left_over(tried: _Tried, masks: Path, *, clean: bool) -> None:
    bare = [tried.images[key] for key in sorted(tried.images.keys() - tried.masks.keys())]
    orphans = [tried.masks[key] for key in sorted(tried.masks.keys() - tried.images.keys())]
    paired = f"{len(tried.shared)} pictures have a mask"
    if orphans:
        raise DataError(
            f"{orphans[0]}: {len(orphans)} masks have no picture of their name, {paired}; add the pictures, or move "
            "such masks away"
        )
    if bare and not clean:
        raise DataError(
            f"{bare[0]}: {len(bare)} pictures have no mask of their name in {masks}, {paired}; add --missing clean if "
            "such pictures show no target, or move them away"
        )


def _no_way(found: Sequence[Path], drawn: Sequence[Path], images: Path, masks: Path) -> str:
    sides = [", ".join(path.name for path in side[:SHOWN]) for side in (found, drawn)]
    if images == masks:
        return f"{images}: no file looks like another one's mask ({sides[0]}, ...); name masks as pictures, and _mask"
    return (
        f"{images}: names as {sides[0]} do not pair with masks as {sides[1]} in {masks}; rename them alike, or write "
        "data.dataset.folders with image_id and mask_id"
    )
