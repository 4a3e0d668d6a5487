import cv2
import numpy as np
import pytest

from harness.data.audit.light import blurred, unusable_light

BLANK = np.zeros((128, 128), np.uint8)


def surfaces(count=30):
    """Return noisy surfaces of different grain, light and contrast."""
    found = []
    for number in range(count):
        rng = np.random.default_rng(number)
        grain = cv2.GaussianBlur(rng.normal(0, 1, (128, 128)), (0, 0), rng.uniform(0.7, 1.2))
        image = rng.uniform(60, 180) + rng.uniform(15, 40) * grain / grain.std()
        found.append((f"g{number}", image.clip(0, 255).astype(np.uint8), BLANK))
    return found


def with_image(pictures, row, image):
    return [*pictures[:row], (pictures[row][0], image.astype(np.uint8), BLANK), *pictures[row + 1 :]]


def test_usual_pictures_pass_both(measured):
    table = measured(surfaces())
    assert unusable_light(table, None).status == blurred(table, None).status == "pass"


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (BLANK + 90, "1 constant"),
        (BLANK + 255, "1 constant"),
        (np.random.default_rng(0).integers(0, 9, BLANK.shape), "1 nearly black"),
        (np.random.default_rng(0).integers(244, 255, BLANK.shape), "1 nearly white"),
    ],
)
def test_a_picture_that_shows_nothing_is_named(measured, image, said):
    found = unusable_light(measured(with_image(surfaces(), 7, image)), None)
    assert (found.status, found.affected) == ("warn", 1)
    assert found.summary.startswith(f"{said} among 30 pictures, the first is '007.png'")


@pytest.mark.parametrize("contrast", [1.0, 4.0])
def test_a_blurred_picture_is_named_whatever_its_contrast(measured, contrast):
    pack = surfaces()
    soft = cv2.GaussianBlur(pack[4][1].astype(np.float32), (0, 0), 4)
    image = (120 + contrast * (soft - soft.mean())).clip(0, 255).round()
    found = blurred(measured(with_image(pack, 4, image)), None)
    assert (found.status, found.affected) == ("warn", 1)
    assert "'004.png' has focus" in found.summary


def test_a_set_that_is_soft_throughout_is_not_blamed(measured):
    pack = [(g, cv2.GaussianBlur(image, (0, 0), 2), mask) for g, image, mask in surfaces()]
    assert blurred(measured(pack), None).status == "pass"


def test_constant_pictures_are_not_called_blurred(measured):
    assert blurred(measured(with_image(surfaces(), 3, BLANK + 50)), None).status == "pass"


def test_few_pictures_have_no_usual_focus(measured):
    found = blurred(measured(surfaces(5)), None)
    assert (found.severity, found.status) == ("info", "not run")
