import contextlib
import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

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
OPAQUE = np.full((6, 9, 1), 255, np.uint8)

# EXIF: which corner of the upright picture the first stored row and column touch (written as its inverse)
STORED: dict[int, Callable[[NDArray], NDArray]] = {
    1: lambda x: x,
    2: np.fliplr,
    3: lambda x: np.rot90(x, 2),
    4: np.flipud,
    5: lambda x: x.swapaxes(0, 1),
    6: lambda x: np.rot90(x, 1),
    7: lambda x: np.rot90(x, 2).swapaxes(0, 1),
    8: lambda x: np.rot90(x, -1),
}


def saved(path: Path, pixels: NDArray, mode: str | None = None, **options: object) -> Path:
    picture = Image.fromarray(pixels)
    (picture.convert(mode) if mode else picture).save(path, **options)
    return path


def saved_16(path: Path, pixels: NDArray) -> Path:
    """Write with OpenCV, whose color order is the reverse."""
    assert cv2.imwrite(
        str(path), pixels[..., [2, 1, 0, 3][: pixels.shape[2]]] if pixels.ndim == 3 else pixels
    )
    return path


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


# Kinds of pictures


def test_gray_stays_gray_and_color_stays_color_in_lossless_files(tmp_path: Path) -> None:
    for suffix in (".png", ".tif", ".bmp", ".pgm"):
        assert np.array_equal(read_image(saved(tmp_path / f"gray{suffix}", GRAY)), GRAY)
    for suffix in (".png", ".tif", ".bmp", ".ppm"):
        assert np.array_equal(read_image(saved(tmp_path / f"color{suffix}", COLOR)), COLOR)
    assert np.array_equal(read_image(saved(tmp_path / "color.webp", COLOR, lossless=True)), COLOR)


def test_alpha_is_dropped_not_blended(tmp_path: Path) -> None:
    half = OPAQUE // 2
    assert np.array_equal(read_image(saved(tmp_path / "a.png", np.concatenate([COLOR, half], 2))), COLOR)
    gray = np.concatenate([GRAY[..., None], half], 2)
    assert np.array_equal(read_image(saved(tmp_path / "b.png", gray)), GRAY)


def test_one_bit_pictures_are_black_and_white(tmp_path: Path) -> None:
    bits = GRAY > 127
    for suffix, options in ((".png", {}), (".bmp", {}), (".tif", {"compression": "group4"})):
        assert np.array_equal(
            read_image(saved(tmp_path / f"a{suffix}", bits, **options)), bits * np.uint8(255)
        )


def test_palette_pictures_show_their_colors_with_and_without_transparency(tmp_path: Path) -> None:
    colors = np.array([[9, 8, 7], [200, 0, 0], [0, 200, 0], [0, 0, 200]], np.uint8)
    indices = GRAY // 64
    picture = Image.fromarray(indices)
    picture.putpalette(colors.tobytes())
    for name, options in (
        ("a.png", {}),
        ("b.gif", {}),
        ("c.png", {"transparency": bytes([0, 100, 255, 255])}),
    ):
        picture.save(tmp_path / name, **options)
        assert np.array_equal(read_image(tmp_path / name), colors[indices])


def test_cmyk_jpegs_are_read_as_the_rgb_they_show(tmp_path: Path) -> None:
    red = np.zeros((16, 16, 3), np.uint8) + np.array([250, 20, 20], np.uint8)
    shown = read_image(saved(tmp_path / "a.jpg", red, "CMYK", quality=95))
    assert shown.shape == (16, 16, 3)
    assert np.abs(shown.astype(int) - red).max() < 12


def test_read_images_can_be_written_to(tmp_path: Path) -> None:
    assert read_image(saved(tmp_path / "a.png", GRAY)).flags.writeable


