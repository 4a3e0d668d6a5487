import base64
import io
import json
import re
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import segmentation_models_pytorch as smp
import torch
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import PythonModelContext
from PIL import Image
from safetensors.torch import load_file, save_file
from scipy import ndimage

from harness.data.pictures import fit, image_pixels, read_image, to_8_bits
from harness.model.predict import MEAN, STD, network_logits
from harness.tracking import served_model
from harness.tracking.served_model import Segmenter, read

DECODER = [64, 32, 16, 16, 8]
ENCODER = "tu-test_efficientnet.r160_in1k"
NETWORK = dict(arch="unet", encoder_name=ENCODER, in_channels=3, classes=1, decoder_channels=DECODER)
VIEWS = dict(flips=False, scales=[1.0])
SETTINGS = dict(schema=2, network=NETWORK, size=64, white=None, threshold=0.5, mean=MEAN, std=STD, **VIEWS)
RNG = np.random.default_rng(3)


@dataclass(frozen=True)
class Folder:
    """Weights of fold models, and models made of them."""

    path: Path

    def weights(self, fold: int) -> Path:
        return self.path / f"{fold}.safetensors"

    def model(self, *, folds: tuple[int, ...] = (0, 1), **changes: object) -> Segmenter:
        settings = self.path / "model.json"
        settings.write_text(json.dumps(SETTINGS | changes))
        files = {f"weights_{i}": str(self.weights(fold)) for i, fold in enumerate(folds)}
        model = Segmenter()
        model.load_context(PythonModelContext({"settings": str(settings), **files}, None))
        return model

    def network(self, fold: int) -> torch.nn.Module:
        network = smp.create_model(**NETWORK, encoder_weights=None).eval()
        network.load_state_dict(load_file(self.weights(fold)))
        return network


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    torch.set_num_threads(1)
    made = Folder(tmp_path_factory.mktemp("folds"))
    for fold in (0, 1):
        torch.manual_seed(fold)
        network = smp.create_model(**NETWORK, encoder_weights=None)
        with torch.no_grad():
            network(torch.randn(8, 3, 64, 64))  # normalization learns what activations look like
            network.segmentation_head[0].weight.mul_(20)
        save_file(network.state_dict(), made.weights(fold))
    return made


@pytest.fixture(scope="session")
def model(folder: Folder) -> Segmenter:
    return folder.model()


def noise(*shape: int, dtype: type = np.uint8) -> np.ndarray:
    rough = RNG.integers(0, np.iinfo(dtype).max, shape, dtype=dtype)
    return cv2.GaussianBlur(rough, (0, 0), 2) if min(shape[:2]) > 1 else rough


def png(pixels: np.ndarray) -> bytes:
    return cv2.imencode(".png", pixels[:, :, ::-1] if pixels.ndim == 3 else pixels)[1].tobytes()


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def predicted(model: Segmenter, *cells: object) -> pd.DataFrame:
    return model.predict(None, pd.DataFrame({"image": pd.Series(list(cells), dtype=object)}))


PICTURES = {
    "gray": noise(50, 70),
    "RGB": noise(70, 50, 3),
    "16-bit gray": noise(40, 90, dtype=np.uint16),
    "16-bit RGB": noise(64, 64, 3, dtype=np.uint16),
    "small": noise(9, 5, 3),
    "one row": noise(1, 40),
    "one pixel": noise(1, 1),
    "large": noise(300, 170, 3),
}


@pytest.mark.parametrize("size", [None, 32, 100])
@pytest.mark.parametrize("kind", PICTURES)
def test_probability_is_the_mean_of_what_validation_computes(
    folder: Folder, kind: str, size: int | None
) -> None:
    picture = PICTURES[kind]
    small = fit(to_8_bits(picture, Path(kind)), size)
    with torch.no_grad():
        logits = [
            network_logits(folder.network(fold), torch.device("cpu"), [small], [picture.shape[:2]])[0]
            for fold in (0, 1)
        ]
    expected = np.mean([1 / (1 + np.exp(-one)) for one in logits], axis=0)
    found = folder.model(size=size).probability(picture)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=2e-6)


def test_mean_of_two_folds_is_neither_fold_and_lies_between(folder: Folder) -> None:
    picture = PICTURES["RGB"]
    first, second = (folder.model(folds=(fold,)).probability(picture) for fold in (0, 1))
    both = folder.model().probability(picture)
    assert np.abs(first - second).max() > 0.05
    np.testing.assert_allclose(both, (first + second) / 2, atol=1e-6)


