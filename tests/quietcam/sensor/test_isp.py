"""The raw pipeline: round trips, demosaic kernels against direct convolution, white balance, tone, errors."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from quietcam.errors import UsageError
from quietcam.sensor.isp import DEMOSAICS, IDENTITY, PHASES, Isp, demosaic, develop, mosaic, to_linear

VIVID = ((1.7, -0.5, -0.2), (-0.3, 1.7, -0.4), (-0.05, -0.55, 1.6))


def srgb(linear: float) -> float:
    return 12.92 * linear if linear <= 0.0031308 else 1.055 * linear ** (1.0 / 2.4) - 0.055


@pytest.mark.parametrize("kind", DEMOSAICS)
@pytest.mark.parametrize("phase", PHASES)
@settings(max_examples=15, deadline=None)
@given(level=st.integers(0, 255), contrast=st.sampled_from([0.0, 0.3, 1.0]), exposure=st.floats(0.5, 1.0))
def test_a_flat_gray_scene_comes_back(kind: str, phase: str, level: int, contrast: float, exposure: float) -> None:
    isp = Isp(2.1, 1.6, VIVID, exposure, kind, contrast, phase)
    scene = np.full((7, 9, 3), level, np.uint8)
    assert np.array_equal(develop(mosaic(to_linear(scene, isp), phase), isp), scene)


@settings(max_examples=40, deadline=None)
@given(st.tuples(*[st.integers(0, 255)] * 3))
def test_a_flat_color_that_the_camera_can_see_comes_back(color: tuple[int, int, int]) -> None:
    """Such a matrix has an inverse without negative entries, so no color lies below the sensor's black."""
    isp = Isp(2.0, 1.7, VIVID)
    scene = np.full((6, 6, 3), color, np.uint8)
    back = develop(mosaic(to_linear(scene, isp)), isp)
    assert np.abs(back.astype(int) - scene).max() <= 1


def test_linear_light_is_the_srgb_curve_by_the_book() -> None:
    isp = Isp(1.0, 1.0)
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[np.newaxis, :, np.newaxis], 3, axis=2)
    for level, light in enumerate(to_linear(ramp, isp)[0, :, 1]):
        assert srgb(float(light)) * 255.0 == pytest.approx(level, abs=1e-3)


def test_white_balance_and_exposure_are_undone_before_the_sensor() -> None:
    light = to_linear(np.full((4, 4, 3), 255, np.uint8), Isp(2.0, 1.6, IDENTITY, 0.8))
    assert light[0, 0] == pytest.approx([0.8 / 2.0, 0.8, 0.8 / 1.6])


@pytest.mark.parametrize("phase", PHASES)
def test_the_mosaic_keeps_one_color_a_site(phase: str) -> None:
    light = np.broadcast_to(np.array([0.1, 0.2, 0.3], np.float32), (4, 6, 3))
    names = {0.1: "R", 0.2: "G", 0.3: "B"}
    block = mosaic(light, phase)[2:4, 2:4].ravel()
    assert "".join(names[round(float(value), 1)] for value in block) == phase


KERNELS = {
    # The 5x5 figures of the paper, times 16.
    "G at R, B": [[0, 0, -2, 0, 0], [0, 0, 4, 0, 0], [-2, 4, 8, 4, -2], [0, 0, 4, 0, 0], [0, 0, -2, 0, 0]],
    "in row": [[0, 0, 1, 0, 0], [0, -2, 0, -2, 0], [-2, 8, 10, 8, -2], [0, -2, 0, -2, 0], [0, 0, 1, 0, 0]],
    "R at B": [[0, 0, -3, 0, 0], [0, 4, 0, 4, 0], [-3, 0, 12, 0, -3], [0, 4, 0, 4, 0], [0, 0, -3, 0, 0]],
}


