"""The page on damaged inputs, kills and full disks, of made-up counts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("typer")

from studies.robustness import main, read_fuzz

CASE = """<testcase name="{name}"><properties><property name="read" value="{read}"/>
<property name="refused" value="7"/><property name="slowest_seconds" value="0.126"/>
<property name="peak_bytes" value="250000000"/></properties>{more}</testcase>"""
NAMES = ("test_any_json_is_read_or_refused[pool]", "test_any_scores_are_read_or_refused")
COUNTS = {
    "killed at a random time": 4,
    "killed before a file operation": 5,
    "ended before the kill": 1,
    "disk full": 3,
    "file cut off": 2,
    "two at once: one told": 2,
    "ended well when run again": 17,
}


def report(path: Path, *cases: str) -> Path:
    path.write_text(f"<testsuites><testsuite>{''.join(cases)}</testsuite></testsuites>", encoding="utf-8")
    return path


def test_the_page_has_a_row_for_each_reader_and_job(tmp_path: Path) -> None:
    fuzz = report(tmp_path / "fuzz.xml", *(CASE.format(name=name, read=3, more="") for name in NAMES))
    (tmp_path / "jobs.json").write_text(json.dumps({"record": COUNTS, "log": COUNTS}), encoding="utf-8")
    main(fuzz=fuzz, interruptions=tmp_path / "jobs.json", out=tmp_path)
    page = (tmp_path / "robustness.md").read_text(encoding="utf-8")
    assert "Readers: 2, 20 mutated inputs in all" in page
    assert "Commands: 2, 18 kills in all" in page
    assert "| json: pool | 10 | 3 | 7 | 0 | 0.13 | 250 |" in page
    assert "| scores | 10 | 3 | 7 | 0 | 0.13 | 250 |" in page
    assert "| `serve`'s log | 9 | 1 | 5 | 2 | 17 |" in page


@pytest.mark.parametrize("more", ["<failure/>", "<error/>"])
def test_a_reader_that_failed_makes_no_page(tmp_path: Path, more: str) -> None:
    with pytest.raises(ValueError, match="test_any_scores_are_read_or_refused failed"):
        read_fuzz(report(tmp_path / "fuzz.xml", CASE.format(name=NAMES[1], read=3, more=more)))


def test_a_report_of_nothing_makes_no_page(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no reader"):
        read_fuzz(report(tmp_path / "fuzz.xml"))
    with pytest.raises(ValueError, match="told no counts"):
        read_fuzz(report(tmp_path / "fuzz.xml", '<testcase name="a"/>'))
