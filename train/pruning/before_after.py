"""Shows the effect of pruning on a run: a table of before and after, and a plot."""

from __future__ import annotations

import gzip
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tf_keras as keras

from quietcam.evaluation import Evaluation
from quietcam.files.atomic import atomic_path
from train.model import convolutions
from train.run_directory.read import TrainedRun

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["PLOT", "before_after", "plot_channels", "plot_sensitivity", "weights_size"]

PLOT = "pruning.png"


def weights_size(model: keras.Model) -> tuple[int, int]:
    """Bytes of all weights in float32, uncompressed and compressed by gzip: zeros reduce only the second."""
    content = b"".join(
        layer.kernel.numpy().tobytes() + layer.bias.numpy().tobytes() for layer in convolutions(model).values()
    )
    return len(content), len(gzip.compress(content, mtime=0))


def before_after(before: TrainedRun, after: TrainedRun) -> tuple[Table, list[dict[str, Any]]]:
    """The table for the terminal, and its rows for JSON.

    Args:
        before: the run whose network was pruned. after: the pruned run.
    """
    from rich.table import Table

    rows = [_row(name, each) for name, each in (("before", before), ("after", after))]
    table = Table(title="validation PSNR in dB; GMACs at 256x256; float32 weights in bytes", title_justify="left")
    for column in rows[0]:
        table.add_column(column, justify="left" if column == "run" else "right")
    for row in rows:
        table.add_row(*(f"{value:,}" if isinstance(value, int) else str(value) for value in row.values()))
    return table, rows


def _row(name: str, run: TrainedRun) -> dict[str, Any]:
    evaluation = run.evaluation
    raw, gzipped = weights_size(run.load_model())
    return {
        "run": name,
        "widths": " ".join(map(str, evaluation.architecture.widths)),
        "GMACs": evaluation.gmacs_256,
        "parameters": evaluation.parameters,
        "zeros": evaluation.sparsity,
        "bytes": raw,
        "gzipped": gzipped,
        "PSNR": evaluation.validation.psnr,
        **{name: each.psnr for name, each in evaluation.validation.by_set.items()},
    }


def plot_channels(path: Path, evaluation: Evaluation) -> None:
    """A PNG of PSNR against GMACs: of the smaller networks by each measure of importance, and after fine-tuning."""
    pruning = evaluation.treatments.channel_pruning
    if pruning is None:
        return
    axes, save = _figure("GMACs at 256x256", "validation PSNR, dB")
    for kind, path_down in pruning.paths.items():
        gmacs, psnr = [each.gmacs for each in path_down], [each.psnr for each in path_down]
        axes.plot(gmacs, psnr, marker=".", label=f"{kind}, not fine-tuned")
    axes.plot(evaluation.gmacs_256, evaluation.validation.psnr, "k*", markersize=12, label="fine-tuned")
    axes.axhline(pruning.before, color="gray", linestyle=":", label="before")
    save(path)


def plot_sensitivity(path: Path, evaluation: Evaluation) -> None:
    """A PNG of PSNR against the sparsity of one convolution at a time, while the others are not pruned."""
    pruning = evaluation.treatments.magnitude_pruning
    if pruning is None or pruning.sensitivity is None:
        return
    axes, save = _figure("sparsity of this convolution alone", "validation PSNR, dB")
    for name, found in pruning.sensitivity.items():
        axes.plot([float(share) for share in found], list(found.values()), marker=".", label=name)
    save(path)


def _figure(x: str, y: str) -> tuple[Any, Any]:
    from matplotlib.figure import Figure  # not pyplot, which tries to open a display

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.add_subplot()
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(alpha=0.3)

    def save(path: Path) -> None:
        axes.legend(fontsize="small", ncols=2)
        content = io.BytesIO()
        figure.savefig(content, format="png", dpi=120)
        with atomic_path(path) as temporary:
            temporary.write_bytes(content.getvalue())

    return axes, save
