"""A comparison as one HTML file: it opens offline, holds its pictures and needs nothing from the network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from compare.comparison import Compared
from compare.page import tables
from compare.page.charts import histogram, layer_bars, spread
from compare.page.showcase import DIFFERENCE_GAIN, ERROR_GAIN, Exhibit, choose_exhibits, error_map
from compare.regions import LIGHTS, REGIONS
from compare.scores import Comparison, ModelScore
from compare.table import GROUP_TITLES, footnote
from compare.worst import Patch
from quietcam.data.sets.pairs import Pair
from quietcam.files.atomic import write_text
from quietcam.image import Image
from quietcam.terminal.page import picture_uri, render_page

__all__ = ["render", "write_html"]

_LINES_SHOWN = 16


def write_html(path: Path, compared: Compared, pairs: Sequence[Pair]) -> None:
    """Write the report to ``path``. ``pairs`` are those that were compared; three of them are read again for pictures.

    Raises:
        StorageError: it cannot be written.
        MissingExtraError: jinja2 is not installed (by the command line).
    """
    write_text(path, render(compared, choose_exhibits(compared.scores, pairs)))


def render(compared: Compared, exhibits: Sequence[Exhibit]) -> str:
    """The page as HTML. The same comparison and pictures give the same page."""
    comparison = compared.scores
    captions = {row.name: tables.recipe_of(row) for row in comparison.rows} | {"noisy": "noisy", "clean": "clean"}
    return render_page(
        "compare.page",
        "report.html.j2",
        comparison=comparison,
        subject=comparison.subject,
        footnote=footnote(comparison),
        captions=captions,
        figures=_figures(comparison),
        models=tables.models(comparison),
        gate=tables.gate(comparison),
        differences=[(row, histogram(row.difference.histogram)) for row in comparison.models if row.difference],
        blames=[(blamed, layer_bars(blamed), tables.layers(blamed)) for blamed in comparison.blame],
        groups=[
            (title, tables.groups(comparison, kind, title))
            for kind, title in GROUP_TITLES.items()
            if kind in comparison.subject.groups
        ],
        regions=tables.regions(comparison),
        shares=[
            (name, score.share)
            for names, scores in ((REGIONS, comparison.subject.regions), (LIGHTS, comparison.subject.lights))
            for name, score in ((name, scores[name]) for name in names)
        ],
        colors=tables.colors(comparison),
        exhibits=exhibits,
        worst=[(patch, _error(comparison, patch)) for patch in compared.worst],
        costliest=[(patch, _error(comparison, patch)) for patch in compared.costliest],
        spread=spread(comparison),
        lines_shown=_LINES_SHOWN,
        facts=[(row, _facts(row)) for row in comparison.models],
        difference_gain=DIFFERENCE_GAIN,
        error_gain=ERROR_GAIN,
        picture_uri=picture_uri,
    )


def _figures(comparison: Comparison) -> list[tuple[str, str, str]]:
    """Value, unit and meaning of what matters most."""
    subject = comparison.subject
    found = [(f"{subject.gain:+.2f}", "dB", "gain over the noisy picture")]
    classic = max((row.psnr for row in comparison.rows if row.kind == "classic"), default=None)
    if classic is not None:
        found.append((f"{subject.psnr - classic:+.2f}", "dB", "over the best classical filter"))
    if subject.drop is not None:
        found.append((f"{subject.drop:.3f}", "dB", "below its float twin"))
    if subject.bytes is not None:
        found.append((f"{subject.bytes / 1000:.0f}", "kB", "model file"))
    if subject.ms is not None:
        found.append((f"{subject.ms:.1f}", "ms", f"a frame of {comparison.width}x{comparison.height}"))
    return found


def _error(comparison: Comparison, patch: Patch) -> Image | None:
    """The map of a patch's error; None if the reference's picture is shown instead."""
    if comparison.reference is not None:
        return None
    return error_map(patch.pictures[comparison.subject.name], patch.pictures["clean"], ERROR_GAIN)


def _facts(row: ModelScore) -> list[tuple[str, str]]:
    """Facts from a model's manifest; empty without one."""
    manifest = row.manifest
    if not manifest:
        return []
    training = manifest["training"]
    ranges = training.get("ranges") or {}
    facts = [("recipe", f"{manifest['recipe']}, {manifest['width']}x{manifest['height']}")]
    if row.parameters:
        facts.append(("parameters", f"{row.parameters:,}"))
    if row.int8_share is not None:
        facts.append(("int8 operators", f"{row.int8_share:.0%}"))
    if manifest["architecture"]:
        facts.append(("architecture", " · ".join(f"{key} {value}" for key, value in manifest["architecture"].items())))
    if manifest["receptive_field"]:
        facts.append(("receptive field", f"{manifest['receptive_field']} pixels"))
    if training.get("data"):
        terms = f" ({training['licence']})" if training.get("licence") else ""
        facts.append(("trained on", f"{training['data']}{terms}"))
    if ranges:
        patches = f", {ranges['patches']} patches" if ranges.get("patches") else ""
        facts.append(("int8 ranges", f"{ranges.get('from')}{patches}"))
    facts.append(("made with", ", ".join(f"{name} {version}" for name, version in manifest["tools"].items())))
    facts.append(("SHA-256", manifest["sha256"]))
    return facts
