"""The coverage report: true to the set, whole in one file, and readable on a phone."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from calibration.coverage import Coverage, cover
from calibration.page import render, write_html
from calibration.sampling import sample
from calibration.survey import Survey, survey
from quietcam.data.sets.noisy_pictures import find_noisy
from quietcam.image import to_gray
from quietcam.representative.set import RepresentativeSet
from tests.browser import Browser

pytest.importorskip("jinja2", reason="needs the extra 'edge'")


@pytest.fixture
def surveyed(pictures: Path) -> Survey:
    return survey(find_noisy(pictures).pictures, size=32, count=20)


@pytest.fixture
def chosen(surveyed: Survey) -> RepresentativeSet:
    told = {"capture": {"source": "a <camera>", "isp_denoise": True, "quietcam": "0"}}
    return sample(surveyed, count=20, data="R&D", told=told)


@pytest.fixture
def coverage(chosen: RepresentativeSet, surveyed: Survey) -> Coverage:
    return cover(chosen, surveyed)


def test_histograms_are_those_of_the_pixels(chosen: RepresentativeSet, coverage: Coverage) -> None:
    luma = np.concatenate([to_gray(patch).reshape(-1) for patch in chosen.patches])
    counts, _ = np.histogram(luma, range(0, 257, 8))
    np.testing.assert_allclose(coverage.luminance.set, counts / luma.size, atol=1e-5)
    for spread in (coverage.luminance, coverage.noise):
        assert sum(spread.set) == pytest.approx(1, abs=1e-3)
        assert sum(spread.data) == pytest.approx(1, abs=1e-3)
        assert spread.overlap == pytest.approx(np.minimum(spread.set, spread.data).sum(), abs=1e-3)


def test_the_noise_of_the_set_is_where_it_was_made(coverage: Coverage) -> None:
    # The pictures have noise of 3 of 255: bins "2 to 3" and "3 to 4".
    assert sum(coverage.noise.set[2:4]) > 0.8


def test_groups_count_patches_and_pictures(chosen: RepresentativeSet, coverage: Coverage) -> None:
    assert sum(group.patches for group in coverage.groups["iso"].values()) == len(chosen)
    assert [group.pictures for group in coverage.groups["scene"].values()] == [4, 2]
    assert coverage.groups["phone"]["S6"].share == 1.0
    assert coverage.missing == ()


def test_the_report_is_plain_json(chosen: RepresentativeSet, coverage: Coverage) -> None:
    report = json.loads(json.dumps(coverage.to_dict(Path("rep.npz"), chosen), allow_nan=False))
    assert {"format", "groups", "luminance", "noise", "findings", "samples", "origin", "missing"} <= set(report)
    assert report["findings"][0]["name"] in ("isp-denoise", "size")


def test_the_page_needs_nothing_from_anywhere(chosen: RepresentativeSet, coverage: Coverage) -> None:
    page = render(coverage, chosen)
    assert page == render(coverage, chosen)
    bare = re.sub(r'"data:[^"]*"', "", page)
    assert not re.search(r"https?:|@import|url\(|<script|<link rel=.stylesheet", bare)
    assert "a &lt;camera&gt;" in page
    assert "R&amp;D" in page
    assert "own denoiser was on" in page
    for finding in coverage.findings:
        assert finding.name == "ends" or finding.received.replace("<", "&lt;").replace(">", "&gt;") in page
    assert page.count("<img ") == 20


def test_the_page_fits_a_phone(browser: Browser, chosen: RepresentativeSet, coverage: Coverage, tmp_path: Path) -> None:
    write_html(tmp_path / "coverage.html", coverage, chosen)
    page = browser.open((tmp_path / "coverage.html").as_uri(), width=360, height=740, mobile=True)
    page.wait("[...document.images].every(each => each.complete)")
    assert page.evaluate("[...document.images].filter(each => each.naturalWidth == 32).length") == 20
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.evaluate("document.querySelectorAll('rect').length") == 48
    assert page.problems == []
