"""The built-in data set: surface defects drawn on real CC0 textures, the same pixels for the same seed.

The textures are scikit-image's brick, grass and gravel (all CC0 1.0), read from its wheel, never downloaded.
A source has one grid cell of one texture to itself and reads nothing outside it: no two share texture pixels.
"""

import csv
import json
import math
import os
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from importlib.resources import files
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from harness.errors import DataError

DEMO_VERSION = 2  # goes up with every change of a pixel or a row; belongs in the folder's name
COLUMNS = ("sample_path", "mask_path", "source_image_id", "class_id", "scale", "photo_id")  # and a Box
CLEAN = "clean"
TEXTURES = ("brick", "grass", "gravel")
GRID = 5  # cells along each side of a texture
MOST_SOURCES = len(TEXTURES) * GRID**2
FEWEST_PIXELS = 24  # of a defect, in a crop that is meant to show one
SCALES = {1: "full", 2: "0.5"}
FINER = 4  # lines are drawn this much larger, then averaged down: cv2 has whole widths only

Gray = NDArray[np.float32]
Mask = NDArray[np.bool_]
Shape = tuple[int, ...]


class Box(NamedTuple):
    """A rectangle in pixels of the photograph."""

    x0: int
    y0: int
    w: int
    h: int

    def cut(self, picture: NDArray[Any]) -> NDArray[Any]:
        """Return the part of a picture (H, W, ...) that the box shows."""
        return picture[self.y0 : self.y0 + self.h, self.x0 : self.x0 + self.w]

    def holds(self, other: "Box") -> bool:
        """Tell whether the other box lies inside this one."""
        inside = 0 <= other.x0 - self.x0 <= self.w - other.w
        return inside and 0 <= other.y0 - self.y0 <= self.h - other.h


class Source(NamedTuple):
    """One physical surface: reflectance (H, W) in gray levels with and without its defects, and where they are."""

    kind: str
    intact: Gray
    surface: Gray
    mask: Mask
    tint: Gray | None  # (3,), a factor for each channel; None is photographed in gray


class Kind(NamedTuple):
    """How a kind of defect looks: outline, range of the change in brightness, how far its edge is lit, how many."""

    outline: Callable[[Generator, Shape], Gray]
    shade: tuple[float, float]
    relief: float
    number: tuple[int, int]


def write_demo(root: Path, *, sources: int = 60, seed: int = 1) -> None:
    """Write images/, masks/ (0/255), instances.csv and demo.json into `root`; return at once if all is there.

    All of it appears at once or nothing does, under concurrent writers and kill -9 too. Raises DataError where
    `root` holds anything else, such as another seed's set.
    """
    if not 1 <= sources <= MOST_SOURCES:
        raise DataError(f"demo: {sources} sources asked for; the textures have room for 1 to {MOST_SOURCES}")
    identity = {"version": DEMO_VERSION, "sources": sources, "seed": seed}
    if _is_complete(root, identity):
        return
    root.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{root.name}-", dir=root.parent) as workshop:
        made = Path(workshop, "set")
        _write_set(made, identity)
        try:
            os.replace(made, root)
        except OSError:
            if not _is_complete(root, identity):  # else another writer was first, with the same pixels
                raise


def _is_complete(root: Path, identity: dict[str, int]) -> bool:
    """Tell a whole set from no set; raise DataError for what is neither, as it may not be ours to remove."""
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return False
    try:
        found = json.loads((root / "demo.json").read_text(encoding="utf-8"))
        images, masks = (len(os.listdir(root / folder)) for folder in ("images", "masks"))
    except (OSError, ValueError):
        found, images, masks = None, 0, 0
    if found != {**identity, "samples": images} or masks != images or not (root / "instances.csv").is_file():
        raise DataError(f"{root}: is not the whole demo set {identity}; delete it, or name another folder")
    return True


