"""Compares real and synthetic sensor noise, on crops of SIDD at sensor scale.

    python -m benchmarks.data.noise_realism [--data ../shared/data] [--out benchmarks/results]

One pipeline represents all cameras. Its color matrix, gains and demosaic were fitted to the 23 crops of one phone in
``sidd_native/train`` (``--fit`` does it again). Of each picture only shot and read noise are fitted, on its left half;
all figures are those of its right half. Exposure stays at 1: where nothing saturates, its effect looks like that of
shot and read noise. The clean side is treated as the average of an endless burst and converted back into what the
sensor saw.

``--own-colors`` is a diagnosis, not a result: matrix and gains, too, are fitted to each picture's left half. Errors
that remain come from the form of the pipeline; errors that vanish came from the colors of the phone.

Writes noise_realism.csv and noise_realism.png. Lines end in "ok" where the target holds: variance within 15 % in every
bin of 4,000 pixels or more, lag-1 autocorrelation within 0.05, correlation between channels within 0.1.
"""

from __future__ import annotations

import argparse
import csv
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.records import DATA, RESULTS
from quietcam.data.sets.pairs import find_pairs
from quietcam.files.atomic import atomic_path
from quietcam.image import Image
from quietcam.sensor.isp import Isp, Matrix, develop, mosaic, to_linear
from quietcam.sensor.noise import SIDD_LEVELS, SensorNoise

Floats = NDArray[np.float64]

BINS = 16
LEAST = 4000  # pixels of a bin
CHANNELS = "RGB"

# red's loss of green and blue, green's of red and blue, blue's of red and green; ln of red and blue gain; detail
FITTED = (0.458, -0.271, 0.077, 0.093, -0.037, 0.543, 0.462, 0.392, 1.101, 0.727, 0.775)
COLORS = tuple(range(8))
START = (0.74, -0.22, 0.06, 0.26, -0.05, 0.42, 0.43, 0.82, 1.0, 1.0, 1.0)


def pipeline(values: tuple[float, ...] | Floats) -> Isp:
    a, b, c, d, e, f, red, blue, *detail = (float(value) for value in values)
    matrix: Matrix = ((1 + a + b, -a, -b), (-c, 1 + c + d, -d), (-e, -f, 1 + e + f))
    shares = (max(0.0, detail[0]), max(0.0, detail[1]), max(0.0, detail[2]))
    return Isp(math.exp(red), math.exp(blue), matrix, demosaic="malvar", detail=shares)


@dataclass(frozen=True)
class Grain:
    """Figures that describe noise: errors are noisy - clean, levels are those of the clean side."""

    variance: Floats  # (3, BINS), NaN where there are few pixels
    count: NDArray[np.int64]
    lags: Floats  # (3, 3): channel, lag 1 to 3
    channels: Floats  # R-G, G-B, R-B

    @classmethod
    def of(cls, noisy: Image, clean: Image) -> Grain:
        import cv2

        error = noisy.astype(np.float32) - clean
        count = np.zeros((3, BINS), np.int64)
        variance = np.full((3, BINS), np.nan)
        for k in range(3):
            place, value = clean[..., k].ravel() // (256 // BINS), error[..., k].ravel()
            count[k] = np.bincount(place, minlength=BINS)
            seen = np.maximum(count[k], 1)
            mean = np.bincount(place, value, BINS) / seen
            square = np.bincount(place, value * value, BINS) / seen
            variance[k] = np.where(count[k] >= 500, square - mean * mean, np.nan)
        error -= cv2.blur(error, (31, 31))  # what is left of the scene is wide
        lags = np.array([[_lag(error[..., k], lag) for lag in (1, 2, 3)] for k in range(3)])
        mixed = np.corrcoef(error.reshape(-1, 3).T)
        return cls(variance, count, lags, np.array([mixed[0, 1], mixed[1, 2], mixed[0, 2]]))


def _lag(plane: NDArray[np.float32], lag: int) -> float:
    both = (plane[:, lag:] * plane[:, :-lag]).mean() + (plane[lag:] * plane[:-lag]).mean()
    return float(both / 2.0 / plane.var())


_GRID = np.linspace(0.0, 1.0, 8193, dtype=np.float32) ** 2


