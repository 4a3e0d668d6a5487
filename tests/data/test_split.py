import hashlib
import json
import pickle

import pandas as pd
import pytest

from harness.config import Folds
from harness.data.audit.sides import HELD_OUT
from harness.data.split import freeze, new_split, read_split
from harness.errors import DataError

FOLDS = {"a": 0, "b": 1, "c": HELD_OUT, "d": 0}


def split_of(folds=FOLDS, *, manifest="m", notes=("why",), parent=None, **settings):
    return new_split(manifest, Folds(count=2, **settings), folds, notes=list(notes), parent=parent)


def samples(groups="abcda"):
    return pd.DataFrame({"group": list(groups)})


def test_rows_are_named_by_position_whatever_the_index_labels_are():
    split, table = split_of(), samples()
    for index in (None, [4, 3, 2, 1, 0], list("vwxyz"), [7, 7, 7, 7, 7]):
        if index:
            table.index = pd.Index(index)
        assert split.of(table).tolist() == [0, 1, HELD_OUT, 0, 0]
        assert split.validation(table, 0).tolist() == [0, 3, 4]
        assert split.train(table, 0).tolist() == [1]
        assert split.train(table, 1).tolist() == [0, 3, 4]
        assert split.held_out(table).tolist() == [2]


def test_a_group_that_the_split_does_not_know_is_an_error_with_its_name():
    with pytest.raises(DataError, match=r"1 groups have no fold, the first is 'x'"):
        split_of().of(samples("abx"))


def test_a_row_without_group_is_an_error_with_its_row():
    with pytest.raises(DataError, match=r"1 rows have no group, the first is row 1"):
        split_of().of(pd.DataFrame({"group": ["a", None]}))


@pytest.mark.parametrize("fold", [-1, 2])
def test_a_fold_that_does_not_exist_is_an_error_and_not_an_empty_validation(fold):
    with pytest.raises(DataError, match="has folds 0 to 1"):
        split_of().train(samples(), fold)
    with pytest.raises(DataError, match="has folds 0 to 1"):
        split_of().validation(samples(), fold)


def test_the_id_follows_everything_that_decides_and_nothing_else():
    same = {
        split_of().id,
        split_of(notes=()).id,
        split_of(parent="p").id,
        split_of(dict(reversed(FOLDS.items()))).id,
    }
    other = {
        split_of(manifest="n").id,
        split_of(FOLDS | {"d": 1}).id,
        split_of(FOLDS | {"e": 1}).id,
        split_of(held_out=0.1).id,
    }
    assert len(same) == 1
    assert len(other) == 4
    assert not same & other
    assert all(len(id) == 16 and set(id) <= set("0123456789abcdef") for id in same | other)


def test_a_frozen_split_reads_back_equal(tmp_path):
    split = split_of({**FOLDS, "Prüfling 7 / ✓": 1}, parent="0123")
    path = freeze(split, tmp_path / "folds")
    assert path == tmp_path / "folds" / f"{split.id}.json"
    assert read_split(path) == split


def test_the_frozen_file_can_be_read_by_people(tmp_path):
    document = json.loads(freeze(split_of(), tmp_path).read_text())
    assert document["folds"] == [["a", "d"], ["b"]]
    assert document["held_out"] == ["c"]
    assert document["notes"] == ["why"]
    assert document["settings"]["count"] == 2
    assert document["manifest"] == "m"


def test_freezing_again_leaves_the_file_alone_and_nothing_beside_it(tmp_path):
    path = freeze(split_of(), tmp_path)
    before = path.stat().st_mtime_ns, path.read_bytes()
    assert freeze(split_of(notes=("other words",)), tmp_path) == path
    assert (path.stat().st_mtime_ns, path.read_bytes()) == before
    assert list(tmp_path.iterdir()) == [path]


def moved(document):
    document["folds"][1].append(document["folds"][0].pop())


def doubled(document):
    document["folds"][0].insert(0, "b")


def added(document):
    document["held_out"].append("z")


def loosened(document):
    document["settings"]["positive_floor"] = 7


def renamed(document):
    document["manifest"] = "n"


def relabeled(document):
    document["id"] = "0" * 16


