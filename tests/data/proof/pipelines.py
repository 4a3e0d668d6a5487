"""Pipelines of other people's making: 15 and more that harm masks, as many that do not."""

from collections.abc import Callable
from typing import Any

import albumentations as A
import cv2
import numpy as np
from numpy.typing import NDArray

from harness.data.proof.planted import SIDE

Layer = NDArray[Any]
NEAREST, CONSTANT, REFLECT = cv2.INTER_NEAREST, cv2.BORDER_CONSTANT, cv2.BORDER_REFLECT_101


class ShiftImage(A.ImageOnlyTransform):
    """Moves the picture 3 px to the right, and not its mask."""

    def apply(self, img: Layer, **parameters: Any) -> Layer:
        return np.roll(img, 3, axis=1)


class ShiftMask(A.DualTransform):
    """Moves the mask 2 px down, and not its picture."""

    def apply(self, img: Layer, **parameters: Any) -> Layer:
        return img

    def apply_to_mask(self, mask: Layer, **parameters: Any) -> Layer:
        return np.roll(mask, 2, axis=0)


class SmoothTurn(A.DualTransform):
    """Turns picture and mask by 10 degrees, both linearly interpolated."""

    def apply(self, img: Layer, **parameters: Any) -> Layer:
        turn = cv2.getRotationMatrix2D((SIDE / 2, SIDE / 2), 10, 1.0)
        return cv2.warpAffine(img, turn, (SIDE, SIDE), flags=cv2.INTER_LINEAR, borderValue=(255, 255, 255))


class EnlargeImage(A.ImageOnlyTransform):
    """Doubles the size of the picture, and not of its mask."""

    def apply(self, img: Layer, **parameters: Any) -> Layer:
        return cv2.resize(img, None, fx=2, fy=2)


class GlobalNoise(A.ImageOnlyTransform):
    """Draws from numpy's global numbers, as nobody should."""

    def apply(self, img: Layer, **parameters: Any) -> Layer:
        noisy = img + np.random.normal(0, 3, img.shape)
        return np.clip(noisy, 0, 255).astype(np.uint8)


class DarkenInPlace(A.ImageOnlyTransform):
    """Writes into the picture it was given."""

    def apply(self, img: Layer, **parameters: Any) -> Layer:
        img //= 2
        return img


class Failing(A.ImageOnlyTransform):
    """Raises."""

    def apply(self, img: Layer, **parameters: Any) -> Layer:
        raise RuntimeError("no such picture")


class ReflectImage(A.DualTransform):
    """Moves both 12 px to the right; the picture is reflected into the gap, where the mask is 255."""

    def apply(self, img: Layer, **parameters: Any) -> Layer:
        return cv2.copyMakeBorder(img[:, :-12], 0, 0, 12, 0, REFLECT)

    def apply_to_mask(self, mask: Layer, **parameters: Any) -> Layer:
        return cv2.copyMakeBorder(mask[:, :-12], 0, 0, 12, 0, CONSTANT, value=255)


def threshold(mask: Layer, **parameters: Any) -> Layer:
    return (mask > 127).astype(np.uint8)


def everything(mask: Layer, **parameters: Any) -> Layer:
    return np.full_like(mask, 255)


def pad(**settings: Any) -> list[Any]:
    return [A.PadIfNeeded(160, 160, p=1.0, **settings), A.RandomCrop(SIDE, SIDE, p=1.0)]