def test_every_image_gets_a_mask_of_its_own_size(model: Segmenter) -> None:
    result = predicted(model, *PICTURES.values())
    assert [mask.shape for mask in result["mask"]] == [p.shape[:2] for p in PICTURES.values()]
    assert all(mask.dtype == np.uint8 and set(np.unique(mask)) <= {0, 1} for mask in result["mask"])
    assert any(0 < mask.mean() < 1 for mask in result["mask"])
    expected = [float(model.probability(p).max()) for p in PICTURES.values()]
    assert result["score"].tolist() == expected


def test_mask_starts_above_the_threshold(folder: Folder) -> None:
    probability = folder.model().probability(PICTURES["gray"])
    top = float(probability.max())
    assert predicted(folder.model(threshold=top), PICTURES["gray"])["mask"][0].sum() == 0
    below = predicted(folder.model(threshold=float(np.median(probability))), PICTURES["gray"])["mask"][0]
    np.testing.assert_array_equal(below, probability > np.median(probability))


def test_result_keeps_the_index_of_the_table(model: Segmenter) -> None:
    table = pd.DataFrame({"image": [PICTURES["gray"], PICTURES["RGB"]]}, index=["a", "b"])
    assert model.predict(None, table).index.tolist() == ["a", "b"]
    assert list(model.predict(None, table[:0])) == ["mask", "score"]


def test_texts_in_one_row_are_several_images(model: Segmenter) -> None:
    texts = [base64.b64encode(png(PICTURES[kind])).decode() for kind in ("gray", "RGB")]
    assert len(model.predict(None, pd.DataFrame({"image": [texts]}))) == 2


def files() -> dict[str, bytes]:
    rgb, gray, alpha = (Image.fromarray(noise(20, 30, *channels)) for channels in ((3,), (), ()))
    made = {
        "gray PNG": saved(gray, "PNG"),
        "RGB PNG": saved(rgb, "PNG"),
        "RGBA PNG": saved(Image.merge("RGBA", [*rgb.split(), alpha]), "PNG"),
        "gray and alpha PNG": saved(Image.merge("LA", [gray, alpha]), "PNG"),
        "palette PNG": saved(rgb.quantize(16), "PNG"),
        "transparent palette PNG": saved(rgb.quantize(16), "PNG", transparency=bytes(range(0, 160, 10))),
        "1-bit PNG": saved(gray.convert("1"), "PNG"),
        "16-bit gray PNG": png(noise(20, 30, dtype=np.uint16)),
        "16-bit RGB PNG": png(noise(20, 30, 3, dtype=np.uint16)),
        "16-bit RGBA PNG": cv2.imencode(".png", noise(20, 30, 4, dtype=np.uint16))[1].tobytes(),
        "gray JPEG": saved(gray, "JPEG"),
        "CMYK JPEG": saved(rgb.convert("CMYK"), "JPEG"),
        "TIFF": saved(rgb, "TIFF"),
        "16-bit TIFF": saved(Image.fromarray(noise(20, 30, dtype=np.uint16)), "TIFF"),
        "16-bit RGB TIFF": cv2.imencode(".tiff", noise(20, 30, 3, dtype=np.uint16))[1].tobytes(),
    }
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        made |= {
            f"{kind} turned {orientation}": saved(rgb, kind, exif=exif) for kind in ("JPEG", "PNG", "TIFF")
        }
    return made


FILES = files()


