"""Read a study file: YAML, profiles over the base, every complaint as one line with file and dotted path."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import yaml
from pydantic import ValidationError

from harness.choices import nearest
from harness.complaint import explain
from harness.config import Settings, Study, is_group, known_paths
from harness.errors import ConfigError
from harness.paths import setting_type

CACHES = Path(".cache")  # of decoded pictures and of what was found out about them; below the current folder


def find_study(name: str, folder: Path = Path("studies")) -> Path:
    """Return the file of a study given by name (`studies/NAME.yaml`) or by path."""
    path = Path(name) if name.endswith((".yaml", ".yml")) else folder / f"{name}.yaml"
    if not path.is_file():
        known = sorted(p.stem for p in folder.glob("*.yaml"))
        raise ConfigError(
            f"{path}: no such study{nearest(path.stem, known)}; in {folder}/: {', '.join(known) or 'none'}"
        )
    return path


def read_study(path: Path, *, cuda: bool) -> Study:
    """Return the study in `path` with its profile applied; `auto` takes `gpu` if `cuda`, else `cpu`.

    The settings of every profile are held to their names, types and ranges, also where it is not used here; what a
    choice names is built for the profile in use only, since the others may need weights. Raises ConfigError.
    """
    tree = _read_yaml(path)
    profiles = tree.pop("profiles", None) or {}
    if not isinstance(profiles, dict) or not all(isinstance(p, dict) for p in profiles.values()):
        raise ConfigError(
            f"{path}: profiles: must be names with settings, such as cpu: {{train: {{epochs: 5}}}}"
        )
    tree = {"name": path.stem} | tree
    studies = {name: _validate(path, _merge(tree, over, Study), name) for name, over in profiles.items()}
    wanted = tree.get("profile", "auto" if profiles else "none")
    if wanted == "auto":
        wanted = "gpu" if cuda else "cpu"
    if wanted == "none":
        return _validate(path, tree, "none")
    if wanted not in studies:
        known = ", ".join(studies) or "none"
        raise ConfigError(
            f"{path}: profile: {wanted!r} is not in profiles{nearest(wanted, studies)}; there: {known}"
        )
    return studies[wanted]


class _Loader(yaml.SafeLoader):
    """Safe YAML in which every key is text, none stands twice in one mapping, and 1e-3 is a number."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if key.tag not in _KEYS:
                raise yaml.YAMLError(f"line {line}: a key must be text; put it in quotes if it is a name")
            if key.value in seen:
                raise yaml.YAMLError(f"line {line}: the key {key.value!r} stands twice; keep one")
            seen.add(key.value)
        return node


_KEYS = ("tag:yaml.org,2002:str", "tag:yaml.org,2002:merge")  # `<<: *base` takes over what `base` holds
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        tree = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is no valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(tree, dict):
        raise ConfigError(
            f"{path}: holds no settings; write `data:`, `network:` and so on, as studies/small_defects.yaml"
        )
    return tree


def _merge(base: dict[str, Any], over: dict[str, Any], model: type[Settings]) -> dict[str, Any]:
    """Return `base` with `over` on top: groups of settings merge, everything else is replaced."""
    merged = dict(base)
    for key, value in over.items():
        field = model.model_fields.get(key)
        inner = setting_type(field.annotation) if field else None
        if is_group(inner) and isinstance(value, dict) and isinstance(base.get(key), dict):
            value = _merge(base[key], value, inner)
        merged[key] = value
    return merged


@contextlib.contextmanager
def naming(path: Path, profile: str) -> Iterator[None]:
    """Put the study file, and the profile where there are some, before what is wrong with its settings."""
    try:
        yield
    except ConfigError as error:
        used = f" (profile {profile})" if profile != "none" else ""
        raise ConfigError(f"{path}{used}: {error}") from None


def _validate(path: Path, tree: dict[str, Any], profile: str) -> Study:
    with naming(path, profile):
        try:
            return Study.model_validate(tree | {"profile": profile})
        except ValidationError as error:
            raise ConfigError(explain(error, known_paths())) from None


def load(name: str) -> tuple[Study, Path]:
    """Return the study of this name with its profile, and its file."""
    path = find_study(name)
    return read_study(path, cuda=torch.cuda.is_available()), path
