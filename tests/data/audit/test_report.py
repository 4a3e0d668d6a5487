import dataclasses
import json
import os

import pytest

from harness.config import Choice, Data, Folds
from harness.data.audit import AUDIT_VERSION, CHECKS, audit, refuse_leaks
from harness.data.audit.report import MOST_ITEMS
from harness.data.folds import make_split
from harness.data.index import index_samples
from harness.data.manifest import read_manifest
from harness.errors import DataError, LeakageError

COPY_IDS = ("D3", "D5", "D6", "D9", "D10", "C1")


def plant(samples, source, target, *columns):
    for column in columns:
        samples.loc[target, f"{column}_sha256"] = samples.loc[source, f"{column}_sha256"]


def test_the_built_in_data_give_nothing_to_warn_of(tmp_path):
    dataset = Choice(name="demo")
    index = index_samples(dataset, base=tmp_path, cache=tmp_path)
    manifest = read_manifest(index, Data(dataset=dataset))
    split = make_split(manifest.samples, Folds(), manifest=manifest.digest, seed=17)
    report = audit(manifest.samples, split, manifest=manifest.digest)
    assert [f.summary for f in report.findings if f.status in ("warn", "fail")] == []
    assert {f.id for f in report.findings if f.status == "pass"} >= {
        "D4",
        "T1",
        "F1",
        "S2",
        "M1",
        "M4",
        "M5",
        "M6",
    }


@pytest.mark.skipif(
    "HARNESS_DATA" not in os.environ, reason="set HARNESS_DATA to the folder of the real sets"
)
@pytest.mark.parametrize(
    ("root", "size", "warned"),
    [
        ({"root": "${HARNESS_DATA}/magnetic_tile", "csv": "instances_small.csv"}, 256, {"F2", "M1"}),
        ({"root": "${HARNESS_DATA}/idrid_hard_exudates"}, 384, {"G2", "M1", "M2"}),
    ],
)
def test_real_sets_are_warned_of_what_is_known_of_them_and_of_nothing_else(tmp_path, root, size, warned):
    """Names carry the class and two specks vanish; the other set has no groups, no clean image and tiny objects."""
    dataset = Choice(name="instances", settings=root)
    manifest = read_manifest(
        index_samples(dataset, base=tmp_path, cache=tmp_path), Data(dataset=dataset, size=size)
    )
    split = make_split(manifest.samples, Folds(), manifest=manifest.digest, seed=17)
    report = audit(manifest.samples, split, manifest=manifest.digest)
    own = {f.id for f in report.findings if f.id[0] in "GTFPSM" and f.status in ("warn", "fail")}
    assert own == warned


def test_repeats_are_audited_as_one_split(make_table, searched):
    samples = make_table(groups=40).assign(small=0, medium=0, large=0)
    settings = Folds(count=3, scheme="repeated", repeats=2)
    split = make_split(samples, settings, manifest="m", seed=1)
    report = audit(samples, split, manifest="m", searched=searched(samples))
    assert report.verdict == "pass"
    assert [row["fold"] for row in report.folds] == list(range(6))
    assert report.counterfactual["this_split"]["group"] == 0
    torn = dict(split.assignments[1]) | {"g00": 3 + (split.assignments[1]["g00"] - 2) % 3}
    other = dataclasses.replace(split, assignments=(split.assignments[0], torn))
    again = audit(samples, other, manifest="m", searched=searched(samples))
    assert again.verdict == "pass"  # another assignment, and whole groups still


@pytest.fixture
def clean(make_table):
    return make_table(groups=30)


def test_clean_data_pass_and_are_not_refused(clean, deal, searched):
    report = audit(clean, deal(clean), manifest="m", searched=searched(clean))
    assert report.verdict == "pass"
    refuse_leaks(report)


def test_without_a_search_for_copies_data_are_not_called_clean(clean, deal):
    report = audit(clean, deal(clean), manifest="m")
    assert report.verdict == "not run"
    assert {f.id for f in report.findings if f.status == "not run"} >= {
        "G6",
        "D3",
        "D5",
        "D6",
        "D9",
        "D10",
        "C1",
    }
    refuse_leaks(report)


@pytest.mark.parametrize("id", CHECKS)
def test_each_check_of_the_table_names_itself_and_gives_plain_values(id, samples, split):
    plant(samples, 0, 8, "file", "pixels")
    plant(samples, 6, 20, "pixels")
    plant(samples, 12, 24, "mask")
    found = CHECKS[id](samples, split)
    assert found.id == id
    assert json.loads(json.dumps(found.items)) == list(found.items)
    assert len({tuple(item) for item in found.items}) <= 1, "one set of keys a check"
    assert "\n" not in found.summary
    assert found.summary.endswith(".")
    assert 0 <= found.share_of_validation <= 1


