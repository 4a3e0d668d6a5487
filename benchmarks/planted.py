"""Leaks planted on purpose: other pictures of a surface that is in the set already, or copies of its file."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator

from benchmarks.textures import PICTURE, SURFACE, Floats, Pixels, Place, picture, surface, under_lamp
from harness.data.copies import plants

INSET = 40  # px between a picture and the nearest edges of its surface; a tilted one needs 33
TENTH = PICTURE // 10
QUALITIES = (80, 95)  # of files stored as JPEG


@dataclass(frozen=True)
class Scene:
    """A surface, where the picture of it lies that is in the set, and that picture as its file gives it back."""

    drawn: Floats
    place: Place
    stored: Pixels


Kind = Callable[[Scene, Generator], Pixels]


def scene(texture: str, seed: int, number: int, form: str) -> Scene:
    """Return scene `number` of a texture, its picture stored in a form of FORMS, near one of the four corners."""
    far = SURFACE - PICTURE - INSET
    place = Place(far if number & 1 else INSET, far if number & 2 else INSET)
    drawn = surface(texture, seed, number)
    rng = np.random.default_rng([seed, number])
    return Scene(drawn, place, stored(picture(drawn, place), form, rng))


def copy_of(origin: Scene, kind: str, form: str, rng: Generator) -> Pixels:
    """Return a planted picture of one kind, stored in the same form as its origin unless the kind is a file."""
    made = KINDS[kind](origin, rng)
    return made if kind in FILES else stored(made, form, rng)


def stored(pixels: Pixels, form: str, rng: Generator) -> Pixels:
    """Return the picture as it comes back from its file."""
    return FORMS[form](pixels, rng)


def shift(place: Place, rng: Generator) -> Place:
    """Move by one px to a tenth of a picture, either way on both axes."""
    down, right = rng.integers(1, TENTH + 1, 2) * rng.choice([-1, 1], 2)
    return Place(place.top + int(down), place.left + int(right))


def half_overlap(place: Place, rng: Generator) -> Place:
    """Move by half a picture along one axis, or up to seven px less: blocks of a JPEG lie elsewhere."""
    return _along_one_axis(place, _about(PICTURE // 2, rng), rng)


def quarter_corner(place: Place, rng: Generator) -> Place:
    """Move by half a picture along both axes, or up to seven px less: a corner of half by half is shared."""
    return _inward(place, _about(PICTURE // 2, rng), _about(PICTURE // 2, rng))


def quarter_strip(place: Place, rng: Generator) -> Place:
    """Move by three quarters of a picture along one axis, or up to seven px less: a strip is shared."""
    return _along_one_axis(place, _about(3 * PICTURE // 4, rng), rng)


def tilted(origin: Scene, rng: Generator) -> Pixels:
    """A picture of the same middle turned by up to 8 degrees, .9 to 1.1 times as large."""
    center = (origin.place.left + (PICTURE - 1) / 2, origin.place.top + (PICTURE - 1) / 2)
    matrix = cv2.getRotationMatrix2D(center, rng.uniform(-8, 8), rng.uniform(0.9, 1.1))
    matrix[:, 2] -= (origin.place.left, origin.place.top)
    seen = cv2.warpAffine(origin.drawn, matrix, (PICTURE, PICTURE), flags=cv2.INTER_CUBIC)
    return under_lamp(np.asarray(seen, np.float32))


def _about(by: int, rng: Generator) -> int:
    return by - int(rng.integers(8))


def _along_one_axis(place: Place, by: int, rng: Generator) -> Place:
    return _inward(place, by, 0) if rng.random() < 0.5 else _inward(place, 0, by)


def _inward(place: Place, vertically: int, horizontally: int) -> Place:
    """Move away from the nearest edges of the surface, so that all four directions occur."""
    down, right = (1 if at == INSET else -1 for at in (place.top, place.left))
    return Place(place.top + down * vertically, place.left + right * horizontally)


def _file_of(plant: plants.Plant) -> Kind:
    return lambda origin, rng: plant(origin.stored, rng)


def _picture_at(move: Callable[[Place, Generator], Place]) -> Kind:
    return lambda origin, rng: picture(origin.drawn, move(origin.place, rng))


MOVES = {
    "shifted": shift,
    "half overlap": half_overlap,
    "quarter overlap, corner": quarter_corner,
    "quarter overlap, strip": quarter_strip,
}
FILES = ("exact", "re-encoded")  # kinds that are files already
KINDS: dict[str, Kind] = {
    "exact": lambda origin, rng: origin.stored,
    "re-encoded": _file_of(plants.re_encoded),
    "resized": _file_of(plants.resized),
    "relit": _file_of(plants.relit),
    "mirrored": _file_of(plants.mirrored),
    "turned": _file_of(plants.turned),
    **{name: _picture_at(move) for name, move in MOVES.items()},
    "tilted and scaled": tilted,
}
FORMS: dict[str, Callable[[Pixels, Generator], Pixels]] = {
    "PNG": lambda pixels, rng: pixels,  # lossless: what comes back is what was written
    "JPEG": lambda pixels, rng: plants.as_jpeg(pixels, int(rng.integers(QUALITIES[0], QUALITIES[1] + 1))),
}
ENDINGS = {"PNG": ".png", "JPEG": ".jpg"}
