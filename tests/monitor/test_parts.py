"""The parts of `monitor`: which files are meant, what a picture measures, what a fold model answers."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from harness.config import Choice
from harness.data.index import index_samples
from harness.data.split import read_split
from harness.monitor.answers import SCORES, answers, out_of_fold
from harness.monitor.arrivals import Arrival
from harness.monitor.drift import Difference
from harness.monitor.nearest import nearest
from harness.monitor.traits import Traits, light_of, traits_of
from harness.monitor.words import MEANING, meaning
from harness.promotion.candidate import model_settings, study_of
from harness.train.foldrun import committed_result, fold_folder
from tests.monitor.conftest import Shop, picture


def image(seed: int = 0) -> np.ndarray:
    return picture(np.random.default_rng(seed))[0]


def test_each_trait_answers_to_its_own_change() -> None:
    plain = image().astype(float)
    rng = np.random.default_rng(1)
    jpeg = cv2.imdecode(
        cv2.imencode(".jpg", image(), [cv2.IMWRITE_JPEG_QUALITY, 20])[1], cv2.IMREAD_GRAYSCALE
    )
    clouds = 40 * cv2.GaussianBlur(rng.standard_normal(plain.shape), (0, 0), 5)
    changed = {
        "noise": plain + rng.normal(0, 10, plain.shape),
        "blocks": jpeg.astype(float),
        "direction": cv2.blur(plain, (15, 1)),
    }
    before = _traits(plain)
    for name, pixels in changed.items():
        assert getattr(_traits(pixels), name) > getattr(before, name) + 0.05, name
    assert _traits(plain + 3 * clouds).texture < before.texture
    warm = np.stack([plain + 20, plain, plain - 20], axis=2)
    assert _traits(warm).color == pytest.approx(40, abs=1)
    assert _traits(np.stack([plain] * 3, axis=2)) == before
    assert light_of(cv2.GaussianBlur(image(), (0, 0), 1))["sharpness"] < light_of(image())["sharpness"]


@pytest.mark.parametrize("shape", [(1, 1), (3, 40), (16, 16), (40, 40, 3)])
def test_even_and_tiny_pictures_have_numbers(shape: tuple[int, ...]) -> None:
    found = traits_of(np.full(shape, 7, np.uint8))
    assert found == Traits(0.0, 0.0, 0.0, 0.0, 0.0)
    assert Traits.from_bytes(found.to_bytes()) == found


def test_a_fold_model_answers_as_it_did_out_of_fold(shop: Shop) -> None:
    samples, work = shop.samples(), shop.ran.work
    folds = [committed_result(fold_folder(work, 0, number)) for number in (0, 1)]
    before = out_of_fold(folds, samples)
    assert before is not None
    (file,) = (shop.ran.home / "folds").glob("*.json")
    positions = read_split(file).validation(samples, 1)
    photos = samples["photo"].iloc[positions].tolist()
    dataset = Choice.model_validate({"instances": {"root": str(shop.ran.folder / "data")}})
    root = index_samples(dataset, base=shop.ran.folder, cache=shop.ran.folder).root
    shown = [_arrival(root / name) for name in samples["sample"].iloc[positions]]
    settings = model_settings(study_of(shop.ran.board.facts), 0.0) | {"threshold": 0.9, "flips": True}
    now = answers(shown, np.ones(len(shown), np.intp), [fold.weights for fold in folds], settings)
    then = before.set_index("photo").loc[photos, list(SCORES)].reset_index(drop=True)
    pd.testing.assert_frame_equal(now, then, check_exact=True)
    other = answers(shown, np.zeros(len(shown), np.intp), [fold.weights for fold in folds], settings)
    assert not other.equals(then)  # one that was trained on these


def test_photographs_of_several_crops_are_left_out(shop: Shop) -> None:
    folds = [committed_result(fold_folder(shop.ran.work, 0, 0))]
    samples = shop.samples()
    whole = out_of_fold(folds, samples)
    assert whole is not None
    twice = pd.concat([samples, samples[samples["photo"] == whole["photo"].iloc[0]]])
    left = out_of_fold(folds, twice)
    assert left is not None
    assert len(left) == len(whole) - 1


def test_the_nearest_and_the_strangest_are_told() -> None:
    rng = np.random.default_rng(0)
    training = pd.DataFrame(rng.standard_normal((50, 3)), columns=["light", "noise", "same"]).assign(same=1.0)
    new = pd.DataFrame(
        {"light": [training["light"][7], 0.0], "noise": [training["noise"][7], 30.0], "same": 5.0}
    )
    found = nearest(training, np.arange(50) // 2, new)
    assert found.row[0] == 7
    assert found.distance[0] == 0
    assert (found.strangeness[1], found.measure[1]) == (1.0, "noise")
    assert found.strangeness[0] == 0


def test_pictures_of_one_group_do_not_make_strangers_of_all_others() -> None:
    rng = np.random.default_rng(1)
    group = np.arange(40) // 2
    places = rng.standard_normal((20, 2))[group] + 1e-3 * rng.standard_normal(
        (40, 2)
    )  # two nearly alike each
    found = nearest(pd.DataFrame(places), group, pd.DataFrame(rng.standard_normal((30, 2))))
    assert 0.2 < np.median(found.strangeness) < 0.8


def test_every_measure_has_words_for_both_directions() -> None:
    one = Difference("", 0.0, 0.0, 1.0, 0.5, 0.2, 0.001, 0.01)
    measured = [*light_of(image()), *vars(traits_of(image())), *SCORES]
    assert set(measured) == set(MEANING)
    for name in measured:
        low, high = (meaning(replace(one, name=name, shift=shift)) for shift in (-1.0, 1.0))
        assert (low, high) == MEANING[name]
        assert meaning(replace(one, name=name, shift=0.0)) == f"otherwise spread in {name}"


def _traits(pixels: np.ndarray) -> Traits:
    return traits_of(np.clip(pixels, 0, 255).round().astype(np.uint8))


def _arrival(path: Path) -> Arrival:
    return Arrival(path, "", 0, 0, 1, False, {}, None)  # type: ignore[arg-type]
