"""The report: whole in one file, and alive in a real browser where one is installed."""

from __future__ import annotations

import base64
import dataclasses
import re
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest

from compare.comparison import compare_pairs
from compare.page.report import render, write_html
from compare.page.showcase import CROP, choose_exhibits, error_map, most_detailed
from quietcam.data.pictures.files import write_picture
from quietcam.data.sets.pairs import find_pairs
from quietcam.data.sets.sidd import Instance


@pytest.fixture(scope="module")
def pairs(pair_folder):
    return find_pairs(pair_folder).pairs


@pytest.fixture(scope="module")
def compared(model_files, pairs):
    iso = Instance.parse("0001_001_S6_00100_00060_3200_L")
    named = [dataclasses.replace(pair, instance=iso) for pair in pairs]
    return compare_pairs(list(model_files.values()), named, data="blocks & <ramps>", classic=["blur"], max_drop=0.0)


@pytest.fixture(scope="module")
def comparison(compared):
    return compared.scores


@pytest.fixture(scope="module")
def exhibits(comparison, pairs):
    return choose_exhibits(comparison, pairs)


@pytest.fixture(scope="module")
def page(compared, exhibits):
    return render(compared, exhibits)


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
    # Three pictures behind sliders with six crops; five worst patches and five costliest, four pictures each.
    assert len([tag for tag, _ in links if tag == "img"]) == 3 * (2 + 6) + 2 * 5 * 4
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


def test_the_same_inputs_give_the_same_page(page, compared, exhibits):
    assert render(compared, exhibits) == page


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
    noisy, _ = next(pair for pair in pairs if pair.name == exhibits[0].name).read()
    uris = [value for tag, value in _parse(page).found if tag == "img"]
    shown = cv2.imdecode(np.frombuffer(base64.b64decode(uris[1].split(",")[1]), np.uint8), cv2.IMREAD_COLOR_RGB)
    np.testing.assert_array_equal(shown, noisy)


def test_one_picture_and_one_model_are_enough(model_files, pairs, tmp_path):
    alone = compare_pairs([model_files["int8"]], pairs[:1])
    write_html(tmp_path / "report.html", alone, pairs[:1])
    page = (tmp_path / "report.html").read_text()
    assert len([tag for tag, _ in _parse(page).found if tag == "img"]) == 2 + 4 + 4
    assert "Worst" in page
    assert "Best" not in page


def test_a_model_without_manifest_is_shown_as_such(compared, exhibits):
    rows = [dataclasses.replace(row, manifest=None, recipe=None) for row in compared.scores.rows]
    scores = dataclasses.replace(compared.scores, rows=rows)
    assert "has no manifest" in render(dataclasses.replace(compared, scores=scores), exhibits)


def test_gate_groups_layers_and_notes_stand_in_the_page(page, compared, exhibits):
    text = " ".join(" ".join(_parse(page).text).split())
    for words in ("Quality gate", "ISO up to 100", "missed", "S6 (Galaxy S6 Edge)", "low light", "shadows", "banding"):
        assert words in text
    (blamed,) = compared.scores.blame
    assert blamed.verdict in text
    for layer in blamed.layers:
        assert f"{layer.cost:z.3f}".replace("-", "−") in text
    noted = dataclasses.replace(compared.scores, notes=["Layers of x are <not> blamed"])
    assert "Layers of x are &lt;not&gt; blamed" in render(dataclasses.replace(compared, scores=noted), exhibits)


def test_a_long_list_of_pictures_is_folded_away(compared, exhibits):
    pair = compared.scores.pairs[0]
    many = [dataclasses.replace(pair, name=f"pair {index}") for index in range(40)]
    scores = dataclasses.replace(compared.scores, pairs=many, pictures=5000)
    page = render(dataclasses.replace(compared, scores=scores), exhibits)
    assert "the other 24 pictures, which are better" in page
    assert "40 of 5000 pictures, evenly chosen" in page


def test_large_pictures_are_shown_in_part(model_files, tmp_path):
    rng = np.random.default_rng(0)
    clean = np.full((500, 700, 3), 90, np.uint8)
    clean[300:340, 500:540] = rng.integers(0, 256, (40, 40, 3))
    for side in ("noisy", "clean"):
        write_picture(tmp_path / side / "large.png", clean)
    pairs = find_pairs(tmp_path).pairs
    (exhibit,) = choose_exhibits(compare_pairs([model_files["int8"]], pairs).scores, pairs)
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


@pytest.fixture(scope="module")
def report(page, tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(page, encoding="utf-8")
    return path.as_uri()


def _reveal(shown):
    """Where the before picture ends, as a share of the slider's width."""
    clip = shown.evaluate("getComputedStyle(document.querySelector('.slider .before')).clipPath")
    return 100 - float(re.match(r"inset\(0px ([\d.]+)%", clip)[1])


@pytest.mark.parametrize(("width", "height", "mobile"), [(1280, 900, False), (390, 844, True)])
def test_in_a_browser_pictures_load_and_nothing_is_asked_for_or_complained_of(browser, report, width, height, mobile):
    shown = browser.open(report, width=width, height=height, mobile=mobile)
    assert shown.evaluate("document.images.length") == 64
    assert shown.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
    assert shown.problems == []
    assert shown.requests == [report]
    # Readable on a telephone: nothing but the tables, inside their own frames, goes sideways.
    assert shown.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("width", [1024, 1280, 1920])
def test_in_a_browser_no_table_is_cut_off(browser, report, width):
    shown = browser.open(report, width=width, height=900)
    shown.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    tables = shown.evaluate(
        "[...document.querySelectorAll('.scroll')].map(each => [each.scrollWidth, each.clientWidth])"
    )
    assert len(tables) >= 4
    assert [each for each in tables if each[0] > each[1]] == []


def test_in_a_browser_the_slider_follows_the_mouse_and_the_arrow_keys(browser, report):
    shown = browser.open(report, width=1000, height=900)
    shown.evaluate("document.querySelector('.slider').scrollIntoView({block: 'center'})")
    box = shown.evaluate("document.querySelector('.slider').getBoundingClientRect().toJSON()")
    assert _reveal(shown) == pytest.approx(50)
    middle = box["top"] + box["height"] / 2
    shown.drag(box["left"] + box["width"] / 2, middle, box["left"] + 0.8 * box["width"], middle)
    assert _reveal(shown) == pytest.approx(80, abs=2)
    before = _reveal(shown)
    shown.press("ArrowLeft")
    assert _reveal(shown) == pytest.approx(before - 0.5)
    assert shown.problems == []


def test_in_a_browser_the_table_sorts_by_what_is_clicked(browser, report, comparison):
    shown = browser.open(report, width=1280, height=900)

    def titles():
        return shown.evaluate("[...document.querySelector('table').tBodies[0].rows].map(row => row.cells[0].innerText)")

    assert titles() == [row.title for row in comparison.rows]
    x, y = shown.evaluate(
        "(() => { const b = document.querySelectorAll('table th button')[1].getBoundingClientRect();"
        " return [b.left + b.width / 2, b.top + b.height / 2]; })()"
    )
    ranked = sorted(comparison.rows, key=lambda row: -row.psnr)
    shown.click(x, y)
    assert titles() == [row.title for row in ranked]
    assert shown.evaluate("document.querySelectorAll('table th')[1].getAttribute('aria-sort')") == "descending"
    shown.click(x, y)
    assert titles()[::-1] == [row.title for row in ranked]
    assert shown.problems == []
