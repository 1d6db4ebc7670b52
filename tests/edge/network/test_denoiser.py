"""Frames of any size: tiled frames compared with whole ones, and both with the networks' formula."""

from __future__ import annotations

import threading
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.models import resolve_model
from edge.network.denoiser import Denoiser
from quietcam.errors import DataError, ModelError, UsageError
from quietcam.tflite.manifest import strip_manifest
from tests.small_models import expected, picture, with_manifest
from tests.waiting import until


def test_tiled_equals_whole_exactly(small: Path, models: Path) -> None:
    noisy = picture(64, 80)
    with Denoiser(small) as tiled, Denoiser(models / "small_80x64_int8.tflite") as whole:
        assert tiled.tiles(64, 80) > 1
        assert whole.tiles(64, 80) == 1
        np.testing.assert_array_equal(tiled.denoise(noisy), whole.denoise(noisy))


def test_tiled_equals_the_formula(small: Path, models: Path) -> None:
    noisy = picture(100, 134)
    with Denoiser(small) as denoiser:
        denoised = denoiser.denoise(noisy)
    # The last rows and columns are mirrored, where the formula has zeros.
    assert np.abs(denoised - expected(noisy, models))[:-4, :-4].max() <= 2


@pytest.mark.parametrize("name", ["small_32x32_int8", "small_32x32_float32"])
@pytest.mark.parametrize("size", [(32, 32), (1, 1), (1, 90), (90, 1), (31, 33), (7, 64), (65, 97)])
def test_every_size_comes_back(models: Path, name: str, size: tuple[int, int]) -> None:
    noisy = picture(*size)
    with Denoiser(models / f"{name}.tflite") as denoiser:
        denoised = denoiser.denoise(noisy)
    assert denoised.shape == noisy.shape
    assert denoised.dtype == np.uint8
    # The networks add a small residual: what comes back is still the picture.
    assert np.corrcoef(denoised.ravel(), noisy.ravel())[0, 1] > 0.8 or noisy.size < 10


def test_a_flat_field_has_no_seam(small: Path) -> None:
    with Denoiser(small) as denoiser:
        denoised = denoiser.denoise(np.full((100, 130, 3), 120, np.uint8))
    inner = denoised[4:-4, 4:-4]
    block = inner[:2, :2]
    np.testing.assert_array_equal(inner, np.tile(block, (46, 61, 1)))


def test_a_smaller_overlap_is_allowed_and_has_a_small_error(small: Path, models: Path) -> None:
    noisy = picture(64, 80)
    with Denoiser(small, overlap=2) as tiled, Denoiser(models / "small_80x64_int8.tflite") as whole:
        difference = np.abs(tiled.denoise(noisy).astype(int) - whole.denoise(noisy))
    assert 0 < difference.max() < 128
    assert (difference > 2).mean() < 0.2


def test_an_impossible_overlap_is_wrong_usage(small: Path) -> None:
    with Denoiser(small, overlap=32) as denoiser, pytest.raises(UsageError, match="overlap"):
        denoiser.denoise(picture(64, 80))


def test_grayscale_through_rgb_is_three_equal_channels_in(small: Path) -> None:
    gray = picture(40, 50, channels=1)
    with Denoiser(small) as denoiser:
        np.testing.assert_array_equal(denoiser.denoise(gray), denoiser.denoise(np.repeat(gray, 3, axis=2)))


@pytest.mark.parametrize("size", [(32, 32), (40, 50)])
def test_rgb_through_grayscale_goes_channel_by_channel(models: Path, size: tuple[int, int]) -> None:
    noisy = picture(*size)
    with Denoiser(models / "gray_32x32_int8.tflite") as denoiser:
        denoised = denoiser.denoise(noisy)
        for channel in range(3):
            one = np.ascontiguousarray(noisy[..., channel : channel + 1])
            np.testing.assert_array_equal(denoised[..., channel : channel + 1], denoiser.denoise(one))


def test_the_frame_size_may_change_on_the_way(small: Path) -> None:
    with Denoiser(small) as denoiser:
        first = denoiser.denoise(picture(40, 50))
        denoiser.denoise(picture(70, 33))
        np.testing.assert_array_equal(denoiser.denoise(picture(40, 50)), first)