@pytest.mark.parametrize("column", ["file", "pixels"])
def test_a_planted_copy_is_refused_in_one_line_that_names_check_files_groups_and_remedy(clean, deal, column):
    plant(clean, 0, 8, column)
    report = audit(clean, deal(clean), manifest="m")
    assert report.verdict == "fail"
    with pytest.raises(LeakageError) as caught:
        refuse_leaks(report)
    message = str(caught.value)
    assert "\n" not in message
    for part in (
        "audit D",
        "'g00/0.png'",
        "'g02/2.png'",
        "'g00'",
        "'g02'",
        "one group (source_image_id or data.group)",
    ):
        assert part in message


def test_the_refusal_counts_the_pairs_and_names_the_other_failing_checks(clean, deal):
    plant(clean, 0, 8, "file", "pixels")
    plant(clean, 3, 20, "file", "pixels")
    plant(clean, 9, 30, "pixels")
    with pytest.raises(LeakageError, match=r"^audit D1: .*\(and 1 more pair\)\. Failing too: D2\.$"):
        refuse_leaks(audit(clean, deal(clean), manifest="m"))


def test_the_first_split_of_clean_data_passes_as_a_later_one_does(clean, deal, searched):
    verdicts = {
        audit(clean, deal(clean), manifest="m", searched=searched(clean, parent=parent)).verdict
        for parent in (False, True)
    }
    assert verdicts == {"pass"}


def test_what_joins_frozen_folds_is_refused_before_all_else(clean, deal, searched):
    plant(clean, 0, 8, "file", "pixels")
    joined = searched(clean, torn=[((0, 8), ("fold 0", "fold 1"))])
    with pytest.raises(LeakageError, match=r"^audit G6: .*raise folds\.version.* Failing too: D1\.$"):
        refuse_leaks(audit(clean, deal(clean), manifest="m", searched=joined))


def test_a_split_by_rows_is_refused(clean, deal, row_split):
    rows = tuple(row % 3 for row in range(len(clean)))
    with pytest.raises(LeakageError, match="audit G1: Group 'g00'"):
        refuse_leaks(audit(clean, row_split(rows, deal(clean).folds), manifest="m"))


def test_warnings_are_shown_and_not_refused(samples, split):
    report = audit(samples, split, manifest="m")  # few positive groups a fold
    assert report.verdict == "warn"
    refuse_leaks(report)


def test_a_split_of_other_data_is_refused(clean, deal):
    with pytest.raises(DataError, match="made for data m, these are n"):
        audit(clean, deal(clean), manifest="n")


def test_the_json_holds_everything_and_the_verdict(clean, deal):
    split = deal(clean, held_out=["g00", "g01"])
    report = audit(clean, split, manifest="m")
    document = json.loads(report.to_json())
    assert document["schema_version"] == 2
    assert document["audit_version"] == AUDIT_VERSION
    assert (document["manifest"], document["split"], document["verdict"]) == ("m", split.id, report.verdict)
    assert [finding["id"] for finding in document["findings"]] == ["G6", *CHECKS, *COPY_IDS]
    assert [row["fold"] for row in document["folds"]] == [0, 1, 2, -1]
    assert sum(row["samples"] for row in document["folds"]) == len(clean) == document["samples"]
    assert document["notes"] == ["dealt in turn"]
    assert document["counterfactual"]["this_split"]["group"] == 0
    assert document["counterfactual"]["crop_level"]["group"] > 0.5


def test_the_same_data_and_split_give_the_same_bytes(clean, deal):
    plant(clean, 0, 8, "file", "pixels")
    split = deal(clean)
    first, again = (audit(clean, split, manifest="m") for _ in range(2))
    assert first == again
    assert first.to_json() == again.to_json()
    assert first.to_html() == again.to_html()
    assert first.digest == again.digest
    assert len(first.digest) == 64


def test_the_digest_follows_the_content(clean, deal):
    report = audit(clean, deal(clean), manifest="m")
    assert dataclasses.replace(report, samples=1).digest != report.digest
    assert report.digest in report.to_html()


def test_evidence_is_bounded_and_its_true_number_is_said(make_table, deal):
    samples = make_table(groups=MOST_ITEMS + 50, images=1)
    samples["file_sha256"] = "one"
    document = json.loads(audit(samples, deal(samples), manifest="m").to_json())
    found = next(f for f in document["findings"] if f["id"] == "D1")
    assert (len(found["items"]), found["total"]) == (MOST_ITEMS, MOST_ITEMS + 49)
    assert f"(and {MOST_ITEMS + 48} more pairs)" in found["summary"]
