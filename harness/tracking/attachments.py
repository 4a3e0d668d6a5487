"""Files that a run shows: attached as long as they are whole; one lost before MLflow had it is named in a tag."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import RunTag

from harness.search.ledger import lost_parts
from harness.train.checkpoint import MANIFEST

LOST_FILES = "harness.lost_files"  # tag: what should be attached and was dropped or changed before it was


def attach(client: MlflowClient, run: str, work: Path, files: Iterable[Sequence[str]]) -> None:
    """Attach files of a work folder, each in the folder named with it; of these the lost ones are in the tag.

    Lost is what is gone, no longer what its folder committed, or a ledger's and not to be read, unless the run has it
    since before. What the tag says of other files stays.
    """
    wanted = [(work / name, folder) for name, folder in files]
    lost = []
    for path, folder in wanted:
        if path.is_dir():
            client.log_artifacts(run, str(path), folder)
        elif _is_whole(path):
            client.log_artifact(run, str(path), folder or None)
        elif not _has(client, run, path.name, folder):
            lost.append(path.name)
    if wanted:
        _tell_lost(client, run, {path.name for path, _ in wanted}, lost)


def _tell_lost(client: MlflowClient, run: str, names: set[str], lost: Sequence[str]) -> None:
    """Let the tag name those of the files `names` that are lost, and what it had of others."""
    told = client.get_run(run).data.tags.get(LOST_FILES, "")
    now = ", ".join([*lost, *(name for name in told.split(", ") if name and name not in names)])
    if now:
        client.log_batch(run, tags=[RunTag(LOST_FILES, now)])
    elif told:
        client.delete_tag(run, LOST_FILES)


def _has(client: MlflowClient, run: str, name: str, folder: str) -> bool:
    there = f"{folder}/{name}" if folder else name
    return there in {item.path for item in client.list_artifacts(run, folder or None)}


def _is_whole(path: Path) -> bool:
    """Tell whether a file is there: readable if a ledger has it; where there is a manifest, what was committed."""
    if path.parent.name == "ledger" and path.name in lost_parts(path.parent, {}):
        return False
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        manifest = path.with_name(MANIFEST)
        hashes = json.loads(manifest.read_bytes()) if manifest.is_file() else {}
    except (OSError, ValueError):
        return False
    return hashes.get(path.name) in (None, digest)
