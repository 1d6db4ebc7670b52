"""Charts of a report, as plain HTML that a telephone shows as well as a screen: bars, dots and a histogram."""

from __future__ import annotations

import math
from collections.abc import Mapping

from compare.blame.blame import Blame
from compare.page.markup import escaped
from compare.scores import Comparison

__all__ = ["histogram", "layer_bars", "spread"]

_ROWS_SHOWN = 16
_MARGIN_DB = 0.5
_MOST_STEPS = 12
_MOST_SQNR = 60.0


def histogram(counts: Mapping[str, int]) -> str:
    """How many values differ by how many steps, logarithmic; the outermost bars hold all that lies beyond."""
    reach = min(_MOST_STEPS, max((abs(int(step)) for step in counts), default=0))
    bars = dict.fromkeys(range(-reach, reach + 1), 0)
    for steps, count in counts.items():
        bars[max(-reach, min(reach, int(steps)))] += count
    top = math.log10(1 + max(bars.values(), default=1))
    shown = []
    for step, count in bars.items():
        beyond = "≥" if step == reach == _MOST_STEPS else "≤" if step == -reach == -_MOST_STEPS else ""
        label = f"<span>{beyond}{step}</span>".replace("-", "−") if step % 4 == 0 or reach <= 4 else ""
        height = 100 * math.log10(1 + count) / top if top else 0.0
        shown.append(
            f'<div{" class=empty" if count == 0 else ""} style="height:{height:.2f}%" '
            f'title="{step:+d}: {count:,} values">{label}</div>'
        )
    return f'<div class="histogram">{"".join(shown)}</div>'


def layer_bars(blamed: Blame) -> str:
    """Each layer in the order of the network: how clean its output is, and what it costs alone."""
    most = max((layer.cost for layer in blamed.layers), default=0.0)
    top = min(_MOST_SQNR, max((layer.sqnr for layer in blamed.layers), default=1.0))
    lines = [
        '<span class="head name">layer</span>'
        '<span class="head">SQNR up to here</span><span class="head value">dB</span>'
        '<span class="head">cost of it alone</span><span class="head value">dB</span>'
    ]
    for layer in blamed.layers:
        guilty = " guilty" if layer.name == blamed.culprit else ""
        clean = 100 * max(0.0, min(layer.sqnr, top)) / top
        dear = 100 * max(0.0, layer.cost) / most if most > 0 else 0.0
        sqnr = f">{_MOST_SQNR:.0f}" if layer.sqnr > _MOST_SQNR else f"{layer.sqnr:.1f}"
        lines.append(
            f'<span class="name{guilty}" title="{escaped(layer.kind)}">{escaped(layer.name)}</span>'
            f'<span class="bar"><i style="width:{clean:.2f}%"></i></span><span class="value">{escaped(sqnr)}</span>'
            f'<span class="bar cost"><i class="{guilty.strip()}" style="width:{dear:.2f}%"></i></span>'
            f'<span class="value{guilty}">{layer.cost:z.3f}</span>'.replace(">-", ">−")
        )
    return f'<div class="layers">\n{chr(10).join(lines)}\n</div>'


def spread(comparison: Comparison, subject_words: str, reference_words: str | None) -> str:
    """PSNR of each picture, worst first, as dots on a common axis."""
    subject = comparison.subject.name
    shown = [("noisy", "noisy", "noisy")]
    if comparison.reference and comparison.reference != subject:
        shown.append((comparison.reference, "reference", str(reference_words)))
    shown.append((subject, "subject", subject_words))
    values = [pair.psnr[name] for pair in comparison.pairs for name, _, _ in shown]
    low, high = min(values) - _MARGIN_DB, max(values) + _MARGIN_DB

    def place(value: float) -> float:
        return round(100 * (value - low) / (high - low), 2)

    step = next(step for step in (1, 2, 5, 10, 20, 50) if (high - low) / step <= 8)
    ticks = "".join(
        f'<span style="left:{place(value)}%">{value}</span>'
        for value in range(int(-(-low // step) * step), int(high) + 1, step)
    )
    lines = []
    for pair in sorted(comparison.pairs, key=lambda pair: pair.psnr[subject]):
        ends = sorted((place(pair.psnr["noisy"]), place(pair.psnr[subject])))
        dots = "".join(
            f'<i class="dot {kind}" style="left:{place(pair.psnr[name])}%" title="{pair.psnr[name]:.2f} dB"></i>'
            for name, kind, _ in shown
        )
        lines.append(
            f'<span class="name" title="{escaped(pair.name)}">{escaped(pair.name)}</span><span class="track">'
            f'<i class="line" style="left:{ends[0]}%;width:{ends[1] - ends[0]:.2f}%"></i>{dots}</span>'
            f'<span class="value">{pair.psnr[subject]:.2f}</span>'
        )

    def block(some: list[str]) -> str:
        axis = f'<span class="name"></span><span class="axis">{ticks}</span><span></span>'
        return f'<div class="spread">\n{chr(10).join(some)}\n{axis}\n</div>'

    legend = "".join(f'<span><i class="dot {kind}"></i>{escaped(words)}</span>' for _, kind, words in shown)
    parts = [f'<h2>Each picture</h2>\n<p class="legend">{legend}<span>PSNR, dB</span></p>', block(lines[:_ROWS_SHOWN])]
    if rest := lines[_ROWS_SHOWN:]:
        words = f"the other {len(rest)} pictures, which are better"
        parts.append(f"<details><summary>{words}</summary>{block(rest)}</details>")
    if comparison.pictures > len(comparison.pairs):
        parts.append(f"<p class=note>An even choice of {len(comparison.pairs)} from {comparison.pictures}.</p>")
    return "\n".join(parts)
