"""The pictures of a report: whole ones behind a before/after slider, and the worst patches side by side."""

from __future__ import annotations

from collections.abc import Sequence

from compare.page.markup import escaped, figure
from compare.page.showcase import DIFFERENCE_GAIN, ERROR_GAIN, Exhibit, error_map
from compare.scores import Comparison, ModelScore
from compare.worst import Patch
from quietcam.terminal.page import picture_uri

__all__ = ["exhibits_section", "patches_section", "short"]


def short(row: ModelScore) -> str:
    """A model's recipe where known, for captions."""
    return row.recipe or row.title


def exhibits_section(comparison: Comparison, exhibits: Sequence[Exhibit]) -> str:
    """The worst, the median and the best picture, each behind a slider, with magnified crops."""
    subject = comparison.subject
    parts = ["<h2>Pictures</h2>"]
    for exhibit in exhibits:
        height, width = exhibit.noisy.shape[:2]
        place = ";".join(
            f"{side}:{100 * share:.3f}%"
            for side, share in zip(("left", "top", "width", "height"), exhibit.box, strict=True)
        )
        crops = []
        for name, picture in exhibit.crops.items():
            words = {"noisy": "noisy", "clean": "clean"}.get(name) or short(comparison.row(name))
            value = exhibit.psnr.get(name)
            crops.append(figure(picture, words, "" if value is None else f"{value:.2f} dB"))
        if exhibit.difference is not None and comparison.reference:
            pair = f"|{short(subject)} − {short(comparison.row(comparison.reference))}|"
            crops.append(figure(exhibit.difference, f"{pair} ×{DIFFERENCE_GAIN}"))
        crops.append(figure(exhibit.error, f"|{short(subject)} − clean| ×{ERROR_GAIN}"))
        size = f'width="{width}" height="{height}"'
        parts.append(
            f'<section class="exhibit">\n<h3>{exhibit.rank.capitalize()} <small>by PSNR of {escaped(short(subject))} · '
            f'{escaped(exhibit.name)}</small></h3>\n<div><figure class="slider">\n'
            f'<img class="after" src="{picture_uri(exhibit.denoised)}" {size} alt="denoised">\n'
            f'<img class="before" src="{picture_uri(exhibit.noisy)}" {size} alt="noisy">\n'
            f'<span class="box" style="{place}"></span><span class="edge"></span>\n'
            f'<span class="tag left">noisy {exhibit.psnr["noisy"]:.2f} dB</span>\n'
            f'<span class="tag right">{escaped(short(subject))} {exhibit.psnr[subject.name]:.2f} dB</span>\n'
            '<input type="range" min="0" max="100" value="50" step="0.5" '
            'aria-label="How much of the noisy picture is shown">\n</figure></div>\n'
            f'<div class="crops">\n{"".join(crops)}</div>\n</section>'
        )
    parts.append(
        "<p class=note>The small pictures magnify the marked square. The maps show the greatest difference of the "
        "three channels, amplified: black is none, pale yellow is full scale. PSNR is that of the whole picture.</p>"
    )
    return "\n".join(parts)


def patches_section(comparison: Comparison, title: str, patches: Sequence[Patch], words: str) -> str:
    """Patches side by side; nothing where there are none."""
    if not patches:
        return ""
    subject = comparison.subject
    shown = []
    for patch in patches:
        score = patch.score
        pictures = []
        for name, picture in patch.pictures.items():
            caption = {"noisy": "noisy", "clean": "clean"}.get(name) or short(comparison.row(name))
            value = score.psnr.get(name)
            pictures.append(figure(picture, caption, "" if value is None else f"{value:.1f} dB"))
        if comparison.reference is None:
            error = error_map(patch.pictures[subject.name], patch.pictures["clean"], ERROR_GAIN)
            pictures.append(figure(error, f"|{short(subject)} − clean| ×{ERROR_GAIN}"))
        drop = "" if score.drop is None else f" · {score.drop:+.2f} dB lost to float".replace("-", "−")
        place = f"{score.sample} at {score.box[0]},{score.box[1]}"
        shown.append(f'<div class="patch"><p>{escaped(place)}{drop}</p>\n{"".join(pictures)}</div>')
    note = f"{words}, of all squares of 64 pixels of all pictures; PSNR is that of the square."
    return f'<h2>{escaped(title)}</h2>\n<p class=note>{note}</p>\n<div class="patches">\n{chr(10).join(shown)}\n</div>'
