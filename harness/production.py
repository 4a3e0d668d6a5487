"""What is done with a promoted model."""

import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from harness.errors import ConfigError
from harness.screen import console
from harness.studyfile import CACHES, load
from harness.tracking.store import answering, open_store

STUDIES = Path("studies")


def serve(name: str, home: Path, alias: str, host: str, port: int, **limits: float) -> dict[str, Any]:
    """Answer HTTP requests for masks with a promoted model, verified first; on this machine only, unless told."""
    from harness.tracking.admission import Limits
    from harness.tracking.serving import (
        address_of,
        example,
        find_version,
        is_open_to_others,
        listen,
        open_version,
        serve_model,
    )

    refuse_no_limit(port, **limits)
    store = answering(open_store(home))
    found = find_version(store, model_name(name), alias)
    tell = partial(console.print, highlight=False, markup=False, soft_wrap=True)
    with listen(host, port) as listening:
        model = open_version(store, found)
        address = address_of(listening)
        if is_open_to_others(listening):
            tell(
                f"{address}: other machines reach it, and whoever does may ask: it has no password, no encryption"
            )

        def ready() -> None:
            tell(f"version {found.version} of {found.name} on {address} (Ctrl-C ends it); for example:")
            tell(example(address))

        serve_model(model, listening, Limits(int(limits["limit_mb"] * 1e6), limits["timeout"]), ready)
    return {"model": found.name, "version": found.version, "alias": alias, "address": address}


def monitor(name: str, home: Path, images: Sequence[str]) -> dict[str, Any]:
    """Say whether new pictures are like those that the champion was trained on, and which are strange or copies."""
    from harness.data.index import index_samples
    from harness.monitor.compare import compare, known_champion
    from harness.monitor.pictures import find_pictures
    from harness.monitor.run import note_run
    from harness.monitor.words import as_dict, lines
    from harness.tracking.registry import fetch_model
    from harness.tracking.serving import find_version

    study, file = load(name)
    paths = find_pictures(images)
    store = answering(open_store(home))
    found = find_version(store, study.name, "champion")
    tell = partial(console.print, highlight=False, markup=False, soft_wrap=True)

    def root() -> Path:
        return index_samples(study.data.dataset, base=file.parent.resolve(), cache=CACHES).root

    with tempfile.TemporaryDirectory() as folder:
        known = known_champion(found, home, fetch_model(store.client(), found, Path(folder)))
        made, table = compare(known, paths, CACHES, root)
    for line in lines(made):
        tell(line)
    run = note_run(store, home, made, table, tell)
    tell(f"every picture and number: run {run} of experiment {made.model} in {store.shown}")
    return as_dict(made) | {"run": run}


def model_name(name: str) -> str:
    """Return the registered model of a study; where it has no file, as on other machines, the name is the model's."""
    if name.endswith((".yaml", ".yml")) or (STUDIES / f"{name}.yaml").is_file():
        return load(name)[0].name
    return name


def refuse_no_limit(port: int, limit_mb: float, timeout: float) -> None:
    """Raise ConfigError for limits that let nothing through, or everything, and for what is no port."""
    if not 0 <= port < 2**16:  # the system takes the rest of a division
        raise ConfigError(f"--port {port}: is no port; choose one from 1 to 65535, or 0 for a free one")
    for option, value, most in (("--limit-mb", limit_mb, 4096), ("--timeout", timeout, 86400)):
        if not 0 < value <= most:
            raise ConfigError(f"{option}: {value:g}; choose a number above 0, at most {most}")
