"""Dotted paths into nested settings."""

from typing import Any, Literal, get_args, get_origin


def put(tree: dict[str, Any], path: str, value: Any) -> None:
    """Set one dotted setting in a nested dictionary."""
    *parents, last = path.split(".")
    for part in parents:
        tree = tree.setdefault(part, {})
    tree[last] = value


def take(tree: dict[str, Any], path: str) -> Any:
    """Return one dotted setting of a nested dictionary."""
    value: Any = tree
    for part in path.split("."):
        value = value[part]
    return value


def setting_type(annotation: Any) -> Any:
    """Return `int` for `Annotated[int, ...] | None`, and so on."""
    while get_origin(annotation) is not None and not isinstance(annotation, type):
        options = [a for a in get_args(annotation) if a is not type(None)]
        if get_origin(annotation) is Literal:
            return str
        annotation = options[0]
    return annotation
