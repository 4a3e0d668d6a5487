"""Where annotations and their pictures lie: found by looking, and never outside of the folder that was named."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path, PurePosixPath

from harness.data.formats.documents import shown
from harness.data.pictures import SUFFIXES
from harness.data.rows import existing, is_hidden
from harness.errors import DataError

ARCHIVES = frozenset({".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar"})
TRIED = 50  # names that are looked for in a folder, to tell whether it holds the pictures


def given(path: str, form: str) -> Path:
    """Return the file or folder that the setting `path` names. Raises DataError for none and for archives."""
    where = f"data.dataset.{form}.path"
    try:
        found = Path(path).resolve()
        if not found.exists():
            raise DataError(f"{where}: there is no {found}; correct the path")
        if found.is_file() and found.suffix.lower() in ARCHIVES:
            raise DataError(f"{where}: {found} is an archive; unpack it first, and name the folder")
    except (OSError, ValueError, RuntimeError) as error:
        raise DataError(f"{where}: {shown(path)} cannot be looked at; correct the path") from error
    return found


def files_of(folder: Path, endings: Iterable[str], *, below: str = "", deep: bool = False) -> list[Path]:
    """Return the files of a folder, or of folder/`below`, with these endings, such as .json, sorted; none hidden.

    Raises DataError for a link that leads out of the folder, and for names of several lines.
    """
    endings = frozenset(endings)
    found = []
    try:
        for path in (folder / below).rglob("*") if deep else (folder / below).iterdir():
            if path.suffix.lower() in endings and not is_hidden(path, folder):
                _refuse_way_out(folder, path, f"{folder}, {shown(path.relative_to(folder).as_posix())}")
                if path.is_file():
                    found.append(path)
    except OSError as error:
        raise DataError(f"{folder}: cannot be read ({error.strerror}); check its permissions") from error
    return sorted(found)


def pictures_of(folder: Path) -> list[Path]:
    """Return all pictures below a folder, sorted. Raises DataError as `files_of`."""
    return files_of(folder, SUFFIXES, deep=True)


def folders_of(folder: Path) -> list[Path]:
    """Return the folders in a folder, sorted; hidden ones are left out. Raises DataError."""
    try:
        return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    except OSError as error:
        raise DataError(f"{folder}: cannot be read ({error.strerror}); check its permissions") from error


def relative(name: str, where: str) -> str:
    """Return a picture's name as annotations write it, `\\` as `/`. Raises DataError where it leaves the root."""
    path = PurePosixPath(name.replace("\\", "/"))
    if not name.isprintable() or not path.parts:
        raise DataError(f"{where}: {shown(name)} is no file name; correct it")
    if path.is_absolute() or ".." in path.parts or ":" in path.parts[0]:
        raise DataError(
            f"{where}: {shown(name)} leaves the folder of the pictures; write a path relative to it, without '..'"
        )
    return str(path)


def is_there(root: Path, name: str, where: str) -> bool:
    """Tell whether root/name is a file. Raises DataError where links lead out of the root."""
    return _refuse_way_out(root, root / name, where).is_file()


def _refuse_way_out(root: Path, path: Path, where: str) -> Path:
    """Return the path with links resolved; `root` must be resolved."""
    try:
        if not path.name.isprintable():
            raise ValueError
        found = path.resolve()
        found.is_file()  # which raises for names that are too long
    except (OSError, ValueError, RuntimeError):
        raise DataError(f"{where}: a name or a link that cannot be followed; rename or remove it") from None
    if not found.is_relative_to(root):
        raise DataError(f"{where}: a link that leads out of {root}; put the file itself there")
    return found


def folder_of_pictures(
    images: str | None, form: str, candidates: Iterable[Path], names: Sequence[str], where: str
) -> Path:
    """Return the folder that holds pictures of these names: the setting `images`, or the first that has one.

    Raises DataError where none does.
    """
    if images is not None:
        return existing(images, f"data.dataset.{form}.images")
    for folder in distinct(candidates):
        if any(_looks_there(folder, name) for name in islice(names, TRIED)):
            return folder
    if not names:
        raise DataError(f"{where}: lists no picture; name another file")
    raise DataError(
        f"{where}: its pictures were not found (first: {shown(names[0])}); set data.dataset.{form}.images to their "
        "folder"
    )


def distinct(folders: Iterable[Path]) -> Iterator[Path]:
    """Yield the folders that are there, resolved, each once."""
    seen: set[Path] = set()
    for folder in folders:
        if folder.is_dir() and (found := folder.resolve()) not in seen:
            seen.add(found)
            yield found


def _looks_there(folder: Path, name: str) -> bool:
    try:
        return (folder / name).is_file()
    except (OSError, ValueError):
        return False


def resolved_name(root: Path, start: Path, name: str, where: str) -> str:
    """Return the name in `root` of what is called `name` seen from `start`, which lies in it; `..` may stay inside.

    Raises DataError where it leaves the root.
    """
    parts = list(start.relative_to(root).parts)
    for part in PurePosixPath(name.replace("\\", "/")).parts:
        if part == ".." and parts:
            parts.pop()
        else:
            parts.append(part)
    found = "/".join(parts)
    return relative(name if name.startswith("/") else found, where)
