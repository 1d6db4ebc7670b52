"""What a video network remembers where Edge TPUs share its frames, are lost and come back."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edge.network.engine import Engine
from quietcam.errors import ModelError
from quietcam.image import Image
from tests.edge.bus import Bus
from tests.edge.remembering import ByHand, clip, network, ran, remembered
from tests.waiting import until

pytest.importorskip("ai_edge_litert.interpreter", reason="needs the extra 'edge'")


class TestEdgeTpus:
    """The stand-in (`fake_edgetpu.c`) inverts the frame, and remembers the mean of it and the history."""

    @pytest.fixture
    def twins(self, models: Path, tmp_path: Path) -> Path:
        folder = tmp_path / "twins"
        folder.mkdir()
        for name in ("video_64x64_int8", "video_64x64_int8_edgetpu"):
            shutil.copy(models / f"{name}.tflite", folder)
        return folder / "video_64x64_int8.tflite"

    @staticmethod
    def mean(frames: list[Image]) -> Image:
        past = frames[0].astype(int)
        for noisy in frames[1:]:
            past = (past + noisy) // 2
        return past.astype(np.uint8)

    @pytest.mark.parametrize("size", [(64, 64), (150, 200)])
    def test_several_share_one_history(self, bus: Bus, twins: Path, size: tuple[int, int]) -> None:
        for device in ("usb0", "usb1"):
            bus.plug(device)
        each, frames = network(twins, "usb:0,usb:1"), clip(6, *size)
        for count, noisy in enumerate(frames, 1):
            np.testing.assert_array_equal(ran(each, noisy), 255 - noisy)
            np.testing.assert_array_equal(remembered(each), self.mean(frames[:count]))
        each.close()
        if size > (64, 64):
            assert min(bus.log.count(f"invoke={device}") for device in ("usb0", "usb1")) > 6

    @pytest.mark.parametrize("fault", [Bus.unplug, Bus.hang])
    def test_a_device_that_is_lost_takes_no_past_with_it(
        self, bus: Bus, twins: Path, fault: Callable[[Bus, str], None], models: Path
    ) -> None:
        """The CPU does the frame again, with the device's past; the device goes on with what the CPU remembered."""
        bus.plug("usb0")
        each = network(twins, "usb:0", retry=(0.01, 0.05))
        each.engine.interpreter._seconds = 0.3  # type: ignore[attr-defined]
        frames = clip(12)
        for noisy in frames[:4]:
            np.testing.assert_array_equal(ran(each, noisy), 255 - noisy)
        by_hand = ByHand(models / "video_64x64_int8.tflite")
        by_hand.past = self.mean(frames[:4])
        fault(bus, "usb0")
        for noisy in frames[4:8]:
            np.testing.assert_array_equal(ran(each, noisy), by_hand(noisy))
            assert by_hand.past is not None
            np.testing.assert_array_equal(remembered(each), by_hand.past)
        bus.plug("usb0")
        coming = itertools.cycle(clip(3, seed=1) + frames)  # none like the one before it
        noisy = past = frames[7]

        def is_back() -> bool:
            nonlocal noisy, past
            noisy, past = next(coming), remembered(each)
            return bool((ran(each, noisy) == 255 - noisy).all())

        until(is_back)
        np.testing.assert_array_equal(remembered(each), self.mean([past, noisy]))
        each.close()

    def test_a_device_that_is_lost_in_mid_frame_leaves_no_mixture(self, bus: Bus, twins: Path) -> None:
        """Two devices share the tiles; one is lost. Each tile has the past of the last whole frame."""
        for device in ("usb0", "usb1"):
            bus.plug(device)
        each, frames = network(twins, "usb:0,usb:1"), clip(6, 150, 200)
        for count, noisy in enumerate(frames, 1):
            if count == 4:
                bus.unplug("usb1")
            np.testing.assert_array_equal(ran(each, noisy), 255 - noisy)
            np.testing.assert_array_equal(remembered(each), self.mean(frames[:count]))
        assert each.engine.state["used"] == "usb:0"
        each.close()

    def test_without_a_device_and_a_twin_the_next_frame_has_no_past(
        self, bus: Bus, models: Path, tmp_path: Path
    ) -> None:
        bus.plug("usb0")
        path = shutil.copy(models / "video_64x64_int8_edgetpu.tflite", tmp_path)
        each, frames = network(path, "usb:0", retry=(0.01, 0.05)), clip(5)
        for noisy in frames[:3]:
            ran(each, noisy)
        bus.unplug("usb0")
        assert not each.run(frames[3], np.empty_like(frames[3]))
        assert each.history() is None
        bus.plug("usb0")
        until(lambda: each.run(frames[4], np.empty_like(frames[4])))
        np.testing.assert_array_equal(remembered(each), frames[4])
        each.close()

    def test_twins_of_which_one_remembers_are_refused(self, bus: Bus, models: Path, tmp_path: Path) -> None:
        shutil.copy(models / "video_64x64_int8_edgetpu.tflite", tmp_path / "m_edgetpu.tflite")
        shutil.copy(models / "video_one_64x64_int8.tflite", tmp_path / "m.tflite")
        with pytest.raises(
            ModelError, match=r"same inputs and outputs\. Received: .*denoised and history out; .*Remedy"
        ):
            Engine(tmp_path / "m.tflite", "usb")
        assert bus.log == []
