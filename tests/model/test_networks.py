import http.server
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
import segmentation_models_pytorch as smp
import timm
import torch
from huggingface_hub import constants as hub
from safetensors.torch import save_file
from torch import Tensor, nn

from harness.config import Choice
from harness.errors import ConfigError
from harness.model.networks import NETWORKS, build_network, output_layer, set_output_bias

TINY = "tu-test_efficientnet.r160_in1k"
ROUGH = {"fpn": 1.6, "pspnet": 1.0}  # logits; elsewhere batch norms make the start the same for every picture
SMALL_UNET = {"encoder": TINY, "decoder_channels": [16, 8, 8, 8, 8]}


def build(name: str = "unet", seed: int = 0, **settings: Any) -> nn.Module:
    torch.manual_seed(seed)
    return build_network(Choice(name=name, settings={"encoder": TINY} | settings))


def encoder_of(network: nn.Module) -> dict[str, Tensor]:
    assert isinstance(network.encoder, nn.Module)
    return {key: value.clone() for key, value in network.encoder.state_dict().items()}


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_every_network_gives_one_logit_a_pixel_in_any_size_of_32(name: str) -> None:
    network = build(name)
    assert network.training
    assert network(torch.randn(2, 3, 64, 96)).shape == (2, 1, 64, 96)
    network.eval()
    with torch.inference_mode():
        for height, width in ((32, 32), (32, 160), (224, 64)):
            assert network(torch.randn(1, 3, height, width)).shape == (1, 1, height, width)


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_every_network_starts_at_the_wanted_logit_on_average(name: str) -> None:
    network = build(name, seed=1)
    before, random = {k: v.clone() for k, v in network.state_dict().items()}, torch.get_rng_state()
    set_output_bias(network, -4.6)
    assert torch.equal(torch.get_rng_state(), random)
    changed = [key for key, value in network.state_dict().items() if not torch.equal(value, before[key])]
    assert changed == ["segmentation_head.0.bias"]
    pictures = torch.rand(4, 3, 12, 12, generator=torch.Generator().manual_seed(3)) * 4 - 2
    with torch.no_grad():
        start = network(nn.functional.interpolate(pictures, scale_factor=8, mode="bilinear")).mean()
    assert float(start) == pytest.approx(-4.6, abs=ROUGH.get(name, 0.25))


def test_setting_the_prior_moves_no_running_mean_and_keeps_the_mode() -> None:
    network = build().eval()
    before = {key: value.clone() for key, value in network.named_buffers()}
    set_output_bias(network, -3.0)
    assert equal(before, dict(network.named_buffers()))
    assert not network.training
    assert output_layer(network).bias is not None


@pytest.mark.parametrize(
    ("name", "activation"),
    [
        *((name, "sigmoid") for name in sorted(NETWORKS)),
        *(("unet", a) for a in ("tanh", "clamp", "softmax2d")),
    ],
)
def test_a_network_that_ends_in_an_activation_is_refused(name: str, activation: str) -> None:
    with pytest.raises(
        ConfigError, match=rf"network\.{name}: ends in an activation; .* leave `activation` out"
    ):
        build(name, activation=activation)