def imitate(clean: Image, noise: SensorNoise, isp: Isp, seed: int = 0) -> tuple[Image, Image]:
    """A synthetic noisy picture and its own ground truth, which equals ``clean`` where the pipeline can make it."""
    raw = mosaic(to_linear(clean, isp), isp.phase)
    raw = np.interp(raw, noise.average(_GRID), _GRID).astype(np.float32)
    rng = np.random.Generator(np.random.PCG64(seed))
    return develop(noise.expose(raw, rng), isp), develop(noise.average(raw), isp)


def fit_noise(noisy: Image, clean: Image, isp: Isp) -> SensorNoise:
    """Shot and read noise by the curves of variance, leaning lightly on the line between the two that SIDD shows.

    In a picture of few brightnesses the two cannot be told apart; the line then decides.
    """
    from scipy.optimize import least_squares

    real = Grain.of(noisy, clean)
    use = (real.count >= 1000) & np.isfinite(real.variance) & (real.variance > 0.3)
    noise = SensorNoise(1e-3, 1e-5)
    for _ in range(4):
        both, shot = (
            Grain.of(*imitate(clean, SensorNoise(noise.shot, read), isp)).variance for read in (noise.read, 0.0)
        )
        some = use & np.isfinite(both) & np.isfinite(shot)
        by_shot, by_read, wanted = shot[some], np.maximum(both - shot, 1e-4)[some], real.variance[some]
        weight = np.sqrt(real.count[some] / real.count[some].max())
        log_shot, log_read = math.log(noise.shot), math.log(noise.read)

        def miss(x: Floats) -> Floats:
            model = by_shot * math.exp(x[0]) + by_read * math.exp(x[1])  # noqa: B023
            line = SIDD_LEVELS.read_at_one + SIDD_LEVELS.read_slope * (log_shot + x[0])  # noqa: B023
            lean = 0.1 * (log_read + x[1] - line) / SIDD_LEVELS.read_scatter  # noqa: B023
            return np.append(weight * np.log(model / wanted), lean)  # noqa: B023

        found = least_squares(miss, np.zeros(2), bounds=(-3.0, 3.0)).x
        noise = SensorNoise(noise.shot * math.exp(found[0]), noise.read * math.exp(found[1]))
    return noise


@dataclass(frozen=True)
class Verdict:
    """One picture's right half: real, and synthetic."""

    name: str
    side: str
    noise: SensorNoise
    real: Grain
    synthetic: Grain
    shadows: tuple[Floats, Floats]

    @property
    def ratios(self) -> Floats:
        """Synthetic by real variance ``(3, BINS)``, NaN where bins are small."""
        enough = (self.real.count >= LEAST) & np.isfinite(self.synthetic.variance)
        return np.where(enough, self.synthetic.variance / self.real.variance, np.nan)

    @property
    def checks(self) -> tuple[bool, bool, bool]:
        ratios = self.ratios[np.isfinite(self.ratios)]
        return (
            bool((np.abs(ratios - 1.0) <= 0.15).all()),
            bool((np.abs(self.synthetic.lags - self.real.lags)[:, 0] <= 0.05).all()),
            bool((np.abs(self.synthetic.channels - self.real.channels) <= 0.1).all()),
        )


def shadows(noisy: Image) -> Floats:
    """Shares of the values 0 to 31 among all values."""
    shares: Floats = np.bincount(noisy.ravel(), minlength=256)[:32] / noisy.size
    return shares


def judge(folder: Path, side: str, *, own_colors: bool = False) -> list[Verdict]:
    verdicts, isp = [], pipeline(FITTED)
    for pair in find_pairs(folder / side):
        noisy, clean = pair.read()
        half = noisy.shape[1] // 2
        left = noisy[:, :half].copy(), clean[:, :half].copy()
        if own_colors:
            isp = pipeline(refine(FITTED, [left], COLORS))
        noise = fit_noise(*left, isp)
        noisy, clean = (np.ascontiguousarray(image[:, half:]) for image in (noisy, clean))
        made, truth = imitate(clean, noise, isp, seed=1)
        verdicts.append(
            Verdict(
                pair.name, side, noise, Grain.of(noisy, clean), Grain.of(made, truth), (shadows(noisy), shadows(made))
            )
        )
    return verdicts


