from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from harness.config import Choice, Data, MaskValues
from harness.data.cache import Cache, build_cache
from harness.errors import TrainingError
from harness.model.metrics import count_pixels
from harness.model.networks import build_network
from harness.model.predict import Photo, network_logits, normalize, pad, predict_photos, training_logits
from tests.conftest import content_of

Pixels = NDArray[np.uint8]
Logits = NDArray[np.float32]
CPU = torch.device("cpu")


class Pack:
    """Samples in real files, added one at a time."""

    def __init__(self, root: Path) -> None:
        self.root, self.rows = root, list[dict[str, Any]]()

    def add(self, photo: str, image: Pixels, mask: Pixels, box: tuple[int, ...] | None = None) -> "Pack":
        number = len(self.rows)
        stored = np.select([mask == 1, mask == 255], [255, 128]).astype(np.uint8)
        for name, pixels in ((f"{number}.png", image), (f"{number}_m.png", stored)):
            assert cv2.imwrite(str(self.root / name), pixels)
        height, width = mask.shape
        self.rows.append(
            {"sample": f"{number}.png", "mask": f"{number}_m.png", "group": photo[0], "photo": photo}
            | {
                "height": height,
                "width": width,
                "channels": image.ndim,
            }
            | content_of(self.root, f"{number}.png", f"{number}_m.png", MaskValues(ignore=128))
            | dict(zip(("x0", "y0", "w", "h"), box or [pd.NA] * 4, strict=True))
        )
        return self

    def build(self, size: int | None = None) -> tuple[Cache, pd.DataFrame]:
        samples = pd.DataFrame(self.rows).astype(dict.fromkeys(("x0", "y0", "w", "h"), "Int64"))
        data = Data.model_validate({"dataset": "folders", "size": size, "masks": {"ignore": 128}})
        return build_cache(samples, self.root, data, self.root / "caches"), samples


@pytest.fixture
def pack(tmp_path: Path) -> Pack:
    return Pack(tmp_path)


def brightness(images: Sequence[Pixels], sizes: Sequence[tuple[int, int]]) -> list[Logits]:
    """Return each image's mean gray level as its logit everywhere."""
    return [np.full(size, image.mean(), np.float32) for image, size in zip(images, sizes, strict=True)]


def shown(cache: Cache, samples: pd.DataFrame, predictor: Any = brightness, batch: int = 3) -> list[Photo]:
    return list(predict_photos(predictor, cache, samples, batch))


def flat(value: int, height: int, width: int) -> Pixels:
    return np.full((height, width), value, np.uint8)


