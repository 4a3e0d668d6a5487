"""All pictures, one after the other: what is finished is left, one that cannot be read stops none of the others."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from harness.errors import DataError
from harness.model.tiles import Tiling
from harness.predict.bands import goes_whole, tiled_bands, whole_bands, whole_probabilities
from harness.predict.folder import Folder, Record, content_of, name_of
from harness.predict.picture import Draft, Tell, failed, finish_picture
from harness.predict.sources import Opener, Pixels, decoding, pictures_in
from harness.tracking.served_model import Segmenter

ON_GPU = (
    2**24
)  # px of tiles, or of pictures of one shape, that go through the networks together; on a CPU one


@dataclass(frozen=True)
class _Page:
    """A picture to be predicted: the name of what is made of it, and what its record begins with."""

    name: str
    head: Record


@dataclass
class Run:
    """The run of a model over files into a folder; `tell` gets the number of files done, and the one at work."""

    segmenter: Segmenter
    folder: Folder
    tiling: Tiling
    tell: Callable[[float, str], None]
    together: int | None = None  # tiles, or pictures of one shape; by default what the device is good for
    predicted: int = 0
    kept: int = 0
    failures: list[str] = field(default_factory=list)
    _waiting: list[tuple[_Page, Pixels]] = field(default_factory=list)

    def files(self, paths: Sequence[Path]) -> None:
        """Predict what is not finished. Raises DiskFull."""
        for number, path in enumerate(paths):
            self.tell(number, path.name)
            self._file(path, number)
        self._flush()
        self.tell(len(paths), "")

    def _file(self, path: Path, number: int) -> None:
        only = _Page(name_of(path, 1, 1), {"image": str(path), "page": 0, "digest": ""})
        try:
            with decoding(str(path)):
                only.head["digest"] = content_of(path)
            with pictures_in(path, self.segmenter.settings["white"]) as openers:
                pages = _pages(path, only, len(openers))
                self.folder.keep_only(path, {page.name for page in pages})
                for place, (page, opener) in enumerate(zip(pages, openers, strict=True)):
                    begins, share = number + place / len(pages), 1 / len(pages)
                    self._page(page, opener, partial(self._tell, path.name, begins, share))
        except DataError as error:
            self.folder.keep_only(path, {only.name})
            self._fail(only, error)

    def _tell(self, name: str, begins: float, share: float, done: float) -> None:
        self.tell(begins + share * done, name)

    def _page(self, page: _Page, opener: Opener, tell: Tell) -> None:
        if self.folder.finished(page.name, page.head["digest"]):
            self.kept += 1
            return
        began = time.perf_counter()
        try:
            source = opener()
            if goes_whole(source, self.segmenter.settings["size"], self.tiling):
                self._wait(page, source.rows(0, source.shape[0]))
                return
            draft = Draft(source.shape, self.segmenter.settings["threshold"], tell)
            bands = tiled_bands(self.segmenter, source, self.tiling, self._at_once(self.tiling.tile**2))
            facts = finish_picture(self.folder, page.name, draft, bands)
        except DataError as error:
            self._fail(page, error)
            return
        self._keep(page, facts, time.perf_counter() - began)

    def _wait(self, page: _Page, picture: Pixels) -> None:
        """Let a picture wait for others of its shape, as many as go through the networks together."""
        if self._waiting and self._waiting[0][1].shape != picture.shape:
            self._flush()
        self._waiting.append((page, picture))
        if len(self._waiting) >= self._at_once(picture.shape[0] * picture.shape[1]):
            self._flush()

    def _flush(self) -> None:
        """Predict the pictures that wait."""
        if not self._waiting:
            return
        waiting, self._waiting = self._waiting, []
        began = time.perf_counter()
        found = whole_probabilities(self.segmenter, [picture for _, picture in waiting])
        share = (time.perf_counter() - began) / len(waiting)
        for (page, picture), probability in zip(waiting, found, strict=True):
            began = time.perf_counter()
            draft = Draft(probability.shape, self.segmenter.settings["threshold"], lambda share: None)
            facts = finish_picture(self.folder, page.name, draft, whole_bands(picture, probability))
            self._keep(page, facts, share + time.perf_counter() - began)

    def _at_once(self, pixels: int) -> int:
        on_gpu = self.segmenter.device.type == "cuda"
        return self.together or (max(1, ON_GPU // pixels) if on_gpu else 1)

    def _keep(self, page: _Page, facts: Record, seconds: float) -> None:
        self.folder.keep(page.name, page.head | facts | {"seconds": round(seconds, 3)})
        self.predicted += 1

    def _fail(self, page: _Page, error: DataError) -> None:
        reason = " ".join(str(error).split())  # a file's name may be of several lines
        self.folder.keep(page.name, page.head | failed(reason) | {"seconds": ""})
        self.failures.append(reason)


def _pages(path: Path, only: _Page, count: int) -> list[_Page]:
    """Return the pictures of a file, numbered from 1 where there are several."""
    if count == 1:
        return [only]
    return [_Page(name_of(path, page, count), only.head | {"page": page}) for page in range(1, count + 1)]
