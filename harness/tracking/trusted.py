"""Read a registered model without running what it holds: by a list of hashes, from known files only.

MLflow's own `load_model` runs the code that lies in a model's folder (3.17.2 does so with pickles forbidden, too).
Here nothing in it is imported: weights and settings are read, and the networks are built by code of this package.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from harness.errors import ModelRefused

MANIFEST = "manifest.json"  # in a model's folder: each other file and its SHA-256
MANIFEST_TAG = "harness.manifest"  # of the version: the SHA-256 of that file
LOADER = "mlflow.pyfunc.loaders.code_model"
FLAVOR = "python_function"
MODEL_FILE = Path(__file__).with_name("served_model.py")
KINDS = (".json", ".safetensors", ".txt", ".yaml", ".py")  # of files, beside MLmodel
WEIGHTS, SETTINGS = "weights_", "settings"  # names of artifacts
AGAIN = "promote a trial again, which makes a new version"


@dataclass(frozen=True)
class Parts:
    """What a model is made of: what `served_model.py` reads, and the weights of the fold models in their order."""

    settings: dict[str, Any]
    weights: list[Path]


def write_manifest(folder: Path) -> str:
    """Write the list of a model's files and their hashes beside them, and return the SHA-256 of the list."""
    files = {name: _sha256(folder / name) for name in sorted(_files(folder, folder.name)) if name != MANIFEST}
    content = json.dumps(files, indent=1).encode()
    (folder / MANIFEST).write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def read_parts(folder: Path, tags: Mapping[str, str], where: str) -> Parts:
    """Return the parts of a model that lies in a folder, as its version's tags know it; `where` is for errors.

    Raises ModelRefused for whatever is not a model of ours, whole and unaltered: nothing of it is run.
    """
    _refuse_altered(folder, tags, where)
    flavor = _flavor(folder, where)
    code = str(flavor.get("model_code_path"))
    if code != MODEL_FILE.name or _sha256(folder / code) != _sha256(MODEL_FILE):
        raise ModelRefused(
            f"{where}: its code {code!r} is not the model file of this version of harness; {AGAIN}"
        )
    paths = {name: _artifact(folder, name, entry, where) for name, entry in flavor["artifacts"].items()}
    settings = paths.pop(SETTINGS, None)
    wanted = [f"{WEIGHTS}{fold}" for fold in range(len(paths))]
    if settings is None or not wanted or set(paths) != set(wanted):
        raise ModelRefused(
            f"{where}: has the artifacts {sorted(flavor['artifacts'])}, not settings and weights of folds"
        )
    return Parts(json.loads(settings.read_text(encoding="utf-8")), [paths[name] for name in wanted])


def _refuse_altered(folder: Path, tags: Mapping[str, str], where: str) -> None:
    wanted = tags.get(MANIFEST_TAG)
    if wanted is None:
        raise ModelRefused(f"{where}: has no tag {MANIFEST_TAG}, so it was not made by `promote`; {AGAIN}")
    here = set(_files(folder, where))
    if MANIFEST not in here or _sha256(folder / MANIFEST) != wanted:
        raise ModelRefused(f"{where}: its {MANIFEST} is gone, or is not what was registered; {AGAIN}")
    listed: dict[str, str] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    for name in sorted(here - {MANIFEST} | set(listed)):
        if name not in listed:
            raise ModelRefused(
                f"{where}: holds {name!r}, which is not in its {MANIFEST}; remove it, or {AGAIN}"
            )
        if name not in here or _sha256(folder / name) != listed[name]:
            raise ModelRefused(f"{where}: its file {name!r} is gone, or is not what was registered; {AGAIN}")
        if name != "MLmodel" and PurePosixPath(name).suffix not in KINDS:
            raise ModelRefused(f"{where}: holds {name!r}, a kind of file that no model of ours has; {AGAIN}")


def _flavor(folder: Path, where: str) -> dict[str, Any]:
    """Return the one flavor of a model of ours."""
    try:
        described = yaml.safe_load((folder / "MLmodel").read_text(encoding="utf-8"))
        flavors, flavor = described["flavors"], described["flavors"][FLAVOR]
        known = list(flavors) == [FLAVOR] and isinstance(flavor["artifacts"], dict)
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
        raise ModelRefused(f"{where}: its MLmodel does not describe a model of ours; {AGAIN}") from None
    if not known:
        raise ModelRefused(
            f"{where}: has the flavors {', '.join(map(str, flavors))}; ours has {FLAVOR} alone; {AGAIN}"
        )
    if flavor.get("loader_module") != LOADER:
        raise ModelRefused(
            f"{where}: wants to be loaded by {flavor.get('loader_module')!r}, not by {LOADER}; {AGAIN}"
        )
    if flavor.get("code"):
        raise ModelRefused(f"{where}: brings a folder of code, {flavor['code']!r}; {AGAIN}")
    return dict(flavor)


def _artifact(folder: Path, name: str, entry: Any, where: str) -> Path:
    """Return the path of an artifact, which lies in the model's folder."""
    path = entry.get("path") if isinstance(entry, dict) else None
    ending = ".json" if name == SETTINGS else ".safetensors"
    if (
        not isinstance(path, str)
        or not _inside(path)
        or not path.endswith(ending)
        or not (folder / path).is_file()
    ):
        raise ModelRefused(
            f"{where}: its artifact {name!r} is {path!r}, not a file {ending} in its folder; {AGAIN}"
        )
    return folder / path


def _inside(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and "\\" not in name


def _files(folder: Path, where: str) -> Iterator[str]:
    """Yield the names of all files below a folder. Raises ModelRefused for links and what is no plain file."""
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(place, name)
            if path.is_symlink() or not (path.is_dir() or path.is_file()):
                raise ModelRefused(f"{where}: {path.relative_to(folder)} is a link or no plain file; {AGAIN}")
        for name in files:
            yield Path(place, name).relative_to(folder).as_posix()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