def _write_set(root: Path, identity: dict[str, int]) -> None:
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    rows = [row for n in range(identity["sources"]) for row in _write_source(root, identity["seed"], n)]
    with open(root / "instances.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([(*COLUMNS, *Box._fields), *rows])
    (root / "demo.json").write_text(json.dumps({**identity, "samples": len(rows)}) + "\n", encoding="utf-8")


def _write_source(root: Path, seed: int, number: int) -> Iterator[tuple[str | int, ...]]:
    """Photograph a source at one to three exposures and write one or two crops of each; yield their CSV rows."""
    source, group = draw_source(seed, number), f"s{number:03d}"
    rng = np.random.default_rng((seed, number, 1))
    for exposure in range(rng.integers(1, 4)):
        photo, picture = f"{group}-e{exposure}", _exposed(rng, source)
        for index, (box, shrink) in enumerate(_boxes(rng, source.mask)):
            size = (box.w // shrink, box.h // shrink)
            crop, cover = (
                cv2.resize(box.cut(whole), size, interpolation=cv2.INTER_AREA)
                for whole in (picture, source.mask.astype(np.float32))
            )
            image, mask = (f"{folder}/{photo}-c{index}.png" for folder in ("images", "masks"))
            for path, pixels in ((image, crop), (mask, np.uint8(255) * (cover >= 0.5))):
                (root / path).write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
            kind = source.kind if cover.max() >= 0.5 else CLEAN
            yield (image, mask, group, kind, SCALES[shrink], photo, *box)


def draw_source(seed: int, number: int) -> Source:
    """Draw surface `number`: texture, lighting, harmless marks, then its defects; every fifth has none."""
    rng = np.random.default_rng((seed, number, 0))
    name = (*KINDS, CLEAN)[number % (len(KINDS) + 1)]
    intact = _cluttered(rng, _material(rng, texture_cell(number)))
    tint = rng.uniform(0.85, 1, 3).astype(np.float32) if rng.random() < 0.3 else None
    surface, mask = intact, np.zeros(intact.shape, bool)
    if name != CLEAN:
        kind = KINDS[name]
        for _ in range(rng.integers(*kind.number, endpoint=True)):
            outline = kind.outline(rng, intact.shape)
            soft = _soft(outline, 0.6)
            lit = rng.choice((-1, 1)) * np.gradient(soft, axis=int(rng.integers(2)))  # from one side
            surface = surface * (1 + rng.uniform(*kind.shade) * soft + kind.relief * lit)
            mask |= outline >= 0.5
    return Source(name, intact, surface, mask, tint)


@cache
def _texture(name: str) -> Gray:
    """Return a texture of scikit-image's wheel, (512, 512)."""
    data = (files("skimage") / "data" / f"{name}.png").read_bytes()
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE), np.float32)


def texture_cell(number: int) -> Gray:
    """Return the part of a texture that belongs to source `number` alone, (102, 102)."""
    texture = _texture(TEXTURES[number % len(TEXTURES)])
    side = len(texture) // GRID
    row, column = divmod(number // len(TEXTURES), GRID)
    return Box(column * side, row * side, side, side).cut(texture)


def _material(rng: Generator, cell: Gray) -> Gray:
    """Return a bare, lit surface: the cell turned, bent and enlarged, with a grain of the source's own."""
    height, width = 2 * rng.integers(104, 120, 2)
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    turn, flip = rng.uniform(0, 2 * math.pi), rng.choice((-1, 1))
    bend = 0.05 * np.sin(rng.uniform(1, 3) * x + rng.uniform(1, 3) * y + rng.uniform(0, 6))
    across = flip * (math.cos(turn) * x - math.sin(turn) * y) + bend
    down = math.sin(turn) * x + math.cos(turn) * y + bend
    u, v = ((len(cell) / 2 * (1 + 0.85 * axis)).astype(np.float32) for axis in (across, down))
    bare = cv2.remap(cell, u, v, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
    bare = rng.uniform(7, 12) * (bare - bare.mean()) / bare.std()
    bare += 3 * _grain(rng, bare.shape, 0.7) + 4 * _grain(rng, bare.shape, 2.5)
    steepness, toward = rng.uniform(0.08, 0.2), rng.uniform(0, 2 * math.pi)
    light = 1 + steepness * (math.cos(toward) * x + math.sin(toward) * y)
    return np.asarray((rng.uniform(125, 160) + bare) * light, np.float32)


def _grain(rng: Generator, shape: Shape, size: float) -> Gray:
    """Return noise with standard deviation 1, smooth over about `size` px."""
    noise = _soft(rng.standard_normal(shape, np.float32), size)
    return np.asarray(noise / noise.std(), np.float32)


def _cluttered(rng: Generator, surface: Gray) -> Gray:
    """Add what is no defect, on clean sources too: soft shadows, bright dust, bright drops."""
    shade = np.zeros_like(surface)
    for fewest, most, darkest, brightest, radii, blur in (
        (1, 3, -0.15, -0.06, (16, 36), 8),
        (4, 13, 0.15, 0.4, (1, 2.5), 0.5),
        (0, 3, 0.15, 0.3, (4, 9), 0.8),
    ):
        for _ in range(rng.integers(fewest, most, endpoint=True)):
            shade += rng.uniform(darkest, brightest) * _soft(_blob(rng, surface.shape, radii), blur)
    return surface * (1 + shade)


def _soft(picture: Gray, blur: float) -> Gray:
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), blur), np.float32)


def _place(rng: Generator, shape: Shape) -> NDArray[np.float64]:
    """Return a point (x, y) at least 24 px from the border."""
    return rng.uniform(24, np.array(shape[::-1]) - 24)


def _blob(rng: Generator, shape: Shape, radii: tuple[float, float]) -> Gray:
    """Outline a closed, uneven shape, its radius (px) in this range: how much of each pixel it covers, 0-1."""
    angle = np.linspace(0, 2 * math.pi, 48, endpoint=False)
    waves = [rng.uniform(0, 0.22) / k * np.cos((k + 1) * angle + rng.uniform(0, 6)) for k in range(1, 5)]
    circle = np.stack([np.cos(angle), np.sin(angle) * rng.uniform(0.75, 1)], axis=1)
    points = _place(rng, shape) + rng.uniform(*radii) * (1 + np.sum(waves, axis=0))[:, None] * circle
    canvas = np.zeros(shape, np.uint8)
    cv2.fillPoly(canvas, [np.round(16 * points).astype(np.int32)], 255, cv2.LINE_AA, shift=4)  # 1/16 px
    return np.asarray(canvas / 255, np.float32)