@pytest.mark.parametrize("alter", [moved, doubled, added, loosened, renamed, relabeled])
def test_an_altered_file_is_refused_by_reading_and_by_freezing(tmp_path, alter):
    path = freeze(split_of(), tmp_path)
    document = json.loads(path.read_text())
    alter(document)
    path.write_text(json.dumps(document))
    with pytest.raises(DataError, match="altered after it was frozen"):
        read_split(path)
    with pytest.raises(DataError, match="altered after it was frozen"):
        freeze(split_of(), tmp_path)


def test_a_file_under_another_name_is_refused(tmp_path):
    path = freeze(split_of(), tmp_path)
    with pytest.raises(DataError, match="altered"):
        read_split(path.rename(tmp_path / "mine.json"))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"id": 3}', '{"schema": 1, "id": "x", "folds": 3}'])
def test_what_is_no_split_is_one_line(tmp_path, text):
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(DataError, match=r"x\.json: is no frozen split") as caught:
        read_split(path)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_one_line(tmp_path):
    with pytest.raises(DataError, match=r"none\.json: cannot be read"):
        read_split(tmp_path / "none.json")


def test_a_newer_schema_is_named(tmp_path):
    path = freeze(split_of(), tmp_path)
    path.write_text(path.read_text().replace('"schema": 2', '"schema": 3'))
    with pytest.raises(DataError, match="schema 3, this version reads 1 to 2"):
        read_split(path)


def test_a_split_of_an_older_audit_keeps_its_id(tmp_path):
    path = freeze(split_of(), tmp_path)
    document = json.loads(path.read_text())
    document["audit_version"] = "0"
    path.write_text(json.dumps(document))
    with pytest.raises(DataError, match="holds the split") as caught:
        read_split(path)
    actual = str(caught.value).split("the split ")[1][:16]
    older = tmp_path / f"{actual}.json"
    older.write_text(json.dumps(document | {"id": actual}))
    assert read_split(older).audit_version == "0"
    assert freeze(read_split(older), tmp_path / "copy").name == older.name
    assert read_split(tmp_path / "copy" / older.name) == read_split(older)


def test_a_split_travels_to_child_processes():
    assert pickle.loads(pickle.dumps(split_of())) == split_of()


def test_a_split_of_the_first_schema_reads_as_before(tmp_path):
    """Such a file has neither scheme nor repeats among its settings."""
    settings = Folds(count=2).model_dump(mode="json")
    del settings["scheme"], settings["repeats"]
    content = ["m", settings, "1", ["c"], [["a", "d"], ["b"]]]
    id = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
    names = ("manifest", "settings", "audit_version", "held_out", "folds")
    document = dict(zip(names, content, strict=True)) | {"schema": 1, "id": id, "parent": None, "notes": []}
    path = tmp_path / f"{id}.json"
    path.write_text(json.dumps(document))
    split = read_split(path)
    assert split.folds == FOLDS
    assert split.settings == Folds(count=2)
    assert split.count == 2


# Repeats

SECOND = {"a": 2, "b": 3, "c": HELD_OUT, "d": 3}


def repeated():
    settings = Folds(count=2, scheme="repeated", repeats=2)
    return new_split("m", settings, FOLDS, SECOND, notes=["why"], parent=None)


def test_fold_numbers_go_on_and_a_fold_trains_on_its_own_repeat():
    split, table = repeated(), samples()
    assert split.count == 4
    assert [split.repeat_of(fold) for fold in range(4)] == [0, 0, 1, 1]
    assert split.validation(table, 2).tolist() == [0, 4]
    assert split.train(table, 2).tolist() == [1, 3]
    assert split.train(table, 1).tolist() == [0, 3, 4]
    assert split.held_out(table).tolist() == [2]
    assert split.of(table, 1).tolist() == [2, 3, HELD_OUT, 3, 2]
    with pytest.raises(DataError, match="no fold 4; it has folds 0 to 3"):
        split.train(table, 4)


def test_repeats_are_frozen_and_read_back(tmp_path):
    path = freeze(repeated(), tmp_path)
    assert read_split(path) == repeated()
    assert json.loads(path.read_text())["folds"] == [["a", "d"], ["b"], ["a"], ["b", "d"]]
    assert pickle.loads(pickle.dumps(repeated())) == repeated()


def test_the_second_repeat_decides_the_id_too():
    other = new_split("m", repeated().settings, FOLDS, SECOND | {"d": 2}, notes=["why"], parent=None)
    assert other.id != repeated().id
