"""The do-no-harm gate on video: it opens for sensor noise that codecs have smoothed, and leaves clean frames alone."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.models import resolve_model
from edge.network.denoiser import Denoiser
from quietcam.image import Image
from quietcam.metrics import psnr
from quietcam.sensor.isp import Isp
from quietcam.sensor.noise import SensorCamera, sensor
from quietcam.sensor.scenes import generate_scene

SIDE, FRAMES, SETTLED = 256, 56, 40
FFMPEG = shutil.which("ffmpeg")
H264 = (1, 2, 3, 5, 8)  # Mbit/s of 640x480 at 25 frames a second; here there are a fifth of the pixels
H264_HERE = (
    FFMPEG is not None
    and b"libx264" in subprocess.run([FFMPEG, "-hide_banner", "-encoders"], capture_output=True, check=False).stdout
)
needs_h264 = pytest.mark.skipif(not H264_HERE, reason="no ffmpeg with libx264 here: apt install ffmpeg")
WAYS = [
    "raw",
    *(f"jpeg {quality}" for quality in (90, 75, 50)),
    "mp4v",
    "VP80",
    *(pytest.param(f"h264 {rate}", marks=needs_h264) for rate in H264),
]


@lru_cache
def clean_frames(step: int) -> list[Image]:
    """A camera that stands still, or pans."""
    scene = generate_scene(SIDE, SIDE + FRAMES * 2, 5)
    camera = SensorCamera(sensor("imx219", 1), Isp(demosaic="malvar"))
    return [camera.clean(scene[:, i * step : i * step + SIDE].copy()) for i in range(FRAMES)]


@lru_cache
def noisy_frames(step: int) -> list[Image]:
    """The same at a gain of 16."""
    rng = np.random.default_rng(0)
    camera = SensorCamera(sensor("imx219", 16), Isp(demosaic="malvar"))
    return [camera.expose(frame, rng) for frame in clean_frames(step)]


def sent(frames: list[Image], way: str, folder: Path) -> list[Image]:
    """The frames after a codec."""
    codec, _, how = way.partition(" ")
    if codec == "raw":
        return frames
    if codec == "jpeg":
        coded = [cv2.imencode(".jpg", frame[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, int(how)])[1] for frame in frames]
        return [np.ascontiguousarray(cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1]) for data in coded]
    if codec == "h264":
        assert FFMPEG is not None
        path, rate = folder / "film.mkv", f"{int(how) * 1000 * SIDE * SIDE // (640 * 480)}k"
        words = [FFMPEG, "-v", "error", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{SIDE}x{SIDE}", "-r", "25"]
        words += [
            "-i",
            "-",
            "-c:v",
            "libx264",
            "-preset",
            "veryfast",
            "-threads",
            "1",
            "-bf",
            "0",
            "-b:v",
            rate,
            "-maxrate",
            rate,
        ]
        words += ["-bufsize", rate, "-pix_fmt", "yuv420p", str(path)]
        subprocess.run(words, input=b"".join(frame.tobytes() for frame in frames), check=True)
    else:
        path = folder / ("film.webm" if codec == "VP80" else "film.mp4")
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), 25, (SIDE, SIDE))
        if not writer.isOpened():
            pytest.skip(f"this OpenCV writes no {codec}: pip install opencv-python-headless")
        for frame in frames:
            writer.write(np.ascontiguousarray(frame[..., ::-1]))
        writer.release()
    reader = cv2.VideoCapture(str(path))
    read = [reader.read()[1] for _ in frames]
    reader.release()
    return [np.ascontiguousarray(frame[..., ::-1]) for frame in read]


@pytest.fixture(scope="module")
def network() -> Iterator[Denoiser]:
    with Denoiser(resolve_model("small_256x256_int8"), 1) as denoiser:
        yield denoiser


@pytest.mark.parametrize("step", [0, 2], ids=["still", "panned"])
@pytest.mark.parametrize("way", WAYS)
class TestWays:
    def test_sensor_noise_gets_the_network(self, way: str, step: int, network: Denoiser, tmp_path: Path) -> None:
        noisy, clean = sent(noisy_frames(step), way, tmp_path), clean_frames(step)
        with Denoiser(network.model, 1, gate=True, stream=True) as denoiser:
            shown = [denoiser.denoise(frame) for frame in noisy]
        before, after, alone = (
            np.mean([psnr(frame, truth) for frame, truth in zip(frames, clean[SETTLED:], strict=True)])
            for frames in (noisy[SETTLED:], shown[SETTLED:], [network.denoise(frame) for frame in noisy[SETTLED:]])
        )
        assert alone > before + 0.8, "or there is nothing to lose"
        assert after > alone - max(0.1, (alone - before) / 4)  # a quarter is held back at 1 Mbit/s alone

    def test_clean_frames_pass_as_good_as_untouched(
        self, way: str, step: int, network: Denoiser, tmp_path: Path
    ) -> None:
        scene = clean_frames(step)
        frames = sent(scene, way, tmp_path)
        with Denoiser(network.model, 1, gate=True, stream=True) as denoiser:
            for frame, truth in zip(frames, scene, strict=True):
                shown = denoiser.denoise(frame)
                if (
                    way == "jpeg 50" and step
                ):  # its rings change with the scene, and the network takes some of them away
                    assert psnr(shown, truth) >= psnr(frame, truth)
                else:
                    np.testing.assert_array_equal(shown, frame)


def test_another_model_in_mid_stream_shows_no_flash_of_noise(network: Denoiser, tmp_path: Path) -> None:
    noisy = sent(noisy_frames(0), "jpeg 50", tmp_path)
    with Denoiser(network.model, 1, gate=True, stream=True) as denoiser:
        for frame in noisy[:-6]:
            denoiser.denoise(frame)
        denoiser.reload(network.model)
        for frame in noisy[-6:]:
            np.testing.assert_array_equal(denoiser.denoise(frame), network.denoise(frame))
