"""The report: whole in one file, and alive in a real browser where one is installed."""

from __future__ import annotations

import base64
import dataclasses
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest

from convert.compare import compare
from convert.report import render, write_html
from convert.showcase import CROP, choose_exhibits, error_map, most_detailed
from quietcam.data.pairs import find_pairs, read_pair
from quietcam.data.pictures import write_picture

_BROWSER = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)


@pytest.fixture(scope="module")
def pairs(pair_folder):
    return find_pairs(pair_folder).pairs


@pytest.fixture(scope="module")
def comparison(model_files, pairs):
    return compare(list(model_files.values()), pairs, data="blocks & <ramps>", classic=["blur"])


@pytest.fixture(scope="module")
def exhibits(comparison, pairs):
    return choose_exhibits(comparison, pairs)


@pytest.fixture(scope="module")
def page(comparison, exhibits):
    return render(comparison, exhibits)


class _Links(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = []
        self.text = []

    def handle_starttag(self, tag, attributes):
        self.found += [
            (tag, value) for name, value in attributes if name in ("src", "href", "srcset", "action", "data")
        ]

    def handle_data(self, data):
        self.text.append(data)


def _parse(page):
    parser = _Links()
    parser.feed(page)
    return parser


def test_nothing_is_fetched_from_anywhere(page):
    links = _parse(page).found
    assert len([tag for tag, _ in links if tag == "img"]) == 3 * (2 + 6)
    assert all(value.startswith("data:") for _, value in links)
    assert "http" not in re.sub(r"data:[^\"]*", "", page)
    assert "@import" not in page
    assert "url(" not in page


def test_names_are_escaped(page):
    assert "blocks &amp; &lt;ramps&gt;" in page
    assert "<ramps>" not in page


def test_the_tables_numbers_stand_in_the_page(page, comparison):
    text = " ".join(_parse(page).text)
    for row in comparison.rows:
        assert f"{row.psnr:.2f}" in text
        assert f"{row.ssim:.4f}" in text
    assert comparison.row("tiny_64x64_int8").manifest["sha256"] in text


def test_the_same_inputs_give_the_same_page(page, comparison, exhibits):
    assert render(comparison, exhibits) == page


def test_the_worst_the_median_and_the_best_are_shown(comparison, exhibits):
    subject = comparison.subject.name
    ranked = sorted(pair.psnr[subject] for pair in comparison.pairs)
    assert [(each.rank, each.psnr[subject]) for each in exhibits] == [
        ("worst", ranked[0]),
        ("median", ranked[2]),
        ("best", ranked[4]),
    ]
    for each in exhibits:
        assert list(each.crops) == ["noisy", "tiny_64x64_float32", "tiny_64x64_int8", "clean"]
        assert each.difference is not None


def test_pictures_in_the_page_are_those_of_the_pair(page, exhibits, pairs):
    noisy, _ = read_pair(next(pair for pair in pairs if pair.name == exhibits[0].name))
    uris = [value for tag, value in _parse(page).found if tag == "img"]
    shown = cv2.imdecode(np.frombuffer(base64.b64decode(uris[1].split(",")[1]), np.uint8), cv2.IMREAD_COLOR_RGB)
    np.testing.assert_array_equal(shown, noisy)


def test_one_picture_and_one_model_are_enough(model_files, pairs, tmp_path):
    alone = compare([model_files["int8"]], pairs[:1])
    write_html(tmp_path / "report.html", alone, pairs[:1])
    page = (tmp_path / "report.html").read_text()
    assert len([tag for tag, _ in _parse(page).found if tag == "img"]) == 2 + 4
    assert "Worst" in page
    assert "Best" not in page


def test_a_model_without_manifest_is_shown_as_such(comparison, exhibits):
    rows = [dataclasses.replace(row, manifest=None, recipe=None) for row in comparison.rows]
    assert "has no manifest" in render(dataclasses.replace(comparison, rows=rows), exhibits)


def test_large_pictures_are_shown_in_part(model_files, tmp_path):
    rng = np.random.default_rng(0)
    clean = np.full((500, 700, 3), 90, np.uint8)
    clean[300:340, 500:540] = rng.integers(0, 256, (40, 40, 3))
    for side in ("noisy", "clean"):
        write_picture(tmp_path / side / "large.png", clean)
    pairs = find_pairs(tmp_path).pairs
    (exhibit,) = choose_exhibits(compare([model_files["int8"]], pairs), pairs)
    assert exhibit.noisy.shape == (384, 384, 3)
    assert exhibit.crops["clean"].shape == (CROP, CROP, 3)
    x, y, width, height = (round(384 * share) for share in exhibit.box)
    np.testing.assert_array_equal(exhibit.noisy[y : y + height, x : x + width], exhibit.crops["noisy"])


def test_the_crop_lies_where_the_edges_are():
    picture = np.full((200, 300, 3), 80, np.uint8)
    picture[150:190:2, 210:250] = 220
    x0, y0, x1, y1 = most_detailed(picture, 96)
    assert (x1 - x0, y1 - y0) == (96, 96)
    assert x0 <= 210 < 250 <= x1
    assert y0 <= 150 < 189 <= y1  # the last bright row is 188
    assert most_detailed(picture[:40, :60], 96) == (0, 0, 60, 40)


def test_an_error_map_is_black_for_none_and_saturates_at_full_scale():
    one, other = np.full((1, 4, 3), 100, np.uint8), np.full((1, 4, 3), 100, np.uint8)
    other[0, 1, 2], other[0, 2, 0], other[0, 3, 1] = 104, 68, 255
    brightness = error_map(one, other, 8).astype(int).sum(axis=2)[0]
    assert brightness[0] < 10
    assert brightness[0] < brightness[1] < brightness[2]
    assert brightness[2] == pytest.approx(brightness[3], abs=12)


@pytest.mark.skipif(_BROWSER is None, reason="no browser: apt-get install chromium")
def test_in_a_browser_pictures_load_the_slider_moves_and_the_console_is_silent(page, tmp_path):
    probe = """
    <script>addEventListener("load", () => {
      const slider = document.querySelector(".slider"), input = slider.querySelector("input");
      const before = getComputedStyle(slider.querySelector(".before")).clipPath;
      input.value = 20; input.dispatchEvent(new Event("input"));
      document.title = JSON.stringify({
        pictures: [...document.images].filter(image => image.complete && image.naturalWidth > 0).length,
        moved: before !== getComputedStyle(slider.querySelector(".before")).clipPath,
        sideways: document.documentElement.scrollWidth > innerWidth,
      });
    });</script>"""
    path = tmp_path / "report.html"
    path.write_text(page.replace("</body>", f"{probe}</body>"))
    done = subprocess.run(
        [
            str(_BROWSER),
            *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
            *(f"--user-data-dir={tmp_path / 'profile'}", "--window-size=500,900", "--enable-logging=stderr"),
            *("--dump-dom", path.as_uri()),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    title = re.search(r"<title>(\{.*?\})</title>", done.stdout)
    assert title, done.stderr[-2000:]
    assert json.loads(title[1]) == {"pictures": 24, "moved": True, "sideways": False}
    assert "CONSOLE" not in done.stderr
