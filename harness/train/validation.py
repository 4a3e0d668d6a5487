"""What a fold run's network says about the fold's validation photographs, at original resolution."""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from harness.data.audit.runtime import verify_indices
from harness.errors import Interrupted, NotFinite
from harness.model.metrics import NO_PIXELS, PixelCounts, count_pixels
from harness.model.outoffold import Collector, OutOfFold
from harness.model.predict import network_logits, predict_photos
from harness.train.start import FoldTraining

ShouldStop = Callable[[], bool]


def validate(training: FoldTraining, should_stop: ShouldStop = lambda: False) -> PixelCounts:
    """Return the summed counts of the fold's validation photographs at original resolution. Raises Interrupted."""
    photos = _photos(training, should_stop)
    return sum((count_pixels(logits > 0, truth) for _, _, logits, truth in photos), NO_PIXELS)


def out_of_fold(training: FoldTraining, should_stop: ShouldStop = lambda: False) -> OutOfFold:
    """Return what is kept of the predictions of the validation photographs, in one pass. Raises Interrupted."""
    collector = Collector(training.fold)
    for photo in _photos(training, should_stop):
        collector.add(*photo)
    return collector.tables()


def check_indices(training: FoldTraining) -> str:
    """Return the digest of the positions that training and validation read, held to the split.

    Raises LeakageError when one is on the wrong side.
    """
    data = training.data
    return verify_indices(
        data.samples["group"].tolist(),
        sorted(training.seen),
        validated_samples(training).index.tolist(),
        data.split,
        training.fold,
    )


def _photos(
    training: FoldTraining, should_stop: ShouldStop
) -> Iterator[tuple[str, str, NDArray[np.float32], NDArray[np.uint8]]]:
    network = training.kept()
    network.eval()
    predictor = partial(network_logits, network, training.device, tile=training.settings.tile)
    bf16 = training.settings.precision == "bf16"
    size = max(1, training.settings.batch_size // training.parts)
    with torch.inference_mode(), torch.autocast(training.device.type, dtype=torch.bfloat16, enabled=bf16):
        for photo in predict_photos(predictor, training.data.cache, validated_samples(training), size):
            if should_stop():
                raise Interrupted(
                    f"fold {training.fold}: stopped while validating after step {training.step}"
                )
            if not np.isfinite(photo.logits).all():
                raise NotFinite(
                    f"fold {training.fold}: logits of {photo.name} after step {training.step} are not numbers; "
                    f"lower train.lr (now {training.settings.lr:g})"
                )
            yield photo.name, photo.group, photo.logits, photo.truth


def validated_samples(training: FoldTraining) -> pd.DataFrame:
    """Return the validation samples, labeled by their positions."""
    samples = training.data.samples
    positions = training.data.split.validation(samples, training.fold)
    return samples.iloc[positions].set_axis(positions)
