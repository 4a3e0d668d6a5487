"""The promoted model that was named, read by the trusted loader: a study's champion, or a version of a model."""

import re
import tempfile
from pathlib import Path

from harness.choices import nearest
from harness.errors import ConfigError
from harness.studyfile import load
from harness.tracking.aliases import CHAMPION, Version, aliases, version_of
from harness.tracking.graphs import open_graph, with_graph
from harness.tracking.registry import fetch_model, open_model
from harness.tracking.served_model import Segmenter
from harness.tracking.store import Store
from harness.tracking.trusted import Parts

ADDRESS = "models:/"
FORMS = re.compile(rf"{ADDRESS}(?P<name>[^/@]+)(@(?P<alias>[^/@]+)|/(?P<version>\d+))")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")  # of a study, and so of its model
STUDIES = Path("studies")
NETWORKS = "torch"  # the backend that is always there: the trained networks
BACKENDS = (NETWORKS, "onnx", "openvino")  # no pt2: PyTorch runs what it is told to by such a file


def refuse_unknown_backend(backend: str) -> None:
    """Raise ConfigError for a backend that does not exist, before anything is fetched."""
    if backend not in BACKENDS:
        known = ", ".join(BACKENDS)
        raise ConfigError(f"--backend {backend}: no such backend ({known}){nearest(backend, BACKENDS)}")


def find_model(store: Store, typed: str) -> Version:
    """Return the version that is meant by a study, `models:/NAME@alias` or `models:/NAME/3`. Raises ConfigError."""
    if (database := store.database) and not database.exists():
        raise ConfigError(
            f"{database}: there is no such database, so nothing was promoted there; check --home"
        )
    if not typed.startswith(ADDRESS):
        return _aliased(store, _model_name(typed), CHAMPION)
    form = FORMS.fullmatch(typed)
    if form is None:
        raise ConfigError(f"{typed}: names no model; write {ADDRESS}NAME@{CHAMPION}, or {ADDRESS}NAME/3")
    if form["alias"]:
        return _aliased(store, form["name"], form["alias"])
    found = version_of(store.client(), form["name"], form["version"])
    if found is None:
        raise ConfigError(f"{typed}: there is no such version in this store; check --home and the name")
    return found


def open_version(store: Store, version: Version, backend: str) -> Segmenter:
    """Return a registered version, ready to predict by one of BACKENDS; none of its code is run.

    Raises ModelRefused, ConfigError where the backend is not installed, or the version has no graph for it.
    """
    with tempfile.TemporaryDirectory() as folder:  # all of it is read into memory
        parts = fetch_model(store.client(), version, Path(folder))
        model = open_model(parts.settings, parts.weights)
        if backend == NETWORKS:
            return model
        path = _graph_for(backend, parts, f"version {version.version} of {version.name}")
        return with_graph(model, open_graph(backend, path, model.device))


def _graph_for(backend: str, parts: Parts, where: str) -> Path:
    if "onnx" not in parts.graphs:
        raise ConfigError(
            f"--backend {backend}: {where} has no onnx graph; promote it with promote.graphs: [onnx]"
        )
    return parts.graphs["onnx"]


def _model_name(typed: str) -> str:
    """Return the registered model of a study; where it has no file, as on other machines, the name is the model's."""
    if typed.endswith((".yaml", ".yml")) or (STUDIES / f"{typed}.yaml").is_file():
        return load(typed)[0].name
    return typed


def _aliased(store: Store, name: str, alias: str) -> Version:
    if not NAME.fullmatch(name):
        raise ConfigError(
            f"{name!r}: names no study and no model; write a study, or {ADDRESS}NAME@{CHAMPION}"
        )
    known = aliases(store.client(), name)
    found = version_of(store.client(), name, known[alias]) if alias in known else None
    if found is None:
        there = ", ".join(sorted(known)) or "none"
        raise ConfigError(
            f"{ADDRESS}{name}@{alias}: no version has this alias in {store.shown} (aliases: {there}); promote {name} "
            "first, or check --home"
        )
    return found
