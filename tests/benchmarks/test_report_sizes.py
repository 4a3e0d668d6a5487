"""The benchmarks of both reports run to their end on little data; their limits are of the full size."""

import pytest

from benchmarks import report_page, report_size


def test_the_leakage_report_is_timed_and_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, less in (("IMAGES", 2000), ("PAIRS", 200), ("COPIED", 100)):
        monkeypatch.setattr(report_size, name, less)
    assert report_size.main() == 0
    assert "all checks" in capsys.readouterr().out


def test_the_studys_report_is_timed_and_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(report_page, "TRIALS", 20)
    assert report_page.main() == 0
    said = capsys.readouterr().out
    assert "a trial's page" in said
    assert "of 20 trials complete" in said
