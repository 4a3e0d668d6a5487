"""Read a registered model without running what it holds: by a list of hashes, from known files only.

MLflow's own `load_model` runs the code that lies in a model's folder (3.17.2 does so with pickles forbidden, too).
Here nothing in it is imported: weights and settings are read, and the networks are built by code of this package.
"""

import hashlib
import json
import os
import re
import zipfile
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
KINDS = (".json", ".safetensors", ".pt2", ".onnx", ".txt", ".yaml", ".py")  # of files, beside MLmodel
LEFT_BY_OTHERS = (
    "registered_model_meta",
    "__pycache__",
)  # by MLflow and Python where a model was loaded; never read
WEIGHTS, GRAPH = "weights_", "graph_"  # artifacts; a fold's number follows, or a kind of graph
SETTINGS, EQUAL = "settings", "graphs"  # artifacts; the second is how far graphs are from the networks
ENDINGS = {SETTINGS: ".json", EQUAL: ".json"} | {f"{GRAPH}{kind}": f".{kind}" for kind in ("pt2", "onnx")}
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")  # of an encoder: no hub, no folder
PICKLED = b'"use_pickle":true'
EXAMPLES = "data/sample_inputs/"  # empty in ours
OF_PT2 = re.compile(  # what torch.export.save writes, below the archive's own name
    r"archive_(format|version)|byteorder|\.data/(version|serialization_id)|models/model\.json"
    r"|data/(weights|constants)/((weight|tensor)_\d+|model_(weights|constants)_config\.json)"
    rf"|{EXAMPLES}model\.pt"
)
WANTED = {"schema", "network", "size", "white", "mean", "std", "threshold", "flips", "scales"}  # settings
OF_NETWORK = {  # arguments of smp.create_model, at most; none of them fetches or opens anything
    *("arch", "encoder_name", "in_channels", "classes", "activation", "encoder_depth", "decoder_channels")
}
AGAIN = "promote its trial again, which registers it anew, or let the alias mean another version"


@dataclass(frozen=True)
class Parts:
    """What a model is made of: what `served_model.py` reads, the fold models' weights in their order, its graphs."""

    settings: dict[str, Any]
    weights: list[Path]
    graphs: dict[str, Path]


def write_manifest(folder: Path) -> str:
    """Write the list of a model's files and their hashes beside them, and return the SHA-256 of the list."""
    files = {name: _sha256(folder / name) for name in sorted(_files(folder, folder.name)) if name != MANIFEST}
    content = json.dumps(files, indent=1).encode()
    (folder / MANIFEST).write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def refuse_untagged(tags: Mapping[str, str], where: str) -> None:
    """Raise ModelRefused for a version without a list of hashes, before anything of it is fetched."""
    if MANIFEST_TAG not in tags:
        raise ModelRefused(f"{where}: has no tag {MANIFEST_TAG}, so it was not made by `promote`; {AGAIN}")


def read_parts(folder: Path, tags: Mapping[str, str], where: str) -> Parts:
    """Return the parts of a model that lies in a folder, as its version's tags know it; `where` is for errors.

    Raises ModelRefused for whatever is not a model of ours, whole and unaltered: nothing of it is run.
    """
    refuse_untagged(tags, where)
    _refuse_altered(folder, tags[MANIFEST_TAG], where)
    flavor = _flavor(folder, where)
    code = flavor.get("model_code_path")
    if code != MODEL_FILE.name or not _is(folder / MODEL_FILE.name, _sha256(MODEL_FILE)):
        raise ModelRefused(
            f"{where}: its code {code!r} is not the model file of this version of harness; {AGAIN}"
        )
    paths = {str(name): _artifact(folder, name, entry, where) for name, entry in flavor["artifacts"].items()}
    others = {name: paths.pop(name) for name in ENDINGS if name in paths}
    wanted = [f"{WEIGHTS}{fold}" for fold in range(len(paths))]
    if SETTINGS not in others or not wanted or set(paths) != set(wanted):
        raise ModelRefused(
            f"{where}: its artifacts are not settings, the weights of folds, and graphs; {AGAIN}"
        )
    graphs = {name.removeprefix(GRAPH): path for name, path in others.items() if name.startswith(GRAPH)}
    if "pt2" in graphs:
        _refuse_pickles(graphs["pt2"], where)
    return Parts(_settings(others[SETTINGS], where), [paths[name] for name in wanted], graphs)


def _refuse_altered(folder: Path, wanted: str, where: str) -> None:
    here = set(_files(folder, where))
    if MANIFEST not in here or not _is(folder / MANIFEST, wanted):
        raise ModelRefused(f"{where}: its {MANIFEST} is gone, or is not what was registered; {AGAIN}")
    listed = _object(folder / MANIFEST, where)
    for name in sorted(here - {MANIFEST} | set(listed)):
        if name not in listed:
            raise ModelRefused(
                f"{where}: holds {name!r}, which is not in its {MANIFEST}; remove it, or {AGAIN}"
            )
        if name not in here or not _is(folder / name, listed[name]):
            raise ModelRefused(f"{where}: its file {name!r} is gone, or is not what was registered; {AGAIN}")
        if name != "MLmodel" and PurePosixPath(name).suffix not in KINDS:
            raise ModelRefused(f"{where}: holds {name!r}, a kind of file that no model of ours has; {AGAIN}")


