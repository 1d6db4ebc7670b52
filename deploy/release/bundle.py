"""Makes a bundle: models, golden frames with what the models make of them here, settings, bounds."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import numpy as np

from edge.network.interpreter import Interpreter
from edge.network.modelfile import ModelFile, load_model
from edge.network.runtime.installed import runtime
from edge.update.archive import pack
from edge.update.bundle import parse_settings
from edge.update.contents import CONTENTS, SETTINGS, Bounds, BundleModel, Contents, FileEntry, Golden
from edge.update.golden_frames import denoise_frames
from quietcam.errors import UsageError
from quietcam.files.atomic import write_bytes, write_json
from quietcam.files.regular import read_regular
from quietcam.image import Image
from quietcam.metrics import finite_psnr
from quietcam.sensor.noise import gaussian
from quietcam.sensor.scenes import generate_scene, make_pair

__all__ = ["BundlePlan", "make_bundle", "make_frames"]

_SIDE = 128  # largest side of golden frames in pixels; a model sees them mirrored up to its own size
_STILLS, _CLIP = 2, 8  # frames
_BAND = (18.0, 22.0)  # PSNR in dB of the noisy stills: a network that does nothing cannot pass
_SIGMA = 24.0  # of the clip's noise, in steps of 255
_PAN = 2  # pixels by which the clip moves from frame to frame
_COMPILED = "_edgetpu"
_MOST_SETTINGS = 64 << 10  # bytes


@dataclass(frozen=True)
class BundlePlan:
    """What goes into a bundle.

    Attributes:
        name, version: together its id.
        models: files with a manifest. Of those for the CPU, and of those compiled for the Edge TPU, the first one runs.
        settings: a TOML file, see ``edge.update.bundle.MAY_SET``.
        bounds: what a device must reach.
    """

    name: str
    version: str
    models: Sequence[Path]
    settings: Path | None = None
    bounds: Bounds = field(default_factory=Bounds)


def make_bundle(plan: BundlePlan, archive: Path) -> Contents:
    """Write a bundle's archive. The same plan gives the same bytes with the same versions of the tools.

    Raises:
        UsageError: the plan is not possible; or a model does too little on the golden frames.
        ModelError: a model cannot be used.
        UpdateError: the settings set what a bundle may not set.
        StorageError: the archive cannot be written.
    """
    models = [load_model(path) for path in plan.models]
    _check_models(models)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "models").mkdir()
        (folder / "golden").mkdir()
        for model in models:
            assert model.manifest is not None
            shutil.copyfile(model.path, folder / "models" / model.path.name)
            write_json(folder / "models" / f"{model.path.stem}.json", model.manifest.to_dict())
        golden = [each for model in models if not model.is_compiled for each in _golden(model, plan.bounds, folder)]
        golden += [each for model in models if model.is_compiled for each in _of_twin(model, golden)]
        if plan.settings is not None:
            write_bytes(folder / SETTINGS, _settings(plan.settings))
        try:
            contents = Contents(
                plan.name,
                plan.version,
                tuple(BundleModel(_inside(each), "coral" if each.is_compiled else "cpu") for each in models),
                tuple(golden),
                _entries(folder),
                plan.bounds,
                plan.settings is not None,
                {"quietcam": version("quietcam"), "numpy": np.__version__, "runtime": runtime().name},
            )
        except ValueError as error:
            raise UsageError(f"A bundle must be possible. Received: {error}. Remedy: change that.") from None
        write_bytes(folder / CONTENTS, contents.to_bytes())
        pack(folder, archive)
    return contents


def make_frames(height: int, width: int, channels: int) -> list[tuple[str, Image]]:
    """The noisy golden frames for a model of this size: name and uint8 ``(frames, H, W, C)``. Always the same ones."""
    height, width = min(height, _SIDE), min(width, _SIDE)
    side = max(height, width, 16)
    named = []
    for seed in range(_STILLS):
        noisy = make_pair(seed, side, channels=channels, band=_BAND)[0][:height, :width]
        named.append((f"still{seed}_{width}x{height}x{channels}", noisy[np.newaxis]))
    scene = generate_scene(side + _PAN * _CLIP, side + _PAN * _CLIP, _STILLS, channels)
    rng = np.random.Generator(np.random.PCG64(_STILLS))
    seen = (scene[_PAN * n : _PAN * n + height, _PAN * n : _PAN * n + width] for n in range(_CLIP))
    clip = np.stack([gaussian(np.ascontiguousarray(each), _SIGMA, rng) for each in seen])
    return [*named, (f"clip_{width}x{height}x{channels}", clip)]


def _check_models(models: Sequence[ModelFile]) -> None:
    if not models:
        raise UsageError("A bundle holds at least one model. Received: none. Remedy: name one.")
    if len({each.path.stem.lower() for each in models}) < len(models):
        raise UsageError("The models of a bundle have different names. Received: one twice. Remedy: rename one.")
    for model in models:
        if model.manifest is None:
            raise UsageError(
                f"A model of a bundle has a manifest. Received: {model.path}, which has none. "
                "Remedy: convert it with `quietcam convert`."
            )


def _golden(model: ModelFile, bounds: Bounds, folder: Path) -> list[Golden]:
    """Write the golden frames of a model for the CPU."""
    golden = []
    with Interpreter(model) as interpreter:
        for name, noisy in make_frames(*interpreter.shape):
            denoised = denoise_frames(interpreter, noisy)
            most = max(finite_psnr(one, other) for one, other in zip(noisy, denoised, strict=True))
            if most > bounds.most_noisy_db:
                raise UsageError(
                    f"A model changes noisy frames: its output is at most {bounds.most_noisy_db:g} dB from them. "
                    f"Received: {model.path.name}: {most:.1f} dB on {name}. "
                    "Remedy: check the model, or raise `most_noisy_db`."
                )
            before, after = f"golden/{name}_noisy.rgb", f"golden/{model.path.stem}_{name}.rgb"
            (folder / before).write_bytes(noisy.tobytes())
            (folder / after).write_bytes(denoised.tobytes())
            frames, height, width, channels = noisy.shape
            golden.append(Golden(_inside(model), before, after, (frames, height, width, channels)))
    return golden


def _of_twin(model: ModelFile, golden: Sequence[Golden]) -> list[Golden]:
    """An Edge TPU is not here: what its model must give is what the model gives that it was compiled from."""
    twin = f"models/{model.path.stem.removesuffix(_COMPILED)}.tflite"
    found = [Golden(_inside(model), each.noisy, each.denoised, each.shape) for each in golden if each.model == twin]
    if not found:
        raise UsageError(
            "A bundle with a model for the Edge TPU also holds the one that it was compiled from, NAME.tflite beside "
            f"NAME{_COMPILED}.tflite. Received: {model.path.name} alone. Remedy: add {Path(twin).name}."
        )
    return found


def _settings(path: Path) -> bytes:
    try:
        content = read_regular(path, _MOST_SETTINGS)
    except OSError as error:
        raise UsageError(
            f"Settings are a readable file. Received: {path}: {error.strerror or error}. Remedy: check the path."
        ) from None
    parse_settings(content)
    return content


def _entries(folder: Path) -> dict[str, FileEntry]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): FileEntry(path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in files
    }


def _inside(model: ModelFile) -> str:
    return f"models/{model.path.name}"
