"""The study's page: the numbers of report.json, nothing loaded from elsewhere, and a sentence for what is gone."""

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import pytest

from benchmarks.drawn_study import draw_study
from harness.report.files import PAGE, VALUES, write_report
from harness.report.leaderboard import read_leaderboard
from harness.search.groups import FOLDER as GROUPS
from harness.search.ledger import Ledger
from tests.report.drawn import FACTS
from tests.report.reading import Page, read_page

TRIALS, BEST = 80, 40


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    work = tmp_path_factory.mktemp("home") / "work" / "small_defects-12345678"
    draw_study(work, trials=TRIALS, groups=30)
    return work


@pytest.fixture
def work(drawn: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(drawn, tmp_path / "work" / drawn.name))


def page_of(work: Path) -> tuple[Page, dict[str, Any]]:
    folder = write_report(read_leaderboard(work / "ledger"), work)
    return read_page((folder / PAGE).read_text()), json.loads((folder / VALUES).read_bytes())


@pytest.fixture(scope="module")
def written(drawn: Path) -> tuple[Page, dict[str, Any]]:
    return page_of(drawn)


def test_every_trial_of_the_page_has_the_score_and_interval_of_the_json(
    written: tuple[Page, dict[str, Any]],
) -> None:
    page, said = written
    known: Mapping[str, Any] = {str(row["trial"]): row for row in said["trials"]}
    rows = [row for row in page.table("beside the best") if row["trial"] != "-"]
    assert [row["trial"] for row in rows] == list(known)[:50]
    for row in rows:
        wanted = known[row["trial"]]
        assert row["IoU mean ± std"] == f"{wanted['iou_mean']:.4f} ± {wanted['iou_std']:.4f}"
        assert row["95 % interval"] == f"{wanted['iou_low']:.4f} to {wanted['iou_high']:.4f}"
    best = known[str(said["best_trial"])]
    folds = {row["fold"]: row["IoU"] for row in page.table("best epoch would have")}
    assert folds == {str(fold): f"{best[f'iou_fold_{fold}']:.4f}" for fold in range(5)}
    (dots,) = page.plot("The best trials")["data"]
    for row, iou, up, down in zip(
        said["trials"], dots["x"], dots["error_x"]["array"], dots["error_x"]["arrayminus"], strict=False
    ):
        assert iou == pytest.approx(row["iou_mean"], abs=1e-5)
        assert iou + up == pytest.approx(row["iou_high"], abs=1e-5)
        assert iou - down == pytest.approx(row["iou_low"], abs=1e-5)
    assert len(dots["x"]) == 20
    assert said["corrected"]["iou"] < best["iou_mean"]
    assert f"has {said['corrected']['iou']:.4f}" in page.text


def test_how_a_trial_stands_is_said_without_color_and_trials_left_out_are_counted(
    written: tuple[Page, dict[str, Any]],
) -> None:
    page, said = written
    rows = page.table("beside the best")
    assert rows[0]["beside the best"] == "★ the best"
    words = {str(row["trial"]): (row["against_best"] or {}).get("word") for row in said["trials"]}
    marks = {
        "equal": "= equal to the best",
        "unknown": "? not told from the best",
        "worse": "▼ worse than the best",
    }
    told = [row for row in rows[1:] if row["trial"] != "-"]
    assert {marks[words[row["trial"]]] for row in told} == {row["beside the best"] for row in told}
    assert len({row["beside the best"] for row in told}) > 1
    assert f"{TRIALS - 50} more trials are left out here; report.json has all of them." in page.text
    assert [row["state"] for row in rows[-2:]] == ["no training", "no training"]


def test_the_page_loads_nothing_and_holds_plotly_once(
    written: tuple[Page, dict[str, Any]], drawn: Path
) -> None:
    page, content = written[0], (drawn / "report" / PAGE).read_text()
    loaded = [tag.get(name, "") for _, tag in page.tags for name in ("src", "href", "data")]
    assert [address for address in loaded if address and not address.startswith("data:")] == [
        "../leakage/leakage_report.html"
    ]
    assert "@import" not in content.split("</style>")[0]
    policy = next(tag["content"] for tag in page.of("meta") if "http-equiv" in tag)
    assert policy.startswith("default-src 'none'")
    assert "connect-src" not in policy
    assert content.count("plotly.js v") == 1
    assert len(content) < 8e6


def test_plots_are_what_plotly_takes_have_words_and_few_numbers_also_as_a_table(
    written: tuple[Page, dict[str, Any]],
) -> None:
    page = written[0]
    for label, plot in page.plots.items():
        figure = go.Figure(plot)  # raises for a property that plotly does not know
        assert len(figure.data) > 0
        assert len(label.split()) > 5
    assert [tag["role"] for tag in page.of("div") if tag.get("class") == "canvas"] == ["img"] * len(
        page.plots
    )
    titles = " ".join(page.plots)
    for title in ("History", "What the scores depend on", "Loss by augmentation", "Training loss", "IoU while", "FROC",
                  "Precision", "Reliability", "IoU by threshold", "augment.strength by train.lr"):  # fmt: skip
        assert title in titles
    assert len(page.of("details")) >= 8