BAD: dict[str, tuple[Callable[[], list[Any]], str, set[str]]] = {
    # name: pipeline, who must be named, rules of which one must be broken
    "pad that reflects labels": (lambda: pad(border_mode=REFLECT, fill_mask=255), "PadIfNeeded", {"copied"}),
    "pad labeled as background": (lambda: pad(border_mode=CONSTANT), "PadIfNeeded", {"outside"}),
    "pad with a misspelled argument": (
        lambda: pad(border_mode=CONSTANT, mask_value=255),
        "PadIfNeeded",
        {"settings"},
    ),
    "affine labeled as background": (
        lambda: [A.HorizontalFlip(), A.Affine(translate_percent=(-0.1, 0.1), p=0.7)],
        "Affine",
        {"outside"},
    ),
    "affine that reflects labels": (
        lambda: [A.Affine(rotate=(-30, 30), border_mode=REFLECT, fill_mask=255)],
        "Affine",
        {"copied"},
    ),
    "rotation that reflects labels": (
        lambda: [A.Rotate(30, border_mode=REFLECT), A.HorizontalFlip()],
        "Rotate",
        {"copied"},
    ),
    "shift that wraps around": (
        lambda: [A.ShiftScaleRotate(shift_limit=0.2, border_mode=cv2.BORDER_WRAP)],
        "ShiftScaleRotate",
        {"copied"},
    ),
    "dropout that keeps labels": (
        lambda: [A.HorizontalFlip(), A.CoarseDropout(num_holes_range=(4, 8))],
        "CoarseDropout",
        {"erased"},
    ),
    "grid dropout that keeps labels": (lambda: [A.GridDropout(p=0.3)], "GridDropout", {"erased"}),
    "erasing that keeps labels": (lambda: [A.Erasing(p=0.5)], "Erasing", {"erased"}),
    "dropout that labels holes as target": (
        lambda: [A.CoarseDropout(fill_mask=1)],
        "CoarseDropout",
        {"erased"},
    ),
    "dropout of most objects": (
        lambda: [A.MaskDropout(max_objects=(10, 12), fill=0, fill_mask=0, p=1.0)],
        "MaskDropout",
        {"lost"},
    ),
    "noise by default": (lambda: [A.VerticalFlip(), A.GaussNoise(p=0.1)], "GaussNoise", {"noise"}),
    "noise in a nest": (
        lambda: [A.OneOf([A.Blur(3), A.GaussNoise(std_range=(0.1, 0.2))], p=0.2)],
        "GaussNoise",
        {"noise"},
    ),
    "salt and pepper": (lambda: [A.SaltAndPepper(amount=(0.2, 0.3))], "SaltAndPepper", {"noise"}),
    "tiny crops": (
        lambda: [A.RandomResizedCrop((SIDE, SIDE), scale=(0.05, 0.3), p=1.0)],
        "RandomResizedCrop",
        {"lost"},
    ),
    "crop not resized back": (
        lambda: [A.HorizontalFlip(), A.RandomCrop(64, 64), A.Resize(96, 96)],
        "RandomCrop",
        {"size"},
    ),
    "picture moved alone": (
        lambda: [A.HorizontalFlip(), ShiftImage(p=0.5)],
        "ShiftImage",
        {"unlabeled", "apart"},
    ),
    "mask moved alone": (lambda: [A.Transpose(), ShiftMask(p=0.5)], "ShiftMask", {"unlabeled", "apart"}),
    "motion blur that shifts": (
        lambda: [A.MotionBlur((9, 9), allow_shifted=True, p=1.0)],
        "MotionBlur",
        {"unlabeled", "apart"},
    ),
    "mask interpolated linearly": (lambda: [SmoothTurn(p=1.0)], "SmoothTurn", {"values"}),
    "mask interpolation swapped": (
        lambda: [A.Affine(rotate=(-20, 20), mask_interpolation=cv2.INTER_LINEAR, fill_mask=255)],
        "Affine",
        {"values"},
    ),
    "mask thresholded": (lambda: [A.Lambda(mask=threshold, p=1.0)], "Lambda", {"unlabeled"}),
    "mask ignored": (lambda: [A.Lambda(mask=everything, p=1.0)], "Lambda", {"excess"}),
    "picture resized alone": (lambda: [EnlargeImage(p=1.0)], "EnlargeImage", {"kind"}),
    "normalized": (lambda: [A.HorizontalFlip(), A.Normalize()], "Normalize", {"kind"}),
    "heavy blur": (
        lambda: [A.GaussianBlur((31, 31), sigma_limit=(9, 12), p=0.2)],
        "GaussianBlur",
        {"hidden"},
    ),
    "night": (
        lambda: [A.RandomBrightnessContrast(brightness_limit=(-0.8, -0.6))],
        "RandomBrightnessContrast",
        {"hidden"},
    ),
    # two levels of gray: dark objects take on the level of their ground
    "posterized": (lambda: [A.Posterize(1)], "Posterize", {"hidden"}),
    "morphology": (
        lambda: [A.Morphological(scale=(5, 5), operation="dilation")],
        "Morphological",
        {"outside"},
    ),
    "failing": (lambda: [A.HorizontalFlip(), Failing(p=0.4)], "Failing", {"runs"}),
    "crop larger than the picture": (lambda: [A.RandomCrop(256, 256)], "RandomCrop", {"runs"}),
    "global numbers": (lambda: [A.HorizontalFlip(), GlobalNoise(p=1.0)], "GlobalNoise", {"repeats"}),
    "in place": (lambda: [DarkenInPlace(p=0.5)], "DarkenInPlace", {"validation"}),
}

