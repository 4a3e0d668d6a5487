import re
from html.parser import HTMLParser

import pytest

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
    """Return the class and the text of each row of the table of checks."""
    found = re.findall(r'<tr class="([\w-]+)">(.*?)</tr>', html)
    return {re.sub("<.*?>", "|", text).split("|")[1]: kind for kind, text in found}


def test_the_page_is_well_formed_and_loads_nothing(report, failing):
    for html in (report.to_html(), failing.to_html()):
        page = Page(html)
        assert not page.of("script") + page.of("link") + page.of("img") + page.of("iframe")
        assert not re.search(r"https?:|//|url\(|@import|src=|href=", html)
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
    assert f"{passed} passed, 1 unverifiable, {left} not run" in Page(html).text


def test_dark_mode_and_paper_have_their_colors(report):
    assert "@media (prefers-color-scheme: dark)" in report.to_html()
    assert "@media print" in report.to_html()


def test_every_drawing_says_what_it_shows(report):
    drawings = Page(report.to_html()).of("svg")
    assert len(drawings) == 2 + 5 * 3
    assert all(drawing["role"] == "img" and drawing["aria-label"] for drawing in drawings)
    assert "fold 0: 5 positive groups" in {drawing["aria-label"] for drawing in drawings}


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
    assert html.count('<td class="item">g') == 4 * SHOWN
    assert "299 more are in leakage_report.json" in html