def convolved(raw: NDArray[np.float32], kernel: list[list[int]]) -> NDArray[np.float64]:
    wide = np.pad(raw.astype(float), 2, mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(wide, (5, 5))
    total: NDArray[np.float64] = np.einsum("yxij,ij->yx", windows, np.array(kernel)) / 16.0
    return total


def test_malvar_is_the_papers_kernels() -> None:
    raw = np.random.Generator(np.random.PCG64(3)).random((11, 12), np.float32)
    out = demosaic(raw, "malvar", "RGGB")
    assert np.array_equal(out[::2, ::2, 0], raw[::2, ::2])
    green = convolved(raw, KERNELS["G at R, B"])
    assert np.allclose(out[::2, ::2, 1], green[::2, ::2], atol=1e-6)
    assert np.allclose(out[1::2, 1::2, 1], green[1::2, 1::2], atol=1e-6)
    in_row = convolved(raw, KERNELS["in row"])
    in_column = convolved(raw, np.transpose(KERNELS["in row"]).tolist())
    assert np.allclose(out[::2, 1::2, 0], in_row[::2, 1::2], atol=1e-6)
    assert np.allclose(out[::2, 1::2, 2], in_column[::2, 1::2], atol=1e-6)
    assert np.allclose(out[1::2, ::2, 2], in_row[1::2, ::2], atol=1e-6)
    assert np.allclose(out[1::2, ::2, 0], in_column[1::2, ::2], atol=1e-6)
    across = convolved(raw, KERNELS["R at B"])
    assert np.allclose(out[1::2, 1::2, 0], across[1::2, 1::2], atol=1e-6)
    assert np.allclose(out[::2, ::2, 2], across[::2, ::2], atol=1e-6)


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("kind", DEMOSAICS)
def test_a_color_ramp_is_interpolated_exactly_inside(kind: str, phase: str) -> None:
    """Every kernel reproduces a plane; a gray one in Malvar's case, which takes slopes from other colors."""
    ys, xs = np.mgrid[0:10, 0:13].astype(np.float32)
    plane = 0.2 + 0.02 * ys + 0.03 * xs
    light = np.stack([plane, plane, plane], axis=2)
    out = demosaic(mosaic(light, phase), kind, phase)
    assert np.allclose(out[2:-2, 2:-2], light[2:-2, 2:-2], atol=1e-6)


def test_bilinear_reads_no_other_color() -> None:
    light = np.zeros((8, 8, 3), np.float32)
    light[..., 0] = 0.5
    out = demosaic(mosaic(light, "GBRG"), "bilinear", "GBRG")
    assert np.array_equal(out, light)


@pytest.mark.parametrize("phase", PHASES)
def test_detail_leads_from_bilinear_to_malvar_color_by_color(phase: str) -> None:
    raw = np.random.Generator(np.random.PCG64(4)).random((12, 10), np.float32)
    soft, sharp = (demosaic(raw, kind, phase) for kind in ("bilinear", "malvar"))
    assert np.array_equal(demosaic(raw, "malvar", phase, (0.0, 0.0, 0.0)), soft)
    detail = (1.25, 0.5, 0.0)
    assert np.allclose(demosaic(raw, "malvar", phase, detail), soft + np.array(detail) * (sharp - soft), atol=1e-6)
    assert np.array_equal(demosaic(raw, "bilinear", phase, detail), soft)


def test_one_channel_needs_no_mosaic() -> None:
    scene = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    isp = Isp(contrast=0.5, exposure=0.7)
    assert np.array_equal(develop(mosaic(to_linear(scene, isp)), isp, channels=1), scene)


def test_contrast_darkens_shadows_and_brightens_lights() -> None:
    raw = np.array([[0.02, 0.6]], np.float32)
    plain, strong = (develop(raw, Isp(contrast=c), channels=1).astype(int) for c in (0.0, 0.8))
    assert strong[0, 0, 0] < plain[0, 0, 0]
    assert strong[0, 1, 0] > plain[0, 1, 0]


@pytest.mark.parametrize(
    "wrong",
    [
        {"demosaic": "ahd"},
        {"phase": "RGBG"},
        {"exposure": 0.0},
        {"exposure": 1.5},
        {"contrast": -0.1},
        {"detail": (1.0, -0.1, 1.0)},
        {"detail": (1.0, 1.0)},
        {"detail": (1.0, 1.0, math.nan)},
        {"red_gain": 0.0},
        {"blue_gain": math.nan},
        {"matrix": ((1.0, 0.0, 0.0),) * 3},
    ],
)
def test_wrong_pipelines_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="Received: "):
        Isp(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(("tone", "light"), [("linear", 0.5), ("gamma", 0.5**2.2), ("srgb", 0.2140)])
def test_the_tone_says_what_light_half_of_the_range_is(tone, light):
    """sRGB: ((0.5 + 0.055) / 1.055) ** 2.4 = 0.2140."""
    isp = Isp(1.0, 1.0, tone=tone)
    gray = np.full((8, 8, 1), 128, np.uint8)
    assert to_linear(gray, isp)[0, 0, 0] == pytest.approx(light, abs=0.004)
    assert np.array_equal(develop(mosaic(to_linear(gray, isp)), isp, 1), gray)


def test_an_unknown_tone_is_refused():
    with pytest.raises(UsageError, match="tone must be one of srgb, gamma, linear"):
        Isp(tone="film")