GOOD: dict[str, Callable[[], list[Any]]] = {
    "flips": lambda: [A.HorizontalFlip(), A.VerticalFlip()],
    "turns": lambda: [A.RandomRotate90(), A.Transpose()],
    "all eight": lambda: [A.D4(p=1.0)],
    "affine": lambda: [
        A.Affine(
            scale=(0.8, 1.2), rotate=(-20, 20), shear=(-8, 8), translate_percent=(-0.08, 0.08), fill_mask=255
        )
    ],
    "shift, scale, rotate": lambda: [
        A.ShiftScaleRotate(0.06, 0.1, 30, border_mode=CONSTANT, fill=0, fill_mask=255)
    ],
    "rotation": lambda: [A.Rotate(45, border_mode=CONSTANT, fill_mask=255, p=1.0)],
    "picture reflected, mask ignored": lambda: [ReflectImage(p=0.5)],
    "pad and crop": lambda: pad(border_mode=CONSTANT, fill_mask=255),
    "reflection cut away again": lambda: [
        A.PadIfNeeded(144, 144, border_mode=REFLECT, p=1.0),
        A.CenterCrop(SIDE, SIDE, p=1.0),
    ],
    "large crops": lambda: [A.RandomResizedCrop((SIDE, SIDE), scale=(0.8, 1.0), ratio=(0.9, 1.1))],
    "perspective": lambda: [A.Perspective((0.02, 0.06), fill_mask=255)],
    "elastic": lambda: [A.ElasticTransform(30, 6, border_mode=CONSTANT, fill_mask=255, p=1.0)],
    "grid distortion": lambda: [A.GridDistortion(5, (-0.2, 0.2), border_mode=CONSTANT, fill_mask=255)],
    "mild noise": lambda: [
        A.GaussNoise(std_range=(0.0088, 0.0175)),
        A.AdditiveNoise(noise_params={"ranges": [(-0.02, 0.02)]}),
    ],
    "speckle and shot noise": lambda: [A.MultiplicativeNoise((0.95, 1.05)), A.ShotNoise((0.001, 0.003))],
    "light": lambda: [A.RandomBrightnessContrast(), A.RandomGamma((80, 120))],
    "color": lambda: [A.HueSaturationValue(), A.ColorJitter(), A.RGBShift()],
    "contrast": lambda: [A.CLAHE((1, 3)), A.Equalize(p=0.2), A.AutoContrast(p=0.2)],
    "mild blur": lambda: [A.GaussianBlur((3, 5)), A.Sharpen(), A.ImageCompression(quality_range=(70, 95))],
    "inverted": lambda: [A.InvertImg()],  # no two levels of gray become one
    "dropout ignored": lambda: [A.CoarseDropout(num_holes_range=(1, 6), fill=0, fill_mask=255, p=1.0)],
    "dropout as background": lambda: [A.HorizontalFlip(), A.CoarseDropout(fill=0, fill_mask=0)],
    "dropout painted in": lambda: [A.CoarseDropout(fill="inpaint_telea", fill_mask=255)],
    "grid dropout ignored": lambda: [A.GridDropout(0.3, fill_mask=255)],
    "nested": lambda: [
        A.SomeOf([A.HorizontalFlip(), A.Transpose(), A.Affine(rotate=10, fill_mask=255)], n=2),
        A.Sequential([A.OneOf([A.Blur(3), A.GaussNoise(std_range=(0.01, 0.02))])], p=0.4),
    ],
    "nothing": lambda: [A.NoOp()],
    "no chance": lambda: [A.GridDropout(p=0.0), A.RandomCrop(64, 64, p=0.0)],
}
