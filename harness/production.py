"""What is done with a promoted model: pictures predicted."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from harness.errors import DataError
from harness.screen import console
from harness.tracking.store import answering, open_store

# What needs MLflow is imported where it is used: that takes seconds, which other verbs do without.


def predict(
    name: str, home: Path, images: Sequence[Path], out: Path, **tiling: int | float | None
) -> dict[str, Any]:
    """Predict pictures with a promoted model: masks, overlays and tables of objects; goes on where it stopped."""
    from harness.predict.chosen import find_model, open_version
    from harness.predict.found import find_pictures
    from harness.predict.into import identity_of, predict_into
    from harness.predict.tiles import Tiling

    tiles = Tiling(**tiling)  # type: ignore[arg-type]
    files = find_pictures(images, out)
    store = answering(open_store(home))
    version = find_model(store, name)
    segmenter = open_version(store, version)
    done = predict_into(out, segmenter, identity_of(version, segmenter, tiles), files, tiles, console)
    tell = partial(console.print, highlight=False, markup=False, soft_wrap=True)
    tell(f"{version.name} version {version.version}: {done.sentence}, written to {out}")
    document = {"model": version.name, "version": version.version, "out": str(out)} | done.as_dict()
    if done.failures:
        error = DataError(
            f"{out / 'images.csv'}: {len(done.failures)} of {done.total} pictures could not be predicted; the first: "
            f"{done.failures[0]}"
        )
        error.document = document
        raise error
    return document
