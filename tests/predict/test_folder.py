"""A folder belongs to one model and one process; records decide what is finished."""

import json
import os
from pathlib import Path

import pytest

from harness.errors import ConfigError
from harness.predict.folder import Folder, content_of, name_of, opened

IDENTITY = {"schema": 1, "model": {"name": "parts", "version": "3"}, "tiling": {"tile": 1024}}


def record(folder: Folder, name: str, page: int = 0, image: str = "/a.png") -> dict[str, object]:
    made = {"image": image, "page": page, "digest": "d", "state": "done", "found": [1, 2]}
    made |= {"mask": f"masks/{name}.png", "overlay": f"overlays/{name}.jpg"}
    for kind in ("mask", "overlay"):
        (folder.root / str(made[kind])).write_bytes(b"x")
    return made


def test_another_model_or_tiling_is_refused_and_named(tmp_path: Path) -> None:
    with opened(tmp_path / "out", IDENTITY):
        pass
    with opened(tmp_path / "out", IDENTITY):
        pass
    for changed, said in (
        ({"model": {"name": "parts", "version": "4"}}, "model.version '3', asked is '4'"),
        ({"tiling": {"tile": 512}}, "tiling.tile 1024, asked is 512"),
    ):
        with pytest.raises(ConfigError, match=said), opened(tmp_path / "out", IDENTITY | changed):
            pass


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(ConfigError, match=r"thesis\.txt"), opened(tmp_path, IDENTITY):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    with (
        pytest.raises(ConfigError, match="cannot be written"),
        opened(tmp_path / "thesis.txt" / "out", IDENTITY),
    ):
        pass


def test_one_process_at_a_time(tmp_path: Path) -> None:
    with (
        opened(tmp_path, IDENTITY),
        pytest.raises(ConfigError, match="another process"),
        opened(tmp_path, IDENTITY),
    ):
        pass
    with opened(tmp_path, IDENTITY):
        pass


def test_a_picture_is_finished_with_its_content_its_record_and_its_files(tmp_path: Path) -> None:
    with opened(tmp_path, IDENTITY) as folder:
        folder.keep("a", record(folder, "a"))
        assert folder.finished("a", "d")
    with opened(tmp_path, IDENTITY) as folder:
        assert folder.finished("a", "d")
        assert not folder.finished("a", "other content")
        assert not folder.finished("b", "d")
        (tmp_path / "overlays/a.jpg").unlink()
        assert not folder.finished("a", "d")
        folder.keep("a", record(folder, "a") | {"state": "failed"})
        assert not folder.finished("a", "d")


def test_what_a_kill_left_is_removed_and_a_torn_record_is_none(tmp_path: Path) -> None:
    with opened(tmp_path, IDENTITY) as folder:
        folder.keep("a", record(folder, "a"))
    for name in ("partial/b.png", "records/b.json.17.tmp", "predict.json.17.tmp"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"half")
    (tmp_path / "records/a.json").write_bytes(b'{"image": ')
    with opened(tmp_path, IDENTITY) as folder:
        assert list(folder.records()) == []
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {"predict.json", "masks/a.png", "overlays/a.jpg"}


def test_pages_that_a_file_no_longer_has_are_forgotten(tmp_path: Path) -> None:
    with opened(tmp_path, IDENTITY) as folder:
        for page in (1, 2, 3):
            folder.keep(f"a-p{page}", record(folder, f"a-p{page}", page))
        folder.keep("b", record(folder, "b", image="/b.png"))
        folder.keep_only(Path("/a.png"), {"a-p1"})
        assert [(one["image"], one["page"]) for one in folder.records()] == [("/a.png", 1), ("/b.png", 0)]
        assert sorted(path.name for path in (tmp_path / "masks").iterdir()) == ["a-p1.png", "b.png"]


def test_records_keep_their_objects_and_their_order(tmp_path: Path) -> None:
    with opened(tmp_path, IDENTITY) as folder:
        for name, image in (("z", "/a.png"), ("y", "/c.png"), ("x", "/b.png")):
            folder.keep(name, record(folder, name, image=image))
        assert [(one["image"], one["found"]) for one in folder.records()] == [
            (f"/{name}.png", [1, 2]) for name in "abc"
        ]
    assert json.loads((tmp_path / "predict.json").read_text()) == IDENTITY


def test_names_differ_by_path_and_page_and_stay_short() -> None:
    paths = [Path("/a/1.png"), Path("/b/1.png"), Path("/a/1.jpg"), Path("/a/" + "n" * 250 + ".png")]
    names = [name_of(path, page, 3) for path in paths for page in (1, 2)] + [
        name_of(path, 1, 1) for path in paths
    ]
    assert len(set(names)) == len(names)
    assert max(map(len, names)) < 110
    assert name_of(Path("/a/1.png"), 1, 1).startswith("1-")


def test_content_is_known_by_its_digest(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"one")
    first = content_of(tmp_path / "a")
    os.utime(tmp_path / "a", (0, 0))
    assert content_of(tmp_path / "a") == first
    (tmp_path / "a").write_bytes(b"two")
    assert content_of(tmp_path / "a") != first