def _walk(rng: Generator, heading: float, lengths: tuple[float, float], jag: float) -> NDArray[np.float64]:
    """Return the corners (n, 2) of a line of some length (px) from (0, 0); `jag` is its roughness in radians."""
    steps = rng.uniform(2, 8, round(rng.uniform(*lengths) / 5))
    turns = heading + rng.normal(0, jag, steps.size) + np.cumsum(rng.normal(0, jag / 6, steps.size))
    return np.cumsum(steps[:, None] * np.stack([np.cos(turns), np.sin(turns)], axis=1), axis=0)


def _line(rng: Generator, shape: Shape, lengths: tuple[float, float], jag: float, most_branches: int) -> Gray:
    """Outline a line, narrower towards its ends, with one or more thinner branches if it may have any."""
    heading, width = rng.uniform(0, 2 * math.pi), rng.uniform(2.8, 4.2)
    trunk = _walk(rng, heading, lengths, jag)
    lines = [trunk + _place(rng, shape) - trunk.mean(axis=0)]
    for _ in range(rng.integers(min(1, most_branches), most_branches, endpoint=True)):
        aside = heading + rng.choice((-1, 1)) * rng.uniform(0.5, 1.1)
        lines.append(rng.choice(lines[0]) + _walk(rng, aside, (20, 50), jag))
    canvas = np.zeros([FINER * side for side in shape], np.uint8)
    for line, full in zip(lines, (width, *[0.75 * width] * most_branches), strict=False):
        for k, (start, end) in enumerate(pairwise(np.round(FINER * line).astype(int).tolist()), start=1):
            thin = 1 - 0.5 * (2 * k / len(line) - 1) ** 2
            cv2.line(canvas, start, end, 255, round(FINER * full * thin))
    small = cv2.resize(canvas, shape[::-1], interpolation=cv2.INTER_AREA)
    return np.asarray(small / 255, np.float32)


def _exposed(rng: Generator, source: Source) -> NDArray[np.uint8]:
    """Photograph a surface with the gain, gamma, offset and sensor noise of one exposure."""
    light = source.surface if source.tint is None else source.surface[..., None] * source.tint
    level = np.clip(rng.uniform(0.85, 1.15) * light / 255, 0, 1) ** rng.uniform(0.88, 1.12)
    noise = rng.uniform(1.5, 4) * rng.standard_normal(light.shape, np.float32)
    return np.clip(np.round(255 * level + rng.uniform(-8, 8) + noise), 0, 255).astype(np.uint8)


def _boxes(rng: Generator, mask: Mask) -> Iterator[tuple[Box, int]]:
    """Yield one or two boxes, and how often smaller each is shown; a defect, if any, is seen in the first."""
    fewest = FEWEST_PIXELS if mask.any() else 0
    near = (box for box in _drawn(rng, mask.shape, 96, 160) if box.cut(mask).sum() >= fewest)
    first = next(near)
    wide = (box for box in _drawn(rng, mask.shape, 192, 208) if box.holds(first))
    bare = (box for box in islice(_drawn(rng, mask.shape, 96, 128), 500) if not box.cut(mask).any())
    yield first, 1
    second = rng.choice(["none", "near", "wide", "bare"], p=[0.45, 0.2, 0.2, 0.15])
    if second == "near":
        yield next(near), 1
    elif second == "wide":
        yield next(wide), 2
    elif second == "bare":
        yield from ((box, 1) for box in islice(bare, 1))  # defects may leave no room for one


def _drawn(rng: Generator, shape: Shape, shortest: int, longest: int) -> Iterator[Box]:
    """Yield boxes at random places forever, with even sides of these lengths."""
    while True:
        h, w = 2 * rng.integers(shortest // 2, longest // 2, 2, endpoint=True)
        x0, y0 = rng.integers((shape[1] - w, shape[0] - h), endpoint=True)
        yield Box(int(x0), int(y0), int(w), int(h))


KINDS = {
    "pit": Kind(lambda rng, shape: _blob(rng, shape, (3.5, 7)), (-0.5, -0.28), 0.6, (2, 6)),
    "scratch": Kind(lambda rng, shape: _line(rng, shape, (60, 130), 0.05, 0), (0.5, 0.8), 0.25, (1, 3)),
    "spot": Kind(lambda rng, shape: _blob(rng, shape, (6, 12)), (-0.45, -0.3), 0, (1, 4)),
    "crack": Kind(lambda rng, shape: _line(rng, shape, (70, 140), 0.35, 2), (-0.6, -0.35), 0, (1, 2)),
}