@pytest.mark.parametrize("kind", FILES)
def test_files_are_decoded_as_for_training(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "picture"
    path.write_bytes(FILES[kind])
    for white in (None, 200):
        stored = served_model.read(FILES[kind], "image 0", white)
        np.testing.assert_array_equal(
            gray_or_rgb(served_model.to_8_bits(stored, "image 0", white)),
            gray_or_rgb(read_image(path, white=white)),
        )
    assert served_model.read(FILES[kind], "image 0", None).dtype == image_pixels(FILES[kind], path).dtype


def gray_or_rgb(pixels: np.ndarray) -> np.ndarray:
    return pixels if pixels.ndim == 3 else np.stack([pixels] * 3, axis=2)


@pytest.mark.parametrize(
    ("dtype", "white"),
    [(np.uint8, None), (np.uint8, 100), (np.uint8, 255)]
    + [(np.uint16, white) for white in (None, 255, 1000, 4095, 65535)],
)
def test_white_is_scaled_as_for_training(dtype: type, white: int | None) -> None:
    every = np.arange(np.iinfo(dtype).max + 1, dtype=dtype).reshape(-1, 16)
    found = served_model.to_8_bits(every, "image 0", white)
    np.testing.assert_array_equal(found, to_8_bits(every, Path("x"), white=white))


def test_base64_may_be_wrapped(model: Segmenter) -> None:
    wrapped = base64.encodebytes(png(PICTURES["RGB"])).decode()
    assert "\n" in wrapped.strip()
    for cell in (wrapped, png(PICTURES["RGB"])):
        np.testing.assert_array_equal(
            model.probability(read(cell, "image", None)), model.probability(PICTURES["RGB"])
        )


def test_lists_are_8_bit_unless_white_is_deeper(folder: Folder) -> None:
    picture = PICTURES["RGB"]
    plain = folder.model()
    np.testing.assert_array_equal(
        plain.probability(read(picture.tolist(), "image", None)), plain.probability(picture)
    )
    deep = folder.model(white=4095)
    numbers = PICTURES["16-bit gray"] // 16
    np.testing.assert_array_equal(
        deep.probability(read(numbers.tolist(), "image", 4095)), deep.probability(numbers)
    )
    with pytest.raises(MlflowException, match="image 0: values up to 255 where white is 4095"):
        predicted(deep, PICTURES["gray"])


def test_a_picture_is_seen_the_same_alone_and_among_others(model: Segmenter) -> None:
    shown = [*PICTURES.values(), *PICTURES.values()]
    together = model.probabilities(shown)
    for picture, one in zip(shown, together, strict=True):
        np.testing.assert_allclose(one, model.probability(picture), atol=1e-6)


def test_mirrored_views_make_a_mirrored_picture_a_mirrored_prediction(folder: Folder) -> None:
    square = cv2.resize(PICTURES["RGB"], (64, 64))
    plain, flips = folder.model(), folder.model(flips=True)
    for mirrored in (np.s_[:, ::-1], np.s_[::-1], np.s_[::-1, ::-1]):
        turned = np.ascontiguousarray(square[mirrored])
        np.testing.assert_allclose(flips.probability(turned), flips.probability(square)[mirrored], atol=1e-5)
        assert np.abs(plain.probability(turned) - plain.probability(square)[mirrored]).max() > 1e-3


def test_views_of_several_scales_are_averaged(folder: Folder) -> None:
    picture = PICTURES["RGB"]
    one, other = (folder.model(scales=[scale]).probability(picture) for scale in (1.0, 1.5))
    both = folder.model(scales=[1.0, 1.5]).probability(picture)
    assert np.abs(one - other).max() > 1e-3
    np.testing.assert_allclose(both, (one + other) / 2, atol=1e-6)


FLAT = Image.new("L", (4, 4))
WRONG = {
    "float32 (4, 5); send uint8 or uint16": np.zeros((4, 5), np.float32),
    "uint8 (4, 5, 4); send": np.zeros((4, 5, 4), np.uint8),
    "uint8 (0, 5); send": np.zeros((0, 5), np.uint8),
    "a list of uneven rows": [[1, 2], [3]],
    "a list of numbers from 0 to 256; lists hold 0 to 255": [[0, 256]],
    "a list of numbers from -1 to 3": [[-1, 3]],
    "a list of shape (1, 2), float64": [[0.5, 1.0]],
    "uint8 (2,); send": [1, 2],
    "a list of shape (2, 3), one row of an RGB picture": [[1, 2, 3], [4, 5, 6]],
    "text that is no base64": "parts/0001.png",
    "4 bytes that are no readable picture": b"abcd",
    "0 bytes that are no readable picture": b"",
    "(several pages)": saved(FLAT, "TIFF", save_all=True, append_images=[FLAT]),
    "(32-bit or signed pixels)": saved(FLAT.convert("F"), "TIFF"),
    "(16 bits with 0 for white": saved(FLAT.convert("I;16"), "TIFF", tiffinfo={262: 0}),
}


@pytest.mark.parametrize("sentence", WRONG)
def test_wrong_image_is_refused_in_one_sentence_with_its_position(model: Segmenter, sentence: str) -> None:
    with pytest.raises(MlflowException) as caught:
        predicted(model, PICTURES["gray"], WRONG[sentence])
    assert caught.value.error_code == "INVALID_PARAMETER_VALUE"
    assert caught.value.message.startswith("image 1: ")
    assert sentence in caught.value.message
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "16-bit RGB PNG"])
def test_truncated_file_is_refused(model: Segmenter, kind: str, share: float) -> None:
    whole = FILES.get(kind) or saved(Image.fromarray(noise(60, 60, 3)), kind)
    assert len(predicted(model, whole)) == 1
    cut = whole[: int(len(whole) * share)]
    with pytest.raises(MlflowException, match=rf"image 0: {len(cut)} bytes that are no readable picture \("):
        predicted(model, cut)


