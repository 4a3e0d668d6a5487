"""Files and folders become each picture once, in order; what predict wrote is not taken up again."""

from pathlib import Path

import pytest

from harness.errors import ConfigError
from harness.predict.folder import opened
from harness.predict.found import find_pictures


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")


def found(root: Path, *typed: str, out: str = "out") -> list[str]:
    paths = find_pictures([root / name for name in typed], root / out)
    return [path.relative_to(root.resolve()).as_posix() for path in paths]


def test_files_and_folders_mixed_are_each_picture_once(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "b/2.png",
        "b/10.TIF",
        "b/1.jpg",
        "b/deep/x.webp",
        "b/notes.txt",
        "b/.hidden.png",
        "b/.git/y.png",
    )
    touch(tmp_path, "a.png", "noending")
    (tmp_path / "link.png").symlink_to(tmp_path / "a.png")
    assert found(tmp_path, "a.png", "b", "b/2.png", "link.png", "noending") == [
        "a.png",
        "b/1.jpg",
        "b/10.TIF",
        "b/2.png",
        "b/deep/x.webp",
        "noending",
    ]


def test_what_predict_wrote_is_not_taken_up_again(tmp_path: Path) -> None:
    touch(tmp_path, "a.png")
    for name in ("out", "earlier"):
        with opened(tmp_path / name, {}):
            touch(tmp_path, f"{name}/masks/a.png")
    assert found(tmp_path, ".") == ["a.png"]
    (tmp_path / "out" / "predict.json").unlink()
    assert found(tmp_path, ".") == ["a.png"]


def test_nothing_there_is_refused(tmp_path: Path) -> None:
    touch(tmp_path, "b/notes.txt", "a.png")
    for typed, said in ((("b",), "no picture there"), (("a.png", "c.png"), "c.png: there is no such")):
        with pytest.raises(ConfigError, match=said):
            found(tmp_path, *typed)
