"""A comparison as one HTML file: opens offline, holds its pictures, needs nothing from the network."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path

from compare.comparison import Compared
from compare.page.charts import histogram, layer_bars, spread
from compare.page.gallery import exhibits_section, patches_section, short
from compare.page.markup import Cell, escaped, table
from compare.page.showcase import Exhibit, choose_exhibits
from compare.regions import LIGHTS, REGIONS
from compare.scores import Comparison, ModelScore
from compare.table import COLUMNS, GROUP_TITLES, cells, footnote, sort_values
from quietcam.data.sets.pairs import Pair
from quietcam.files.atomic import write_text

__all__ = ["render", "write_html"]

_LAYER_HEADS = (
    *("layer", "operator", "costs dB", "weights alone", "SQNR dB", "own SQNR", "range", "99.9 % within"),
    *("levels", "beyond", "widest channel", "half within", "cause"),
)


def write_html(path: Path, compared: Compared, pairs: Sequence[Pair]) -> None:
    """Write the report to ``path``. ``pairs`` are those that were compared; three of them are read again for pictures.

    Raises:
        StorageError: it cannot be written.
    """
    write_text(path, render(compared, choose_exhibits(compared.scores, pairs)))


def render(compared: Compared, exhibits: Sequence[Exhibit]) -> str:
    """The page as text. The same comparison and pictures give the same page."""
    comparison = compared.scores
    title = escaped(f"{comparison.subject.title} on {comparison.data}")
    parts = [
        f"<h1>{title}</h1>\n<p>{escaped(_headline(comparison))}</p>",
        _figures(comparison),
        _models(comparison),
        _gate(comparison),
        _differences(comparison),
        *_blames(comparison),
        *_groups(comparison),
        _regions(comparison),
        _colours(comparison),
        exhibits_section(comparison, exhibits),
        patches_section(comparison, "Worst patches", compared.worst, "The ten squares of the lowest PSNR"),
        patches_section(
            comparison, "Where int8 loses most", compared.costliest, "The ten squares whose error grows most"
        ),
        spread(comparison, short(comparison.subject), _reference_words(comparison)),
        _provenance(comparison),
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f'<title>{title}</title>\n<link rel="icon" href="data:,">\n<style>\n{_style()}</style>\n'
        f"</head>\n<body>\n<main>\n{chr(10).join(part for part in parts if part)}\n</main>\n"
        f"<script>\n{_template('report.js')}</script>\n</body>\n</html>\n"
    )


def _style() -> str:
    """The style sheet that all reports share, and what this one adds."""
    shared = resources.files("quietcam.terminal").joinpath("templates", "page.css").read_text(encoding="utf-8")
    return shared + _template("report.css")


def _template(name: str) -> str:
    return resources.files("compare.page").joinpath("templates", name).read_text(encoding="utf-8")


def _reference_words(comparison: Comparison) -> str | None:
    return short(comparison.row(comparison.reference)) if comparison.reference else None


def _headline(comparison: Comparison) -> str:
    subject, noisy = comparison.subject, comparison.rows[0]
    text = f"From {noisy.psnr:.2f} dB noisy to {subject.psnr:.2f} dB denoised, mean of {comparison.pictures} pictures"
    if subject.drop is None:
        return f"{text}."
    if subject.drop > 0:
        return f"{text}; {subject.drop:.3f} dB under its float reference."
    return f"{text}; nothing lost to its float reference."


def _figures(comparison: Comparison) -> str:
    """Value, unit and meaning of what matters most."""
    subject = comparison.subject
    found = [(f"{subject.gain:+.2f}", "dB", "gain over the noisy picture")]
    classic = max((row.psnr for row in comparison.rows if row.kind == "classic"), default=None)
    if classic is not None:
        found.append((f"{subject.psnr - classic:+.2f}", "dB", "over the best classical filter"))
    if subject.drop is not None:
        found.append((f"{subject.drop:.3f}", "dB", "lost from float"))
    if subject.bytes is not None:
        found.append((f"{subject.bytes / 1000:.0f}", "kB", "model file"))
    if subject.ms is not None:
        found.append((f"{subject.ms:.1f}", "ms", f"a frame of {comparison.width}x{comparison.height}"))
    items = "".join(
        f"<li><b>{escaped(value).replace('-', '−')} <i>{unit}</i></b><span>{escaped(meaning)}</span></li>\n"
        for value, unit, meaning in found
    )
    return f'<ul class="figures">\n{items}</ul>'


def _models(comparison: Comparison) -> str:
    rows = [(_kind(comparison, row), list(zip(cells(row), sort_values(row), strict=True))) for row in comparison.rows]
    note = (
        f"{footnote(comparison)}. PSNR and SSIM on uint8 RGB, mean over the pictures. Zeros: share of weights that are "
        "zero. A filter is told the clean picture and takes its best strength for each."
    )
    return f"<h2>Models</h2>\n{table(COLUMNS, rows)}\n<p class=note>{escaped(note)}</p>"


def _gate(comparison: Comparison) -> str:
    if not comparison.gate:
        return ""
    heads = ("model", "pictures of", "count", "drop dB", "at most", "verdict")
    rows: list[tuple[str, list[Cell]]] = [
        (
            "" if check.holds else "missed",
            [
                (check.model, check.model),
                (check.where, check.where),
                (str(check.pictures), check.pictures),
                (f"{check.drop:.3f}", check.drop),
                (f"{check.limit:g}", check.limit),
                ("holds" if check.holds else "missed", int(check.holds)),
            ],
        )
        for check in comparison.gate
    ]
    return f"<h2>The gate</h2>\n{table(heads, rows, words=(1,))}"


def _differences(comparison: Comparison) -> str:
    parts = []
    for row in comparison.models:
        difference = row.difference
        if difference is None:
            continue
        words = (
            f"{row.title} minus {difference.against}: {100 * difference.equal:.1f} % of the values are equal, "
            f"{100 * difference.within_1:.1f} % differ by at most 1 of 255, {100 * difference.within_2:.2f} % by at "
            f"most 2, none by more than {difference.largest}; mean {difference.mean:+.3f}, root mean square "
            f"{difference.deviation:.3f}."
        )
        parts.append(f"<p class=note>{escaped(words).replace(' -', ' −')}</p>\n{histogram(difference.histogram)}")
    if not parts:
        return ""
    note = "<p class=note>Steps of 255 across, logarithm of how many values upwards; the last bars hold all beyond.</p>"
    return "<h2>Differences between models</h2>\n" + "\n".join(parts) + f"\n{note}"


def _blames(comparison: Comparison) -> Iterable[str]:
    for blamed in comparison.blame:
        rows = []
        for layer in blamed.layers:
            has_range = layer.low is not None and layer.high is not None
            middle = f"{layer.percentiles['0.05']:.3g} to {layer.percentiles['99.95']:.3g}"
            values: list[Cell] = [
                (layer.name, layer.name),
                (layer.kind, layer.kind),
                (f"{layer.cost:z.3f}", layer.cost),
                ("" if layer.cost_weights is None else f"{layer.cost_weights:z.3f}", layer.cost_weights),
                (f"{layer.sqnr:.1f}", layer.sqnr),
                ("" if layer.own_sqnr is None else f"{layer.own_sqnr:.1f}", layer.own_sqnr),
                (f"{layer.low:.3g} to {layer.high:.3g}" if has_range else "", layer.high),
                (middle, layer.percentiles["99.95"]),
                ("" if layer.levels is None else f"{layer.levels} of {layer.levels_total}", layer.levels),
                (f"{100 * layer.clipped:.3f} %", layer.clipped),
                (f"{layer.channel_peak:.3g} (channel {layer.channel})", layer.channel_peak),
                (f"{layer.typical_peak:.3g}", layer.typical_peak),
                (f"its range is that of its input; {layer.cause}" if layer.is_passed_on else layer.cause, layer.cause),
            ]
            rows.append(("missed" if layer.name == blamed.culprit else "", values))
        note = (
            f"{blamed.pictures} pictures. SQNR: of a layer's output, {blamed.model} against {blamed.reference}, both "
            "running: what this layer and all before it lost. Costs: PSNR that the float model loses when this layer "
            "alone is quantized. Own SQNR: the float output rounded to the layer's codes. Levels: codes in use by the "
            "middle 99.9 % of the values. Beyond: values that no code stands for. Half within: what half of the "
            "channels never exceed."
        )
        yield (
            f"<h2>Layers of {escaped(blamed.model)}</h2>\n<p>{escaped(blamed.verdict)}</p>\n{layer_bars(blamed)}\n"
            "<details><summary>every layer in figures</summary>\n"
            f"{table(_LAYER_HEADS, rows, words=(1, 12), dense=True)}\n</details>\n"
            f"<p class=note>{escaped(note)}</p>"
        )
    if comparison.notes:
        yield "".join(f"<p class=note>{escaped(note)}</p>" for note in comparison.notes)


def _groups(comparison: Comparison) -> Iterable[str]:
    subject = comparison.subject
    for kind, title in GROUP_TITLES.items():
        if kind not in subject.groups:
            continue
        heads = [title, "pictures", *([f"drop of {short(subject)}"] if subject.reference else [])]
        heads += [row.title for row in comparison.rows]
        rows = []
        for value, group in subject.groups[kind].items():
            scores = [row.groups[kind][value].psnr for row in comparison.rows]
            shown: list[Cell] = [(value, value), (str(group.pictures), group.pictures)]
            shown += [(f"{group.drop:.3f}", group.drop)] if group.drop is not None else []
            shown += [(f"{score:.2f}", score) for score in scores]
            rows.append(("", shown))
        note = "<p class=note>PSNR in dB, mean over the pictures.</p>"
        yield f"<h2>By {escaped(title)}</h2>\n{table(heads, rows)}\n{note}"


def _regions(comparison: Comparison) -> str:
    heads = ["PSNR dB of", *REGIONS, *LIGHTS]
    rows = []
    for row in comparison.rows:
        scores = [*(row.regions[each] for each in REGIONS), *(row.lights[each] for each in LIGHTS)]
        shown: list[Cell] = [(row.title, row.title)]
        shown += [("" if each.psnr is None else f"{each.psnr:.2f}", each.psnr) for each in scores]
        rows.append((_kind(comparison, row), shown))
    subject = comparison.subject
    shares = ", ".join(f"{each} {100 * subject.regions[each].share:.0f} %" for each in REGIONS)
    shares += "; " + ", ".join(f"{each} {100 * subject.lights[each].share:.0f} %" for each in LIGHTS)
    note = f"Pixels, by the clean picture: {shares}. PSNR of their pooled error."
    return f"<h2>Regions</h2>\n{table(heads, rows)}\n<p class=note>{escaped(note)}</p>"


def _colours(comparison: Comparison) -> str:
    heads = ("bias of", "red", "green", "blue", "in shadows", "banding")
    rows = []
    for row in comparison.rows:
        dark = row.lights["shadows"].bias
        shown: list[Cell] = [(row.title, row.title)]
        shown += [(f"{each:+.2f}", each) for each in row.bias]
        shown.append((f"{sum(dark) / len(dark):+.2f}", sum(dark) / len(dark)))
        shown.append(("" if row.banding is None else f"{row.banding:.2f}", row.banding))
        rows.append((_kind(comparison, row), shown))
    clean = comparison.clean_banding
    note = "Bias: mean of denoised minus clean, in steps of 255. Banding: false contours in each 1000 flat pixels" + (
        f"; the clean pictures have {clean:.2f}." if clean is not None else "."
    )
    return f"<h2>Colour and banding</h2>\n{table(heads, rows)}\n<p class=note>{escaped(note)}</p>"


def _provenance(comparison: Comparison) -> str:
    left_out = f", {len(comparison.problems)} pairs left out" if comparison.problems else ""
    facts = [("data", f"{comparison.data}, {comparison.pictures} pictures{left_out}"), *comparison.tools.items()]
    facts.append(("machine", f"{comparison.machine['cpu']}, {comparison.machine['cores']} cores"))
    facts.append(("threads", f"{comparison.machine['timed_threads']}, of the times"))
    parts = [f"<h2>What made it</h2>\n{_list(facts)}"]
    if comparison.problems:
        items = "".join(f"<li>{escaped(problem)}</li>" for problem in comparison.problems)
        parts.append(f'<details><summary>pairs left out</summary><ul class="note">{items}</ul></details>')
    for row in comparison.rows:
        if row.strengths:
            words = " · ".join(f"{strength}: {count}" for strength, count in row.strengths.items())
            summary = f"{row.title.split(',')[0]}: how many pictures wanted which strength"
            parts.append(f"<details><summary>{escaped(summary)}</summary><p class=note>{escaped(words)}</p></details>")
    parts += [f"<details><summary>{escaped(row.title)}</summary>\n{_about(row)}</details>" for row in comparison.models]
    return "\n".join(parts)


def _about(row: ModelScore) -> str:
    """What a model's manifest says."""
    manifest = row.manifest
    if not manifest:
        return f"<p class=note>{escaped(str(row.path))} has no manifest.</p>"
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
        licence = f" ({training['licence']})" if training.get("licence") else ""
        facts.append(("trained on", f"{training['data']}{licence}"))
    if ranges:
        patches = f", {ranges['patches']} patches" if ranges.get("patches") else ""
        facts.append(("int8 ranges", f"{ranges.get('from')}{patches}"))
    facts.append(("made with", ", ".join(f"{name} {version}" for name, version in manifest["tools"].items())))
    facts.append(("SHA-256", manifest["sha256"]))
    return _list(facts)


def _list(facts: Iterable[tuple[str, object]]) -> str:
    return "<dl>" + "".join(f"<dt>{escaped(key)}</dt><dd>{escaped(str(value))}</dd>" for key, value in facts) + "</dl>"


def _kind(comparison: Comparison, row: ModelScore) -> str:
    return "subject" if row.name == comparison.subject.name else row.kind