@pytest.mark.parametrize("table", [pd.DataFrame({"picture": [1]}), [PICTURES["gray"]], {"image": []}])
def test_input_without_a_column_of_images_is_refused(model: Segmenter, table: object) -> None:
    with pytest.raises(MlflowException, match=r"input: .*; send a table with a column 'image'") as caught:
        model.predict(None, table)  # type: ignore[arg-type]
    assert caught.value.error_code == "INVALID_PARAMETER_VALUE"


def test_settings_and_weights_that_cannot_be_right_are_refused(folder: Folder) -> None:
    with pytest.raises(MlflowException, match="settings: schema 3; this file reads 2"):
        folder.model(schema=3)
    with pytest.raises(MlflowException, match="weights: no fold model"):
        folder.model(folds=())
    with pytest.raises(RuntimeError, match="size mismatch"):
        folder.model(network=NETWORK | {"decoder_channels": [32, 32, 16, 16, 8]})


def test_encoder_weights_are_never_fetched(folder: Folder, model: Segmenter) -> None:
    asked = folder.model(network=NETWORK | {"encoder_weights": "no such weights"})
    np.testing.assert_array_equal(asked.probability(PICTURES["RGB"]), model.probability(PICTURES["RGB"]))


def test_model_file_imports_nothing_of_the_harness() -> None:
    source = Path(served_model.__file__).read_text()
    imported = re.findall(r"^\s*(?:import|from) ([\w.]+)", source, re.M)
    assert len(imported) > 10
    assert not [name for name in imported if name.startswith(("harness", "."))]


def asked(model: Segmenter, *cells: object, **params: object) -> pd.DataFrame:
    return model.predict(None, pd.DataFrame({"image": pd.Series(list(cells), dtype=object)}), params)


