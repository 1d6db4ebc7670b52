"""How power cuts are judged, by disks that are made up: whatever is missing is found."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lab.device.examine import Found, Stored, Update
from lab.recorder import Recorder, Result
from lab.scenarios import power
from lab.scenarios.power import Cut, Told, heard, judge_cuts, judge_end

BEFORE = Found("", Stored({0: 1, 1: 1}, {"0.jpg": "a", "1.jpg": "b"}), Stored({0: 30}, {"0.mp4": "c"}))
TOLD = Told(((10.0, {"spool": 1, "record": 20}), (20.0, {"spool": 2, "record": 60})), ((5.0, "installed", "lab-1"),))
AFTER = Found(
    "",
    Stored({0: 1, 1: 1, 2: 1, 3: 1, 4: 1}, {"0.jpg": "a", "1.jpg": "b", "2.jpg": "x"}),
    Stored({0: 30, 1: 25}, {"0.mp4": "c"}),
    Update("lab-1", ((5.0, "installed", "lab-1"),)),
)


def failed(*cuts: Cut, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(power, "CUTS", len(cuts))
    result = Result("power", "it works")
    judge_cuts(cuts, Recorder(result, lambda _: None))
    return [each.claim for each in result.failed]


def test_the_serial_line_is_read_and_cut_lines_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "serial").write_bytes(
        b"[    1.2] kernel\n\n"
        b'quietcam-lab {"up": 10.0, "stored": {"spool": 1, "record": 20}}\n'
        b'login: quietcam-lab {"up": 11.0, "stored": {"spool": 9}}\n'
        b'quietcam-lab {"up": 12.0, "update": [5.0, "installed", "lab-1"]}\n'
        b'quietcam-lab {"up": 13.0, "trouble": "the disk is full"}\n'
        b'quietcam-lab {"up": 20.0, "stored": {"spool": 2, "rec [  20.1] kernel\n'
        b'quietcam-lab {"up": 21.0, "stored": {"spool": 5}}'
    )
    told = heard(tmp_path / "serial")
    assert told == Told(((10.0, {"spool": 1, "record": 20}),), ((5.0, "installed", "lab-1"),), ("the disk is full",))


def test_what_was_counted_shortly_before_may_be_left_out() -> None:
    assert (TOLD.count("spool"), TOLD.count("record", 5.0), TOLD.count("window"), Told().count("spool")) == (
        2,
        20,
        0,
        0,
    )
    assert (TOLD + TOLD).count("spool") == 2


def test_a_good_cut_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    assert failed(Cut(1.0, False, BEFORE, TOLD, AFTER), monkeypatch=monkeypatch) == []


@pytest.mark.parametrize(
    ("found", "claim"),
    [
        (replace(AFTER, faults="UNEXPECTED INCONSISTENCY"), "file system"),
        (replace(AFTER, spool=replace(AFTER.spool, faults=("4.jpg",))), "A stored frame decodes"),
        (replace(AFTER, spool=replace(AFTER.spool, hashes={"0.jpg": "a", "1.jpg": "z"})), "A stored frame that was"),
        (replace(AFTER, spool=replace(AFTER.spool, frames={0: 1, 1: 1, 2: 1, 3: 0})), "the spool counted"),
        (replace(AFTER, record=Stored({0: 30, 1: 19}, {"0.mp4": "c"})), "a recording counted"),
        (replace(AFTER, record=Stored({0: 30, 1: 25})), "A segment that was there"),
        (replace(AFTER, update=replace(AFTER.update, faults=("bundle.json",))), "byte for byte"),
        (replace(AFTER, update=Update("lab-2")), "is not forgotten"),
    ],
)
def test_each_loss_fails_its_claim(found: Found, claim: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (said,) = failed(
        Cut(1.0, False, BEFORE, TOLD, AFTER), Cut(1.0, False, BEFORE, TOLD, found), monkeypatch=monkeypatch
    )
    assert claim in said


def test_updates_that_fail_and_idleness_fail_their_claims(monkeypatch: pytest.MonkeyPatch) -> None:
    trouble = Cut(1.0, False, BEFORE, replace(TOLD, trouble=("it is locked",)), AFTER)
    assert failed(trouble, monkeypatch=monkeypatch) == ["After a cut the next updates succeed"]
    idle = Cut(1.0, False, BEFORE, Told(), AFTER)
    assert failed(idle, monkeypatch=monkeypatch) == ["All three were at work"]


def test_the_end_goes_on_from_what_the_cuts_left() -> None:
    def claims(after: Found) -> list[str]:
        result = Result("power", "it works")
        judge_end(AFTER, after, Recorder(result, lambda _: None))
        return [each.claim for each in result.failed]

    good = Found("", Stored(dict.fromkeys(range(7), 1), AFTER.spool.hashes), Stored({0: 30, 1: 25, 2: 9}))
    assert claims(good) == []
    assert claims(replace(good, record=Stored({0: 30, 2: 9}))) == ["No frame of a segment that a cut had ended went"]
    assert claims(replace(good, spool=AFTER.spool)) == ["The spool goes on"]
    assert claims(replace(good, spool=replace(good.spool, hashes={}))) == ["No stored frame went or changed"]
    assert claims(replace(good, faults="bad")) == ["Everything decodes after an orderly stop"]
