"""Findings: one class for everything that looks at something and says what to do about it."""

from __future__ import annotations

from quietcam.finding import SEVERITIES, Finding


def test_a_finding_reads_as_one_line() -> None:
    assert str(Finding("disk", "ok", "9 GB free")) == "disk: 9 GB free."
    assert str(Finding("disk", "error", "full", "sudo apt clean")) == "disk: full. Remedy: sudo apt clean."


def test_its_json_has_its_four_fields() -> None:
    finding = Finding("disk", "error", "full", "sudo apt clean")
    assert finding.to_dict() == {"subject": "disk", "severity": "error", "text": "full", "remedy": "sudo apt clean"}


def test_the_severities_are_sorted_worst_first() -> None:
    assert SEVERITIES == ("error", "warning", "note", "ok")