def test_out_is_written(small: Path) -> None:
    noisy = picture(40, 50)
    out = np.empty_like(noisy)
    with Denoiser(small) as denoiser:
        assert denoiser.denoise(noisy, out) is out
        np.testing.assert_array_equal(out, denoiser.denoise(noisy))
        floats: Any = np.empty(noisy.shape, np.float32)
        assert denoiser.denoise(noisy, floats).dtype == np.uint8


def test_an_array_that_is_not_an_image_is_refused(small: Path) -> None:
    with Denoiser(small) as denoiser:
        for wrong in (picture(8, 8, 4), picture(8, 8)[..., 0], picture(8, 8).astype(np.float32)):
            with pytest.raises(DataError, match="A frame must be uint8"):
                denoiser.denoise(wrong)


def open_files() -> int:
    """The number of descriptors of this process; 0 if the system does not say."""
    folder = Path("/proc/self/fd")
    return len(list(folder.iterdir())) if folder.is_dir() else 0


class TestStrength:
    def test_it_blends_towards_the_noisy_frame(self, small: Path) -> None:
        noisy = picture(40, 50)
        with Denoiser(small) as all_of_it, Denoiser(small, strength=0.25) as some:
            denoised = all_of_it.denoise(noisy)
            wanted = noisy + 0.25 * (denoised - noisy.astype(float))
            assert np.abs(some.denoise(noisy) - wanted).max() <= 0.5
            some.strength = 1.0
            np.testing.assert_array_equal(some.denoise(noisy), denoised)
            some.strength = 0.0
            np.testing.assert_array_equal(some.denoise(noisy), noisy)

    def test_out_of_range_is_wrong_usage_and_changes_nothing(self, small: Path) -> None:
        with pytest.raises(UsageError, match="The strength"):
            Denoiser(small, strength=1.5)
        with Denoiser(small) as denoiser:
            with pytest.raises(UsageError, match="The strength"):
                denoiser.strength = -1
            assert denoiser.strength == 1.0


