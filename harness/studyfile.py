"""Read a study file: YAML, profiles over the base, every complaint as one line with file and dotted path."""

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from harness.choices import nearest
from harness.complaint import explain
from harness.config import Settings, Study, is_group, known_paths, setting_type
from harness.errors import ConfigError


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

    Every profile is checked, also those not used here. Raises ConfigError.
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
    """Safe YAML in which a key written twice is an error, and 1e-3 is a number."""


def _mapping_without_twins(loader: yaml.SafeLoader, node: yaml.MappingNode) -> dict[Hashable, Any]:
    seen: set[Hashable] = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node)
        if key in seen:
            line = key_node.start_mark.line + 1
            raise yaml.YAMLError(f"line {line}: the key {key!r} stands twice; keep one")
        seen.add(key)
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping_without_twins)
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


def _validate(path: Path, tree: dict[str, Any], profile: str) -> Study:
    where = f"{path} (profile {profile})" if profile != "none" else str(path)
    try:
        return Study.model_validate(tree | {"profile": profile})
    except ValidationError as error:
        raise ConfigError(f"{where}: {explain(error, known_paths())}") from None
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None
