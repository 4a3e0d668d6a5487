"""What is done with a promoted model."""

from functools import partial
from pathlib import Path
from typing import Any

from harness.errors import ConfigError
from harness.screen import console
from harness.studyfile import load
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
