"""Measures how accurate the noise estimates are, and how long the estimate from one frame takes.

    python -m benchmarks.data.estimation [--data ../shared/data] [--out FOLDER] [--calibrate] [--clean-sides]

The truth is the standard deviation of noisy - clean over the whole picture, all channels together, in steps of 255. A
ratio is the estimate divided by the truth. For clean sides the estimate itself is shown, in steps. "stream" is
``BlindEstimator`` after its first frame. Sets that do not exist are skipped. Writes estimation.csv.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.records import DATA, RESULTS
from quietcam.data.sets.pairs import find_pairs
from quietcam.estimation import BlindEstimator, estimate_blind, estimate_burst, estimate_pair
from quietcam.files.atomic import atomic_path
from quietcam.image import Image
from quietcam.sensor.noise import gaussian, random_camera
from quietcam.sensor.scenes import generate_scene

REAL = ("sidd_native/valid", "sidd_small_256/valid")
SIZES = ((480, 640), (1080, 1920))


def rng(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


def synthetic(data: Path) -> Iterator[tuple[str, str, Image, Image]]:
    """Set, name, noisy, clean: generated scenes and pictures with random cameras; pictures with white noise."""
    for seed in range(40):
        camera, scene = random_camera(rng(seed)), generate_scene(384, 384, seed)
        yield "sensor, generated", str(seed), camera.expose(scene, rng(seed)), camera.clean(scene, averaged=True)
    for folder in ("kodak24", "machine_camera"):
        path = data / "clean" / folder
        if not path.is_dir():
            print(f"skipped: no {path}")
            continue
        from quietcam.data.frames import clean_crop
        from quietcam.data.pictures.files import read_picture
        from quietcam.data.pictures.folder import list_pictures

        for seed, file in enumerate(list_pictures(path)):
            sharp = read_picture(file)
            scene = clean_crop(sharp, min(sharp.shape[:2]) // 2, rng(seed))
            camera = random_camera(rng(seed))
            yield f"sensor, {folder}", file.stem, camera.expose(scene, rng(seed)), camera.clean(scene, averaged=True)
            yield f"white 10, {folder}", file.stem, gaussian(sharp, 10.0, rng(seed)), sharp


def real(data: Path) -> Iterator[tuple[str, str, Image, Image]]:
    for name in REAL:
        if not (data / name).is_dir():
            print(f"skipped: no {data / name}")
            continue
        for pair in find_pairs(data / name):
            yield (name, pair.name, *pair.read())


def accuracy(data: Path) -> list[tuple[str, str, str, float, float]]:
    """Set, name, way, truth, estimate."""
    rows = []
    for make in (real, synthetic):
        for kind, name, noisy, clean in make(data):
            truth = float((noisy.astype(np.float64) - clean).std())
            rows.append((kind, name, "blind", truth, estimate_blind(noisy).sigma))
            rows.append((kind, name, "stream", truth, BlindEstimator(noisy.shape).update(noisy).sigma))
            rows.append((kind, name, "pair", truth, estimate_pair(noisy, clean).sigma))
            if kind in REAL:
                rows.append((f"{kind} clean side", name, "blind", 0.0, estimate_blind(clean).sigma))
    for seed in range(10):
        scene, sigma = generate_scene(256, 256, seed), 2.0 + seed
        scene = (scene // 2 + 64).astype(np.uint8)  # nothing clips
        burst = estimate_burst([gaussian(scene, sigma, rng(10 * seed + i)) for i in range(8)])
        pair = estimate_pair(gaussian(scene, sigma, rng(seed)), scene)
        for way, estimate in (("burst of 8", burst), ("pair", pair)):
            rows.append(("white, known sigma", str(seed), way, (sigma**2 + 1 / 12) ** 0.5, estimate.sigma))
    return rows


def show(rows: list[tuple[str, str, str, float, float]]) -> None:
    print(f"{'set':34} {'from':11} {'pictures':>8}  {'median':>7} {'lowest':>7} {'highest':>7}  median off")
    for kind, way in dict.fromkeys((row[0], row[2]) for row in rows):
        some = [row for row in rows if row[0] == kind and row[2] == way]
        if "clean side" in kind:
            reads = np.array([row[4] for row in some])
            print(f"{kind:34} {way:11} {len(some):8}  {np.median(reads):7.2f} {reads.min():7.2f} {reads.max():7.2f}")
        else:
            ratio = np.array([row[4] / row[3] for row in some])
            print(
                f"{kind:34} {way:11} {len(some):8}  {np.median(ratio):7.3f} {ratio.min():7.3f} {ratio.max():7.3f}  "
                f"{100 * np.median(np.abs(ratio - 1)):6.1f} %"
            )


def clean_sides(data: Path) -> None:
    """Show whether the estimates on clean sides of sidd_native/valid are texture, or noise that averaging has left.

    It looks at the flattest twentieth of their blocks, without wide structures: remaining noise has the strength by
    color, the grain and the correlation between colors of the camera's own noise; gray texture has none of them.
    """
    import cv2

    def rests(image: np.ndarray) -> np.ndarray:
        height, width = (side // 16 for side in image.shape[:2])
        narrow = (image - cv2.blur(image, (9, 9)))[: 16 * height, : 16 * width]
        return narrow.reshape(height, 16, width, 16, 3).swapaxes(1, 2).reshape(-1, 16, 16, 3)

    def told(blocks: np.ndarray) -> str:
        near = (blocks[:, 1:] * blocks[:, :-1]).mean((0, 1, 2)) + (blocks[:, :, 1:] * blocks[:, :, :-1]).mean((0, 1, 2))
        mixed = np.corrcoef(blocks.reshape(-1, 3).T)[(0, 1, 0), (1, 2, 2)]
        lags = near / 2 / blocks.var((0, 1, 2))
        return "  ".join(" ".join(f"{value:5.2f}" for value in some) for some in (blocks.std((0, 1, 2)), lags, mixed))

    print(f"{'flattest blocks':24} {'deviation R G B':>17}  {'lag 1 R G B':>17}  {'R-G G-B R-B':>17}")
    for kind, name, noisy, clean in real(data):
        if kind == REAL[0]:
            sides = rests(clean.astype(np.float32)), rests(noisy.astype(np.float32) - clean)
            power = sides[0].var((1, 2)).mean(1)
            flattest = np.argsort(power)[: max(8, len(power) // 20)]
            for what, blocks in zip(("clean side", "its noise"), sides, strict=True):
                print(f"{name[:13] + what:24} {told(blocks[flattest])}")


def speed() -> list[tuple[str, float]]:
    """Size and milliseconds a frame (p50), after warming up, frames of noise that are not in the cache."""
    found = []
    for height, width in SIZES:
        frames = [rng(i).integers(0, 256, (height, width, 3), np.uint8) for i in range(8)]
        estimator = BlindEstimator((height, width, 3))
        times = []
        for i in range(600):
            start = time.perf_counter()
            estimator.update(frames[i % len(frames)])
            times.append(1e3 * (time.perf_counter() - start))
        found.append((f"{width}x{height}", float(np.median(times[100:]))))
        print(f"{width}x{height}: {found[-1][1]:.3f} ms a frame (p50), {np.quantile(times[100:], 0.99):.3f} ms (p99)")
    return found


def calibrate() -> None:
    """Measure the constants of ``quietcam.estimation`` again, on flat fields whose noise is known."""
    from quietcam.estimation import _SIDE, _Probe

    print(f"{'noise':10} ratio  factor at lag 1  factor at lag 2   (medians of 20 flat fields)")
    found: dict[str, list[tuple[float, float, float]]] = {"white": [], "malvar": [], "bilinear": []}
    for seed in range(200):
        stream = rng(seed)
        flat = np.empty((384, 384, 3), np.uint8)
        flat[:] = stream.integers(50, 170, 3)
        camera = random_camera(stream)
        kind = "white" if seed % 4 == 0 else camera.isp.demosaic
        if len(found[kind]) == 20:
            continue
        noisy = (
            gaussian(flat, 8.0, stream)
            if kind == "white"
            else type(camera)(camera.noise, camera.isp).expose(flat, stream)
        )
        truth = float((noisy - noisy.mean(axis=(0, 1))).var())
        probe = _Probe(flat.shape, flat.shape[0] // _SIDE, flat.shape[1] // _SIDE)
        levels, powers = probe.buffers(1)
        probe.measure(noisy, probe.places(), levels, powers)
        near, far, near_color, far_color = powers
        flattest = np.argsort(near)[: len(near) // 8]
        lows = []
        for everything, color in ((near, near_color), (far, far_color)):
            share = everything[flattest].sum() / color[flattest].sum()
            lows.append(min(np.quantile(everything, 0.1), share * np.quantile(color, 0.1)))
        ratio = far_color[flattest].sum() / near_color[flattest].sum()
        found[kind].append((float(ratio), truth / lows[0], truth / lows[1]))
    for kind, values in found.items():
        ratio, near, far = np.median(values, axis=0)
        print(f"{kind:10} {ratio:5.2f}  {near:15.2f}  {far:15.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--calibrate", action="store_true", help="measure the estimator's constants, and stop")
    parser.add_argument("--clean-sides", action="store_true", help="show whether clean sides hold noise, and stop")
    arguments = parser.parse_args()
    if arguments.clean_sides:
        clean_sides(arguments.data)
        return
    if arguments.calibrate:
        calibrate()
        return
    rows = accuracy(arguments.data)
    show(rows)
    times = speed()
    with atomic_path(arguments.out / "estimation.csv") as temporary, temporary.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("set", "picture", "from", "truth", "estimate"))
        table.writerows((*row[:3], f"{row[3]:.3f}", f"{row[4]:.3f}") for row in rows)
        table.writerows(("ms a frame, p50", size, "stream", "", f"{value:.3f}") for size, value in times)


if __name__ == "__main__":
    main()
