"""The canary runs golden frames in a process of its own, and refuses what misses a bound, crashes or is compiled."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge.network.interpreter import Interpreter
from edge.update.bundle import Bundle, read_bundle
from edge.update.canary import Measured, check_bundle, too_bad
from edge.update.contents import Bounds, BundleModel, Contents
from quietcam.errors import GateError
from quietcam.metrics import psnr
from tests.edge.update.bundles import hashes, make_bundle, write_contents
from tests.small_models import with_manifest
from tests.waiting import WAIT


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.update.canary.PATIENCE", WAIT)


def changed(built: Path, folder: Path, change: Callable[[Path], None] = lambda _: None, **values: object) -> Bundle:
    """A copy of a bundle whose files were changed before it was described and signed."""
    shutil.copytree(built, folder)
    change(folder)
    contents: Contents = read_bundle(built).contents
    write_contents(folder, replace(contents, files=hashes(folder), **values))  # type: ignore[arg-type]
    return read_bundle(folder)


def test_a_good_bundle_is_measured(built: Path) -> None:
    bundle = read_bundle(built)
    (model,) = bundle.contents.models
    found = check_bundle(bundle, threads=1)
    measured = found[model.path]
    assert found == {model.path: measured}
    assert measured.device == "cpu"
    assert measured.least_db == 100.0, "the same machine gives the same pixels"
    with Interpreter(bundle.path_of(model)) as interpreter:
        noisy, denoised = bundle.frames(bundle.contents.golden[0])
        assert measured.noisy_db >= psnr(noisy[0], denoised[0])
        assert interpreter.shape == noisy[0].shape
    assert measured.median_ms > 0
    assert 10 < measured.peak_mib < 2048


def test_a_video_network_runs_its_clip_with_what_it_remembers(models: Path, tmp_path: Path) -> None:
    model = with_manifest(
        models, tmp_path, "video_64x64_int8", inputs=("noisy", "history"), outputs=("denoised", "history"), stride=8
    )
    bundle = read_bundle(make_bundle(tmp_path / "bundle", model, bounds=Bounds(most_noisy_db=100.0)))
    (measured,) = check_bundle(bundle).values()
    assert measured.least_db == 100.0


def other_golden(folder: Path) -> None:
    """The desktop's output was another one in two of its last clip's rows."""
    path = folder / "golden/1_denoised.rgb"
    content = bytearray(path.read_bytes())
    for place in range(len(content) - 192, len(content)):
        content[place] ^= 0x40
    path.write_bytes(content)


def test_other_pixels_than_on_the_desktop_are_refused(built: Path, tmp_path: Path) -> None:
    with pytest.raises(
        GateError, match=r"small-1: models/\S+ is \d\d\.\d dB from its golden frames, at least 55\.0 dB"
    ):
        check_bundle(changed(built, tmp_path / "bundle", other_golden))


def test_a_model_that_does_nothing_is_refused(built: Path, tmp_path: Path) -> None:
    bounds = Bounds(most_noisy_db=1.0)
    with pytest.raises(GateError, match=r"leaves the noise: \d+\.\d dB from noisy frames, at most 1\.0 dB"):
        check_bundle(changed(built, tmp_path / "bundle", bounds=bounds))


def garbage(folder: Path) -> None:
    model = next((folder / "models").glob("*.tflite"))
    model.write_bytes(np.random.default_rng(0).bytes(len(model.read_bytes())))


@pytest.mark.parametrize(
    ("change", "why"), [(garbage, "no TensorFlow|not a TensorFlow"), (None, "a Coral")], ids=["garbage", "coral"]
)
def test_what_cannot_run_here_is_refused(
    change: Callable[[Path], None] | None, why: str, built: Path, tmp_path: Path
) -> None:
    (model,) = read_bundle(built).contents.models
    if change is None:
        bundle = changed(built, tmp_path / "bundle", models=(BundleModel(model.path, "coral"),))
    else:
        bundle = changed(built, tmp_path / "bundle", change)
    with pytest.raises(GateError, match=why):
        check_bundle(bundle)


def test_a_crash_and_a_hang_are_refused(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.update.canary._JOB", "tests.edge.jobs:abort")
    with pytest.raises(GateError, match="SIGABRT"):
        check_bundle(read_bundle(built))
    monkeypatch.setattr("edge.update.canary._JOB", "tests.edge.jobs:hang_silently")
    monkeypatch.setattr("edge.update.canary.PATIENCE", 0.5)
    with pytest.raises(GateError, match="did not answer within"):
        check_bundle(read_bundle(built))


GOOD = Measured("cpu", 60.0, 25.0, 10.0, 100.0)


@pytest.mark.parametrize(
    ("measured", "missed"),
    [
        (GOOD, None),
        (replace(GOOD, least_db=55.0, noisy_db=30.0, median_ms=20.0, peak_mib=200.0), None),
        (replace(GOOD, least_db=54.9), "is 54.9 dB from its golden frames, at least 55.0 dB are needed"),
        (replace(GOOD, noisy_db=30.1), "leaves the noise: 30.1 dB from noisy frames, at most 30.0 dB"),
        (replace(GOOD, median_ms=20.1), "takes 20.1 ms a frame, at most 20.0 ms are allowed"),
        (replace(GOOD, peak_mib=201.0), "takes 201 MiB of memory, at most 200 MiB are allowed"),
    ],
)
def test_bounds(measured: Measured, missed: str | None) -> None:
    assert too_bad(measured, Bounds(most_ms=20.0, most_mib=200.0)) == missed


def test_no_bound_of_time_or_memory() -> None:
    assert too_bad(replace(GOOD, median_ms=1e6, peak_mib=1e6), Bounds()) is None
