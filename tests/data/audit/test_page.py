import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from harness.data.audit.drawing import Figure
from harness.data.audit.page import SHOWN
from harness.data.audit.report import audit

VOID = {"meta", "rect", "br"}


class Page(HTMLParser):
    """Collects tags and text, and fails on tags that do not match."""

    def __init__(self, html):
        super().__init__()
        self.open, self.tags, self.text = [], [], ""
        self.feed(html)
        assert not self.open, f"left open: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data

    def of(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture
def report(make_table, deal, searched):
    samples = make_table(groups=30)
    return audit(samples, deal(samples), manifest="m", searched=searched(samples))


@pytest.fixture
def failing(samples, split):
    for column in ("file_sha256", "pixels_sha256"):
        samples.loc[8, column] = samples.loc[0, column]
    return audit(samples, split, manifest="m")


def rows(html):
    """Return the class of each row of the tables of checks, worst first, by the check's id."""
    html = re.sub(r'<table class="bars">.*?</table>|<tr class="heads">.*?</tr>', "", html)
    found = re.findall(r'<tr class="([\w-]+)">(.*?)</tr>', html)
    return {re.sub("<.*?>", "|", text).strip("|").split("|")[0]: kind for kind, text in found}


def test_the_page_is_well_formed_and_loads_nothing(report, failing):
    for html in (report.to_html(), failing.to_html()):
        page = Page(html)
        assert not page.of("script") + page.of("link") + page.of("img") + page.of("iframe")
        assert not re.search(r"https?:|//|url\(|@import|src=|href=(?!\"#)", html)
        assert "default-src 'none'" in page.of("meta")[1]["content"]


def test_the_verdict_and_every_check_are_shown_with_their_state(report, failing):
    good, bad = report.to_html(), failing.to_html()
    assert '<header class="pass">' in good
    assert "No leak found" in good
    assert '<header class="fail">' in bad
    assert "do not train on this split" in bad
    assert rows(bad) == {f.id: f.status.replace(" ", "-") for f in failing.findings}
    assert rows(good) == {f.id: f.status.replace(" ", "-") for f in report.findings}


def test_what_was_not_run_is_never_green(report):
    html = report.to_html()
    assert rows(html)["P3"] == "not-run"
    color = dict(re.findall(r"\.([\w-]+)(?:, \.not-run)? \{ --tone: (var\(--\w+\)); \}", html))
    assert color["pass"] == "var(--pass)"
    assert color["unverifiable"] == "var(--soft)"
    passed, left = (sum(f.status == status for f in report.findings) for status in ("pass", "not run"))
    assert left > 0
    assert f"1 unverifiable, {left} not run, {passed} passed" in Page(html).text


def test_dark_mode_and_paper_have_their_colors(report):
    assert "@media (prefers-color-scheme: dark)" in report.to_html()
    assert "@media print" in report.to_html()


def test_every_drawing_says_what_it_shows(report):
    drawings = Page(report.to_html()).of("svg")
    assert len(drawings) == 2 + 5 * 3 + 3 + 10, "what grouping prevents, folds, sizes of groups, the largest"
    assert all(drawing["role"] == "img" and drawing["aria-label"] for drawing in drawings)
    assert {
        "fold 0: 5 positive groups",
        "3 to 4 images: 30 groups",
        "2 images: 0 groups",
        "g00: 3 images",
    } <= {drawing["aria-label"] for drawing in drawings}


def test_the_worst_comes_first_and_links_to_its_evidence(failing):
    html = failing.to_html()
    order = list(rows(html).values())
    assert order == sorted(order, key=["fail", "warn", "unverifiable", "not-run", "pass"].index)
    assert order[0] == "fail"
    told = replace(failing.findings[0], severity="info", status="fail", id="X1")
    mixed = replace(failing, findings=(told, *failing.findings)).to_html()
    assert list(rows(mixed))[:2] == ["D1", "X1"], "what only tells comes after what decides"
    for link in re.findall('href="#(.*?)"', html):
        assert html.count(f'id="{link}"') == 1
    assert html.index('href="#D1"') < html.index('id="D1"') < html.index('id="P1"')


def test_a_picture_stands_with_its_check_and_others_at_the_end(report):
    shown = [Figure("of D3", b"1", "D3"), Figure("of nothing", b"2")]
    html = report.to_html(shown)
    assert html.index('id="D3"') < html.index("of D3") < html.index('id="C1"') < html.index("of nothing")


def test_a_distribution_is_drawn_with_its_check(report):
    bars = ({"label": "IoU 0.0 to 0.1", "pairs": 2}, {"label": "IoU 0.1 to 0.2", "pairs": 8})
    changed = replace(report.findings[0], bars=bars)
    html = replace(report, findings=(changed, *report.findings[1:])).to_html()
    assert 'aria-label="IoU 0.0 to 0.1: 2 pairs"' in html
    assert 'class="bar" width="25.00"' in html


def test_bars_are_as_long_as_their_numbers(report):
    html = report.to_html()
    leak = report.counterfactual["crop_level"]["group"]
    assert f'class="leak" width="{100 * leak:.2f}"' in html
    assert 'class="leak" width="0.00"' in html
    assert f"{leak:.1%} of the validation images" in Page(html).text


def test_evidence_names_both_sides(failing):
    text = Page(failing.to_html()).text
    assert "g00/0.png" in text
    assert "g02/2.png" in text


def test_hostile_names_are_shown_and_never_run(samples, split, deal):
    evil = "<script>alert('1')</script>\"&amp;<b>"
    samples.loc[0, "sample"] = evil
    samples.loc[0, "group"] = evil
    samples.loc[8, "file_sha256"] = samples.loc[0, "file_sha256"]
    html = audit(samples, deal(samples), manifest="m").to_html()
    page = Page(html)
    assert not page.of("script")
    assert not page.of("b")
    assert evil in page.text


def test_a_hundred_rows_of_evidence_are_shown_and_the_rest_is_counted(make_table, deal):
    samples = make_table(groups=400, images=2)
    samples["file_sha256"] = "one"
    html = audit(samples, deal(samples), manifest="m").to_html()
    assert html.count('<td class="item">g') == 2 * SHOWN
    assert html.count('<br><span class="soft">g') == 2 * SHOWN, "group and fold under the picture's name"
    assert "The first 100 of 399 rows; leakage_report.json has all." in html


def test_evidence_that_the_json_leaves_out_too_is_counted(report):
    found = replace(report.findings[0], items=({"image": "a.png"},), total=5000)
    html = replace(report, findings=(found, *report.findings[1:])).to_html()
    assert "The first 1 of 5,000 rows; leakage_report.json has the first 1." in html