def _flavor(folder: Path, where: str) -> dict[str, Any]:
    """Return the one flavor of a model of ours."""
    try:
        described = yaml.safe_load((folder / "MLmodel").read_text(encoding="utf-8"))
        flavors, flavor = described["flavors"], described["flavors"][FLAVOR]
        known = list(flavors) == [FLAVOR] and isinstance(flavor["artifacts"], dict)
    except (OSError, ValueError, KeyError, TypeError, RecursionError, yaml.YAMLError):
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


def _refuse_pickles(path: Path, where: str) -> None:
    """Refuse a pt2 archive that has more in it than a graph and raw numbers: who opens it would run what is pickled."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = {info.filename.partition("/")[2]: info for info in archive.infolist()}
            strange = [name for name in names if not OF_PT2.fullmatch(name)]
            strange += [name for name, info in names.items() if name.startswith(EXAMPLES) and info.file_size]
            configs = [name for name in names if name.endswith("_config.json")]
            strange += [name for name in configs if PICKLED in b"".join(archive.read(names[name]).split())]
    except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError):
        strange = ["no archive"]
    if strange:
        raise ModelRefused(
            f"{where}: its {path.name} holds {strange[0]!r}, more than a graph and numbers; {AGAIN}"
        )


def _artifact(folder: Path, name: object, entry: object, where: str) -> Path:
    """Return the path of an artifact, which lies in the model's folder."""
    path = entry.get("path") if isinstance(entry, dict) else None
    ending = ENDINGS.get(str(name), ".safetensors")
    inside = isinstance(path, str) and path.endswith(ending) and path in set(_files(folder, where))
    if not inside:
        raise ModelRefused(
            f"{where}: its artifact {name!r} is {path!r}, not a file {ending} in its folder; {AGAIN}"
        )
    return folder / str(path)


def _settings(path: Path, where: str) -> dict[str, Any]:
    """Return the settings, which name a network that is built from nothing but numbers and names of libraries."""
    settings = _object(path, where)
    network = settings.get("network")
    strange = set(settings) ^ WANTED
    if strange or not isinstance(network, dict):
        raise ModelRefused(
            f"{where}: its settings have or lack {', '.join(sorted(strange)) or 'network'}; {AGAIN}"
        )
    _refuse_strange_views(settings, where)
    _refuse_strange_numbers(settings, where)
    for name, value in network.items():
        plain = value is None or isinstance(value, int) or (isinstance(value, str) and NAME.fullmatch(value))
        numbers = isinstance(value, list) and all(isinstance(one, int) for one in value)
        if name not in OF_NETWORK or not (plain or numbers):
            raise ModelRefused(f"{where}: its settings ask for network.{name} {value!r}; {AGAIN}")
    return settings


def _refuse_strange_views(settings: dict[str, Any], where: str) -> None:
    scales = settings["scales"]
    numbers = isinstance(scales, list) and all(isinstance(one, float) and 0 < one <= 4 for one in scales)
    if not isinstance(settings["flips"], bool) or not scales or not numbers:
        raise ModelRefused(
            f"{where}: its settings ask for flips {settings['flips']!r} and scales {scales!r}; {AGAIN}"
        )


def _refuse_strange_numbers(settings: dict[str, Any], where: str) -> None:
    whole = all(settings[name] is None or type(settings[name]) is int for name in ("size", "white"))
    lists = (settings["mean"], settings["std"], [settings["threshold"]])
    numbers = all(isinstance(one, list) and all(type(part) is float for part in one) for one in lists)
    if not (whole and numbers and 0 <= settings["threshold"] <= 1 and len(lists[0]) == len(lists[1]) == 3):
        raise ModelRefused(
            f"{where}: its settings have what is no number, or not as many as there should be; {AGAIN}"
        )


def _object(path: Path, where: str) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ModelRefused(f"{where}: its {path.name} cannot be read; {AGAIN}")
    return found


def _files(folder: Path, where: str) -> Iterator[str]:
    """Yield the names of all files below a folder, but what others leave there and nobody here reads.

    Raises ModelRefused for links and what is no plain file.
    """
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in LEFT_BY_OTHERS]
        for name in (*folders, *files):
            path = Path(place, name)
            if path.is_symlink() or not (path.is_dir() or path.is_file()):
                raise ModelRefused(f"{where}: {path.relative_to(folder)} is a link or no plain file; {AGAIN}")
        for name in files:
            if name not in LEFT_BY_OTHERS and not name.startswith("."):
                yield Path(place, name).relative_to(folder).as_posix()


def _is(path: Path, digest: object) -> bool:
    return path.is_file() and _sha256(path) == digest


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