def test_an_activation_that_changes_nothing_passes() -> None:
    build(activation="identity")


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_more_than_one_class_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"network\.{name}: gives \(1, 2, 64, 64\) .* set classes: 1"):
        build(name, classes=2)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("unett", {}, r"network: 'unett' is not known, did you mean 'unet'\?"),
        ("unet", {"encodr": "resnet18"}, r"network\.unet\.encodr: .* did you mean 'encoder'\?"),
        ("fpn", {"decoder_channels": [8]}, r"network\.fpn\.decoder_channels: 'fpn' has no such setting"),
        ("unet", {"encoder": "resnet19"}, r"network\.unet\.encoder: 'resnet19' is not known, did you mean 'resnet1"),
        ("unet", {"encoder": "tu-test_eficientnet"}, r"did you mean 'tu-test_efficientnet'\?"),
        ("unet", {"encoder": "tu-test_efficientnet.nope"}, r"network\.unet: .* Invalid pretrained tag \(nope\)"),
        ("unet", {"encoder": "tu-test_vit"}, r"network\.unet: .*"),
        ("unet", {"decoder_channels": []}, r"network\.unet: .*"),
        ("unet", {"decoder_channels": [8, "x"]}, r"network\.unet\.decoder_channels: .* it must be"),
        ("unet", {"weights": "imagenett"}, r"network\.unet\.weights: .* did you mean 'imagenet'\?; known: imagenet"),
    ],
)  # fmt: skip
def test_what_is_not_known_is_refused_in_one_line(name: str, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        build(name, **settings)
    assert "\n" not in str(caught.value)


def test_decoder_channels_are_used_and_may_be_fewer() -> None:
    wide, narrow = build(decoder_channels=[32, 16, 16, 8, 8]), build(decoder_channels=[8, 8, 8])
    assert output_layer(wide).in_channels == output_layer(narrow).in_channels == 8
    sizes = [sum(p.numel() for p in network.parameters()) for network in (wide, narrow)]
    assert sizes[0] > sizes[1]
    assert narrow(torch.randn(2, 3, 64, 64)).shape == (2, 1, 64, 64)


def test_random_weights_follow_the_seed_of_torch() -> None:
    one, same, other = build(seed=1), build(seed=1), build(seed=2)
    assert equal(encoder_of(one), encoder_of(same))
    assert not equal(encoder_of(one), encoder_of(other))


def _with_old_counts(network: nn.Module) -> dict[str, Tensor]:
    return {k: v for k, v in encoder_of(network).items() if not k.endswith("num_batches_tracked")}


FORMATS: dict[str, Callable[[nn.Module, Path], Any]] = {
    "encoder.safetensors": lambda network, path: save_file(encoder_of(network), path),
    "encoder.pth": lambda network, path: torch.save(encoder_of(network), path),
    "network.pt": lambda network, path: torch.save(network.state_dict(), path),
    "checkpoint.pth": lambda network, path: torch.save(
        {"state_dict": network.state_dict(), "epoch": 3}, path
    ),
    "timm.bin": lambda network, path: torch.save(network.encoder.model.state_dict(), path),
    "without_counts.pth": lambda network, path: torch.save(_with_old_counts(network), path),
}


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_a_weights_file_is_loaded_exactly_and_into_the_encoder_only(name: str, tmp_path: Path) -> None:
    source, path = build(seed=1, **SMALL_UNET), tmp_path / name
    FORMATS[name](source, path)
    loaded = build(seed=2, **SMALL_UNET, weights=str(path))
    assert equal(encoder_of(loaded), encoder_of(source))
    plain = build(seed=2, **SMALL_UNET)
    for (key, one), other in zip(loaded.state_dict().items(), plain.state_dict().values(), strict=True):
        assert key.startswith("encoder.") or torch.equal(one, other)


class Harmful:
    """Pickled as a call that makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def _write_wrong(kind: str, folder: Path) -> tuple[Path, str]:
    """Write a file that is no use; return its path and what must be said."""
    path = folder / ("weights.safetensors" if kind == "cut safetensors" else "weights.pth")
    if kind == "missing":
        return path, "is not there; give the path of a weights file"
    if kind == "another encoder":
        torch.save(timm.create_model("test_resnet").state_dict(), path)
        return path, r"fits \d+ of \d+ tensors of the encoder, '.*' is missing or of another shape"
    if kind == "code":
        torch.save(Harmful(folder / "made"), path)
    elif kind == "a list":
        torch.save([1, 2], path)
    elif kind == "empty":
        path.touch()
    else:
        FORMATS["encoder.safetensors" if path.suffix == ".safetensors" else "encoder.pth"](build(), path)
        os.truncate(path, path.stat().st_size // 2)
    return path, r"is no weights file \(.+\)"


@pytest.mark.parametrize(
    "kind", ["missing", "another encoder", "code", "a list", "empty", "cut safetensors", "cut pickle"]
)
def test_a_file_that_is_no_use_is_refused_and_never_run(kind: str, tmp_path: Path) -> None:
    path, message = _write_wrong(kind, tmp_path)
    with pytest.raises(ConfigError, match=rf"network\.unet\.weights: {path} {message}") as caught:
        build(weights=str(path))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "made").exists()


@pytest.fixture
def online(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """The hub's client as it is outside of tests, with an empty cache."""
    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(hub, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return monkeypatch


@pytest.mark.parametrize("encoder", ["resnet18", TINY])
def test_weights_that_cannot_be_fetched_are_one_line_at_once_and_never_random(
    online: pytest.MonkeyPatch, encoder: str
) -> None:
    online.setattr(hub, "ENDPOINT", "http://127.0.0.1:9")  # nobody listens there
    started = time.monotonic()
    with pytest.raises(
        ConfigError, match=r"'imagenet' for encoder .* could not be fetched \(.+\); connect to"
    ) as caught:
        build(encoder=encoder, weights="imagenet")
    assert time.monotonic() - started < 10
    assert "weights: null for random ones" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert hub.HF_HUB_OFFLINE is False


def _cache(folder: Path, repository: str, revision: str, state: dict[str, Tensor]) -> None:
    """Lay a model into the hub's cache as a download would."""
    home = folder / f"models--{repository.replace('/', '--')}"
    snapshot = home / "snapshots" / ("0" * 40 if revision == "main" else revision)
    snapshot.mkdir(parents=True)
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text("0" * 40)
    (snapshot / "config.json").write_text("{}")
    save_file(state, snapshot / "model.safetensors")


@pytest.mark.parametrize("name", ["unet", "pspnet", "deeplabv3plus"])
def test_weights_fetched_before_are_used_without_the_hub(
    online: pytest.MonkeyPatch, name: str, tmp_path: Path
) -> None:
    online.setattr(hub, "ENDPOINT", "http://127.0.0.1:9")
    torch.manual_seed(7)
    source = timm.create_model("test_efficientnet")
    _cache(tmp_path / "hub", "timm/test_efficientnet.r160_in1k", "main", source.state_dict())
    started = time.monotonic()
    loaded = build(name, weights="imagenet")
    assert time.monotonic() - started < 10
    weights = source.state_dict()
    for key, value in encoder_of(loaded).items():
        assert torch.equal(value, weights[key.removeprefix("model.")])


def test_named_weights_of_smps_own_encoders_are_loaded(online: pytest.MonkeyPatch, tmp_path: Path) -> None:
    online.setattr(hub, "ENDPOINT", "http://127.0.0.1:9")
    source = smp.encoders.get_encoder("resnet18").state_dict()
    settings = smp.encoders.encoders["resnet18"]["pretrained_settings"]["imagenet"]
    extra = {"fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)}
    _cache(tmp_path / "hub", settings["repo_id"], settings["revision"], source | extra)
    assert equal(encoder_of(build(encoder="resnet18", weights="imagenet")), source)


class Silent(http.server.BaseHTTPRequestHandler):
    """A hub that has nothing."""

    asked: ClassVar[list[str]] = []

    def do_HEAD(self) -> None:
        self.asked.append(self.path)
        self.send_error(404)

    do_GET = do_HEAD

    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""


@pytest.fixture
def empty_hub() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Silent) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_hub_that_answers_is_asked(online: pytest.MonkeyPatch, empty_hub: str) -> None:
    online.setattr(hub, "ENDPOINT", empty_hub)
    online.setattr(hub, "HUGGINGFACE_CO_URL_TEMPLATE", empty_hub + "/{repo_id}/resolve/{revision}/{filename}")
    with pytest.raises(ConfigError, match=r"could not be fetched"):
        build(weights="imagenet")
    assert any(path.endswith("/model.safetensors") for path in Silent.asked)
