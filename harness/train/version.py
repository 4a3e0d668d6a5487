"""The version of the code that decides a fold run's numbers."""

import hashlib
from functools import cache
from pathlib import Path


@cache
def code_digest() -> str:
    """Return SHA-256 over everything that decides a fold run's numbers: data, model and train, and the lock file."""
    package = Path(__file__).parents[1]
    files = [p for part in ("data", "model", "train") for p in sorted((package / part).rglob("*.py"))]
    lock = package.parent / "requirements.lock"
    digest = hashlib.sha256()
    for path in [*files, *([lock] if lock.is_file() else [])]:
        digest.update(f"{path.relative_to(package.parent)}\0".encode() + path.read_bytes())
    return digest.hexdigest()