def textured(seed: int, *shape: int) -> Pixels:
    coarse = np.random.default_rng(seed).integers(
        0, 256, [-(-side // 4) for side in shape[:2]] + list(shape[2:])
    )
    return np.asarray(cv2.resize(coarse.astype(np.uint8), shape[1::-1]), np.uint8)


class Gray(nn.Module):
    """A network whose logit is the pixel's red value."""

    def forward(self, images: Tensor) -> Tensor:
        return images[:, :1] * 0.229 + 0.485


@pytest.mark.parametrize("shape", [(64, 96), (33, 64), (31, 95), (5, 70), (1, 1), (40, 50, 3)])
def test_pictures_are_padded_by_reflection_to_multiples_of_32(shape: tuple[int, ...]) -> None:
    image = textured(0, *shape)
    padded = pad(image)
    bottom, right = -shape[0] % 32, -shape[1] % 32
    expected = cv2.copyMakeBorder(image, 0, bottom, 0, right, cv2.BORDER_REFLECT_101)
    np.testing.assert_array_equal(padded, expected)
    assert padded.shape[0] % 32 == padded.shape[1] % 32 == 0


def test_colors_are_normalized_as_the_pretrained_encoders_expect() -> None:
    images = torch.tensor([124, 116, 104], dtype=torch.uint8).view(1, 3, 1, 1)
    assert normalize(images).abs().max() < 0.01
    assert normalize(images + 58)[0, :, 0, 0].tolist() == pytest.approx([0.994, 1.014, 1.014], abs=0.02)


@torch.inference_mode()
def test_padding_is_cut_off_and_logits_lie_where_the_pixels_are() -> None:
    images = [textured(1, 45, 70), textured(2, 64, 64), textured(3, 45, 70, 3), textured(4, 7, 3)]
    logits = network_logits(Gray(), CPU, images, [image.shape[:2] for image in images])
    for image, one in zip(images, logits, strict=True):
        red = image if image.ndim == 2 else image[..., 0]
        np.testing.assert_allclose(one, red / 255, atol=1e-6)


@torch.inference_mode()
def test_logits_are_resized_bilinearly_to_the_wanted_size() -> None:
    image = textured(1, 45, 70)
    (logits,) = network_logits(Gray(), CPU, [image], [(90, 140)])
    expected = functional.interpolate(torch.from_numpy(image / 255)[None, None], (90, 140), mode="bilinear")
    np.testing.assert_allclose(logits, expected[0, 0], atol=1e-5)
    assert logits.dtype == np.float32


def test_a_batch_too_small_for_batch_norms_is_said_in_settings() -> None:
    network = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.BatchNorm2d(3))
    assert training_logits(network, torch.zeros(2, 3, 32, 32)).shape == (2, 3, 1, 1)
    with pytest.raises(
        TrainingError, match=r"^1 crop of 32 px a batch is too little.*raise train\.batch_size"
    ):
        training_logits(network, torch.zeros(1, 3, 32, 32))


@torch.inference_mode()
def test_company_in_a_batch_changes_no_logit() -> None:
    torch.manual_seed(0)
    choice = Choice(name="unet", settings={"encoder": "tu-test_efficientnet.r160_in1k"})
    network = build_network(choice).eval()
    images = [
        textured(seed, *shape)
        for seed, shape in enumerate([(64, 64), (50, 40), (64, 64, 3), (33, 64), (64, 64)])
    ]
    sizes = [image.shape[:2] for image in images]
    together = network_logits(network, CPU, images, sizes)
    for image, size, logits in zip(images, sizes, together, strict=True):
        np.testing.assert_allclose(network_logits(network, CPU, [image], [size])[0], logits, atol=1e-5)


def test_samples_come_back_at_their_files_size_with_their_own_truth(pack: Pack) -> None:
    masks = [(textured(seed, 120, 90) > 200).astype(np.uint8) for seed in range(3)]
    masks[1][:7] = 255
    for number, mask in enumerate(masks):
        pack.add(f"photo {2 - number}", flat(10 * number, 120, 90), mask)
    cache, samples = pack.build(size=60)
    assert cache.image(0).shape == (60, 45)
    photos = shown(cache, samples)
    assert [photo.name for photo in photos] == ["photo 0", "photo 1", "photo 2"]
    for photo, number in zip(photos, (2, 1, 0), strict=True):
        assert photo.logits.shape == (120, 90)
        assert photo.logits.dtype == np.float32
        assert photo.logits.mean() == 10 * number
        np.testing.assert_array_equal(photo.truth, masks[number])


def test_rows_are_positions_in_the_cache_also_for_a_part_of_the_table(pack: Pack) -> None:
    for number in range(6):
        pack.add(f"{number}", flat(10 * number, 32, 32), flat(0, 32, 32))
    cache, samples = pack.build()
    assert [photo.logits.mean() for photo in shown(cache, samples.iloc[[4, 1, 5]])] == [10, 40, 50]


@pytest.mark.parametrize("batch", [1, 2, 3, 100])
def test_overlapping_crops_are_counted_once_by_their_mean_logit(pack: Pack, batch: int) -> None:
    pack.add("other", flat(7, 8, 8), flat(1, 8, 8))
    pack.add("photo", flat(10, 40, 60), flat(0, 40, 60), (100, 200, 60, 40))
    pack.add("photo", flat(40, 40, 60), flat(0, 40, 60), (130, 210, 60, 40))
    pack.add("photo", flat(100, 20, 20), flat(0, 20, 20), (140, 215, 20, 20))
    _, photo = shown(*pack.build(), batch=batch)
    assert (photo.name, photo.group) == ("photo", "p")
    assert photo.logits.shape == photo.truth.shape == (50, 90)
    union = 40 * 60 * 2 - 30 * 30
    assert count_pixels(photo.logits > 0, photo.truth).valid == union
    assert photo.logits[0, 0] == 10
    assert photo.logits[12, 32] == 25
    assert photo.logits[20, 50] == 50
    assert photo.logits[45, 85] == 40
    assert (photo.truth[:10, 60:] == 255).all()
    assert (photo.truth[40:, :30] == 255).all()


def test_the_truth_of_the_finest_crop_holds_where_scales_differ(pack: Pack) -> None:
    fine = (textured(5, 40, 40) > 150).astype(np.uint8)
    coarse = flat(0, 40, 40)
    coarse[5:10, 5:10] = 1
    pack.add("photo", flat(10, 40, 40), fine, (20, 20, 40, 40))
    pack.add("photo", flat(30, 40, 40), coarse, (0, 0, 80, 80))  # scale .5
    (photo,) = shown(*pack.build())
    assert photo.logits.shape == (80, 80)
    np.testing.assert_array_equal(photo.truth[20:60, 20:60], fine)
    expected = np.kron(coarse, np.ones((2, 2), np.uint8))
    expected[20:60, 20:60] = fine
    np.testing.assert_array_equal(photo.truth, expected)
    assert photo.logits[0, 0] == 30
    assert photo.logits[30, 30] == 20


def test_what_one_crop_ignores_another_may_show(pack: Pack) -> None:
    left, right = flat(0, 20, 40), flat(1, 20, 40)
    left[:, 30:] = 255
    right[:, :5] = 255
    pack.add("photo", flat(1, 20, 40), left, (0, 0, 40, 20))
    pack.add("photo", flat(1, 20, 40), right, (30, 0, 40, 20))
    (photo,) = shown(*pack.build())
    assert (photo.truth[:, :30] == 0).all()
    assert (photo.truth[:, 30:35] == 255).all()
    assert (photo.truth[:, 35:] == 1).all()


def test_a_single_crop_of_another_scale_is_scored_at_the_size_of_its_box(pack: Pack) -> None:
    mask = flat(0, 20, 30)
    mask[4:8, 6:9] = 1
    (photo,) = shown(*pack.add("photo", flat(9, 20, 30), mask, (7, 3, 60, 40)).build())
    np.testing.assert_array_equal(photo.truth, np.kron(mask, np.ones((2, 2), np.uint8)))
    assert photo.logits.shape == (40, 60)


def test_samples_without_a_box_are_counted_as_they_are(pack: Pack) -> None:
    pack.add("photo", flat(1, 20, 20), flat(1, 20, 20))
    pack.add("photo", flat(2, 30, 20), flat(0, 30, 20))
    pack.add("photo", flat(3, 10, 10), flat(0, 10, 10), (0, 0, 10, 10))
    photos = shown(*pack.build())
    assert sorted(photo.logits.shape for photo in photos) == [(10, 10), (20, 20), (30, 20)]
    assert {photo.name for photo in photos} == {"photo"}


def test_exposures_of_one_source_are_photographs_of_their_own(pack: Pack) -> None:
    for exposure in ("g, dark", "g, light"):
        for x in (0, 10):
            pack.add(exposure, flat(100 * (exposure == "g, light"), 20, 20), flat(0, 20, 20), (x, 0, 20, 20))
    dark, light = shown(*pack.build())
    assert (dark.name, dark.group, light.name, light.group) == ("g, dark", "g", "g, light", "g")
    assert (dark.logits.max(), light.logits.min()) == (0, 100)
    assert dark.logits.shape == light.logits.shape == (20, 30)


def test_the_network_never_gets_more_pictures_at_once_than_asked(pack: Pack) -> None:
    for number in range(11):
        box = (10 * number, 0, 16, 16) if number < 7 else None
        pack.add("photo" if number < 7 else f"{number}", flat(number, 16, 16), flat(0, 16, 16), box)
    asked = []

    def counting(images: Sequence[Pixels], sizes: Sequence[tuple[int, int]]) -> list[Logits]:
        asked.append(len(images))
        return brightness(images, sizes)

    cache, samples = pack.build()
    expected = {photo.name: photo.logits for photo in shown(cache, samples, batch=100)}
    for photo in shown(cache, samples, counting, batch=3):
        np.testing.assert_array_equal(photo.logits, expected[photo.name])
    assert sum(asked) == 11
    assert max(asked) <= 3


@torch.inference_mode()
def test_crops_of_a_scene_give_the_scene_back(pack: Pack) -> None:
    scene = textured(9, 60, 100)
    for x, y in ((0, 0), (40, 0), (0, 20), (37, 19)):
        crop = np.s_[y : y + 40, x : x + 60]
        pack.add("photo", scene[crop], (scene[crop] > 127).astype(np.uint8), (x, y, 60, 40))
    (photo,) = shown(*pack.build(), partial(network_logits, Gray(), CPU))
    seen = photo.truth != 255
    np.testing.assert_allclose(photo.logits[seen], scene[seen] / 255, atol=1e-6)
    counts = count_pixels(photo.logits > 127.5 / 255, photo.truth)
    assert (counts.fp, counts.fn) == (0, 0)
    assert counts.valid == seen.sum() > 5000


def test_a_larger_picture_goes_by_tiles_and_gives_the_same_logits() -> None:
    class Near(nn.Module):
        """Logits of the mean of 3 x 3 px."""

        shapes: ClassVar[list[tuple[int, ...]]] = []

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            self.shapes.append(tuple(images.shape[-2:]))
            return functional.avg_pool2d(images.mean(1, keepdim=True), 3, 1, 1, count_include_pad=False)

    image = textured(3, 300, 421)
    whole, parts = (
        network_logits(Near(), torch.device("cpu"), [image], [image.shape[:2]], tile=tile)[0]
        for tile in (None, 128)
    )
    assert Near.shapes[0] == (320, 448)
    assert set(Near.shapes[1:]) == {(128, 128)}
    assert np.allclose(whole, parts, atol=1e-5)
