"""The representative set of a camera, chosen from its pictures in one call: what `quietcam calibrate` does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from calibration.clips import survey_clips
from calibration.coverage import Coverage, cover
from calibration.history import check_network, with_history, without_past
from calibration.network import open_network
from calibration.sampling import sample
from calibration.survey import survey
from quietcam.data.clips.noisy import find_noisy_clips
from quietcam.data.sets.noisy_pictures import find_noisy
from quietcam.errors import UsageError
from quietcam.representative.audit import check_histories, read_samples
from quietcam.representative.audit import rebuild as cut_again
from quietcam.representative.set import RepresentativeSet, save_set

__all__ = ["Calibration", "calibrate"]

_MOST_BYTES = 2 << 30


@dataclass(frozen=True)
class Calibration:
    """A representative set, and how well it covers the data that it was chosen from.

    Attributes:
        representative: the set.
        coverage: the report.
    """

    representative: RepresentativeSet
    coverage: Coverage

    def to_dict(self, path: str | Path) -> dict[str, Any]:
        """The report of a set that is stored at ``path``: plain values, as ``calibration.coverage`` describes them."""
        return self.coverage.to_dict(Path(path), self.representative)


def calibrate(
    data: str | Path,
    *,
    count: int = 256,
    size: int = 128,
    seed: int = 0,
    split: str = "all",
    gray: bool = False,
    model: str | Path | None = None,
    rebuild: str | Path | None = None,
    out: str | Path | None = None,
    html: str | Path | None = None,
) -> Calibration:
    """Choose noisy patches that represent the camera: the converter takes int8 ranges from them.

    They are balanced over phone, ISO, brightness, content, luminance and noise, as far as these are known. The same
    arguments give the same set.

    Args:
        data: pairs, as ``quietcam.data.load.load_pairs`` takes them, or a folder of noisy pictures alone; for a video
            network clips, with or without clean twins.
        count: how many patches, at least 1. There are fewer if the pictures have no more that differ.
        size: side of a patch in pixels, at least 16.
        seed: another seed gives another set.
        split: for pairs: one side of the split by scene, as ``load_pairs`` takes it.
        gray: cut patches of one channel, for grayscale models; they hold the luma of color pictures.
        model: a float video network, as a ``.tflite`` file or a run directory: it makes the history of each patch from
            the frames before it. Stills have no frames before them; then each patch is its own history, and a warning
            says what that costs.
        rebuild: a set, or the JSON report of one: its samples are cut again, and ``count``, ``size``, ``seed`` and
            ``gray`` are taken from it. A set with history needs ``model``.
        out: write the set to this ``.npz`` file.
        html: write the coverage report to this file, as a page with pictures.

    Raises:
        UsageError: there is no such data set, or a number or the suffix of ``out`` is wrong.
        DataError: no picture can be used; a sample of ``rebuild`` does not match the data, or its history that of the
            model.
        ModelError: ``model`` is no float video network.
        StorageError: ``out`` or ``html`` cannot be written.
        MissingExtraError: jinja2 is not installed, for ``html`` (by the command line).

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> import quietcam
        >>> from quietcam.data.generated import make_generated_pair
        >>> from quietcam.data.pictures.files import write_picture
        >>> folder = Path(tempfile.mkdtemp())
        >>> for number in range(4):
        ...     noisy, _ = make_generated_pair(number, size=64)
        ...     write_picture(folder / f"frame_{number}.png", noisy)
        >>> found = quietcam.calibrate(folder, count=8, size=32, out=folder / "representative.npz")
        >>> found.representative.patches.shape, found.representative.patches.dtype
        ((8, 32, 32, 3), dtype('uint8'))
        >>> found.coverage.pictures, [finding.name for finding in found.coverage.findings]
        (4, ['size', 'few'])
    """
    data = Path(data)
    _check(count, size, out)
    if html is not None:
        import jinja2  # noqa: F401  before the work, not after it
    network = None if model is None else open_network(Path(model))
    listed = None if rebuild is None else read_samples(Path(rebuild))
    if listed is not None and listed.has_history and network is None:
        raise UsageError(
            f"The history of a set is made by its network. Received: `rebuild={rebuild}`, a set with history. "
            "Remedy: give that network with `model`."
        )
    found = find_noisy(data, split)
    channels = 1 if gray else 3
    chosen = None
    if listed is not None:
        chosen = cut_again(listed, data)
        channels, size, count = chosen.channels, min(chosen.patches.shape[1:3]), len(chosen)
        seed = int(chosen.origin.get("seed", seed))
    clips = find_noisy_clips(data, split) if network is not None else []
    if network is not None:
        check_network(network, size, channels)
    if clips:
        candidates = survey_clips(clips, size=size, count=count, seed=seed, channels=channels)
    else:
        candidates = survey(found.pictures, size=size, count=count, seed=seed, channels=channels)
    if chosen is None:
        told: dict[str, Any] = {"split": split}
        if found.capture is not None:
            told["capture"] = found.capture
        chosen = sample(candidates, count=count, seed=seed, data=data.resolve().name, told=told)
    if network is not None:
        chosen = with_history(chosen, clips, network) if clips else without_past(chosen, network)
        if listed is not None:
            check_histories(listed, chosen)
    if out is not None:
        save_set(Path(out), chosen)
    coverage = cover(chosen, candidates)
    if html is not None:
        from calibration.page import write_html

        write_html(Path(html), coverage, chosen)
    return Calibration(chosen, coverage)


def _check(count: int, size: int, out: str | Path | None) -> None:
    if out is not None and Path(out).suffix != ".npz":
        raise UsageError(f"`out` is an .npz file. Received: {out}. Remedy: `out={Path(out).with_suffix('.npz')}`")
    for name, value, least in (("count", count, 1), ("size", size, 16)):
        if value < least:
            raise UsageError(f"`{name}` must be at least {least}. Received: {value}. Remedy: choose a larger number.")
    if count * size**2 * 3 > _MOST_BYTES:
        raise UsageError(
            f"A set may take at most {_MOST_BYTES >> 30} GiB of memory. Received: `count={count}` `size={size}`. "
            "Remedy: choose fewer or smaller patches; a few hundred of 128 pixels are enough."
        )
