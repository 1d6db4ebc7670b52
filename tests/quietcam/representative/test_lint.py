"""The linter: silent on good sets; each mistake named once, with its severity."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from quietcam.data.generated import make_generated_pair
from quietcam.errors import DataError
from quietcam.finding import SEVERITIES
from quietcam.representative.array_pixels import as_pixels
from quietcam.representative.lint import lint
from quietcam.representative.rules import RULES
from quietcam.representative.set import RepresentativeSet, patch_sha256

SIDE = 64


@pytest.fixture(scope="module")
def pairs() -> NDArray[np.uint8]:
    """``(2, 24, 64, 64, 3)``: noisy and clean scenes, all pixel values among them."""
    made = np.stack([make_generated_pair(number, size=SIDE, band=(20, 26)) for number in range(24)], axis=1)
    made[:, 0, 0, :2] = np.array([[0] * 3, [255] * 3])
    return made


@pytest.fixture(scope="module")
def noisy(pairs: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return pairs[0]


def names(patches: NDArray[np.generic], **options: object) -> dict[str, str]:
    return {found.name: found.severity for found in lint(patches, **options)}  # type: ignore[arg-type]


def set_of(patches: NDArray[np.uint8], origin: dict[str, object]) -> RepresentativeSet:
    count = len(patches)
    return RepresentativeSet(
        patches=patches,
        source=("picture",) * count,
        instance=("",) * count,
        box=np.zeros((count, 4), np.int32),
        sha256=tuple(patch_sha256(patch) for patch in patches),
        origin=origin,
    )


def test_a_good_set_has_no_findings(noisy: NDArray[np.uint8]) -> None:
    assert lint(noisy, channels=3, receptive_field=SIDE) == []
    assert lint(set_of(noisy, {"capture": {"isp_denoise": False}})) == []


# The six mistakes that were measured: what each costs stands in benchmarks/results/representative_mistakes.csv.
@pytest.mark.parametrize(
    ("mistake", "spoil", "expected"),
    [
        ("0..255 floats", lambda noisy, _: noisy.astype(np.float32), {"range-255": "error"}),
        ("dark only", lambda noisy, _: noisy // 8, {"dark": "error"}),
        ("zeros", lambda noisy, _: np.zeros_like(noisy), {"constant": "error"}),
        ("[-1, 1] floats", lambda noisy, _: noisy / np.float32(127.5) - 1, {"range-signed": "warning"}),
        ("clean only", lambda _, clean: clean, {"clean": "warning"}),
        (
            "random",
            lambda noisy, _: np.random.default_rng(0).integers(0, 256, noisy.shape, np.uint8),
            {"random": "note"},
        ),
    ],
)
def test_the_six_mistakes(pairs: NDArray[np.uint8], mistake: str, spoil: object, expected: dict[str, str]) -> None:
    found = names(spoil(*pairs))  # type: ignore[operator]
    assert found == expected, mistake


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lambda p: p[:15], {"few": "warning"}),
        (lambda p: np.concatenate([p, p[:1]]), {"repeated": "note"}),
        (lambda p: np.concatenate([p, p]), {"repeated": "warning"}),
        (lambda p: 192 + p // 4, {"bright": "warning"}),
        (lambda p: np.clip(p, 10, 240), {"ends": "note"}),
        (lambda p: np.clip(p, 40, 200), {"ends": "warning"}),
        (lambda p: np.concatenate([np.full((30, SIDE, SIDE, 3), 9, np.uint8), p]), {"constant": "error"}),
        (lambda p: np.moveaxis(p, 3, 1), {"layout": "warning"}),
        (lambda p: p[:, :48, :48], {"size": "warning"}),
        (lambda p: np.concatenate([p, p[:, :32]], axis=1)[:, :80], {"size": "note"}),
        (lambda p: p / np.float32(255), {"dtype": "note"}),
        (lambda p: p.astype(np.int64), {"dtype": "note"}),
        (lambda p: (p.astype(np.int16) - 128).astype(np.int8), {"range-255": "error"}),
        (lambda p: p.astype(np.uint16) * 257, {"bit-depth": "error"}),
        (lambda p: np.rint(p * (4095 / 255)).astype(np.uint16), {"bit-depth": "error"}),
        (lambda p: p.astype(np.float32) * 257, {"bit-depth": "error"}),
        (lambda p: (p / 255 - 0.45) / 0.22, {"range-signed": "warning"}),
        (lambda p: np.where(p == 200, np.nan, p / 255), {"not-finite": "error", "dtype": "note"}),
    ],
)
def test_each_other_doubt_is_named(noisy: NDArray[np.uint8], spoil: object, expected: dict[str, str]) -> None:
    assert names(spoil(noisy)) == expected  # type: ignore[operator]


def test_red_and_blue_in_the_wrong_order(noisy: NDArray[np.uint8]) -> None:
    warm = np.clip(noisy * np.array([1.0, 0.9, 0.75]), 0, 255).astype(np.uint8)
    warm[0, 0, 0], warm[0, 0, 1] = 0, 255
    assert names(warm) == {}
    assert names(warm[..., ::-1]) == {"channel-order": "note"}


def test_one_still_scene_is_repetition_though_no_two_frames_are_equal(noisy: NDArray[np.uint8]) -> None:
    rng = np.random.default_rng(0)
    frames = np.clip(noisy[3] + rng.normal(0, 8, (24, SIDE, SIDE, 3)), 0, 255).astype(np.uint8)
    assert "repeated" in names(frames)


def test_what_the_model_is_like_matters(noisy: NDArray[np.uint8]) -> None:
    assert names(noisy, channels=1) == {"channels": "error"}
    assert names(noisy, receptive_field=100) == {"size": "note"}


def test_what_the_capture_tells_about_the_cameras_own_denoiser(noisy: NDArray[np.uint8]) -> None:
    for told, severity in ((True, "warning"), (None, "note")):
        origin = {"capture": {"source": "camera", "isp_denoise": told}}
        assert [each.severity for each in lint(set_of(noisy, origin))] == [severity]
        assert names(noisy, origin=origin) == {"isp-denoise": severity}


def test_findings_come_worst_first_and_say_all_that_matters(noisy: NDArray[np.uint8]) -> None:
    found = lint((noisy[:3] // 8).astype(np.int32))
    severities = [SEVERITIES.index(each.severity) for each in found]
    assert severities == sorted(severities)
    assert len(found) > 2
    for each in found:
        line = str(each)
        assert "\n" not in line
        assert all(word in line for word in ("Received: ", "Remedy: ", each.effect, each.rule))
        assert set(each.to_dict()) == {"name", "severity", "rule", "received", "effect", "remedy"}


def test_the_severities_are_those_of_the_contract() -> None:
    assert {rule.severity for rule in RULES.values()} == set(SEVERITIES) - {"ok"}


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((0, 8, 8, 3), np.uint8),
        np.zeros((4, 8, 8, 4), np.uint8),
        np.zeros(5, np.uint8),
        np.array(["a"]),
        np.zeros((4, 8, 8, 3), bool),
        np.zeros((2, 8, 8, 3), complex),
    ],
    ids=str,
)
def test_what_cannot_be_pictures_is_refused(array: NDArray[np.generic]) -> None:
    with pytest.raises(DataError, match=r"Received: .*shape.*Remedy"):
        lint(array)


@given(data=st.data())
def test_pixels_survive_every_known_range_and_layout(data: st.DataObject) -> None:
    seed = data.draw(st.integers(0, 1000))
    pixels = np.random.default_rng(seed).integers(0, 256, (3, 9, 8, data.draw(st.sampled_from([1, 3]))), np.uint8)
    pixels[0, 0, 0], pixels[0, 0, 1] = 0, 255
    array = data.draw(
        st.sampled_from(
            [
                pixels,
                pixels.astype(np.float64),
                pixels / np.float32(255),
                pixels / np.float32(127.5) - 1,
                (pixels.astype(np.int16) - 128).astype(np.int8),
                pixels.astype(np.float32) - 128,
                pixels.astype(np.uint16) * 257,
            ]
        )
    )
    if data.draw(st.booleans()):
        array = np.moveaxis(array, 3, 1)
    np.testing.assert_array_equal(as_pixels(array)[0], pixels)


@pytest.mark.parametrize("bits", [10, 12, 14, 16])
def test_deeper_pixels_are_told_by_their_bits_and_get_that_advice(bits: int) -> None:
    pixels = np.arange(256, dtype=np.uint8).repeat(3).reshape(1, 16, 16, 3)
    deep = np.rint(pixels * ((2**bits - 1) / 255)).astype(np.uint16)
    found, doubts = as_pixels(deep)
    np.testing.assert_array_equal(found, pixels)
    assert [(name, f"looks like {bits} bits" in received) for name, received in doubts] == [("bit-depth", True)]
    assert "divide by 255" not in RULES["bit-depth"].remedy
    assert "divide values of 16 bits by 257" in RULES["bit-depth"].remedy


def test_other_shapes_that_pictures_come_in() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 9, 8, 3), np.uint8)
    np.testing.assert_array_equal(as_pixels(pixels[:, np.newaxis])[0], pixels)
    np.testing.assert_array_equal(as_pixels(pixels[0])[0], pixels[:1])
    np.testing.assert_array_equal(as_pixels(pixels[..., 0])[0], pixels[..., :1])


def test_the_set_is_not_changed(noisy: NDArray[np.uint8]) -> None:
    before = noisy.copy()
    lint(noisy)
    np.testing.assert_array_equal(noisy, before)
    assert replace(set_of(noisy, {}), origin={"a": 1}).origin == {"a": 1}
