from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from harness.data.proof.draws import Draw, draw
from harness.data.proof.facts import Facts, near, without_specks
from harness.data.proof.planted import FIRST, SIDE, plant
from harness.data.proof.rules import FORM, RULES, RUNNING, STREAMS, TRUTH
from tests.data.proof.pipelines import BAD

PLANTED = {color: plant(color) for color in (False, True)}
Change = Callable[[dict[str, NDArray[Any]]], None]
IMAGES = ("image", "ground", "bright", "dark")


def changed(change: Change | None = None, color: bool = False) -> Facts:
    """Return the facts of a draw in which nothing was drawn, and `change` done by hand."""
    untouched = draw([], PLANTED[color], 0)
    layers = {name: getattr(untouched, name).copy() for name in (*IMAGES, "mask", "rows", "columns")}
    if change:
        change(layers)
    return Facts(PLANTED[color], Draw(**layers))


def figure(rule: str, change: Change | None = None, color: bool = False) -> float:
    return RULES[rule].measure(changed(change, color)).figure


def hole(layers: dict[str, NDArray[Any]]) -> None:
    for name in IMAGES:
        layers[name][20:60, 40:90] = 0


def labeled_255(layers: dict[str, NDArray[Any]]) -> None:
    hole(layers)
    for name in ("mask", "rows", "columns"):
        layers[name][20:60, 40:90] = 255


def strip(value: int) -> Change:
    """Return a shift by 10 px to the right with `value` in the gap of the mask."""

    def shift(layers: dict[str, NDArray[Any]]) -> None:
        for name, layer in layers.items():
            layer[:, 10:] = layer[:, :-10].copy()
            layer[:, :10] = 0 if name in IMAGES else value

    return shift


def mirror(layers: dict[str, NDArray[Any]]) -> None:
    for layer in layers.values():
        layer[:, :30] = layer[:, 30:60][:, ::-1].copy()


def move_mask(pixels: int) -> Change:
    def move(layers: dict[str, NDArray[Any]]) -> None:
        for name in ("mask", "rows", "columns"):
            layers[name] = np.roll(layers[name], pixels, axis=1)

    return move


def flatten(layers: dict[str, NDArray[Any]]) -> None:
    layers["image"] = layers["ground"] + ((layers["image"] - layers["ground"].astype(int)) // 8).astype(
        np.uint8
    )


def rough(deviation: float) -> Change:
    def add(layers: dict[str, NDArray[Any]]) -> None:
        noise = np.random.default_rng(0).normal(0, deviation, layers["ground"].shape)
        layers["ground"] = np.clip(np.rint(layers["ground"] + noise), 0, 255).astype(np.uint8)

    return add


def write(name: str, value: Any, where: Any = np.s_[60:70, 60:70]) -> Change:
    def change(layers: dict[str, NDArray[Any]]) -> None:
        layers[name][where] = value

    return change


@pytest.mark.parametrize("color", [False, True])
@pytest.mark.parametrize("rule", FORM | TRUTH)
def test_what_is_left_alone_breaks_no_rule(rule: str, color: bool) -> None:
    assert figure(rule, color=color) <= min(RULES[rule].limit, 0.3)


@pytest.mark.parametrize("color", [False, True])
@pytest.mark.parametrize(
    ("rule", "harm"),
    [
        ("values", write("mask", 7)),
        ("erased", hole),
        ("outside", strip(0)),
        ("outside", write("mask", 0, np.s_[72:88, 38:58])),
        ("excess", write("mask", 255, np.s_[30:60, 5:30])),
        ("copied", mirror),
        ("unlabeled", write("mask", 0, np.s_[:])),
        ("unlabeled", move_mask(4)),
        ("apart", move_mask(1)),
        ("lost", write("mask", 0, np.s_[:, :64])),
        ("hidden", flatten),
        ("noise", rough(20)),
    ],
)
def test_every_rule_about_pixels_fails_where_it_should(rule: str, harm: Change, color: bool) -> None:
    assert figure(rule, harm, color) > RULES[rule].limit


@pytest.mark.parametrize("rule", ["erased", "outside", "excess", "copied", "unlabeled", "apart", "hidden"])
@pytest.mark.parametrize("harmless", [labeled_255, strip(255)])
def test_what_is_ignored_breaks_no_rule(rule: str, harmless: Change) -> None:
    assert figure(rule, harmless) <= RULES[rule].limit


@pytest.mark.parametrize("deviation", [3, 8, 20])
def test_noise_is_measured_in_gray_levels(deviation: float) -> None:
    assert figure("noise", rough(deviation)) == pytest.approx(deviation, rel=0.05)


@pytest.mark.parametrize("pixels", [1, 2, 3])
def test_distance_is_measured_in_pixels(pixels: int) -> None:
    assert figure("apart", move_mask(pixels)) == pytest.approx(pixels, abs=0.25)


def test_a_single_pixel_is_noise_and_no_hole() -> None:
    dots = np.zeros((SIDE, SIDE), bool)
    dots[::2, ::2] = True
    assert not without_specks(dots)[2:-2, 2:-2].any()
    dots[50:52, 60:62] = dots[:2, 20:30] = True
    kept = without_specks(dots)
    assert kept[50:52, 60:62].all()
    assert kept[:2, 20:30].all()
    assert near(kept, 1)[49:53, 59:63].all()


def test_where_a_pixel_lies_is_known_beyond_every_edge_of_a_turned_picture() -> None:
    rows, columns = np.indices((SIDE, SIDE))
    turned = {"rows": 2 * rows - columns, "columns": rows + columns - 50}  # a turn and a change of scale
    inside = np.logical_and.reduce([(place >= 0) & (place < SIDE) for place in turned.values()])
    places = {name: np.where(inside, place + FIRST, 0).astype(np.uint8) for name, place in turned.items()}
    facts = changed()
    facts = Facts(facts.planted, replace(facts.draw, **places))
    distance = np.max(
        [-turned["rows"], turned["rows"] - 127, -turned["columns"], turned["columns"] - 127], axis=0
    )
    np.testing.assert_allclose(facts.beyond[~inside], distance[~inside], atol=1e-6)
    assert np.isneginf(facts.beyond[inside]).all()


def test_every_rule_is_broken_by_some_pipeline_or_stream() -> None:
    broken = set().union(*(rules for _, _, rules in BAD.values()))
    assert set(RULES) - broken == {"still", "streams"}  # which only a wrong Augmentation breaks
    assert set(RULES) == set(RUNNING) | set(FORM) | set(TRUTH) | set(STREAMS)
