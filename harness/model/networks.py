"""NETWORKS: segmentation networks by name (segmentation_models_pytorch lives here only); one channel of logits out.

That library and timm are imported where they are used: it takes seconds, which who builds no network does without.
"""

import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import constants as hub
from safetensors.torch import load_file
from torch import Tensor, nn

from harness.choices import choose, nearest
from harness.config import Choice
from harness.errors import ConfigError

Architecture = dict[str, Any]  # the arguments of smp.create_model, weights left out
FILES = (".safetensors", ".pth", ".pt", ".bin")  # weights that end so are a file
HUB_TIMEOUT = 5.0  # s; left to itself the hub's client tries for half a minute, twice for a timm encoder
_PROBE = 50.0  # a logit that any squashing output would show as something else


def build_network(choice: Choice) -> nn.Module:
    """Return the network a study names: images (B, 3, H, W) to logits (B, 1, H, W), H and W multiples of 32.

    Raises ConfigError for unknown names and settings, an activation at the end, more than one output channel,
    or weights that cannot be had.
    """
    arguments, weights = architecture(choice)
    where = f"network.{choice.name}"
    _refuse_unknown_encoder(arguments["encoder_name"], where)
    network = _create(arguments, where)
    _refuse_wrong_output(network, where)
    if weights is not None:
        encoder = network.encoder
        assert isinstance(encoder, nn.Module)
        is_file = weights.endswith(FILES)
        encoder.load_state_dict(
            _read_weights(Path(weights).expanduser(), encoder, where)
            if is_file
            else _fetch_weights(arguments, weights, where)
        )
    return network


def architecture(choice: Choice) -> tuple[Architecture, str | None]:
    """Return the arguments of `smp.create_model` and the encoder weights' name or path."""
    arguments = dict(choose(NETWORKS, "network", choice.name, choice.settings)())
    weights = arguments.pop("weights")
    return arguments, weights


def output_layer(network: nn.Module) -> nn.Conv2d:
    """Return the convolution that makes the logits: the last one with a single output channel and a bias."""
    layers = [
        m
        for m in network.modules()
        if isinstance(m, nn.Conv2d) and m.out_channels == 1 and m.bias is not None
    ]
    if not layers:
        raise ConfigError(
            "network: no last convolution with one channel and a bias, so its prior cannot be set"
        )
    return layers[-1]


def set_output_bias(network: nn.Module, logit: float) -> None:
    """Start the network at this mean logit, measured in training mode on noise; nothing else is changed.

    The bias alone would not do: what the last convolution adds to it is off by up to 1 (U-Net) or 8 (FPN), and hardly
    depends on the picture.
    """
    bias = output_layer(network).bias
    assert bias is not None
    with torch.no_grad():
        bias.fill_(0.0)
        bias.fill_(logit - _mean_logit(network))


def _mean_logit(network: nn.Module) -> float:
    training, device = network.training, next(network.parameters()).device
    buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        mean = float(network.train()(torch.randn(4, 3, 96, 96).to(device)).mean())
        for name, buffer in network.named_buffers():  # running means of batch norms
            buffer.copy_(buffers[name])
    network.train(training)
    return mean


def _refuse_unknown_encoder(name: str, where: str) -> None:
    import segmentation_models_pytorch as smp
    import timm

    native = smp.encoders.get_encoder_names()
    universal = name.startswith("tu-")  # any model of timm, perhaps with the tag of its weights behind a dot
    known = [f"tu-{model}" for model in timm.list_models()] if universal else native
    base = name.split(".")[0] if universal else name
    if base not in known:
        raise ConfigError(
            f"{where}.encoder: {name!r} is not known{nearest(base, known)}; known: tu- and any model of timm, "
            f"{', '.join(native)}"
        )


def _create(arguments: Architecture, where: str) -> nn.Module:
    import segmentation_models_pytorch as smp

    try:
        network: nn.Module = smp.create_model(**arguments, encoder_weights=None)
    except Exception as error:  # smp and timm raise anything from KeyError to RuntimeError on a wrong name
        raise ConfigError(
            f"{where}: segmentation_models_pytorch refuses {arguments}: {_reason(error)}"
        ) from None
    return network


def _refuse_wrong_output(network: nn.Module, where: str) -> None:
    """Hold the output to one logit a pixel: it follows the last bias without limit."""
    probe, training = torch.zeros(1, 3, 64, 64), network.training
    network.eval()
    with torch.no_grad():
        try:
            shape = tuple(network(probe).shape)
        except Exception as error:  # encoders of a fixed picture size, for one
            raise ConfigError(f"{where}: fails on a picture of 64 x 64 px: {_reason(error)}") from None
        if shape != (1, 1, 64, 64):
            raise ConfigError(
                f"{where}: gives {shape} for an image (1, 3, 64, 64); it must give one logit a pixel, (1, 1, 64, 64): "
                "set classes: 1"
            )
        bias = output_layer(network).bias
        assert bias is not None
        kept, outputs = bias.clone(), []
        middle = float(network(probe).mean())
        for logit in (-_PROBE, _PROBE):
            bias.copy_(kept + logit - middle)
            outputs.append(float(network(probe).mean()))
        bias.copy_(kept)
    network.train(training)
    if abs(outputs[1] - outputs[0] - 2 * _PROBE) > 0.01 * _PROBE:
        raise ConfigError(f"{where}: ends in an activation; losses take raw logits: leave `activation` out")


