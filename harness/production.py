"""What is done with a promoted model: pictures predicted, requests answered, new data held against the old."""

import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from harness.errors import ConfigError, DataError
from harness.screen import console
from harness.studyfile import CACHES, load
from harness.tracking.store import answering, open_store

# What needs MLflow is imported where it is used: that takes seconds, which other verbs do without.


def predict(
    name: str, home: Path, images: Sequence[Path], out: Path, backend: str, **tiling: int | float | None
) -> dict[str, Any]:
    """Predict pictures with a promoted model: masks, overlays and tables of objects; goes on where it stopped."""
    from harness.model.tiles import Tiling
    from harness.predict.found import find_pictures
    from harness.predict.into import identity_of, predict_into
    from harness.tracking.meant import find_model, open_version, refuse_unknown_backend

    refuse_unknown_backend(backend)
    tiles = Tiling(**tiling)  # type: ignore[arg-type]
    files = find_pictures(images, out)
    store = answering(open_store(home))
    version = find_model(store, name)
    segmenter = open_version(store, version, backend)
    identity = identity_of(version, segmenter, tiles) | {"backend": backend}
    done = predict_into(out, segmenter, identity, files, tiles, console)
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


def serve(name: str, home: Path, backend: str, host: str, port: int, **limits: float) -> dict[str, Any]:
    """Answer HTTP requests for masks with a promoted model, verified first; on this machine only, unless told."""
    from harness.tracking.admission import Limits
    from harness.tracking.meant import find_model, open_version, refuse_unknown_backend
    from harness.tracking.serving import address_of, example, is_open_to_others, listen, serve_model

    refuse_unknown_backend(backend)
    refuse_no_limit(port, **limits)
    store = answering(open_store(home))
    found = find_model(store, name)
    tell = partial(console.print, highlight=False, markup=False, soft_wrap=True)
    with listen(host, port) as listening:
        model = open_version(store, found, backend)
        address = address_of(listening)
        if is_open_to_others(listening):
            tell(
                f"{address}: other machines reach it, and whoever does may ask: it has no password, no encryption"
            )

        def ready() -> None:
            tell(f"version {found.version} of {found.name} on {address} (Ctrl-C ends it); for example:")
            tell(example(address))

        serve_model(model, listening, Limits(int(limits["limit_mb"] * 1e6), limits["timeout"]), ready)
    return {"model": found.name, "version": found.version, "address": address}


def monitor(name: str, home: Path, images: Sequence[Path]) -> dict[str, Any]:
    """Say whether new pictures are like those that the champion was trained on, and which are strange or copies."""
    from harness.data.index import index_samples
    from harness.monitor.compare import compare, known_champion
    from harness.monitor.run import note_run
    from harness.monitor.words import as_dict, lines
    from harness.predict.found import find_pictures
    from harness.tracking.aliases import CHAMPION
    from harness.tracking.meant import ADDRESS, find_model
    from harness.tracking.registry import fetch_model

    study, file = load(name)
    paths = find_pictures(images)
    store = answering(open_store(home))
    found = find_model(store, f"{ADDRESS}{study.name}@{CHAMPION}")
    tell = partial(console.print, highlight=False, markup=False, soft_wrap=True)

    def root() -> Path:
        return index_samples(
            study.data.dataset, study.data.group, base=file.parent.resolve(), cache=CACHES
        ).root

    with tempfile.TemporaryDirectory() as folder:
        known = known_champion(found, home, fetch_model(store.client(), found, Path(folder)))
        made, table = compare(known, paths, CACHES, root)
    for line in lines(made):
        tell(line)
    run = note_run(store, home, made, table, tell)
    tell(f"every picture and number: run {run} of experiment {made.model} in {store.shown}")
    return as_dict(made) | {"run": run}


def refuse_no_limit(port: int, limit_mb: float, timeout: float) -> None:
    """Raise ConfigError for limits that let nothing through, or everything, and for what is no port."""
    if not 0 <= port < 2**16:  # the system takes the rest of a division
        raise ConfigError(f"--port {port}: is no port; choose one from 1 to 65535, or 0 for a free one")
    for option, value, most in (("--limit-mb", limit_mb, 4096), ("--timeout", timeout, 86400)):
        if not 0 < value <= most:
            raise ConfigError(f"{option}: {value:g}; choose a number above 0, at most {most}")
