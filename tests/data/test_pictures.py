import contextlib
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from harness.config import MaskValues
from harness.data.pictures import PIXEL_LIMIT, fit, fit_mask, read_image, read_mask
from harness.errors import DataError

random = np.random.default_rng(0)
GRAY = random.integers(0, 256, (6, 9), dtype=np.uint8)
COLOR = random.integers(0, 256, (6, 9, 3), dtype=np.uint8)
GRAY_16 = random.integers(0, 65536, (6, 9), dtype=np.uint16)
COLOR_16 = random.integers(0, 65536, (6, 9, 3), dtype=np.uint16)
TEXTURE = np.clip(128 + random.normal(0, 40, (90, 120)), 0, 255).astype(np.uint8)
OPAQUE = np.full((6, 9, 1), 255, np.uint8)
BITS = (GRAY > 127).astype(np.uint8)

STORED: dict[int, Callable[[NDArray[Any]], NDArray[Any]]] = {  # how a camera of each EXIF orientation stores
    1: lambda x: x,
    2: np.fliplr,
    3: lambda x: np.rot90(x, 2),
    4: np.flipud,
    5: lambda x: x.swapaxes(0, 1),
    6: lambda x: np.rot90(x, 1),
    7: lambda x: np.rot90(x, 2).swapaxes(0, 1),
    8: lambda x: np.rot90(x, -1),
}


def saved(path: Path, pixels: NDArray[Any], mode: str | None = None, **options: Any) -> Path:
    picture = Image.fromarray(pixels)
    (picture.convert(mode) if mode else picture).save(path, **options)
    return path


def saved_16(path: Path, pixels: NDArray[Any]) -> Path:
    """Write with OpenCV, which has blue first."""
    assert cv2.imwrite(
        str(path), pixels[..., [2, 1, 0, 3][: pixels.shape[2]]] if pixels.ndim == 3 else pixels
    )
    return path


def shown(pixels: NDArray[Any]) -> NDArray[Any]:
    return np.floor(pixels / 257 + 0.5)


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, *, depth: int, color: int, rows: list[bytes]) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows)))
    return b"\x89PNG\r\n\x1a\n" + header + data + chunk(b"IEND", b"")


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


def test_gray_stays_gray_and_color_stays_color_in_lossless_files(tmp_path: Path) -> None:
    for suffix in (".png", ".tif", ".bmp", ".pgm"):
        assert np.array_equal(read_image(saved(tmp_path / f"gray{suffix}", GRAY)), GRAY)
    for suffix in (".png", ".tif", ".bmp", ".ppm"):
        assert np.array_equal(read_image(saved(tmp_path / f"color{suffix}", COLOR)), COLOR)
    image = read_image(saved(tmp_path / "color.webp", COLOR, lossless=True))
    assert np.array_equal(image, COLOR)
    assert image.flags.writeable
    (tmp_path / "color.webp").rename(tmp_path / "named.png")  # the content decides, not the name
    assert np.array_equal(read_image(tmp_path / "named.png"), COLOR)