# 16 bits


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_16_bit_gray_and_color_are_scaled_from_their_full_depth(tmp_path: Path, suffix: str) -> None:
    for pixels in (GRAY_16, COLOR_16):
        shown = read_image(saved_16(tmp_path / f"a{suffix}", pixels))
        assert np.array_equal(shown, np.floor(pixels / 257 + 0.5).astype(np.uint8))
        dark = read_image(saved_16(tmp_path / f"b{suffix}", pixels // 16), white=4095)
        exact = np.floor((pixels // 16) * (255 / 4095) + 0.5)
        assert np.array_equal(dark, exact.astype(np.uint8))  # from 8 bits it would be off by up to 8


def test_white_clips_and_rounds(tmp_path: Path) -> None:
    path = saved_16(tmp_path / "a.png", np.array([[0, 1, 2, 500, 999, 1000, 1001, 65535]], np.uint16))
    assert read_image(path, white=1000).tolist() == [[0, 0, 1, 128, 255, 255, 255, 255]]
    path = saved(tmp_path / "b.png", np.array([[0, 50, 100, 101, 255]], np.uint8))
    assert read_image(path, white=100).tolist() == [[0, 128, 255, 255, 255]]


def test_a_white_beyond_what_the_file_can_hold_is_an_error(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", GRAY)
    with pytest.raises(
        DataError, match=r"a\.png: data\.white is 4095, but this file's values end at 255; lower"
    ):
        read_image(path, white=4095)


def test_16_bit_alpha_is_dropped_and_gray_with_alpha_stays_gray(tmp_path: Path) -> None:
    half = np.full((6, 9, 1), 30000, np.uint16)
    for suffix in (".png", ".tif"):
        path = saved_16(tmp_path / f"a{suffix}", np.concatenate([COLOR_16, half], 2))
        assert np.array_equal(read_image(path), np.floor(COLOR_16 / 257 + 0.5))
    rows = [row.astype(">u2").tobytes() for row in np.concatenate([GRAY_16[..., None], half], 2)]
    (tmp_path / "b.png").write_bytes(png(9, 6, depth=16, color=4, rows=rows))
    assert np.array_equal(read_image(tmp_path / "b.png"), np.floor(GRAY_16 / 257 + 0.5))


@pytest.mark.parametrize(
    "options",
    [
        {"byteorder": ">"},
        {"compression": "zlib", "predictor": True},
        {"byteorder": ">", "compression": "zlib"},
        {"tile": (16, 16)},
    ],
)
def test_16_bit_tiffs_of_several_layouts(tmp_path: Path, options: dict) -> None:
    for pixels, kind in ((GRAY_16, "minisblack"), (COLOR_16, "rgb")):
        tifffile.imwrite(tmp_path / "a.tif", pixels, photometric=kind, **options)
        assert np.array_equal(read_image(tmp_path / "a.tif"), np.floor(pixels / 257 + 0.5))


def test_layouts_that_decoders_get_wrong_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    planes = np.ascontiguousarray(np.moveaxis(COLOR_16, -1, 0))
    tifffile.imwrite(path, planes, photometric="rgb", planarconfig="separate")
    with pytest.raises(
        DataError, match=r"a\.tif: 16 bits a channel, stored in a way .* save it as an 8- or 16-bit"
    ):
        read_image(path)
    tifffile.imwrite(path, GRAY_16, photometric="miniswhite")
    with pytest.raises(DataError, match="stored in a way that is not read reliably"):
        read_image(path)
    (tmp_path / "a.ppm").write_bytes(b"P6 9 6 4095 " + (COLOR_16 >> 4).astype(">u2").tobytes())
    with pytest.raises(DataError, match="stored in a way that is not read reliably"):
        read_image(tmp_path / "a.ppm")
    tifffile.imwrite(path, (GRAY_16 >> 1).astype(np.int32))
    with pytest.raises(DataError, match="32-bit or signed pixels; save it as"):
        read_image(path)


def test_floating_point_is_refused_with_what_to_do(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.tif"), GRAY.astype(np.float32))
    with pytest.raises(
        DataError, match=r"a\.tif: floating-point pixels have no fixed white; scale them and save"
    ):
        read_image(tmp_path / "a.tif")


# Orientation


@pytest.mark.parametrize("orientation", STORED)
def test_every_exif_orientation_is_brought_upright(tmp_path: Path, orientation: int) -> None:
    turned = STORED[orientation]
    for pixels in (GRAY, COLOR):
        for suffix in (".png", ".tif"):
            path = saved(tmp_path / f"a{suffix}", turned(pixels), exif=exif(orientation))
            assert np.array_equal(read_image(path), pixels), suffix
    blocks = np.kron(GRAY[:3, :4] // 128 * 255, np.ones((16, 16), np.uint8)).astype(np.uint8)
    path = saved(tmp_path / "a.jpg", turned(blocks), exif=exif(orientation), quality=98)
    assert np.abs(read_image(path).astype(int) - blocks).max() < 12


@pytest.mark.parametrize("orientation", STORED)
def test_every_exif_orientation_of_16_bit_files(tmp_path: Path, orientation: int) -> None:
    tag = exif(orientation).tobytes().removeprefix(b"Exif\0\0")
    for pixels in (GRAY_16, COLOR_16):
        stored = np.ascontiguousarray(STORED[orientation](pixels))
        shown = np.floor(pixels / 257 + 0.5)
        plain = saved_16(tmp_path / "a.png", stored).read_bytes()
        (tmp_path / "a.png").write_bytes(plain[:33] + chunk(b"eXIf", tag) + plain[33:])
        assert np.array_equal(read_image(tmp_path / "a.png"), shown)
        kind = "rgb" if pixels.ndim == 3 else "minisblack"
        tags = [(274, "H", 1, orientation, True)]
        tifffile.imwrite(tmp_path / "a.tif", stored, photometric=kind, extratags=tags)
        assert np.array_equal(read_image(tmp_path / "a.tif"), shown)


def test_masks_are_turned_as_their_images_are(tmp_path: Path) -> None:
    mask = (GRAY > 127).astype(np.uint8)
    path = saved(tmp_path / "a.png", STORED[6](mask * np.uint8(255)), exif=exif(6))
    assert np.array_equal(read_mask(path, MaskValues()), mask)


# Files that cannot be read


def test_missing_and_empty_files_and_text_are_one_line_each(tmp_path: Path) -> None:
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


KINDS = {
    "jpg": {"format": "JPEG", "quality": 90},
    "progressive": {"format": "JPEG", "quality": 90, "progressive": True},
    "png": {"format": "PNG"},
    "tif": {"format": "TIFF"},
    "lzw": {"format": "TIFF", "compression": "tiff_lzw"},
    "bmp": {"format": "BMP"},
    "gif": {"format": "GIF"},
    "webp": {"format": "WEBP"},
}


def textured(height: int = 90, width: int = 120) -> NDArray:
    return np.clip(128 + random.normal(0, 40, (height, width)), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("kind", KINDS)
def test_a_truncated_file_is_an_error_never_a_part_of_the_picture(tmp_path: Path, kind: str) -> None:
    whole = saved(tmp_path / "whole", textured(), **KINDS[kind])
    pixels, file = read_image(whole), whole.read_bytes()
    cut = tmp_path / "cut"
    for share in (0.001, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.97):
        cut.write_bytes(file[: max(1, int(len(file) * share))])
        with pytest.raises(DataError, match=r"cut: .*cut off"):
            read_image(cut)
    for missing in range(1, 40):  # at the very end nothing but a trailer may be gone
        cut.write_bytes(file[:-missing])
        with contextlib.suppress(DataError):
            assert np.array_equal(read_image(cut), pixels)


def test_a_truncated_16_bit_color_file_is_an_error_too(tmp_path: Path) -> None:
    pixels = random.integers(0, 65536, (60, 80, 3), dtype=np.uint16)
    for suffix in (".png", ".tif"):
        path = saved_16(tmp_path / f"a{suffix}", pixels)
        file = path.read_bytes()
        for share in (0.1, 0.5, 0.9, 0.99):
            path.write_bytes(file[: int(len(file) * share)])
            with pytest.raises(DataError, match="cut off"):
                read_image(path)


def test_a_flipped_bit_in_a_png_is_noticed(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", textured())
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


def test_several_pages_are_refused(tmp_path: Path) -> None:
    first, second = Image.fromarray(GRAY), Image.fromarray(GRAY[::-1].copy())
    first.save(tmp_path / "a.tif", save_all=True, append_images=[second])
    with pytest.raises(DataError, match=r"a\.tif: holds 2 pages; save the one that is meant"):
        read_image(tmp_path / "a.tif")


# Masks

BITS = (GRAY > 127).astype(np.uint8)


def test_masks_of_every_kind_become_zero_and_one(tmp_path: Path) -> None:
    white = BITS * np.uint8(255)
    rgb = np.repeat(white[..., None], 3, 2)
    kinds = {
        "gray.png": white,
        "bits.png": BITS.astype(bool),
        "rgb.png": rgb,
        "rgba.png": np.concatenate([rgb, OPAQUE], 2),
        "alpha.png": np.concatenate([white[..., None], OPAQUE], 2),
        "gray.gif": white,
        "gray.tif": white,
    }
    for name, pixels in kinds.items():
        mask = read_mask(saved(tmp_path / name, pixels), MaskValues())
        assert mask.dtype == np.uint8, name
        assert np.array_equal(mask, BITS), name


def test_deep_masks_are_compared_at_full_depth(tmp_path: Path) -> None:
    path = saved_16(tmp_path / "a.png", BITS.astype(np.uint16) * np.uint16(40000))
    assert np.array_equal(read_mask(path, MaskValues(target=40000)), BITS)
    path = saved_16(tmp_path / "b.png", np.repeat(BITS[..., None] * np.uint16(65535), 3, 2))
    assert np.array_equal(read_mask(path, MaskValues(target=65535)), BITS)
    tifffile.imwrite(tmp_path / "c.tif", BITS.astype(np.int32) * 70000)
    assert np.array_equal(read_mask(tmp_path / "c.tif", MaskValues(target=70000)), BITS)


def test_ignore_and_unusual_values_are_mapped(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", np.array([[7, 3, 9]], np.uint8))
    assert read_mask(path, MaskValues(background=7, target=3, ignore=9)).tolist() == [[0, 1, 255]]


def test_palette_masks_compare_indices_but_gray_palettes_compare_grays(tmp_path: Path) -> None:
    picture = Image.fromarray(BITS)
    picture.putpalette([0, 0, 0, 128, 0, 0])
    picture.save(tmp_path / "a.png")
    assert np.array_equal(read_mask(tmp_path / "a.png", MaskValues(target=1)), BITS)
    picture.putpalette([255, 255, 255, 0, 0, 0])  # the writer put white first
    picture.save(tmp_path / "b.png")
    assert np.array_equal(read_mask(tmp_path / "b.png", MaskValues()), 1 - BITS)


@pytest.mark.parametrize(
    ("stored", "declared", "message"),
    [
        ([0, 1], {}, "0, 1; data.masks declares {background: 0, target: 255}; declare data.masks: {background: 0"),
        ([1], {}, "declare data.masks: {background: 0, target: 1}"),
        ([0, 255], {"target": 1}, "declare data.masks: {background: 0, target: 255}"),
        ([0, 1, 255], {}, "declare data.masks: {background: 0, target: 1, ignore: 255}"),
        ([0, 1, 128], {"ignore": 128}, "declare data.masks: {background: 0, target: 1, ignore: 128}"),
        ([5, 9], {}, "declare data.masks: {background: 5, target: 9}"),
        ([0], {"background": 1, "target": 2, "ignore": 255}, "{background: 0, target: 255}"),
        ([0, 3], {"background": 1, "target": 2, "ignore": 0}, "{background: 0, target: 3}"),
        (list(range(9)), {}, "holds the values 0, 1, 2, 3, 4 and 4 more; data.masks"),
        ([0, 128, 255], {}, "save masks of two values (no JPEG, no smooth edges), or declare"),
    ],
)  # fmt: skip
def test_undeclared_values_are_named_with_the_likely_declaration(
    tmp_path: Path, stored: list[int], declared: dict[str, int], message: str
) -> None:
    path = saved(tmp_path / "a.png", np.array([stored], np.uint8))
    with pytest.raises(DataError) as caught:
        read_mask(path, MaskValues(**declared))
    assert str(caught.value).startswith(f"{path}: holds the values {stored[0]}")
    assert message in str(caught.value)


def test_colored_and_transparent_and_floating_masks_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.png: the mask is colored; save it as a gray PNG"):
        read_mask(saved(tmp_path / "a.png", COLOR), MaskValues())
    clear = np.concatenate([np.repeat(BITS[..., None] * np.uint8(255), 3, 2), OPAQUE - 1], 2)
    with pytest.raises(DataError, match=r"b\.png: the mask has transparent pixels; save it without alpha"):
        read_mask(saved(tmp_path / "b.png", clear), MaskValues())
    with pytest.raises(DataError, match=r"c\.jpg: a mask is gray or indexed, this is CMYK"):
        read_mask(saved(tmp_path / "c.jpg", COLOR, "CMYK"), MaskValues())
    cv2.imwrite(str(tmp_path / "d.tif"), BITS.astype(np.float32))
    with pytest.raises(DataError, match=r"d\.tif: floating-point pixels"):
        read_mask(tmp_path / "d.tif", MaskValues())


# Resizing


@pytest.mark.parametrize(
    ("shape", "size", "expected"),
    [
        ((100, 50), 50, (50, 25)),
        ((33, 100), 64, (21, 64)),
        ((3, 1000), 64, (1, 64)),
        ((40, 30), 80, (80, 60)),
    ],
)
def test_the_longest_side_gets_the_size_for_image_and_mask_alike(
    shape: tuple[int, int], size: int, expected: tuple[int, int]
) -> None:
    assert fit(np.zeros(shape, np.uint8), size).shape == expected
    assert fit(np.zeros((*shape, 3), np.uint8), size).shape == (*expected, 3)
    assert fit_mask(np.zeros(shape, np.uint8), size).shape == expected


def test_no_size_and_the_same_size_change_nothing() -> None:
    for size in (None, 9):
        assert np.array_equal(fit(COLOR, size), COLOR)
        assert np.array_equal(fit_mask(BITS, size), BITS)


def test_shrinking_averages_and_enlarging_interpolates() -> None:
    board = np.indices((64, 64)).sum(0) % 2 * np.uint8(254)
    assert set(np.unique(fit(board.astype(np.uint8), 32))) == {127}
    edge = fit(np.array([[0, 200]], np.uint8), 8)
    assert len(np.unique(edge)) > 2


def test_masks_keep_their_values_and_objects_stay_where_the_image_shows_them() -> None:
    drifts = []
    for _ in range(40):
        height, width = random.integers(200, 400, 2)
        y, x = random.integers(20, 110, 2)
        mask = np.zeros((height, width), np.uint8)
        mask[y : y + 60, x : x + 50] = 1
        mask[:10] = 255
        size = int(random.integers(60, 700))
        small = fit_mask(mask, size)
        assert set(np.unique(small)) <= {0, 1, 255}
        shown = fit((mask == 1) * np.uint8(255), size) / 255
        grid = np.indices(small.shape)
        center = [(g * (small == 1)).sum() / (small == 1).sum() for g in grid]
        drifts.append([c - (g * shown).sum() / shown.sum() for c, g in zip(center, grid, strict=True)])
    assert np.abs(drifts).max() < 0.5
    assert np.abs(np.mean(drifts, axis=0)).max() < 0.08  # OpenCV's INTER_NEAREST: about .4


def test_bytes_in_memory_and_on_disk_decode_alike(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.fromarray(COLOR).save(buffer, "PNG")
    (tmp_path / "a.jpg").write_bytes(buffer.getvalue())  # the content decides, not the name
    assert np.array_equal(read_image(tmp_path / "a.jpg"), COLOR)