def test_what_the_scores_depend_on_is_found_and_the_heat_map_counts_its_trials(
    written: tuple[Page, dict[str, Any]],
) -> None:
    page, said = written
    bars = page.plot("What the scores depend on")["data"][0]
    assert bars["y"][0] == "augment.strength"  # the only one that the drawn scores depend on
    assert sum(bars["x"]) == pytest.approx(1, abs=1e-4)
    heat = page.plot("Loss by augmentation")["data"][0]
    counted = re.findall(r"n = (\d+)", " ".join(text for line in heat["text"] for text in line))
    complete = [row for row in said["trials"] if row["state"] == "complete"]
    assert sum(map(int, counted)) == len(complete)
    own = [
        row["iou_mean"]
        for row in complete
        if row["loss"] == heat["y"][0] and 0.2 <= row["params"]["augment.strength"] < 0.4
    ]
    assert heat["z"][0][1] == pytest.approx(sum(own) / len(own), abs=1e-5)
    assert len(page.plot("History")["data"][2]["x"]) == TRIALS - len(complete)


def test_few_trials_are_too_few_to_say_what_the_scores_depend_on(tmp_path: Path) -> None:
    draw_study(tmp_path / "small-12345678", trials=8, groups=20)
    page, _ = page_of(tmp_path / "small-12345678")
    assert "of 6 complete trials they would be noise; 10 are the fewest" in page.text
    assert not [label for label in page.plots if label.startswith("What the scores")]


@pytest.mark.parametrize(
    ("lost", "sentence"),
    [
        (f"{BEST}/1/objects.parquet", "Fold 1: its tables of predictions cannot be read"),
        (f"{BEST}/0/outbox.jsonl", "Fold 0: its epochs are not there."),
        (f"{BEST}/2/result.json", "Fold 2: result.json cannot be read"),
        (f"{BEST}", "Its tables of predictions are not on the disk"),
        ("samples.parquet", "The classes are in samples.parquet, which cannot be read"),
        ("leakage", "The report itself, leakage_report.json, is not there or damaged."),
        (f"ledger/{GROUPS}", "no intervals; `doctor` or `run` adds them"),
    ],
)
def test_what_is_gone_is_a_sentence_and_the_rest_is_there(work: Path, lost: str, sentence: str) -> None:
    path = work / lost
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    page, said = page_of(work)
    assert sentence in page.text
    assert page.table("beside the best")[0]["trial"] == str(said["best_trial"])
    assert page.plot("History")
    assert "python -m harness.study run small_defects --trials 80" in page.text


def test_a_damaged_table_is_a_sentence(work: Path) -> None:
    path = work / str(BEST) / "3" / "pixels.parquet"
    path.write_bytes(path.read_bytes()[:99])
    page, _ = page_of(work)
    assert "Fold 3: its tables of predictions cannot be read" in page.text
    assert page.plot("Objects found")


def test_names_from_data_cannot_become_part_of_the_page(work: Path) -> None:
    evil = "</script><img src=x onerror=alert(1)>"
    for fold in range(5):
        for name in ("out_of_fold", "pixels", "objects", "histograms"):
            path = work / str(BEST) / str(fold) / f"{name}.parquet"
            table = pd.read_parquet(path)
            table["group"] = table["group"] + evil
            table.to_parquet(path)
    samples = pd.read_parquet(work / "samples.parquet")
    samples["class_id"] += evil
    samples.to_parquet(work / "samples.parquet")
    trials = pd.read_parquet(work / "ledger" / "trials.parquet")
    trials["reason"] = trials["reason"].where(trials["reason"] == "", evil)
    trials["loss"] += evil
    trials.to_parquet(work / "ledger" / "trials.parquet")
    facts = json.loads((work / "ledger" / "study.json").read_bytes())
    facts |= {"name": "a" + evil, "description": evil, "split_note": evil, "commit": evil}
    (work / "ledger" / "study.json").write_text(json.dumps(facts))
    page, _ = page_of(work)
    assert not page.of("img")
    assert all("onerror" not in tag for _, tag in page.tags)
    assert evil in page.text
    assert any(evil in row["group"] for row in page.table("group"))


def test_a_study_without_a_complete_trial_has_a_page_that_says_so(tmp_path: Path) -> None:
    baselines = pd.DataFrame({"constant": [0.0, 0.1], "classical": [0.1, 0.2]})
    Ledger(tmp_path / "ledger", {}).open_study(FACTS, baselines)
    page, _ = page_of(tmp_path)
    assert "No trial ran all its folds" in page.text
    assert not page.plots
    assert "crack (3)" in page.text


def test_the_warnings_that_fit_are_shown_and_the_rest_is_counted(
    written: tuple[Page, dict[str, Any]], tmp_path: Path
) -> None:
    draw_study(tmp_path / "many-12345678", trials=200, groups=20)
    page, _ = page_of(tmp_path / "many-12345678")
    assert re.search(r"\d+ more warnings are in report\.md\.", page.text)
    assert page.text.count("pruned: fold 1: all background") == 19
    assert "The std over folds is no confidence interval" in page.text
    assert "more warnings" not in written[0].text
