"""NETWORKS: segmentation networks by name (segmentation_models_pytorch lives here only); one channel of logits out."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import segmentation_models_pytorch as smp
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from harness.choices import choose
from harness.config import Choice
from harness.errors import ConfigError

Architecture = dict[str, Any]  # the arguments of smp.create_model, weights left out
_FAR = 50.0  # a logit that any squashing output would show as something else


def build_network(choice: Choice, *, pretrained: bool = True) -> nn.Module:
    """Return the network a study names: images (B, 3, H, W) to logits (B, 1, H, W), H and W multiples of 32.

    `pretrained=False` skips the weights (to load others, or to check the settings without them).
    Raises ConfigError for unknown names and settings, an activation at the end, more than one output channel,
    or weights that cannot be had.
    """
    arguments, weights = architecture(choice)
    where = f"network.{choice.name}"
    network = _create(arguments, where)
    _refuse_wrong_output(network, where)
    if pretrained and weights is not None:
        _load_encoder(network, arguments, weights, where)
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
    """Start the network at this logit everywhere, on average."""
    bias = output_layer(network).bias
    assert bias is not None
    with torch.no_grad():
        bias.fill_(logit)


def _create(arguments: Architecture, where: str) -> nn.Module:
    try:
        network: nn.Module = smp.create_model(**arguments, encoder_weights=None)
    except Exception as error:  # smp and timm raise anything from KeyError to RuntimeError on a wrong name
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise ConfigError(f"{where}: segmentation_models_pytorch refuses {arguments}: {reason}") from None
    return network


def _refuse_wrong_output(network: nn.Module, where: str) -> None:
    probe = torch.zeros(1, 3, 64, 64)
    training = network.training
    network.eval()
    with torch.no_grad():
        shape = tuple(network(probe).shape)
        if shape != (1, 1, 64, 64):
            raise ConfigError(
                f"{where}: gives {shape} for an image (1, 3, 64, 64); it must give one logit a pixel, (1, 1, 64, 64): "
                "set classes: 1"
            )
        bias = output_layer(network).bias
        assert bias is not None
        kept = bias.clone()
        outputs = [network(probe).mean() for logit in (-_FAR, _FAR) if bias.fill_(logit) is not None]
        bias.copy_(kept)
    network.train(training)
    if not (outputs[0] < -_FAR / 2 and outputs[1] > _FAR / 2):
        raise ConfigError(f"{where}: ends in an activation; losses take raw logits: leave `activation` out")


def _load_encoder(network: nn.Module, arguments: Architecture, weights: str, where: str) -> None:
    encoder = network.encoder
    assert isinstance(encoder, nn.Module)
    if weights.endswith((".safetensors", ".pth", ".pt", ".bin")):
        encoder.load_state_dict(_read_weights(Path(weights), encoder, where))
        return
    try:
        named = smp.encoders.get_encoder(
            arguments["encoder_name"], in_channels=3, depth=arguments.get("encoder_depth", 5), weights=weights
        )
        encoder.load_state_dict(named.state_dict())
    except Exception as error:  # network, hub and name errors of several libraries
        reason = str(error).splitlines()[0][:160] if str(error) else type(error).__name__
        raise ConfigError(
            f"{where}.weights: {weights!r} for encoder {arguments['encoder_name']!r} could not be fetched ({reason}); "
            "give a file of its weights (weights: path/to/encoder.safetensors), or weights: null for random ones"
        ) from None


def _read_weights(path: Path, encoder: nn.Module, where: str) -> Mapping[str, Tensor]:
    if not path.is_file():
        raise ConfigError(f"{where}.weights: {path} is not there; give the path of a weights file")
    try:
        loaded = load_file(path) if path.suffix == ".safetensors" else torch.load(path, weights_only=True)
    except Exception as error:  # safetensors and torch have no common error
        raise ConfigError(
            f"{where}.weights: {path} is no weights file ({str(error).splitlines()[0][:120]})"
        ) from None
    wanted = encoder.state_dict()
    state = {key.removeprefix("encoder."): value for key, value in loaded.items()}
    state = {key: value for key, value in state.items() if key in wanted}
    wrong = [key for key, value in wanted.items() if key not in state or state[key].shape != value.shape]
    if wrong:
        raise ConfigError(
            f"{where}.weights: {path} fits {len(wanted) - len(wrong)} of {len(wanted)} tensors of the encoder, "
            f"{wrong[0]!r} is missing or of another shape; give weights of this very encoder"
        )
    return state


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


NETWORKS: dict[str, Callable[..., Architecture]] = {
    "unet": _smp_decoder("unet"),
    "unetplusplus": _smp_decoder("unetplusplus"),
    "manet": _smp_decoder("manet"),
    "linknet": _smp("linknet"),
    "fpn": _smp("fpn"),
    "pspnet": _smp("pspnet"),
    "pan": _smp("pan"),
    "deeplabv3": _smp("deeplabv3"),
    "deeplabv3plus": _smp("deeplabv3plus"),
    "upernet": _smp("upernet"),
    "segformer": _smp("segformer"),
}
