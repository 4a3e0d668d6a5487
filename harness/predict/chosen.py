"""The model that was named: a study's champion, or a version by its alias or number, read by the trusted loader."""

import re
import tempfile
from pathlib import Path

from harness.errors import ConfigError
from harness.studyfile import load
from harness.tracking.aliases import CHAMPION, Version, aliases, version_of
from harness.tracking.registry import fetch_model, open_model
from harness.tracking.served_model import Segmenter
from harness.tracking.store import Store

ADDRESS = "models:/"
FORMS = re.compile(rf"{ADDRESS}(?P<name>[^/@]+)(@(?P<alias>[^/@]+)|/(?P<version>\d+))")


def find_model(store: Store, typed: str) -> Version:
    """Return the version that is meant by a study, `models:/NAME@alias` or `models:/NAME/3`. Raises ConfigError."""
    if not typed.startswith(ADDRESS):
        return _aliased(store, load(typed)[0].name, CHAMPION)
    form = FORMS.fullmatch(typed)
    if form is None:
        raise ConfigError(f"{typed}: names no model; write {ADDRESS}NAME@{CHAMPION}, or {ADDRESS}NAME/3")
    if form["alias"]:
        return _aliased(store, form["name"], form["alias"])
    found = version_of(store.client(), form["name"], form["version"])
    if found is None:
        raise ConfigError(f"{typed}: there is no such version in this store; check --home and the name")
    return found


def open_version(store: Store, version: Version) -> Segmenter:
    """Return a registered version, ready to predict; none of its code is run. Raises ModelRefused."""
    with tempfile.TemporaryDirectory() as folder:
        parts = fetch_model(store.client(), version, Path(folder))
        return open_model(parts.settings, parts.weights)


def _aliased(store: Store, name: str, alias: str) -> Version:
    known = aliases(store.client(), name)
    found = version_of(store.client(), name, known[alias]) if alias in known else None
    if found is None:
        there = ", ".join(sorted(known)) or "none"
        raise ConfigError(
            f"{ADDRESS}{name}@{alias}: no version has this alias in this store (aliases: {there}); promote {name} "
            "first, or check --home"
        )
    return found
