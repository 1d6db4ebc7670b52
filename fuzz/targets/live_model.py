"""Models that a live run reloads: whatever the file, frames continue, memory is bounded, and reports are true."""

from __future__ import annotations

import contextlib
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from unittest import mock

from edge.cameras.synthetic import SyntheticCamera, SyntheticOptions
from edge.network.denoiser import Denoiser
from edge.run.health import peak_memory_mib
from edge.run.pipeline import Pipeline
from edge.run.reloading import ReloadingDenoiser
from edge.sinks.null import NullSink
from fuzz.mutate import mutate_bytes, mutate_json
from fuzz.trials import Trials
from quietcam.errors import ModelError
from quietcam.tflite.manifest import Manifest, attach_manifest, model_sha256

__all__ = ["run"]

_MODELS = Path(__file__).parents[2] / "tests" / "edge" / "models"
_NAMES = ("small_32x32_int8", "small_32x32_float32", "gray_32x32_int8", "small_80x64_int8", "split_32x32_int8")
_MEMORY = 600.0  # MiB by which the process's peak memory may grow
_WAIT = 100.0  # seconds: the runner gives up a trial after 120


def run(trials: Trials) -> None:
    most = peak_memory_mib() + _MEMORY
    models = [(_MODELS / f"{name}.tflite").read_bytes() for name in _NAMES]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "next.tflite"
        path.write_bytes(models[0])
        with _live(path) as (pipeline, reloading, denoiser):
            for trial in trials:
                random, health = trial.random, pipeline.health
                running, taken = denoiser.model, reloading.count
                content = trial.keep("next.tflite", _spoiled(random, models))
                path.write_bytes(content)
                reloading.error = None
                reloading.request(path)
                _until(lambda: reloading.error is not None or reloading.count > taken)  # noqa: B023
                if reloading.count > taken:
                    assert denoiser.model.content == content
                else:
                    assert denoiser.model is running
                    assert (reloading.error or "").isprintable(), reloading.error
                frames = health.frames
                _until(lambda: health.frames > frames + 3)  # noqa: B023
                report = health.report()
                assert report["ladder"] == {"step": "full", "reason": None}, report["ladder"]
                assert report["work"]["model"] == denoiser.model.name, report["work"]
                assert peak_memory_mib() < most, peak_memory_mib()


def _spoiled(random: Random, models: list[bytes]) -> bytes:
    """A model with flipped bits, cut short, with a block of another model, or with a manifest of other values."""
    content = random.choice(models)
    match random.randrange(6):
        case 0:
            return mutate_bytes(random, content)
        case 1:
            return content[: random.randrange(len(content))]
        case 2:
            other, size = random.choice(models), random.choice((4, 16, 64, 256))
            at, of = random.randrange(len(content)), random.randrange(len(other))
            return content[:at] + other[of : of + size] + content[at + size :]
        case 3:
            return _told(random, content)
    changed = bytearray(content)
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    return bytes(changed)


def _told(random: Random, content: bytes) -> bytes:
    """The model with a manifest whose hash fits, if a manifest with such values can be written."""
    told = {
        "stride": random.choice((1, 2, 3, 7, 8, 16, 32, 64)),
        "receptive_field": random.choice((1, 2, 6, 31, 32, 64, 1000, 32768, None)),
        "gate": random.choice((None, {"low": 0.0, "high": 0.1}, {"low": 2.5, "high": 4.0})),
        "block": random.choice((None, 2, 4)),
        "tail": random.choice((None, "depth_to_space")),
        "width": random.choice((32, 32, 32, 31, 80)),
        "height": random.choice((32, 32, 32, 64, 1)),
        "channels": random.choice((3, 3, 1)),
    }
    values = {"name": "next", "recipe": "int8", "gmacs": 0.1, "gmacs_256": 0.1, "format": 1} | told
    if random.random() < 0.5:
        values = mutate_json(random, values)
    with contextlib.suppress(ModelError, TypeError, ValueError):
        return attach_manifest(content, Manifest.from_dict(values | {"sha256": model_sha256(content)}))
    return content


@contextlib.contextmanager
def _live(path: Path) -> Iterator[tuple[Pipeline, ReloadingDenoiser, Denoiser]]:
    """A run with a camera of 50 frames a second, larger than most of the models."""
    camera = SyntheticCamera(SyntheticOptions(size=(72, 56), fps=50.0, rendered=2))
    with (
        mock.patch("edge.run.reloading.log"),
        camera,
        Denoiser(path, 1, gate=False, stream=True) as denoiser,
    ):
        reloading = ReloadingDenoiser(denoiser, denoiser.reload)
        pipeline = Pipeline(camera, reloading, [NullSink()])
        thread = threading.Thread(target=pipeline.run)
        thread.start()
        try:
            yield pipeline, reloading, denoiser
        finally:
            pipeline.stop()
            thread.join(_WAIT)
            reloading.close()
        assert not thread.is_alive()


def _until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + _WAIT
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.005)