def show(verdicts: list[Verdict]) -> None:
    print(f"{'picture':44} {'shot':>8} {'read':>8}  bins ok  worst ratio  lag-1 off  channels off  shadows off")
    for verdict in verdicts:
        ratios = verdict.ratios[np.isfinite(verdict.ratios)]
        worst = ratios[np.argmax(np.abs(np.log(ratios)))] if ratios.size else math.nan
        lag = np.abs(verdict.synthetic.lags - verdict.real.lags)[:, 0].max()
        mixed = np.abs(verdict.synthetic.channels - verdict.real.channels).max()
        dark = 0.5 * np.abs(verdict.shadows[0] - verdict.shadows[1]).sum()
        marks = [" ok" if fine else "   " for fine in verdict.checks]
        print(
            f"{verdict.side + '/' + verdict.name[:37]:44} {verdict.noise.shot:8.1e} {verdict.noise.read:8.1e}  "
            f"{(np.abs(ratios - 1) <= 0.15).sum():3}/{ratios.size:<2}{marks[0]} {worst:9.2f}   {lag:6.2f}{marks[1]}   "
            f"{mixed:6.2f}{marks[2]}   {dark:8.3f}"
        )
    for side in ("train", "valid"):
        some = [verdict for verdict in verdicts if verdict.side == side]
        ratios = np.concatenate([v.ratios[np.isfinite(v.ratios)] for v in some])
        held = [sum(v.checks[i] for v in some) for i in range(3)]
        print(
            f"{side}, {len(some)} pictures: variance holds in {held[0]}, lag 1 in {held[1]}, channels in {held[2]}; "
            f"{(np.abs(ratios - 1) <= 0.15).sum()} of {ratios.size} bins within 15 %, median off "
            f"{100 * np.median(np.abs(ratios - 1)):.0f} %"
        )


