"""The video networks that ship, on a made-up clip: a square moves before a scene that stands still, and leaves."""

import numpy as np
import pytest

from edge.network.denoiser import Denoiser

pytest.importorskip("ai_edge_litert", reason="needs a runtime with every operator of what ships")

SIZE, SQUARE, FRAMES, LEFT = 256, 48, 24, 16
"""Side of the frames and of the square, number of frames, and the frame in which the square is gone."""

_FLICKER = {"nano": 0.7, "small": 0.7, "base": 0.8}
"""What history leaves of the flicker at most. `base` leaves the least of it already without history."""


def psnr(shown, clean):
    """PSNR in dB of any number of frames together."""
    return 10.0 * np.log10(255.0**2 / np.mean((shown.astype(float) - clean) ** 2))


def clip():
    """``(noisy, clean)``: a smooth scene and a bright square that crosses it, under noise of 15 steps."""
    rng = np.random.default_rng(4)
    y, x = np.mgrid[:SIZE, :SIZE] / SIZE
    scene = np.stack(
        [90 + 60 * np.sin(9 * x + 4 * y), 100 + 50 * np.cos(7 * y), 110 + 40 * np.sin(11 * x * y)], axis=-1
    )
    clean = np.repeat(scene[np.newaxis], FRAMES, axis=0)
    for frame in range(LEFT):
        clean[frame, 100 : 100 + SQUARE, 8 * frame : 8 * frame + SQUARE] = (220, 60, 40)
    noisy = clean + rng.normal(0.0, 15.0, clean.shape)
    return (np.rint(np.clip(each, 0, 255)).astype(np.uint8) for each in (noisy, clean))


@pytest.fixture(scope="module", params=["nano", "small", "base"])
def shown(request):
    noisy, clean = clip()
    with Denoiser(f"{request.param}-video_256x256_int8", threads=1, stream=True) as video:
        remembered = np.stack([video.denoise(frame) for frame in noisy])
    with Denoiser(f"{request.param}_256x256_int8", threads=1) as still:
        by_itself = np.stack([still.denoise(frame) for frame in noisy])
    return clean, remembered, by_itself, _FLICKER[request.param]


def test_the_first_frame_is_that_of_the_still_network(shown):
    _, remembered, by_itself, _ = shown
    np.testing.assert_array_equal(remembered[0], by_itself[0])


def test_where_nothing_moves_history_takes_noise_and_flicker_away(shown):
    clean, remembered, by_itself, flicker = shown
    still = np.s_[10:LEFT, 160:]  # below the square's way
    assert psnr(remembered[still], clean[still]) > psnr(by_itself[still], clean[still]) + 1.2
    assert remembered[still].std(axis=0).mean() < flicker * by_itself[still].std(axis=0).mean()


def test_what_moves_loses_little(shown):
    clean, remembered, by_itself, _ = shown
    way = np.s_[4:LEFT, 92 : 108 + SQUARE]
    assert psnr(remembered[way], clean[way]) > psnr(by_itself[way], clean[way]) - 0.4  # real clips: it gains 0.5 to 0.7


def test_a_square_that_left_leaves_no_ghost_after_three_frames(shown):
    clean, remembered, by_itself, _ = shown
    place = np.s_[100 : 100 + SQUARE, 8 * (LEFT - 1) : 8 * (LEFT - 1) + SQUARE]
    for frame in range(LEFT + 3, FRAMES):
        after, alone = (psnr(each[frame][place], clean[frame][place]) for each in (remembered, by_itself))
        assert after > alone - 0.1
