"""When a video network should forget: what the past is worth after a gap, and which frames count as cuts.

    python -m benchmarks.network.history [--data ../shared/data] [--model MODEL] [--clips 60] [--csv FILE]

Cuts, without a network: made-up clips (quietcam.sensor.motion) and real ones, each behind a simulated imx219. A row
says how large a part of a frame the one before explains (edge.network.past.scene): the least of the frames of one shot,
by movement and light, and the most of the frames after a cut, with the number of those on the wrong side of LEAST.

Gaps, with ``--model``, a video network: it sees 8 frames of a real clip, and then the frame that comes ``gap`` frames
after the last of them. A row says how many dB this frame gains by the past, against the same network that forgot. With
"cut" as its gap it is a frame of another clip. Missing clips are skipped.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import itertools
import shlex
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.network.harm import decibels
from benchmarks.network.harm_video import CAMERA, CLIPS
from benchmarks.records import DATA, RESULTS, commit, machine
from edge.models import resolve_model
from edge.network.engine import Engine
from edge.network.frame_network import FrameNetwork
from edge.network.past.scene import LEAST, SceneTest
from quietcam.data.video import open_video
from quietcam.image import Image
from quietcam.sensor.camera_kinds import DrawnCamera
from quietcam.sensor.filming import film
from quietcam.sensor.motion import Instant, Plan, draw_plan, play
from quietcam.sensor.noise import sensor
from quietcam.sensor.postprocessing import Postprocessing
from quietcam.sensor.scenes import generate_scene
from quietcam.sensor.traits import Traits

FRAMES, SIZE = 24, 256
GAINS = (8, 24)
GAPS = (1, 2, 4, 8, 15, 30)
WARM = 8
STARTS = (0, 20)
LENGTH = 60  # of a real clip
Rows = list[tuple[object, ...]]


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--model", help="a video network; without it, gaps are not measured")
    parser.add_argument("--clips", type=int, default=60, help="number of made-up clips")
    parser.add_argument("--csv", type=Path, default=RESULTS / "history.csv")
    options = parser.parse_args()
    real = {gain: dict(filmed(options.data, gain)) for gain in GAINS}
    rows = cuts(options.clips, real)
    if options.model:
        network = FrameNetwork(Engine(resolve_model(options.model), "cpu", 2))
        rows += gaps(network, real)
        network.close()
    command = shlex.join(["python", "-m", "benchmarks.network.history", *sys.argv[1:]])
    told = datetime.date.today().isoformat(), commit(), machine(), command
    is_new = not options.csv.exists()
    with options.csv.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        if is_new:
            writer.writerow(("date", "commit", "machine", "command", "what", "of", "frames", "value", "wrong"))
        for row in rows:
            writer.writerow((*told, *row))
            print(*row, sep="\t")
    return 0


def filmed(data: Path, gain: int) -> Iterator[tuple[str, list[tuple[Image, Image]]]]:
    """The name of each real clip, and its noisy and clean frames."""
    camera = DrawnCamera("sensor", sensor("imx219", gain), CAMERA, Traits(), Postprocessing())
    for stem, second in CLIPS:
        path = data / "video" / f"{stem}.mp4"
        if not path.exists():
            print(f"skipped: no {path}")
            continue
        with open_video(path, stem) as video:
            video.seek(round(second * (video.fps or 25.0)))
            reads = itertools.islice(iter(video.read, None), LENGTH)
            scenes = [np.ascontiguousarray(read[0][:352, :640]) for read in reads if read]
        instants = (Instant(scene, scene, number == 0) for number, scene in enumerate(scenes))
        yield stem, [(frame.noisy, frame.clean) for frame in film(instants, camera, 1)]


def cuts(clips: int, real: dict[int, dict[str, list[tuple[Image, Image]]]]) -> Rows:
    """How much of each frame the frame before explains."""
    same: dict[str, list[float]] = defaultdict(list)
    cut: dict[str, list[float]] = defaultdict(list)
    for seed in range(clips):
        rng = np.random.default_rng(seed)
        plan, gain = draw_plan(rng, FRAMES, SIZE), GAINS[seed % len(GAINS)]
        camera = DrawnCamera("sensor", sensor("imx219", gain), CAMERA, Traits(), Postprocessing())

        def still(number: int, side: int, seed: int = seed) -> Image:
            return generate_scene(max(side, 16), max(side, 16), 1000 * seed + number)

        instants = list(play(plan, still, seed))
        test = SceneTest((SIZE, SIZE, 3))
        for number, frame in enumerate(film(instants, camera, seed)):
            explained = test.explained(frame.noisy)
            if number and instants[number].cut:
                cut["made up"].append(explained)
            elif number:
                same[kind(plan, number)].append(explained)
    for gain, clips_of in real.items():
        for name, frames in clips_of.items():
            for other, others in clips_of.items():
                test = SceneTest(frames[0][0].shape)
                if other == name:
                    same[f"{name} {gain}"] = [test.explained(noisy) for noisy, _ in frames][1:]
                    continue
                for place in range(5, len(frames) - 5, 9):
                    test.explained(frames[place][0])
                    cut[f"real {gain}"].append(test.explained(others[min(place, len(others) - 1)][0]))
                    test = SceneTest(frames[0][0].shape)
    rows: Rows = []
    for name, found in sorted(same.items()):
        rows.append(("one shot", name, len(found), f"{min(found):.2f}", sum(each < LEAST for each in found)))
    for name, found in sorted(cut.items()):
        rows.append(("cut", name, len(found), f"{max(found):.2f}", sum(each >= LEAST for each in found)))
    return rows


def kind(plan: Plan, number: int) -> str:
    """The movement and the light of a frame."""
    shot = [each for each in plan.shots if each.first <= number][-1]
    return f"{shot.view}, {plan.light.kind}"


def gaps(network: FrameNetwork, real: dict[int, dict[str, list[tuple[Image, Image]]]]) -> Rows:
    """What the past is worth after a gap, and after a cut, in dB."""
    rows: Rows = []
    for gain, clips in real.items():
        for name, frames in clips.items():
            for gap in GAPS:
                worth = [
                    gained(network, frames[start : start + WARM], *frames[start + WARM - 1 + gap]) for start in STARTS
                ]
                rows.append((f"gap {gap}", f"{name} {gain}", len(worth), f"{np.mean(worth):.2f}", ""))
            for other, others in clips.items():
                if other != name:
                    worth = [gained(network, others[start : start + WARM], *frames[start]) for start in STARTS]
                    rows.append(("gap cut", f"{name} {gain}", len(worth), f"{np.mean(worth):.2f}", ""))
    return rows


def gained(network: FrameNetwork, before: list[tuple[Image, Image]], noisy: Image, clean: Image) -> float:
    """dB of a frame with these frames as its past, less those without a past."""
    network.forget()
    out = np.empty_like(noisy)
    for frame, _ in before:
        network.run(frame, out)
    network.run(noisy, out)
    known = decibels(out, clean)
    network.forget()
    network.run(noisy, out)
    return known - decibels(out, clean)


if __name__ == "__main__":
    sys.exit(main())