def write_csv(path: Path, verdicts: list[Verdict]) -> None:
    with atomic_path(path) as temporary, temporary.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("side", "picture", "figure", "channel", "at", "pixels", "real", "synthetic"))
        for v in verdicts:
            for k, channel in enumerate(CHANNELS):
                for i in range(BINS):
                    if v.real.count[k, i] >= LEAST and np.isfinite(v.synthetic.variance[k, i]):
                        pixels, real, made = v.real.count[k, i], v.real.variance[k, i], v.synthetic.variance[k, i]
                        level = (i + 0.5) * (256 // BINS)
                        table.writerow(
                            (v.side, v.name, "variance", channel, level, pixels, f"{real:.2f}", f"{made:.2f}")
                        )
                for lag in (1, 2, 3):
                    real, made = v.real.lags[k, lag - 1], v.synthetic.lags[k, lag - 1]
                    table.writerow((v.side, v.name, "lag", channel, lag, "", f"{real:.3f}", f"{made:.3f}"))
            for i, both in enumerate(("RG", "GB", "RB")):
                real, made = v.real.channels[i], v.synthetic.channels[i]
                table.writerow((v.side, v.name, "correlation", both, "", "", f"{real:.3f}", f"{made:.3f}"))
            for level in range(32):
                real, made = v.shadows[0][level], v.shadows[1][level]
                table.writerow((v.side, v.name, "share", "RGB", level, "", f"{real:.5f}", f"{made:.5f}"))


def plot(path: Path, verdicts: list[Verdict]) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    shown = verdicts[-6:]
    figure, axes = pyplot.subplots(3, len(shown), figsize=(3.2 * len(shown), 8.5), squeeze=False)
    for column, verdict in zip(axes.T, shown, strict=True):
        column[0].set_title(verdict.name[:24], fontsize=8)
        levels = (np.arange(BINS) + 0.5) * (256 // BINS)
        for k, color in enumerate(("tab:red", "tab:green", "tab:blue")):
            enough = verdict.real.count[k] >= LEAST
            column[0].plot(levels[enough], verdict.real.variance[k][enough], "o", color=color, markersize=4)
            column[0].plot(levels[enough], verdict.synthetic.variance[k][enough], "-", color=color)
            column[1].plot((1, 2, 3), verdict.real.lags[k], "o", color=color, markersize=4)
            column[1].plot((1, 2, 3), verdict.synthetic.lags[k], "-", color=color)
        column[1].plot((4, 5, 6), verdict.real.channels, "ko", markersize=4)
        column[1].plot((4, 5, 6), verdict.synthetic.channels, "k_", markersize=12)
        column[1].set_xticks(range(1, 7), ("lag 1", "2", "3", "RG", "GB", "RB"), fontsize=7)
        column[2].plot(verdict.shadows[0], "k.", markersize=4)
        column[2].plot(verdict.shadows[1], "k-", linewidth=1)
        column[2].set_xlabel("value (share of all)", fontsize=8)
    axes[0][0].set_ylabel("variance over brightness\n(points real, lines synthetic)", fontsize=8)
    axes[1][0].set_ylabel("correlation", fontsize=8)
    axes[2][0].set_ylabel("shadows", fontsize=8)
    figure.tight_layout()
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=90)
    pyplot.close(figure)


def fit_pipeline(folder: Path) -> Floats:
    """The figures of ``FITTED``, from the train crops alone."""
    pictures = []
    for pair in find_pairs(folder / "train"):
        noisy, clean = pair.read()
        pictures.append((noisy[128:384, 64:448].copy(), clean[128:384, 64:448].copy()))
    return refine(START, pictures, tuple(range(len(START))))


def refine(start: tuple[float, ...] | Floats, pictures: list[tuple[Image, Image]], free: tuple[int, ...]) -> Floats:
    """The ``free`` ones among a pipeline's values, such that noise made by it looks like that of the pictures.

    Levenberg and Marquardt's way over what is judged here, in units of the targets; shot and read noise are fitted to
    each picture before every round. Gains and detail can partly stand for each other, so all lean on the start.
    """
    real = [Grain.of(*each) for each in pictures]
    values, step = np.array(start, np.float64), 0.03

    def miss(trial: Floats) -> Floats:
        isp, out = pipeline(trial), []
        for (_, clean), grain, noise in zip(pictures, real, noises, strict=True):
            out.append(np.clip(_misses(Grain.of(*imitate(clean, noise, isp)), grain), -4.0, 4.0))
        return np.concatenate([*out, 0.5 * (trial - start)])

    best = (math.inf, values)
    for _ in range(5):
        noises = [fit_noise(*each, pipeline(values)) for each in pictures]
        now = miss(values)
        if now @ now >= best[0]:
            break
        best = (float(now @ now), values)
        nudges = np.eye(len(values))[list(free)] * step
        slopes = np.stack([(miss(values + nudge) - miss(values - nudge)) / (2 * step) for nudge in nudges], axis=1)
        tries = []
        for damping in (1.0, 30.0):
            moved = values.copy()
            moved[list(free)] -= np.linalg.solve(slopes.T @ slopes + damping * np.eye(len(free)), slopes.T @ now)
            after = miss(moved)
            tries.append((float(after @ after), moved))
        values = min(tries, key=lambda each: each[0])[1]
    return best[1]


def _misses(made: Grain, real: Grain) -> Floats:
    """Differences of synthetic and real noise in units of the targets, without level and slope of the variance."""
    some = (real.count >= 1000) & np.isfinite(real.variance) & np.isfinite(made.variance) & (real.variance > 0.3)
    weight = np.where(real.count >= LEAST, 1.0, 0.5)
    variance = np.where(some, np.log(np.where(some, made.variance / real.variance, 1.0)) / 0.15 * weight, 0.0)
    if some.any():
        variance[some] -= variance[some].mean()
    lags = (made.lags - real.lags)[:, :2] / (0.05, 0.1)
    misses: Floats = np.concatenate([variance.ravel(), lags.ravel(), (made.channels - real.channels) / 0.1])
    return misses


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--fit", action="store_true", help="fit the pipeline to the train crops, print it, and stop")
    parser.add_argument(
        "--own-colors", action="store_true", help="fit matrix and gains to each picture; writes nothing"
    )
    arguments = parser.parse_args()
    folder = arguments.data / "sidd_native"
    if not folder.is_dir():
        print(f"skipped: no {folder}")
        return
    if arguments.fit:
        print(", ".join(f"{value:.3f}" for value in fit_pipeline(folder)))
        return
    own = arguments.own_colors
    verdicts = [verdict for side in ("train", "valid") for verdict in judge(folder, side, own_colors=own)]
    show(verdicts)
    if not own:
        write_csv(arguments.out / "noise_realism.csv", verdicts)
        plot(arguments.out / "noise_realism.png", verdicts)


if __name__ == "__main__":
    main()