def test_each_form_of_a_mask_holds_the_same_pixels(model: Segmenter) -> None:
    cells = [*PICTURES.values(), np.zeros((5, 7), np.uint8)]
    plain = asked(model, *cells)["mask"]
    as_png, as_rle = (asked(model, *cells, mask=form)["mask"] for form in ("png", "rle"))
    for mask, text, runs in zip(plain, as_png, as_rle, strict=True):
        decoded = cv2.imdecode(np.frombuffer(base64.b64decode(text), np.uint8), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(decoded, mask * 255)
        values = np.arange(len(runs["counts"])) % 2
        filled = np.repeat(values, runs["counts"]).reshape(runs["size"], order="F")
        np.testing.assert_array_equal(filled, mask)
        assert min(runs["counts"][1:], default=1) > 0
        assert json.dumps(runs)
    assert list(asked(model, *cells, mask="none")) == ["score"]


@pytest.mark.parametrize(
    ("mask", "counts"),
    [
        ([[0, 0], [0, 0]], [4]),
        ([[1, 1], [1, 1]], [0, 4]),
        ([[0, 1], [1, 1]], [1, 3]),
        ([[1, 0], [0, 1]], [0, 1, 2, 1]),
        ([[0, 1, 0]], [1, 1, 1]),
    ],
)
def test_runs_go_down_the_columns_and_begin_with_zeros(mask: list[list[int]], counts: list[int]) -> None:
    runs = served_model.as_rle(np.array(mask, np.uint8))
    assert runs == {"size": [len(mask), len(mask[0])], "counts": counts}


def test_objects_are_those_of_another_labeling(model: Segmenter) -> None:
    picture = noise(90, 120, 3)
    (row,) = asked(model, picture, objects=True).to_dict("records")
    probability = model.probability(picture)
    labels, count = ndimage.label(row["mask"], structure=np.ones((3, 3)))
    assert count > 3
    found = {tuple(one["box"]): (one["area"], one["score"]) for one in row["objects"]}
    wanted = {}
    for number, (rows, columns) in enumerate(ndimage.find_objects(labels), start=1):
        box = (columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start)
        inside = labels == number
        wanted[box] = (int(inside.sum()), float(probability[inside].max()))
    assert found == wanted
    assert len(row["objects"]) == count
    assert max(score for _, score in found.values()) == row["score"]
    assert json.dumps(row["objects"])


def test_objects_that_touch_at_a_corner_are_one_and_no_mask_has_none() -> None:
    corner = np.eye(2, dtype=np.uint8)
    probability = np.array([[0.6, 0.1], [0.2, 0.9]], np.float32)
    (one,) = served_model.objects_of(corner, probability)
    assert one == {"box": [0, 0, 2, 2], "area": 2, "score": float(np.float32(0.9))}
    assert served_model.objects_of(corner * 0, probability) == []


@pytest.mark.parametrize(
    ("params", "sentence"),
    [
        ({"mask": "svg"}, "params.mask: 'svg'; choose one of array, png, rle, none"),
        ({"mask": None}, "params.mask: 'None'; choose one of array, png, rle, none"),
        ({"mask": ["png"]}, "params.mask: "),
        ({"objects": "yes"}, "params.objects: 'yes'; choose one of False, True"),
        ({"maks": "png"}, "params.maks: 'png'; choose one of mask, objects"),
    ],
)
def test_unknown_params_are_refused_with_what_is_known(
    model: Segmenter, params: dict[str, object], sentence: str
) -> None:
    with pytest.raises(MlflowException, match=re.escape(sentence)) as caught:
        asked(model, PICTURES["gray"], **params)
    assert caught.value.error_code == "INVALID_PARAMETER_VALUE"


def test_a_large_picture_is_refused_before_it_is_decoded(model: Segmenter) -> None:
    large = png(np.zeros((4097, 4096), np.uint8))
    tracemalloc.start()
    with pytest.raises(MlflowException, match=r"image 0: .*4096 x 4097 px: send parts of at most 16777216"):
        predicted(model, large)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 4e6  # 16 MB, decoded
    assert read(png(np.zeros((4096, 4096), np.uint8)), "image 0", None).shape == (4096, 4096)


@pytest.mark.parametrize(
    ("size", "shape", "fits"),
    [(None, (2048, 2048), 16), (1024, (1, 1), 64), (1024, (1, 90), 2048), (None, (1, 2**21), 1)],
)
def test_a_request_is_counted_as_the_networks_see_it(
    folder: Folder, size: int | None, shape: tuple[int, int], fits: int
) -> None:
    model = folder.model(size=size)
    cells = [np.zeros(shape, np.uint8)] * (fits + 1)
    assert len(model._pictures(cells[:fits])) == fits
    with pytest.raises(MlflowException, match=rf"image {fits}: .* send at most 67108864 px at once"):
        predicted(model, *cells)


def test_one_long_text_among_numbers_takes_no_memory(model: Segmenter) -> None:
    tracemalloc.start()
    with pytest.raises(MlflowException, match="image 0: a list of uneven rows, or not of numbers"):
        predicted(model, [["a" * 1000, *[1] * 100_000]])  # 400 MB as an array of texts
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 2e7


def test_many_threads_get_what_one_gets_and_compute_one_at_a_time(folder: Folder) -> None:
    model = folder.model()
    wanted = [asked(model, picture, mask="png") for picture in PICTURES.values()]
    inner, inside, most = model.folds, [], []

    def watched(images: torch.Tensor) -> torch.Tensor:
        inside.append(None)
        most.append(len(inside))
        time.sleep(0.005)
        found = inner(images)
        inside.pop()
        return found

    model.folds = watched
    with ThreadPoolExecutor(16) as crowd:
        found = list(
            crowd.map(lambda picture: asked(model, picture, mask="png"), list(PICTURES.values()) * 4)
        )
    assert max(most) == 1
    for number, table in enumerate(found):
        pd.testing.assert_frame_equal(table, wanted[number % len(wanted)])


def test_a_failure_of_the_model_is_a_sentence_and_lets_the_next_one_through(
    folder: Folder, caplog: pytest.LogCaptureFixture
) -> None:
    model = folder.model()
    inner = model.folds

    def broken(images: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("CUDA out of memory, and so on")

    model.folds = broken
    with pytest.raises(MlflowException) as caught:
        predicted(model, PICTURES["gray"])
    assert caught.value.error_code == "INTERNAL_ERROR"
    assert json.loads(caught.value.serialize_as_json())["message"] == "model: RuntimeError; see its log"
    assert "CUDA out of memory" in caplog.text
    model.folds = inner
    assert len(predicted(model, PICTURES["gray"])) == 1


def test_a_sentence_cannot_be_replaced_afterwards() -> None:
    refused = served_model.Refused("image 0: wrong", error_code=1000)
    refused.message = "Failed to predict data '...'"  # as MLflow's server does
    assert refused.message == "image 0: wrong"
    assert json.loads(refused.serialize_as_json())["message"] == "image 0: wrong"