class TestReload:
    @pytest.fixture
    def other(self, models: Path, tmp_path: Path) -> Path:
        return with_manifest(models, tmp_path, "small_80x64_int8", receptive_field=6, stride=2)

    def test_the_next_frame_goes_through_the_other_model(self, small: Path, models: Path) -> None:
        noisy = picture(32, 32)
        with Denoiser(small) as denoiser:
            denoiser.denoise(picture(70, 70))
            denoiser.reload(models / "gray_32x32_int8.tflite")
            assert denoiser.model.channels == 1
            with Denoiser(models / "gray_32x32_int8.tflite") as gray:
                np.testing.assert_array_equal(denoiser.denoise(noisy), gray.denoise(noisy))
            denoiser.denoise(picture(70, 70))

    def test_memory_of_the_old_models_shape_is_left_alone(self, small: Path, models: Path) -> None:
        noisy = picture(32, 32)[..., :1]
        with Denoiser(models / "gray_32x32_int8.tflite") as denoiser:
            memory = np.empty(noisy.shape, np.uint8)
            assert denoiser.denoise(noisy, memory) is memory
            before = memory.copy()
            denoiser.reload(small)
            denoised = denoiser.denoise(noisy, memory)
            np.testing.assert_array_equal(denoised, denoiser.denoise(noisy))
        assert denoised.shape == (32, 32, 3)
        np.testing.assert_array_equal(memory, before)

    @pytest.mark.parametrize("kind", ["garbage", "cut", "missing", "foreign ends", "empty", "folder"])
    def test_a_bad_model_leaves_the_present_one_running(
        self, small: Path, models: Path, tmp_path: Path, kind: str
    ) -> None:
        good, bad = small.read_bytes(), tmp_path / "next.tflite"
        content = {
            "garbage": np.random.default_rng(0).bytes(5000),
            "cut": good[: len(good) // 2],
            "foreign ends": (models / "bad_scale.tflite").read_bytes(),
            "empty": b"",
        }
        if kind in content:
            bad.write_bytes(content[kind])
        elif kind == "folder":
            bad.mkdir()
        noisy = picture(50, 60)
        with Denoiser(small) as denoiser:
            before, threads = denoiser.denoise(noisy), threading.active_count()
            for _ in range(5):
                with pytest.raises(ModelError, match="Remedy"):
                    denoiser.reload(bad)
            np.testing.assert_array_equal(denoiser.denoise(noisy), before)
            assert denoiser.model.path == small
            assert threading.active_count() == threads

    def test_the_file_under_a_running_model_may_turn_to_garbage(self, small: Path) -> None:
        noisy = picture(32, 32)
        with Denoiser(small) as denoiser:
            before = denoiser.denoise(noisy)
            small.write_bytes(b"garbage")
            np.testing.assert_array_equal(denoiser.denoise(noisy), before)
            with pytest.raises(ModelError, match="not a TensorFlow Lite model"):
                denoiser.reload(small)
            np.testing.assert_array_equal(denoiser.denoise(noisy), before)

    @pytest.mark.usefixtures("untried")
    def test_while_frames_run_each_is_of_one_model(self, small: Path, models: Path) -> None:
        """Another thread swaps between two models; every frame is exactly the one's or the other's."""
        float_model = models / "small_32x32_float32.tflite"
        noisy, stop = picture(50, 60), threading.Event()
        with Denoiser(small, 1) as one, Denoiser(float_model, 1) as other:
            wanted = [one.denoise(noisy), other.denoise(noisy)]
        assert (wanted[0] != wanted[1]).any()
        with Denoiser(small, 1) as denoiser:
            swaps: list[Path] = []
            seen: set[int] = set()

            def swap() -> None:
                while not stop.is_set():
                    swaps.append(small if len(swaps) % 2 else float_model)
                    denoiser.reload(swaps[-1])

            def both_are_seen() -> bool:
                denoised = denoiser.denoise(noisy)
                matches = [index for index, each in enumerate(wanted) if (denoised == each).all()]
                assert matches
                seen.update(matches)
                return seen == {0, 1} and len(swaps) > 20

            swapper = threading.Thread(target=swap)
            swapper.start()
            try:
                until(both_are_seen)
            finally:
                stop.set()
                swapper.join()

    @pytest.mark.usefixtures("untried")
    def test_nothing_is_left_of_the_old_models(self, small: Path) -> None:
        with Denoiser(small) as denoiser:
            denoiser.denoise(picture(50, 60))
            files = open_files()
            threads = threading.active_count()
            for _ in range(30):
                denoiser.reload(small)
                denoiser.denoise(picture(50, 60))
            assert threading.active_count() == threads
            assert open_files() <= files


class TestSplit:
    """A graph that ends before depth-to-space, completed on the host, gives exactly the pixels of the whole one."""

    @pytest.mark.parametrize("name", ["32x32_int8", "80x64_int8", "gray_32x32_int8", "32x32_float32"])
    @pytest.mark.parametrize("size", [(32, 32), (64, 80), (31, 17), (101, 134)])
    def test_it_gives_exactly_the_pixels_of_the_whole(
        self, models: Path, tmp_path: Path, name: str, size: tuple[int, int]
    ) -> None:
        split = with_manifest(models, tmp_path, f"split_{name}", tail="depth_to_space", block=2, stride=8)
        whole = models / f"{'' if 'gray' in name else 'small_'}{name}.tflite"
        noisy = picture(*size)
        with Denoiser(split, overlap=4) as one, Denoiser(whole, overlap=4) as other:
            np.testing.assert_array_equal(one.denoise(noisy), other.denoise(noisy))

    def test_without_the_manifests_word_it_is_refused(self, models: Path) -> None:
        with pytest.raises(ModelError, match="the same size at both ends"):
            Denoiser(models / "split_32x32_int8.tflite")

    @pytest.mark.parametrize(
        "tail", [{"tail": "softmax"}, {"tail": "depth_to_space"}, {"tail": "depth_to_space", "block": 3}]
    )
    def test_another_tail_is_refused(self, models: Path, tmp_path: Path, tail: dict[str, object]) -> None:
        with pytest.raises(ModelError, match=r"depth_to_space with a block of 2 or 4.*Remedy"):
            Denoiser(with_manifest(models, tmp_path, "split_32x32_int8", **tail))

    def test_blocks_that_do_not_fit_the_output_are_refused(self, models: Path, tmp_path: Path) -> None:
        for stem, block in (("split_32x32_int8", 4), ("small_32x32_int8", 2)):
            with pytest.raises(ModelError, match=f"in blocks of {block} at the output"):
                Denoiser(with_manifest(models, tmp_path, stem, tail="depth_to_space", block=block))


def test_a_frame_inside_of_the_model_is_mirrored_at_its_edges(small: Path) -> None:
    noisy = picture(27, 20)
    with Denoiser(small) as denoiser:
        whole = denoiser.denoise(np.pad(noisy, ((0, 5), (0, 12), (0, 0)), mode="reflect"))
        np.testing.assert_array_equal(denoiser.denoise(noisy), whole[:27, :20])


def test_4k_goes_through_in_bounded_memory(models: Path) -> None:
    noisy = np.tile(picture(54, 96), (40, 40, 1))
    with Denoiser(models / "small_80x64_int8.tflite") as denoiser:
        tracemalloc.start()
        denoised = denoiser.denoise(noisy)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert denoised.shape == (2160, 3840, 3)
    # The frame that comes out, and sums of two bytes a pixel; some for the tiles' weights.
    assert peak < 3.5 * noisy.nbytes


def test_nothing_of_a_frames_size_is_allocated_for_a_frame(small: Path) -> None:
    for size in ((32, 32), (30, 31), (200, 300)):
        noisy, out = picture(*size), picture(*size, seed=1)
        with Denoiser(small, 1, strength=0.9) as denoiser:
            for _ in range(3):
                denoiser.denoise(noisy, out)
            tracemalloc.start()
            for _ in range(3):
                denoiser.denoise(noisy, out)
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        assert peak < max(20_000, noisy.nbytes // 4), size


def test_a_stream_is_told_of_a_better_size_once(small: Path, said: list[str]) -> None:
    with Denoiser(small, stream=True) as denoiser:
        for _ in range(2):
            denoiser.denoise(picture(49, 61))
    assert said == [
        "small_32x32_int8 takes a frame of 61x49 in 6 tiles; "
        f"`quietcam convert {small} --size 62x50` makes a model that takes it at once, and faster"
    ]


def test_a_better_size_is_told_by_the_name_of_what_ships_and_by_nothing_where_no_command_makes_it(
    small: Path, tmp_path: Path, said: list[str]
) -> None:
    bare = tmp_path / "bare.tflite"
    bare.write_bytes(strip_manifest(small.read_bytes()))
    for model in (resolve_model("nano"), bare):
        with Denoiser(model, stream=True) as denoiser:
            denoiser.denoise(picture(272, 304))
    (line,) = said
    assert "`quietcam convert nano --size 304x272` makes a model" in line


def test_what_was_found_wrong_with_a_model_is_said_when_it_is_taken_up(
    small: Path, models: Path, tmp_path: Path, said: list[str]
) -> None:
    finding = "The network gives no pictures: its output is white all over."
    unfit = with_manifest(models, tmp_path, "small_80x64_int8", metrics={"findings": [finding]})
    with Denoiser(small) as denoiser:
        assert said == []
        denoiser.reload(unfit)
    Denoiser(unfit).close()
    assert said == [f"small_80x64_int8 was converted with a fault: {finding}"] * 2


def test_a_manifest_may_name_the_gates_levels(models: Path, tmp_path: Path) -> None:
    noisy = picture(40, 50)
    closed = with_manifest(models, tmp_path, "small_32x32_int8", gate={"low": 250, "high": 251})
    with Denoiser(closed, gate=True) as denoiser:
        np.testing.assert_array_equal(denoiser.denoise(noisy), noisy)
        assert denoiser.noise_sigma is not None
        assert denoiser.noise_sigma > 40
    with Denoiser(closed) as denoiser:
        assert (denoiser.denoise(noisy) != noisy).any()
        assert denoiser.noise_sigma is None
    for wrong in ({"low": 5, "high": 4}, {"low": "x"}):
        with pytest.raises(ModelError, match=r"two noise levels.*Remedy"):
            Denoiser(with_manifest(models, tmp_path, "small_32x32_int8", gate=wrong), gate=True)