def _fetch_weights(arguments: Architecture, weights: str, where: str) -> Mapping[str, Tensor]:
    """Return the named weights of the encoder, from the hub or from its cache on this machine."""
    import segmentation_models_pytorch as smp

    name = arguments["encoder_name"]
    universal = name.startswith("tu-")  # for these smp takes any name and fetches what the encoder's tag says
    known = ["imagenet"] if universal else list(smp.encoders.encoders[name]["pretrained_settings"])
    if weights not in known:
        raise ConfigError(
            f"{where}.weights: {weights!r} is not known for encoder {name!r}{nearest(weights, known)}; "
            f"known: {', '.join(known)}, or the path of a file that ends in {', '.join(FILES)}"
        )
    try:
        with _offline_if_unreachable():
            donor = smp.create_model(**arguments, encoder_weights=True if universal else weights)
    except Exception as error:  # network, hub and name errors of several libraries
        save = f"smp.encoders.get_encoder({name!r}, weights={True if universal else weights!r}).state_dict()"
        raise ConfigError(
            f"{where}.weights: {weights!r} for encoder {name!r} could not be fetched ({_reason(error)}); connect to "
            f"{hub.ENDPOINT}, or save torch.save({save}, 'encoder.pth') elsewhere and set weights: PATH/encoder.pth, "
            "or weights: null for random ones"
        ) from None
    state: Mapping[str, Tensor] = donor.encoder.state_dict()
    return state


@contextmanager
def _offline_if_unreachable() -> Iterator[None]:
    """Put the hub's client into its offline mode if the hub is silent: cached weights, or an error at once."""
    before = hub.HF_HUB_OFFLINE
    hub.HF_HUB_OFFLINE = before or not _answers(hub.ENDPOINT)
    try:
        yield
    finally:
        hub.HF_HUB_OFFLINE = before


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=HUB_TIMEOUT):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


def _read_weights(path: Path, encoder: nn.Module, where: str) -> Mapping[str, Tensor]:
    """Return the encoder's tensors from a file of its own, of a whole network (encoder.*), or of timm's model."""
    if not path.is_file():
        raise ConfigError(f"{where}.weights: {path} is not there; give the path of a weights file")
    try:
        loaded = (
            load_file(path)
            if path.suffix == ".safetensors"
            else torch.load(path, map_location="cpu", weights_only=True)
        )
        tensors = dict(loaded.get("state_dict", loaded))
    except Exception as error:  # safetensors and torch have no common error
        raise ConfigError(f"{where}.weights: {path} is no weights file ({_reason(error)})") from None
    state, wrong = {}, []
    for key, value in encoder.state_dict().items():
        names = (f"encoder.{key}", key, key.removeprefix("model."))
        found = next((tensors[name] for name in names if name in tensors), None)
        if found is None and key.endswith("num_batches_tracked"):  # older files lack this count
            found = value
        if isinstance(found, Tensor) and found.shape == value.shape:
            state[key] = found
        else:
            wrong.append(key)
    if wrong:
        raise ConfigError(
            f"{where}.weights: {path} fits {len(state)} of {len(state) + len(wrong)} tensors of the encoder, "
            f"{wrong[0]!r} is missing or of another shape; give weights of this very encoder"
        )
    return state


def _reason(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:160] if str(error).strip() else type(error).__name__


def _smp(arch: str) -> Callable[..., Architecture]:
    """Return the builder of a network with an encoder and a decoder of smp's own defaults."""

    def build(
        *,
        encoder: str = "resnet34",
        weights: str | None = None,
        classes: int = 1,
        activation: str | None = None,
    ) -> Architecture:
        return _arguments(arch, encoder, weights, classes, activation)

    return build


def _smp_decoder(arch: str) -> Callable[..., Architecture]:
    """Return the builder of a network whose decoder's channels can be set, deepest first."""

    def build(
        *,
        encoder: str = "resnet34",
        weights: str | None = None,
        decoder_channels: list[int] | None = None,
        classes: int = 1,
        activation: str | None = None,
    ) -> Architecture:
        arguments = _arguments(arch, encoder, weights, classes, activation)
        if decoder_channels is None:
            return arguments
        return arguments | {
            "encoder_depth": len(decoder_channels),
            "decoder_channels": list(decoder_channels),
        }

    return build


def _arguments(
    arch: str, encoder: str, weights: str | None, classes: int, activation: str | None
) -> Architecture:
    return {
        "arch": arch,
        "encoder_name": encoder,
        "weights": weights,
        "in_channels": 3,
        "classes": classes,
        "activation": activation,
    }


# smp's PAN is left out: it fails on pictures below 128 px, and any size is validated.
NETWORKS: dict[str, Callable[..., Architecture]] = {
    "unet": _smp_decoder("unet"),
    "unetplusplus": _smp_decoder("unetplusplus"),
    "manet": _smp_decoder("manet"),
    "linknet": _smp("linknet"),
    "fpn": _smp("fpn"),
    "pspnet": _smp("pspnet"),
    "deeplabv3": _smp("deeplabv3"),
    "deeplabv3plus": _smp("deeplabv3plus"),
    "upernet": _smp("upernet"),
    "segformer": _smp("segformer"),
}