def test_alpha_is_dropped_not_blended(tmp_path: Path) -> None:
    color, gray = (np.concatenate([pixels, OPAQUE // 2], 2) for pixels in (COLOR, GRAY[..., None]))
    assert np.array_equal(read_image(saved(tmp_path / "a.png", color)), COLOR)
    assert np.array_equal(read_image(saved(tmp_path / "b.png", gray)), GRAY)


def test_one_bit_pictures_are_black_and_white(tmp_path: Path) -> None:
    for name, options in (("a.png", {}), ("a.bmp", {}), ("a.tif", {"compression": "group4"})):
        assert np.array_equal(read_image(saved(tmp_path / name, BITS.astype(bool), **options)), BITS * 255)


def test_palette_pictures_show_their_colors_with_and_without_transparency(tmp_path: Path) -> None:
    colors = np.array([[9, 8, 7], [200, 0, 0], [0, 200, 0], [0, 0, 200]], np.uint8)
    picture = Image.fromarray(GRAY // 64)
    picture.putpalette(colors.tobytes())
    for name, options in (
        ("a.png", {}),
        ("b.gif", {}),
        ("c.png", {"transparency": bytes([0, 100, 255, 255])}),
    ):
        picture.save(tmp_path / name, **options)
        assert np.array_equal(read_image(tmp_path / name), colors[GRAY // 64])


def test_cmyk_jpegs_are_read_as_the_rgb_they_show(tmp_path: Path) -> None:
    red = np.zeros((16, 16, 3), np.uint8) + np.array([250, 20, 20], np.uint8)
    assert np.abs(read_image(saved(tmp_path / "a.jpg", red, "CMYK", quality=95)).astype(int) - red).max() < 12


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_16_bit_gray_and_color_are_scaled_from_their_full_depth(tmp_path: Path, suffix: str) -> None:
    for pixels in (GRAY_16, COLOR_16):
        assert np.array_equal(read_image(saved_16(tmp_path / f"a{suffix}", pixels)), shown(pixels))
        dark = read_image(saved_16(tmp_path / f"b{suffix}", pixels // 16), white=4095)
        assert np.array_equal(
            dark, np.floor((pixels // 16) * (255 / 4095) + 0.5)
        )  # from 8 bits: off by up to 8


def test_white_clips_and_rounds_and_fits_the_depth(tmp_path: Path) -> None:
    path = saved_16(tmp_path / "a.png", np.array([[0, 1, 2, 500, 999, 1000, 1001, 65535]], np.uint16))
    assert read_image(path, white=1000).tolist() == [[0, 0, 1, 128, 255, 255, 255, 255]]
    path = saved(tmp_path / "b.png", np.array([[0, 50, 100, 101, 255]], np.uint8))
    assert read_image(path, white=100).tolist() == [[0, 128, 255, 255, 255]]
    with pytest.raises(
        DataError, match=r"b\.png: data\.white is 4095, but this file's values end at 255; lower"
    ):
        read_image(path, white=4095)


def test_16_bit_alpha_is_dropped_and_gray_with_alpha_stays_gray(tmp_path: Path) -> None:
    half = np.full((6, 9, 1), 30000, np.uint16)
    for name in ("a.png", "a.tif"):
        path = saved_16(tmp_path / name, np.concatenate([COLOR_16, half], 2))
        assert np.array_equal(read_image(path), shown(COLOR_16))
    rows = [row.astype(">u2").tobytes() for row in np.concatenate([GRAY_16[..., None], half], 2)]
    (tmp_path / "b.png").write_bytes(png(9, 6, depth=16, color=4, rows=rows))
    assert np.array_equal(read_image(tmp_path / "b.png"), shown(GRAY_16))


@pytest.mark.parametrize(
    "layout", [{"byteorder": ">"}, {"compression": "zlib", "predictor": True}, {"tile": (16, 16)}]
)
def test_16_bit_tiffs_of_several_layouts(tmp_path: Path, layout: dict[str, Any]) -> None:
    for pixels, kind in ((GRAY_16, "minisblack"), (COLOR_16, "rgb")):
        tifffile.imwrite(tmp_path / "a.tif", pixels, photometric=kind, **layout)
        assert np.array_equal(read_image(tmp_path / "a.tif"), shown(pixels))


def test_kinds_that_decoders_get_wrong_are_refused(tmp_path: Path) -> None:
    def refused(name: str, message: str) -> None:
        with pytest.raises(
            DataError, match=rf"{name}: {message}.* save it as an 8- or 16-bit gray or RGB PNG"
        ):
            read_image(tmp_path / name)

    path, odd = tmp_path / "a.tif", "16 bits a channel, stored in a way that is not read reliably"
    tifffile.imwrite(path, np.moveaxis(COLOR_16, -1, 0), photometric="rgb", planarconfig="separate")
    refused("a.tif", odd)
    tifffile.imwrite(path, GRAY_16, photometric="miniswhite")
    refused("a.tif", odd)
    (tmp_path / "a.ppm").write_bytes(b"P6 9 6 4095 " + (COLOR_16 >> 4).astype(">u2").tobytes())
    refused("a.ppm", odd)
    tifffile.imwrite(path, (GRAY_16 >> 1).astype(np.int32))
    refused("a.tif", "32-bit or signed pixels")
    tifffile.imwrite(path, GRAY.astype(np.float32))
    refused("a.tif", "floating-point pixels have no fixed white; scale them")


@pytest.mark.parametrize("orientation", STORED)
def test_every_exif_orientation_is_brought_upright(tmp_path: Path, orientation: int) -> None:
    turned = STORED[orientation]
    for pixels in (GRAY, COLOR):
        for name in ("a.png", "a.tif"):
            path = saved(tmp_path / name, turned(pixels), exif=exif(orientation))
            assert np.array_equal(read_image(path), pixels), name
    mask = saved(tmp_path / "mask.png", turned(BITS * np.uint8(255)), exif=exif(orientation))
    assert np.array_equal(read_mask(mask, MaskValues()), BITS)
    blocks = np.kron(GRAY[:3, :4] // 128 * 255, np.ones((16, 16), np.uint8)).astype(np.uint8)
    path = saved(tmp_path / "a.jpg", turned(blocks), exif=exif(orientation), quality=98)
    assert np.abs(read_image(path).astype(int) - blocks).max() < 12


@pytest.mark.parametrize("orientation", STORED)
def test_every_exif_orientation_of_16_bit_files(tmp_path: Path, orientation: int) -> None:
    tag, tags = exif(orientation).tobytes().removeprefix(b"Exif\0\0"), [(274, "H", 1, orientation, True)]
    for pixels, kind in ((GRAY_16, "minisblack"), (COLOR_16, "rgb")):
        stored = np.ascontiguousarray(STORED[orientation](pixels))
        plain = saved_16(tmp_path / "a.png", stored).read_bytes()
        (tmp_path / "a.png").write_bytes(plain[:33] + chunk(b"eXIf", tag) + plain[33:])
        tifffile.imwrite(tmp_path / "a.tif", stored, photometric=kind, extratags=tags)
        for name in ("a.png", "a.tif"):
            assert np.array_equal(read_image(tmp_path / name), shown(pixels)), name


def test_missing_and_empty_files_text_and_pages_are_one_line_each(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"a\.png: cannot be read \(No such file or directory\); check the path"
    ):
        read_image(tmp_path / "a.png")
    (tmp_path / "b.png").touch()
    with pytest.raises(DataError, match=r"b\.png: the file is empty; copy it again"):
        read_image(tmp_path / "b.png")
    (tmp_path / "c.png").write_text("not a picture")
    with pytest.raises(
        DataError, match=r"c\.png: no picture of a known kind \(BMP, .*\), or cut off; copy"
    ) as caught:
        read_image(tmp_path / "c.png")
    assert "\n" not in str(caught.value)
    saved(tmp_path / "d.tif", GRAY, save_all=True, append_images=[Image.fromarray(GRAY)])
    with pytest.raises(DataError, match=r"d\.tif: holds 2 pages; save the one that is meant"):
        read_image(tmp_path / "d.tif")


@pytest.mark.parametrize(
    "kind",
    ["JPEG", "JPEG progressive", "PNG", "TIFF", "TIFF tiff_lzw", "BMP", "GIF", "WEBP", "PNG 16", "TIFF 16"],
)
def test_a_truncated_file_is_an_error_never_a_part_of_the_picture(tmp_path: Path, kind: str) -> None:
    form, _, variant = kind.partition(" ")
    if variant == "16":
        whole = saved_16(tmp_path / f"a.{form}", np.repeat(TEXTURE[..., None].astype(np.uint16) * 200, 3, 2))
    else:
        options = {"progressive": bool(variant)} if form == "JPEG" else {"compression": variant or None}
        whole = saved(tmp_path / "a", TEXTURE, format=form, **options)
    pixels, file, cut = read_image(whole), whole.read_bytes(), tmp_path / "cut"
    for share in (0.001, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.97):
        cut.write_bytes(file[: max(1, int(len(file) * share))])
        with pytest.raises(DataError, match=r"cut: .*cut off"):
            read_image(cut)
    for missing in range(1, 40):  # at the very end nothing but a trailer may be gone
        cut.write_bytes(file[:-missing])
        with contextlib.suppress(DataError):
            assert np.array_equal(read_image(cut), pixels)


def test_a_flipped_bit_in_a_png_is_noticed(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", TEXTURE)
    file = bytearray(path.read_bytes())
    file[len(file) // 2] ^= 4
    path.write_bytes(file)
    with pytest.raises(DataError, match=r"a\.png: broken or cut off"):
        read_image(path)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [21_000, 40_000])  # above the limit, and above twice the limit
def test_a_file_that_claims_too_many_pixels_is_refused_unopened(tmp_path: Path, side: int) -> None:
    assert side * side > PIXEL_LIMIT
    (tmp_path / "a.png").write_bytes(png(side, side, depth=8, color=0, rows=[b"\0"]))
    with pytest.raises(DataError, match=r"a\.png: claims more than 400,000,000 pixels; cut it into tiles"):
        read_image(tmp_path / "a.png")


def test_masks_of_every_kind_become_zero_and_one(tmp_path: Path) -> None:
    white = BITS * np.uint8(255)
    rgb = np.repeat(white[..., None], 3, 2)
    kinds = {
        "gray.png": white,
        "bits.png": BITS.astype(bool),
        "rgb.png": rgb,
        "gray.gif": white,
        "gray.tif": white,
    }
    kinds["rgba.png"] = np.concatenate([rgb, OPAQUE], 2)
    kinds["alpha.png"] = np.concatenate([white[..., None], OPAQUE], 2)
    for name, pixels in kinds.items():
        mask = read_mask(saved(tmp_path / name, pixels), MaskValues())
        assert mask.dtype == np.uint8, name
        assert np.array_equal(mask, BITS), name


def test_gray_edges_are_cut_where_that_is_declared_and_ignored_pixels_stay(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 127, 128, 255], [3, 200, 9, 250]], np.uint8)).save(tmp_path / "m.png")
    assert read_mask(tmp_path / "m.png", MaskValues(above=127)).tolist() == [[0, 0, 1, 1], [0, 1, 0, 1]]
    ignoring = MaskValues(above=127, ignore=9)
    assert read_mask(tmp_path / "m.png", ignoring).tolist() == [[0, 0, 1, 1], [0, 1, 255, 1]]


def test_a_cut_says_what_is_target_alone() -> None:
    with pytest.raises(ValueError, match="above says what is target: leave background and target out"):
        MaskValues(above=127, target=1)


def test_deep_and_unusual_mask_values_are_compared_as_stored(tmp_path: Path) -> None:
    path = saved_16(tmp_path / "a.png", BITS.astype(np.uint16) * 40000)
    assert np.array_equal(read_mask(path, MaskValues(target=40000)), BITS)
    path = saved_16(tmp_path / "b.png", np.repeat(BITS[..., None].astype(np.uint16) * 65535, 3, 2))
    assert np.array_equal(read_mask(path, MaskValues(target=65535)), BITS)
    tifffile.imwrite(tmp_path / "c.tif", BITS.astype(np.int32) * 70000)
    assert np.array_equal(read_mask(tmp_path / "c.tif", MaskValues(target=70000)), BITS)
    path = saved(tmp_path / "d.png", np.array([[7, 3, 9]], np.uint8))
    assert read_mask(path, MaskValues(background=7, target=3, ignore=9)).tolist() == [[0, 1, 255]]


def test_palette_masks_compare_indices_but_gray_palettes_compare_grays(tmp_path: Path) -> None:
    picture = Image.fromarray(BITS)
    picture.putpalette([0, 0, 0, 128, 0, 0])
    picture.save(tmp_path / "a.png")
    assert np.array_equal(read_mask(tmp_path / "a.png", MaskValues(target=1)), BITS)
    picture.putpalette([255, 255, 255, 0, 0, 0])  # the writer put white first
    picture.save(tmp_path / "b.png")
    assert np.array_equal(read_mask(tmp_path / "b.png", MaskValues()), 1 - BITS)


UNDECLARED: list[tuple[list[int], dict[str, int], str]] = [
    ([0, 1], {}, "0, 1; data.masks declares {background: 0, target: 255}; declare data.masks: {background: 0"),
    ([1], {}, "; declare data.masks: {background: 0, target: 1}"),
    ([0, 255], {"target": 1}, "; declare data.masks: {background: 0, target: 255}"),
    ([0, 1, 255], {}, "; declare data.masks: {background: 0, target: 1, ignore: 255}"),
    ([0, 1, 128], {"ignore": 128}, "; declare data.masks: {background: 0, target: 1, ignore: 128}"),
    ([5, 9], {}, "; declare data.masks: {background: 5, target: 9}"),
    ([0], {"background": 1, "target": 2, "ignore": 255}, "; declare data.masks: {background: 0, target: 255}"),
    ([0, 3], {"background": 1, "target": 2, "ignore": 0}, "; declare data.masks: {background: 0, target: 3}"),
    (list(range(9)), {}, "holds the values 0, 1, 2, 3, 4 and 4 more; data.masks"),
    ([0, 128, 255], {}, "; save masks of two values (no JPEG, no smooth edges), declare data.masks.above"),
]  # fmt: skip


@pytest.mark.parametrize(("stored", "declared", "message"), UNDECLARED)
def test_undeclared_values_are_named_with_the_likely_declaration(
    tmp_path: Path, stored: list[int], declared: dict[str, int], message: str
) -> None:
    path = saved(tmp_path / "a.png", np.array([stored], np.uint8))
    with pytest.raises(DataError) as caught:
        read_mask(path, MaskValues(**declared))
    assert str(caught.value).startswith(f"{path}: holds the values {stored[0]}")
    assert message in str(caught.value)


def test_colored_transparent_and_unusual_masks_are_refused(tmp_path: Path) -> None:
    def refused(path: Path, message: str) -> None:
        with pytest.raises(DataError, match=message):
            read_mask(path, MaskValues())

    refused(saved(tmp_path / "a.png", COLOR), r"a\.png: the mask is colored; save it as a gray PNG")
    clear = np.concatenate([np.repeat(BITS[..., None] * np.uint8(255), 3, 2), OPAQUE - 1], 2)
    refused(
        saved(tmp_path / "b.png", clear), r"b\.png: the mask has transparent pixels; save it without alpha"
    )
    refused(saved(tmp_path / "c.jpg", COLOR, "CMYK"), r"c\.jpg: a mask is gray or indexed, this is CMYK")
    tifffile.imwrite(tmp_path / "d.tif", BITS.astype(np.float32))
    refused(tmp_path / "d.tif", r"d\.tif: floating-point pixels")


SIZES = [
    ((100, 50), 50, (50, 25)),
    ((33, 100), 64, (21, 64)),
    ((3, 1000), 64, (1, 64)),
    ((40, 30), 80, (80, 60)),
]


@pytest.mark.parametrize(("shape", "size", "expected"), SIZES)
def test_the_longest_side_gets_the_size_for_image_and_mask_alike(
    shape: tuple[int, int], size: int, expected: tuple[int, int]
) -> None:
    image, mask = np.zeros((*shape, 3), np.uint8), np.zeros(shape, np.uint8)
    assert fit(image, size).shape == (*expected, 3)
    assert fit(mask, size).shape == fit_mask(mask, size).shape == expected
    assert fit(image, None) is image
    assert fit_mask(mask, max(shape)) is mask


def test_shrinking_averages_and_enlarging_interpolates() -> None:
    dot = np.zeros((64, 64), np.uint8)
    dot[1, 1] = 255
    assert fit(dot, 8).max() == 4  # 255 / 64: every pixel counts
    assert len(np.unique(fit(np.array([[0, 200]], np.uint8), 8))) > 2


def test_masks_keep_their_values_and_objects_stay_where_the_image_shows_them() -> None:
    drifts = []
    for height, width, y, x, size in random.integers(
        [200, 200, 20, 20, 60], [400, 400, 110, 110, 700], (40, 5)
    ):
        mask = np.zeros((height, width), np.uint8)
        mask[y : y + 60, x : x + 50] = 1
        mask[:10] = 255
        small = fit_mask(mask, int(size))
        assert set(np.unique(small)) <= {0, 1, 255}
        object_now, image_now = small == 1, fit((mask == 1) * np.uint8(255), int(size)) / 255
        centers = [
            [(axis * m).sum() / m.sum() for axis in np.indices(m.shape)] for m in (object_now, image_now)
        ]
        drifts.append(np.subtract(*centers))
    assert np.abs(drifts).max() < 0.5
    assert np.abs(np.mean(drifts, axis=0)).max() < 0.08  # OpenCV's INTER_NEAREST: about .4
