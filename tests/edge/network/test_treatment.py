"""The treatment of a frame: its share, its kind and its words, and the denoiser's report of it."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.network.denoiser import Denoiser
from edge.network.gate.harm import HarmGate
from edge.network.treatment import Rung, Treatment
from edge.web.controls import RunControls
from quietcam.sensor.scenes import generate_scene
from tests.edge.bus import Bus
from tests.small_models import picture, with_manifest

NETWORK = Treatment(model="small_32x32_int8")


class TestTreatment:
    @pytest.mark.parametrize(
        ("treatment", "share", "kind", "words"),
        [
            (NETWORK, 1.0, "full", "denoised"),
            (Treatment(model="a", gate=0.5, strength=0.5), 0.25, "full", "25 % denoised"),
            (Treatment(model="a", gate=0.9999), 0.9999, "full", "99 % denoised"),
            (Treatment(model="a", gate=0.001), 0.001, "full", "1 % denoised"),
            (Treatment(model="a", gate=0.0, why="it is clean"), 0.0, "untouched", "not denoised: it is clean"),
            (Treatment(why="it is clean"), 0.0, "untouched", "not denoised: it is clean"),
            (Treatment(Rung.HALF_SIZE, "a", "half"), 1.0, "fewer pixels", "denoised at half the size"),
            (Treatment(Rung.EVERY_SECOND, "a", "half", 0.5), 0.5, "fewer pixels", "50 % denoised at half the size"),
            (Treatment(Rung.SMALLER, "nano"), 1.0, "smaller model", "denoised by a smaller model"),
            (Treatment(), 0.0, "untouched", "not denoised: no network ran"),
        ],
    )
    def test_its_share_its_kind_and_its_words(self, treatment: Treatment, share: float, kind: str, words: str) -> None:
        assert treatment.share == pytest.approx(share)
        assert (treatment.kind, treatment.words) == (kind, words)
        report = json.loads(json.dumps(treatment.report()))
        assert (report["kind"], report["words"]) == (kind, words)
        assert (report["size"] is None) == (treatment.model is None)


class TestDenoiser:
    def test_all_of_the_network(self, small: Path) -> None:
        noisy = picture(32, 32)
        with Denoiser(small) as denoiser:
            image, treatment = denoiser.treat(noisy)
            np.testing.assert_array_equal(image, denoiser.denoise(noisy))
        assert treatment == NETWORK

    def test_the_strength_and_the_gate_together(self, small: Path) -> None:
        noisy = picture(40, 50)
        with Denoiser(small, strength=0.25, gate=True) as denoiser:
            treatment = denoiser.treat(noisy).treatment
            assert treatment.share == 0.25 * treatment.gate
            assert treatment.sigma == denoiser.noise_sigma
            denoiser.strength = 0.0
            image, treatment = denoiser.treat(noisy)
        np.testing.assert_array_equal(image, noisy)
        assert treatment == Treatment(strength=0.0, why="the strength is 0"), "no old noise either"

    @pytest.mark.parametrize("half", [False, True])
    def test_a_clean_frame_is_untouched_at_any_size(self, models: Path, tmp_path: Path, half: bool) -> None:
        """Fewer pixels blurred it."""
        clean = generate_scene(48, 64, 3)
        closed = with_manifest(models, tmp_path, "small_32x32_int8", gate={"low": 250, "high": 251})
        with Denoiser(closed, gate=True) as denoiser:
            image, treatment = denoiser.treat(clean, half=half)
        np.testing.assert_array_equal(image, clean)
        assert (treatment.model, treatment.share, treatment.why) == (None, 0.0, "it is clean")
        assert treatment.sigma is not None

    @pytest.mark.parametrize("channels", [1, 3])
    @pytest.mark.parametrize("size", [(48, 64), (47, 63)])
    def test_half_the_size_is_the_frame_made_small_denoised_and_enlarged(
        self, small: Path, channels: int, size: tuple[int, int]
    ) -> None:
        noisy = np.repeat(generate_scene(48, 64, 3, channels)[: size[0], : size[1]], 3 // channels, axis=2)
        with Denoiser(small, overlap=12) as denoiser:
            image, treatment = denoiser.treat(noisy, half=True)
            width, height = (size[1] + 1) // 2, (size[0] + 1) // 2
            quiet = denoiser.denoise(cv2.resize(noisy, (width, height), interpolation=cv2.INTER_AREA))
        wanted = cv2.resize(quiet, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
        np.testing.assert_array_equal(image, wanted)
        assert (treatment.model, treatment.size, treatment.share) == ("small_32x32_int8", "half", 1.0)

    def test_frames_of_half_the_size_are_no_reason_for_advice(self, small: Path, said: list[str]) -> None:
        with Denoiser(small, stream=True) as denoiser:
            for half in (False, True, False, True):
                denoiser.treat(picture(90, 100), half=half)
        assert len(said) == 1
        assert "100x90" in said[0]

    def test_after_another_stream_of_frames_the_gate_judges_afresh(self, small: Path) -> None:
        """A share eases from frame to frame; of a frame long ago nothing must be left."""
        noisy, clean = picture(40, 50), np.full((40, 50, 3), 90, np.uint8)
        with Denoiser(small, gate=True, stream=True) as denoiser, Denoiser(small, gate=True, stream=True) as fresh:
            for _ in range(6):
                denoiser.treat(clean)
            denoiser.resume()
            assert denoiser.treat(noisy).treatment == fresh.treat(noisy).treatment
            assert denoiser.treat(noisy).treatment.share > 0.0

    def test_noise_over_time_that_was_known_still_lets_the_network_in(self) -> None:
        """Of frames that a codec made smooth a single one looks clean: what is kept of them must not pass untouched."""
        rng, still = np.random.default_rng(0), np.full((96, 128, 3), 90, np.uint8)
        smooth = [
            cv2.GaussianBlur(np.clip(rng.normal(90, 25, still.shape), 0, 255).astype(np.uint8), (0, 0), 2.0)
            for _ in range(30)
        ]
        gate = HarmGate(stream=True)
        for frame in smooth[:-1]:
            if gate.look(frame):
                gate.weigh(frame, still)
        gate.resume()
        assert gate.look(smooth[-1])
        assert gate.weigh(smooth[-1], still) == 1.0
        assert not HarmGate(stream=True).look(smooth[-1])

    def test_the_model_that_really_runs_is_the_one_that_is_named(self, bus: Bus, models: Path, tmp_path: Path) -> None:
        """A device that is lost gives its work to the twin on the CPU, or to nobody."""
        for name in ("small_32x32_int8", "small_32x32_int8_edgetpu"):
            (tmp_path / f"{name}.tflite").write_bytes((models / f"{name}.tflite").read_bytes())
        bus.plug("usb0")
        compiled = tmp_path / "small_32x32_int8_edgetpu.tflite"
        with Denoiser(compiled, device="usb:0") as denoiser:
            assert denoiser.treat(picture(32, 32)).treatment.model == "small_32x32_int8_edgetpu"
            bus.unplug("usb0")
            assert denoiser.treat(picture(32, 32)).treatment.model == "small_32x32_int8"
        (tmp_path / "small_32x32_int8.tflite").unlink()
        bus.plug("usb0")
        with Denoiser(compiled, device="usb:0") as denoiser:
            bus.unplug("usb0")
            image, treatment = denoiser.treat(picture(32, 32))
            np.testing.assert_array_equal(image, picture(32, 32))
            assert treatment == Treatment(why="no device runs the network")
            card = RunControls(denoiser, lambda: "a camera").describe()["model"]
            assert card["threads"] == denoiser.threads, "the page goes on without a device"
