"""What a video network remembers: the closed loop, compared with the same loop by hand and with the formula."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from edge.network.denoiser import Denoiser
from edge.network.engine import Engine
from edge.network.frame_network import FrameNetwork
from edge.network.interpreter import Interpreter
from edge.network.modelfile import load_model
from quietcam.errors import ModelError
from quietcam.image import Image
from tests.edge.remembering import ByHand, clip, network, ran, remembered
from tests.small_models import expected_video, picture, with_manifest

pytest.importorskip("ai_edge_litert.interpreter", reason="needs the extra 'edge'")

BLOCKS = {"tail": "depth_to_space", "block": 2}


@pytest.fixture
def video(models: Path) -> Path:
    return models / "video_64x64_int8.tflite"


class TestWholeFrames:
    @pytest.mark.parametrize(
        ("name", "fed_back", "block"),
        [
            ("video_64x64_int8", "history", 0),
            ("video_64x64_uint8", "history", 0),
            ("video_64x64_float32", "history", 0),
            ("video_one_64x64_int8", "denoised", 0),
            ("video_split_64x64_int8", "history", 2),
            ("video_split_one_64x64_int8", "denoised", 2),
        ],
    )
    def test_thirty_frames_equal_the_loop_by_hand(
        self, models: Path, tmp_path: Path, name: str, fed_back: str, block: int
    ) -> None:
        by_hand = ByHand(models / f"{name}.tflite", fed_back, block)
        path = with_manifest(models, tmp_path, name, stride=8, **(BLOCKS if block else {}))
        with Denoiser(path, 1, stream=True) as denoiser:
            for noisy in clip(30):
                np.testing.assert_array_equal(denoiser.denoise(noisy), by_hand(noisy))

    @pytest.mark.parametrize(
        ("name", "most"), [("video_64x64_int8", 3.5), ("video_64x64_uint8", 3.5), ("video_64x64_float32", 0.501)]
    )
    def test_the_second_frame_is_the_formula_of_it_and_of_the_first(self, models: Path, name: str, most: float) -> None:
        first, second = clip(2)
        each = network(models / f"{name}.tflite")
        ran(each, first)
        np.testing.assert_array_equal(remembered(each), first)  # without a past, the fused frame is the noisy one
        denoised, fused = expected_video(second, first, models)
        assert np.abs(ran(each, second) - denoised).max() <= most
        assert np.abs(remembered(each) - fused).max() <= most
        assert np.abs(fused - second).mean() > 2  # a fusion that changes nothing would prove nothing
        each.close()

    def test_what_is_remembered_is_the_raw_output_and_not_what_is_shown(self, models: Path) -> None:
        """Gate and strength blend the picture of a network with one output, but not its history."""
        by_hand = ByHand(models / "video_one_64x64_int8.tflite", "denoised")
        with Denoiser(models / "video_one_64x64_int8.tflite", 1, strength=0.5, stream=True) as denoiser:
            for noisy in clip(5):
                wanted = noisy + 0.5 * (by_hand(noisy) - noisy.astype(float))
                assert np.abs(denoiser.denoise(noisy) - wanted).max() <= 0.5

    def test_a_smaller_frame_is_mirrored_and_so_is_its_history(self, video: Path) -> None:
        by_hand, each = ByHand(video), network(video)
        rim = ((0, 64 - 50), (0, 64 - 39), (0, 0))
        for noisy in clip(6, 50, 39):
            if by_hand.past is not None:
                by_hand.past = np.pad(by_hand.past[:50, :39], rim, mode="reflect")
            np.testing.assert_array_equal(ran(each, noisy), by_hand(np.pad(noisy, rim, mode="reflect"))[:50, :39])
        each.close()

    def test_a_grayscale_network_remembers_each_channel(self, models: Path) -> None:
        path = models / "video_gray_64x64_int8.tflite"
        by_hand, each = [ByHand(path) for _ in range(3)], network(path)
        for noisy in clip(5):
            wanted = np.concatenate([one(noisy[..., c : c + 1]) for c, one in enumerate(by_hand)], axis=2)
            np.testing.assert_array_equal(ran(each, noisy), wanted)
        pasts = [one.past for one in by_hand]
        assert all(past is not None for past in pasts)
        np.testing.assert_array_equal(remembered(each), np.concatenate([p for p in pasts if p is not None], axis=2))
        each.close()

    def test_a_frame_of_one_channel_after_one_of_three_has_no_past(self, models: Path) -> None:
        each = network(models / "video_gray_64x64_int8.tflite")
        for noisy in (*clip(3), *clip(1, channels=1)):
            ran(each, noisy)
        np.testing.assert_array_equal(remembered(each), noisy)
        each.close()

    def test_a_still_network_remembers_nothing(self, small: Path) -> None:
        each = network(small)
        for size in ((32, 32), (70, 90)):
            one, other = clip(2, *size)
            before = ran(each, one)
            ran(each, other)
            np.testing.assert_array_equal(ran(each, one), before)
            assert each.history() is None
        each.close()


class TestForget:
    def test_the_next_frame_of_every_size_has_no_past(self, video: Path) -> None:
        each = network(video)
        sizes = ((64, 64), (100, 90))
        assert each.history() is None
        for size in sizes:
            for noisy in clip(3, *size):
                ran(each, noisy)
        each.forget()
        assert each.history() is None
        for size in sizes:
            (noisy,) = clip(1, *size, seed=5)
            assert each.history(size) is None
            ran(each, noisy)
            np.testing.assert_array_equal(remembered(each), noisy)
        each.close()

    def test_two_sizes_and_half_the_size_have_a_past_of_their_own(self, video: Path) -> None:
        """Interleaved, each has the frames and the history that it has alone. Half of one is as large as the other."""
        kinds = [((64, 64), False), ((128, 128), True), ((120, 90), False)]
        clips = [clip(6, *size, seed=seed) for seed, (size, _) in enumerate(kinds)]

        def alone(number: int) -> tuple[list[Image], Image]:
            each = network(video)
            frames = [ran(each, noisy, kinds[number][1]) for noisy in clips[number]]
            history = remembered(each)
            each.close()
            return frames, history

        wanted = [alone(number) for number in range(2)]
        each = network(video)
        for index in range(6):
            for number in range(2):
                size, half = kinds[number]
                np.testing.assert_array_equal(ran(each, clips[number][index], half), wanted[number][0][index])
                np.testing.assert_array_equal(remembered(each), remembered(each, size, half))
        for number in range(2):
            np.testing.assert_array_equal(remembered(each, *kinds[number]), wanted[number][1])
        ran(each, clips[2][0])  # a third kind takes their memory
        assert each.history(*kinds[0]) is None
        each.close()

    def test_a_frame_that_fails_leaves_no_past(self, video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        invoke = Interpreter.invoke

        def fail(_: Interpreter) -> None:
            raise ModelError("It failed while running.")

        for size in ((64, 64), (100, 90)):
            each = network(video)
            for noisy in clip(3, *size):
                ran(each, noisy)
            monkeypatch.setattr(Interpreter, "invoke", fail)
            with pytest.raises(ModelError, match="failed while running"):
                ran(each, noisy)
            monkeypatch.setattr(Interpreter, "invoke", invoke)
            assert each.history() is None
            each.close()

    def test_another_model_has_no_past(self, video: Path) -> None:
        frames = clip(5)
        with Denoiser(video, 1, stream=True) as denoiser:
            for noisy in frames[:3]:
                denoiser.denoise(noisy)
            denoiser.reload(video)
            by_hand = ByHand(video)
            for noisy in frames[3:]:
                np.testing.assert_array_equal(denoiser.denoise(noisy), by_hand(noisy))


class TestTiles:
    def test_they_equal_the_whole_frame_exactly(self, models: Path, tmp_path: Path) -> None:
        """Also after 30 frames: what one tile remembers is not worse at its edge."""
        told = {"stride": 8, "receptive_field": 32}
        tile = load_model(with_manifest(models, tmp_path, "video_64x64_int8", **told))
        whole = load_model(with_manifest(models, tmp_path, "video_112x88_int8", **told))
        tiled, plain = FrameNetwork(Engine(tile, threads=1), overlap=40), FrameNetwork(Engine(whole, threads=1))
        for noisy in clip(30, 88, 112):
            np.testing.assert_array_equal(ran(tiled, noisy), ran(plain, noisy))
            np.testing.assert_array_equal(remembered(tiled), remembered(plain))
        for each in (tiled, plain):
            each.close()

    def test_each_tile_reads_its_part_of_what_all_gave_for_the_last_frame(self, video: Path) -> None:
        from quietcam.tiling import TileGrid

        size = (90, 101)
        grid = TileGrid(*size, 64, 64, overlap=16, stride=8)
        by_hand, each = ByHand(video), FrameNetwork(Engine(video, threads=1), overlap=16)
        past: Image | None = None
        for noisy in clip(4, *size):
            parts, memory = [], np.zeros_like(noisy)
            for index in range(len(grid)):
                rim = [(0, 64 - side) for side in grid.part(noisy, index).shape[:2]] + [(0, 0)]
                by_hand.past = None if past is None else np.pad(grid.part(past, index), rim, mode="reflect")
                parts.append(by_hand(np.pad(grid.part(noisy, index), rim, mode="reflect")))
                y, x = grid.origin(index)
                rows, columns = grid.core(index)
                assert by_hand.past is not None
                memory[rows, columns] = by_hand.past[
                    rows.start - y : rows.stop - y, columns.start - x : columns.stop - x
                ]
            past = memory
            np.testing.assert_array_equal(ran(each, noisy), grid.merge(parts))
            np.testing.assert_array_equal(remembered(each), past)
        each.close()

    def test_several_interpreters_share_them(self, video: Path) -> None:
        one, several = network(video), network(video, "cpu,cpu")
        for size in ((101, 134), (64, 64)):
            for noisy in clip(5, *size):
                np.testing.assert_array_equal(ran(several, noisy), ran(one, noisy))
        for each in (one, several):
            each.close()


class TestPicture:
    @pytest.mark.parametrize("name", ["video_64x64_int8", "video_64x64_uint8", "video_64x64_float32"])
    @pytest.mark.parametrize("size", [(64, 64), (49, 61), (100, 90)])
    def test_it_has_the_size_of_the_frames(self, models: Path, name: str, size: tuple[int, int]) -> None:
        each = network(models / f"{name}.tflite")
        for noisy in clip(3, *size):
            ran(each, noisy)
            whole = remembered(each)
            assert (whole.shape, whole.dtype) == (noisy.shape, np.uint8)
            np.testing.assert_array_equal(remembered(each, size), whole)
        each.close()

    def test_reading_it_does_not_change_the_frames(self, video: Path) -> None:
        read, unread = network(video), network(video)
        for noisy in clip(5):
            np.testing.assert_array_equal(ran(read, noisy), ran(unread, noisy))
            remembered(read)
        for each in (read, unread):
            each.close()


@pytest.mark.parametrize("size", [(88, 112), (85, 110), (200, 300)])
def test_nothing_of_a_frames_size_is_allocated_for_a_frame(models: Path, size: tuple[int, int]) -> None:
    each = network(models / "video_112x88_int8.tflite")
    noisy, out = picture(*size), picture(*size, seed=1)

    def frames() -> None:
        for _ in range(3):
            each.run(noisy, out)
            each.history()

    frames()
    tracemalloc.start()
    frames()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < max(20_000, noisy.nbytes // 3)
    each.close()
