"""Bundles for tests: small models with golden frames that are true on this machine."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edge.network.interpreter import Interpreter
from edge.update.contents import CONTENTS, SETTINGS, Bounds, BundleModel, Contents, FileEntry, Golden
from edge.update.golden_frames import denoise_frames
from quietcam.files.atomic import write_json
from quietcam.tflite.manifest import read_manifest

__all__ = ["hashes", "make_bundle", "write_contents"]


def make_bundle(
    folder: Path,
    model: Path,
    version: str = "1",
    name: str = "small",
    bounds: Bounds | None = None,
    settings: str | None = None,
    frames: Sequence[int] = (1, 3),
) -> Path:
    """A bundle of one model in the new folder ``folder``.

    Args:
        model: has a manifest, as ``tests.small_models.with_manifest`` gives it.
        frames: number of frames of each golden still (1) or clip (more).
    """
    (folder / "models").mkdir(parents=True)
    (folder / "golden").mkdir()
    manifest = read_manifest(model)
    assert manifest is not None
    shutil.copy(model, folder / "models")
    write_json((folder / "models" / model.name).with_suffix(".json"), manifest.to_dict())
    golden = []
    with Interpreter(model) as interpreter:
        for number, count in enumerate(frames):
            noisy = np.random.default_rng(number).integers(0, 256, (count, *interpreter.shape), np.uint8)
            before, after = f"golden/{number}_noisy.rgb", f"golden/{number}_denoised.rgb"
            (folder / before).write_bytes(noisy.tobytes())
            (folder / after).write_bytes(denoise_frames(interpreter, noisy).tobytes())
            golden.append(Golden(f"models/{model.name}", before, after, (count, *interpreter.shape)))
    if settings is not None:
        (folder / SETTINGS).write_text(settings)
    write_contents(
        folder,
        Contents(
            name,
            version,
            (BundleModel(f"models/{model.name}"),),
            tuple(golden),
            hashes(folder),
            bounds or Bounds(),
            settings is not None,
            {"quietcam": "0"},
        ),
    )
    return folder


def hashes(folder: Path) -> dict[str, FileEntry]:
    """Size and SHA-256 of every file below ``folder``."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != CONTENTS)
    contents = {str(path.relative_to(folder)): path.read_bytes() for path in files}
    return {path: FileEntry(len(each), hashlib.sha256(each).hexdigest()) for path, each in contents.items()}


def write_contents(folder: Path, contents: Contents) -> None:
    (folder / CONTENTS).write_bytes(contents.to_bytes())
